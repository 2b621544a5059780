//! The areas of the surfaces of objects.

use crate::error::{Error, Kind, Result};

/// How many triangles of an arrangement have a normal like this.
type Triangles = (f64, [f64; 3]);

/// For arrangements of voxels at the corners of a cube, the triangles by which Lewiner's marching
/// cubes part those of the object from the others. An arrangement has a bit for each corner, the last
/// axis fastest; a triangle is given by the magnitudes of the components of its normal, whose length
/// is eight times the area between unit voxels. All other arrangements are these turned and mirrored.
const TRIANGLES: [(u8, &[Triangles]); 20] = [
    (0b0000_0001, &[(1.0, [1.0, 1.0, 1.0])]),
    (0b0000_0011, &[(2.0, [2.0, 2.0, 0.0])]),
    (0b0000_0110, &[(2.0, [1.0, 1.0, 1.0]), (2.0, [2.0, 2.0, 2.0])]),
    (0b0000_0111, &[(1.0, [1.0, 1.0, 1.0]), (1.0, [2.0, 2.0, 2.0]), (1.0, [4.0, 0.0, 0.0])]),
    (0b0000_1111, &[(2.0, [4.0, 0.0, 0.0])]),
    (
        0b0001_0110,
        &[
            (3.0, [1.0, 1.0, 1.0]),
            (2.0, [0.0, 0.0, 2.0]),
            (2.0, [0.0, 2.0, 0.0]),
            (2.0, [2.0, 0.0, 0.0]),
        ],
    ),
    (0b0001_0111, &[(2.0, [1.0, 1.0, 1.0]), (2.0, [2.0, 2.0, 2.0])]),
    (0b0001_1000, &[(2.0, [1.0, 1.0, 1.0])]),
    (
        0b0001_1001,
        &[
            (2.0, [0.0, 2.0, 2.0]),
            (1.0, [1.0, 1.0, 3.0]),
            (1.0, [1.0, 3.0, 1.0]),
            (1.0, [3.0, 1.0, 1.0]),
        ],
    ),
    (
        0b0001_1011,
        &[
            (1.0, [0.0, 2.0, 2.0]),
            (1.0, [1.0, 1.0, 1.0]),
            (1.0, [2.0, 0.0, 2.0]),
            (1.0, [3.0, 3.0, 3.0]),
        ],
    ),
    (0b0001_1110, &[(2.0, [1.0, 1.0, 1.0]), (1.0, [2.0, 2.0, 2.0]), (1.0, [4.0, 0.0, 0.0])]),
    (0b0001_1111, &[(1.0, [1.0, 1.0, 1.0]), (1.0, [2.0, 2.0, 2.0]), (1.0, [4.0, 0.0, 0.0])]),
    (0b0011_1100, &[(4.0, [2.0, 2.0, 0.0])]),
    (
        0b0011_1101,
        &[
            (4.0, [1.0, 1.0, 1.0]),
            (1.0, [0.0, 2.0, 0.0]),
            (1.0, [1.0, 1.0, 3.0]),
            (1.0, [1.0, 3.0, 1.0]),
            (1.0, [2.0, 0.0, 0.0]),
            (1.0, [3.0, 1.0, 1.0]),
        ],
    ),
    (0b0011_1111, &[(2.0, [2.0, 2.0, 0.0])]),
    (0b0110_1001, &[(4.0, [1.0, 1.0, 1.0])]),
    (0b0110_1011, &[(3.0, [1.0, 1.0, 1.0])]),
    (0b0110_1111, &[(2.0, [1.0, 1.0, 1.0])]),
    (0b0111_1110, &[(2.0, [1.0, 1.0, 1.0])]),
    (0b0111_1111, &[(1.0, [1.0, 1.0, 1.0])]),
];

const TURNS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The areas of surfaces in a block of a 3-D image of objects: those of the meshes that scikit-image's
/// `marching_cubes` makes of each object at level 0.5, with background around it. No mesh is made: cubes
/// of eight voxels are looked at, of which each has a share in the surfaces of the objects at its corners.
#[derive(Clone, Debug)]
pub struct Surfaces {
    /// By arrangement.
    areas: [f64; 256],
}

impl Surfaces {
    /// Of objects in an image with this distance between voxels.
    pub fn new(spacing: [f64; 3]) -> Surfaces {
        Surfaces { areas: areas(spacing) }
    }

    /// Adds to `sums`, which has a place for each number, what lies in the cubes of a block. Its voxels
    /// are numbers of objects, or 0 for background. A cube belongs to the block that its last corner
    /// lies in; with `begins` along an axis those that begin before the block do, too, and with `ends`
    /// those that end behind it, since there is no other block.
    ///
    /// # Errors
    /// `shape-mismatch` for a block that has not as many voxels as its shape says.
    ///
    /// ```
    /// use bioimage_engine::op::kernel::measure::surface::Surfaces;
    /// // An octahedron around one voxel: eight triangles.
    /// let mut sums = [0.0; 2];
    /// Surfaces::new([1.0; 3]).add(&[1], [1; 3], [true; 3], [true; 3], &mut sums)?;
    /// assert!((sums[1] - 3f64.sqrt()).abs() < 1e-12);
    /// # Ok::<(), bioimage_engine::Error>(())
    /// ```
    pub fn add(
        &self,
        numbers: &[u32],
        shape: [usize; 3],
        begins: [bool; 3],
        ends: [bool; 3],
        sums: &mut [f64],
    ) -> Result<()> {
        if numbers.len() != shape.iter().product::<usize>() {
            return Err(Error::new(
                Kind::ShapeMismatch,
                format!("a block of shape {shape:?} has {} voxels", numbers.len()),
            ));
        }
        let [depth, height, width] = shape;
        let empty = vec![0; width];
        // Rows count from one on, so that there is one before the first.
        let row = |z: usize, y: usize| {
            let inside = (1..=depth).contains(&z) && (1..=height).contains(&y);
            if inside { &numbers[((z - 1) * height + y - 1) * width..][..width] } else { &empty }
        };
        let cubes = |axis: usize| usize::from(!begins[axis])..shape[axis] + usize::from(ends[axis]);
        for z in cubes(0) {
            for y in cubes(1) {
                let rows = [row(z, y), row(z, y + 1), row(z + 1, y), row(z + 1, y + 1)];
                let column = |x: usize| rows.map(|row| row.get(x).copied().unwrap_or(0));
                let mut cubes = cubes(2);
                if cubes.start == 0 && !cubes.is_empty() {
                    cubes.start = 1;
                    self.add_cube([[0; 4], column(0)], sums);
                }
                for x in cubes {
                    self.add_cube([column(x - 1), column(x)], sums);
                }
            }
        }
        Ok(())
    }

    /// Adds the share of a cube, given as the numbers at its near and far corners along the last axis.
    #[inline(always)]
    fn add_cube(&self, corners: [[u32; 4]; 2], sums: &mut [f64]) {
        let first = corners[0][0];
        if corners == [[first; 4]; 2] {
            return;
        }
        let mut left = 0xffu8;
        while left != 0 {
            let corner = left.trailing_zeros() as usize;
            let number = corners[corner % 2][corner / 2];
            let bits = (0..8).fold(0, |bits, corner| {
                bits | u8::from(corners[corner % 2][corner / 2] == number) << corner
            });
            left &= !bits;
            if number != 0 {
                sums[number as usize] += self.areas[usize::from(bits)];
            }
        }
    }
}

/// The area within a cube of each arrangement.
fn areas(spacing: [f64; 3]) -> [f64; 256] {
    let [z, y, x] = spacing;
    let faces = [y * x, z * x, z * y];
    let mut areas = [0.0; 256];
    for (arrangement, triangles) in TRIANGLES {
        for turn in TURNS {
            let area = |(count, normal): &Triangles| {
                let along = |axis: usize| normal[turn[axis]] * faces[axis];
                let squares = (0..3).map(|axis| along(axis) * along(axis));
                count * squares.sum::<f64>().sqrt() / 8.0
            };
            let area: f64 = triangles.iter().map(area).sum();
            for mirrored in 0..8 {
                areas[usize::from(turned(arrangement, turn, mirrored))] = area;
            }
        }
    }
    areas
}

/// An arrangement with its axes exchanged, then its corners along some of them.
fn turned(arrangement: u8, turn: [usize; 3], mirrored: u8) -> u8 {
    (0..8u8).fold(0, |all, corner| {
        let place = corner ^ mirrored;
        // The first axis has the highest bit of a corner's number.
        let from =
            (0..3).fold(0, |from, axis| from | (place >> (2 - axis) & 1) << (2 - turn[axis]));
        all | (arrangement >> from & 1) << corner
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// The areas of all objects of a whole image.
    fn whole(numbers: &[u32], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
        let mut sums = vec![0.0; 5];
        Surfaces::new(spacing).add(numbers, shape, [true; 3], [true; 3], &mut sums).unwrap();
        sums
    }

    #[test]
    fn each_arrangement_but_the_empty_and_the_full_has_a_surface() {
        let areas = areas([1.0, 2.0, 3.0]);
        for (arrangement, area) in areas.iter().enumerate() {
            assert_eq!(*area == 0.0, arrangement == 0 || arrangement == 255);
        }
    }

    #[test]
    fn a_box_has_flat_faces_and_bevelled_edges() {
        // Faces between voxel centres, edges of length n - 1 cut at half a voxel, and corners.
        let box_of = |n: usize| whole(&vec![1; n * n * n], [n; 3], [1.0; 3])[1];
        let expected =
            |n: f64| 6.0 * (n - 1.0).powi(2) + 12.0 * (n - 1.0) * 0.5f64.sqrt() + 3f64.sqrt();
        for n in [1usize, 2, 5] {
            assert!((box_of(n) - expected(n as f64)).abs() < 1e-9);
        }
    }

    #[test]
    fn spacing_scales_the_axes() {
        // A plate of two voxels along the second axis.
        let area = whole(&[1, 1], [1, 2, 1], [1.0, 4.0, 1.0])[1];
        assert_eq!(area, whole(&[1, 1], [2, 1, 1], [4.0, 1.0, 1.0])[1]);
        let doubled = whole(&[1, 1], [1, 2, 1], [2.0, 8.0, 2.0])[1];
        assert!((doubled - 4.0 * area).abs() < 1e-12);
        assert_eq!(whole(&[], [0, 2, 2], [1.0; 3]), [0.0; 5]);
        assert_eq!(whole(&[0], [1; 3], [1.0; 3]), [0.0; 5]);
        let surfaces = Surfaces::new([1.0; 3]);
        assert!(surfaces.add(&[1], [2, 1, 1], [true; 3], [true; 3], &mut [0.0; 2]).is_err());
    }

    proptest! {
        #[test]
        fn objects_have_surfaces_of_their_own_and_blocks_add_up(
            numbers in proptest::collection::vec(0u32..5, 4 * 5 * 6), cut in 1usize..4,
        ) {
            let (shape, spacing) = ([4, 5, 6], [1.0, 2.0, 0.5]);
            let all = whole(&numbers, shape, spacing);
            for number in 1..5 {
                let alone: Vec<u32> = numbers.iter().map(|at| u32::from(*at == number)).collect();
                let area = whole(&alone, shape, spacing)[1];
                prop_assert!((all[number as usize] - area).abs() < 1e-9);
            }
            // The second block sees the last voxels of the first.
            let mut sums = vec![0.0; 5];
            let surfaces = Surfaces::new(spacing);
            let (first, second) = (&numbers[..cut * 30], &numbers[(cut - 1) * 30..]);
            surfaces.add(first, [cut, 5, 6], [true; 3], [false, true, true], &mut sums).unwrap();
            surfaces.add(second, [5 - cut, 5, 6], [false, true, true], [true; 3], &mut sums).unwrap();
            for (sum, area) in sums.iter().zip(&all) {
                prop_assert!((sum - area).abs() < 1e-9);
            }
        }
    }
}
