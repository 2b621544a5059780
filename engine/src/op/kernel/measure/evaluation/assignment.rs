//! The most pairs that can be made when each node has at most one partner.

use std::collections::VecDeque;

/// No partner, or no distance.
const NONE: usize = usize::MAX;

/// The size of a largest matching of a bipartite graph, given the neighbours of each node on one side
/// among the `right` nodes on the other, by the algorithm of Hopcroft and Karp. Takes 8 bytes for each
/// edge, and 48 for each node.
pub(super) fn largest_matching(neighbours: &[Vec<usize>], right: usize) -> usize {
    let mut matching = Matching {
        neighbours,
        of_left: vec![NONE; neighbours.len()],
        of_right: vec![NONE; right],
        distance: vec![NONE; neighbours.len()],
        next: vec![0; neighbours.len()],
    };
    // Most nodes find a partner at once.
    let mut size = 0;
    for (left, others) in neighbours.iter().enumerate() {
        if let Some(&free) = others.iter().find(|&&right| matching.of_right[right] == NONE) {
            matching.pair(left, free);
            size += 1;
        }
    }
    while matching.layer() {
        let free = (0..neighbours.len()).filter(|left| matching.of_left[*left] == NONE);
        for left in free.collect::<Vec<_>>() {
            size += usize::from(matching.augment(left));
        }
    }
    size
}

struct Matching<'a> {
    neighbours: &'a [Vec<usize>],
    of_left: Vec<usize>,
    of_right: Vec<usize>,
    /// Steps from a free node on the left.
    distance: Vec<usize>,
    /// The neighbour that is tried next in this phase.
    next: Vec<usize>,
}

impl Matching<'_> {
    fn pair(&mut self, left: usize, right: usize) {
        self.of_left[left] = right;
        self.of_right[right] = left;
    }

    /// Measures how far nodes are from free ones, and says whether a free node on the other side can
    /// be reached.
    fn layer(&mut self) -> bool {
        self.next.fill(0);
        let mut queue = VecDeque::new();
        for (left, distance) in self.distance.iter_mut().enumerate() {
            let free = self.of_left[left] == NONE;
            *distance = if free { 0 } else { NONE };
            if free {
                queue.push_back(left);
            }
        }
        let mut reached = false;
        while let Some(left) = queue.pop_front() {
            for &right in &self.neighbours[left] {
                let partner = self.of_right[right];
                if partner == NONE {
                    reached = true;
                } else if self.distance[partner] == NONE {
                    self.distance[partner] = self.distance[left] + 1;
                    queue.push_back(partner);
                }
            }
        }
        reached
    }

    /// Looks for a path from a free node to a free one on the other side, and turns its pairs around.
    fn augment(&mut self, start: usize) -> bool {
        let mut path = vec![start];
        while let Some(&left) = path.last() {
            let Some(&right) = self.neighbours[left].get(self.next[left]) else {
                // Nothing is to be found here in this phase.
                self.distance[left] = NONE;
                path.pop();
                continue;
            };
            self.next[left] += 1;
            let partner = self.of_right[right];
            if partner == NONE {
                // Each node of the path takes the neighbour that it was left by.
                for &left in &path {
                    let right = self.neighbours[left][self.next[left] - 1];
                    self.pair(left, right);
                }
                return true;
            }
            if self.distance[partner] != NONE && self.distance[partner] == self.distance[left] + 1 {
                path.push(partner);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tries every choice of partners.
    fn naive(neighbours: &[Vec<usize>], taken: &mut Vec<bool>) -> usize {
        let Some((first, others)) = neighbours.split_first() else { return 0 };
        let mut best = naive(others, taken);
        for &right in first {
            if !taken[right] {
                taken[right] = true;
                best = best.max(1 + naive(others, taken));
                taken[right] = false;
            }
        }
        best
    }

    #[test]
    fn a_long_chain_is_paired_up() {
        // Greedily, each takes what the next needs: only the last finds none, and all must shift.
        let n = 100_000;
        let mut neighbours: Vec<Vec<usize>> = (0..n).map(|i| vec![i, i + 1]).collect();
        neighbours.push(vec![0]);
        assert_eq!(largest_matching(&neighbours, n + 1), n + 1);
        assert_eq!(largest_matching(&[], 3), 0);
        assert_eq!(largest_matching(&[vec![], vec![]], 0), 0);
    }

    proptest! {
        #[test]
        fn no_choice_of_partners_is_better(
            neighbours in proptest::collection::vec(
                proptest::collection::vec(0usize..6, 0..4), 0..7),
        ) {
            let expected = naive(&neighbours, &mut vec![false; 6]);
            prop_assert_eq!(largest_matching(&neighbours, 6), expected);
        }
    }
}
