//! The area of the surface of an object.

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

/// The area of the surface of a 3-D object, given as a mask, with this distance between voxels: that
/// of the mesh that scikit-image's `marching_cubes` makes of it at level 0.5 with a border of
/// background around it. The mesh itself is never made: cubes of eight voxels are counted by what they
/// hold. Takes 16 bytes for each voxel of a row, besides the mask.
///
/// # Errors
/// `shape-mismatch` for a mask that has not as many voxels as its shape says.
///
/// ```
/// use bioimage_engine::op::kernel::measure::surface::surface_area;
/// // An octahedron around one voxel: eight triangles.
/// let area = surface_area(&[true], [1, 1, 1], [1.0; 3])?;
/// assert!((area - 3f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), bioimage_engine::Error>(())
/// ```
pub fn surface_area(mask: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Result<f64> {
    if mask.len() != shape.iter().product::<usize>() {
        return Err(Error::new(
            Kind::ShapeMismatch,
            format!("a mask of shape {shape:?} has {} voxels", mask.len()),
        ));
    }
    let areas = areas(spacing);
    let counts = counts(mask, shape);
    Ok(areas.iter().zip(counts).map(|(area, count)| area * count as f64).sum())
}

/// How often each arrangement of eight voxels occurs in a mask with a border around it.
fn counts(mask: &[bool], shape: [usize; 3]) -> [u64; 256] {
    let [depth, height, width] = shape;
    // Rows of the border are as long as those of the mask.
    let empty = vec![false; width];
    let row = |z: usize, y: usize| {
        // Both count from the border on.
        let inside = (1..=depth).contains(&z) && (1..=height).contains(&y);
        if inside { &mask[((z - 1) * height + y - 1) * width..][..width] } else { &empty }
    };
    let mut counts = [0; 256];
    for z in 0..=depth {
        for y in 0..=height {
            let rows = [row(z, y), row(z, y + 1), row(z + 1, y), row(z + 1, y + 1)];
            let mut before = 0;
            for x in 0..width {
                let bit = |row: usize| u8::from(rows[row][x]) << (2 * row);
                let here = bit(0) | bit(1) | bit(2) | bit(3);
                counts[usize::from(before | here << 1)] += 1;
                before = here;
            }
            counts[usize::from(before)] += 1;
        }
    }
    counts
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
        let box_of = |n: usize| surface_area(&vec![true; n * n * n], [n; 3], [1.0; 3]).unwrap();
        let expected =
            |n: f64| 6.0 * (n - 1.0).powi(2) + 12.0 * (n - 1.0) * 0.5f64.sqrt() + 3f64.sqrt();
        for n in [1usize, 2, 5] {
            assert!((box_of(n) - expected(n as f64)).abs() < 1e-9);
        }
    }

    #[test]
    fn spacing_scales_the_axes() {
        // A plate of two voxels along the second axis.
        let mask = [true, true];
        let area = surface_area(&mask, [1, 2, 1], [1.0, 4.0, 1.0]).unwrap();
        let turned = surface_area(&mask, [2, 1, 1], [4.0, 1.0, 1.0]).unwrap();
        assert_eq!(area, turned);
        let doubled = surface_area(&mask, [1, 2, 1], [2.0, 8.0, 2.0]).unwrap();
        assert!((doubled - 4.0 * area).abs() < 1e-12);
        assert_eq!(surface_area(&[], [0, 2, 2], [1.0; 3]).unwrap(), 0.0);
        assert_eq!(surface_area(&[false], [1; 3], [1.0; 3]).unwrap(), 0.0);
        assert!(surface_area(&[true], [2, 1, 1], [1.0; 3]).is_err());
    }
}
