//! Shape of a single object.

use super::surface::surface_area;
use crate::array::{Array, Scalar};
use crate::cast::Number;
use crate::dispatch;
use crate::error::{Error, Kind, Result};

/// An object, cropped to its bounding box.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The voxels that belong to it.
    pub mask: &'a [bool],
    /// The extents of the crop.
    pub shape: &'a [u64],
    /// Where the crop lies in the image.
    pub begin: &'a [u64],
    /// The centre of mass, in voxels of the image.
    pub centre: &'a [f64],
    /// The distance between voxels along each axis.
    pub resolution: &'a [f64],
}

/// What scikit-image calls region properties, in units of the resolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Properties {
    /// The number of voxels.
    pub n_voxels: u64,
    /// The volume.
    pub area: f64,
    /// The share of the bounding box that the object fills; NaN for an empty box.
    pub extent: f64,
    /// The diameter of a ball of the same volume.
    pub equivalent_diameter_area: f64,
    /// The longest axis of an ellipsoid of the same moments.
    pub axis_major_length: f64,
    /// The shortest axis of that ellipsoid.
    pub axis_minor_length: f64,
    /// The centre of mass, or where that is not in the object, its deepest voxel.
    pub centroid: Vec<f64>,
    /// The area of the surface, where it was asked for in three dimensions.
    pub surface_area: Option<f64>,
}

/// The voxels of a crop that have a label.
///
/// # Errors
/// `corrupt-data` for a `bool` that is neither 0 nor 1.
pub fn mask_of(crop: &Array, label: i128) -> Result<Vec<bool>> {
    dispatch!(crop.dtype(), T => {
        let wanted = T::saturate(Scalar::Integer(label));
        // A label that the type does not hold is nowhere.
        let exists = wanted.widen() == Scalar::Integer(label);
        Ok(crop.values::<T>()?.iter().map(|value| exists && *value == wanted).collect())
    })
}

/// The shape of an object. `deepest` gives the voxel of a mask, by its number in C order, that is
/// farthest from the background; it is only asked for where the centre of mass is not in the object.
///
/// # Errors
/// `shape-mismatch` where numbers of axes or voxels disagree; those of `deepest`.
pub fn properties(
    object: Object,
    with_surface: bool,
    deepest: impl FnOnce(&Object) -> Result<usize>,
) -> Result<Properties> {
    let ndim = object.shape.len();
    let voxels: u64 = object.shape.iter().product();
    let axes = [object.begin.len(), object.centre.len(), object.resolution.len()];
    if axes != [ndim; 3] || object.mask.len() as u64 != voxels {
        return Err(Error::new(
            Kind::ShapeMismatch,
            format!(
                "an object of shape {:?} with {} voxels has a begin, centre and resolution of \
                 {axes:?} axes",
                object.shape,
                object.mask.len()
            ),
        ));
    }
    let moments = Moments::of(&object);
    let n_voxels = moments.count;
    let area = n_voxels as f64 * object.resolution.iter().product::<f64>();
    let diameter = 2.0 * ndim as f64 * area / std::f64::consts::PI;
    let (axis_major_length, axis_minor_length) = moments.axis_lengths(object.resolution);
    let surface_area = match (object.shape, object.resolution) {
        (&[depth, height, width], &[z, y, x]) if with_surface => {
            let shape = [depth, height, width].map(|extent| extent as usize);
            Some(surface_area(object.mask, shape, [z, y, x])?)
        }
        _ => None,
    };
    Ok(Properties {
        n_voxels,
        area,
        extent: n_voxels as f64 / voxels as f64,
        equivalent_diameter_area: libm::pow(diameter, 1.0 / ndim as f64),
        axis_major_length,
        axis_minor_length,
        centroid: centroid(&object, n_voxels, deepest)?,
        surface_area,
    })
}

/// The centroid in units of the resolution.
fn centroid(
    object: &Object,
    n_voxels: u64,
    deepest: impl FnOnce(&Object) -> Result<usize>,
) -> Result<Vec<f64>> {
    let mut centroid = object.centre.to_vec();
    if n_voxels > 0 && !centre_is_inside(object) {
        let place = crate::grid::unravel(deepest(object)? as u64, object.shape);
        for ((to, place), begin) in centroid.iter_mut().zip(place).zip(object.begin) {
            *to = (place + begin) as f64;
        }
    }
    for (to, resolution) in centroid.iter_mut().zip(object.resolution) {
        *to *= resolution;
    }
    Ok(centroid)
}

fn centre_is_inside(object: &Object) -> bool {
    let mut voxel = 0;
    for axis in 0..object.shape.len() {
        let place = (object.centre[axis] - object.begin[axis] as f64).round_ties_even();
        if !(0.0..object.shape[axis] as f64).contains(&place) {
            return false;
        }
        voxel = voxel * object.shape[axis] as usize + place as usize;
    }
    object.mask[voxel]
}

/// Sums of the coordinates of an object in its crop and of their products, exactly.
struct Moments {
    count: u64,
    sums: Vec<i128>,
    /// For each pair of axes.
    products: Vec<i128>,
}

impl Moments {
    fn of(object: &Object) -> Moments {
        let ndim = object.shape.len();
        let mut moments = Moments { count: 0, sums: vec![0; ndim], products: vec![0; ndim * ndim] };
        let Some((width, outer)) = object.shape.split_last() else {
            moments.count = object.mask.iter().filter(|inside| **inside).count() as u64;
            return moments;
        };
        if object.mask.is_empty() {
            return moments;
        }
        let mut position = vec![0i128; ndim];
        for row in object.mask.chunks_exact(*width as usize) {
            // Along a row only the last coordinate changes.
            let (mut count, mut sum, mut squares) = (0u64, 0u64, 0u64);
            for (x, inside) in row.iter().enumerate() {
                let (x, inside) = (x as u64, u64::from(*inside));
                count += inside;
                sum += x * inside;
                squares += x * x * inside;
            }
            moments.add_row(&position, [count, sum, squares].map(i128::from));
            for (place, extent) in position.iter_mut().zip(outer).rev() {
                *place += 1;
                if *place < i128::from(*extent) {
                    break;
                }
                *place = 0;
            }
        }
        moments
    }

    fn add_row(&mut self, position: &[i128], [count, sum, squares]: [i128; 3]) {
        let last = position.len() - 1;
        self.count += count as u64;
        for a in 0..position.len() {
            self.sums[a] += if a == last { sum } else { position[a] * count };
            for b in 0..position.len() {
                self.products[a * position.len() + b] += match (a == last, b == last) {
                    (true, true) => squares,
                    (true, false) => sum * position[b],
                    (false, true) => sum * position[a],
                    (false, false) => position[a] * position[b] * count,
                };
            }
        }
    }

    /// The longest and the shortest axis of an ellipsoid with the same moments, as scikit-image has
    /// them: from the inertia tensor, with other constants in three dimensions than in others.
    fn axis_lengths(&self, resolution: &[f64]) -> (f64, f64) {
        let ndim = resolution.len();
        if self.count == 0 || ndim == 0 {
            return (0.0, 0.0);
        }
        let n = i128::from(self.count);
        let covariance = |a: usize, b: usize| {
            let scaled = n * self.products[a * ndim + b] - self.sums[a] * self.sums[b];
            scaled as f64 / (n as f64 * n as f64) * resolution[a] * resolution[b]
        };
        let trace: f64 = (0..ndim).map(|axis| covariance(axis, axis)).sum();
        let mut inertia = vec![0.0; ndim * ndim];
        for a in 0..ndim {
            for b in 0..ndim {
                let diagonal = if a == b { trace } else { 0.0 };
                inertia[a * ndim + b] = diagonal - covariance(a, b);
            }
        }
        let mut values: Vec<f64> =
            eigenvalues(inertia, ndim).into_iter().map(|value| value.max(0.0)).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        if let [first, second, third] = values[..] {
            let length = |value: f64| (10.0 * value).max(0.0).sqrt();
            return (length(first + second - third), length(-first + second + third));
        }
        (4.0 * values[0].sqrt(), 4.0 * values[ndim - 1].sqrt())
    }
}

/// Turns by which small symmetric matrices become diagonal; a few do.
const SWEEPS: usize = 50;

/// The eigenvalues of a symmetric matrix by Jacobi's method.
fn eigenvalues(mut matrix: Vec<f64>, n: usize) -> Vec<f64> {
    for _ in 0..SWEEPS {
        let off_diagonal: f64 =
            (0..n).flat_map(|a| (0..a).map(move |b| a * n + b)).map(|at| matrix[at].abs()).sum();
        if off_diagonal == 0.0 {
            break;
        }
        for a in 0..n {
            for b in a + 1..n {
                rotate(&mut matrix, n, a, b);
            }
        }
    }
    (0..n).map(|axis| matrix[axis * n + axis]).collect()
}

/// Turns a symmetric matrix in the plane of two axes so that what couples them vanishes.
fn rotate(matrix: &mut [f64], n: usize, a: usize, b: usize) {
    let coupling = matrix[a * n + b];
    if coupling == 0.0 {
        return;
    }
    let apart = (matrix[b * n + b] - matrix[a * n + a]) / (2.0 * coupling);
    let tangent = apart.signum() / (apart.abs() + (apart * apart + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for k in 0..n {
        let (x, y) = (matrix[k * n + a], matrix[k * n + b]);
        matrix[k * n + a] = cosine * x - sine * y;
        matrix[k * n + b] = sine * x + cosine * y;
    }
    for k in 0..n {
        let (x, y) = (matrix[a * n + k], matrix[b * n + k]);
        matrix[a * n + k] = cosine * x - sine * y;
        matrix[b * n + k] = sine * x + cosine * y;
    }
    matrix[a * n + b] = 0.0;
    matrix[b * n + a] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(mask: &[bool], shape: &[u64], centre: &[f64], resolution: &[f64]) -> Properties {
        let begin = vec![0; shape.len()];
        let object = Object { mask, shape, begin: &begin, centre, resolution };
        properties(object, true, |_| Err(Error::internal("not asked for"))).unwrap()
    }

    #[test]
    fn a_rod_is_as_long_as_its_ellipse() {
        // Variance of 0..n is (n² - 1) / 12; the axis of an ellipse is four deviations.
        let rod = of(&[true; 5], &[1, 5], &[0.0, 2.0], &[1.0, 1.0]);
        assert_eq!((rod.n_voxels, rod.area, rod.extent), (5, 5.0, 1.0));
        assert!((rod.axis_major_length - 4.0 * 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(rod.axis_minor_length, 0.0);
        assert!((rod.equivalent_diameter_area.powi(2) - 20.0 / std::f64::consts::PI).abs() < 1e-12);
        assert_eq!((rod.centroid.as_slice(), rod.surface_area), (&[0.0, 2.0][..], None));
        let stretched = of(&[true; 5], &[5, 1], &[2.0, 0.0], &[3.0, 2.0]);
        assert_eq!(stretched.area, 30.0);
        assert!((stretched.axis_major_length - 12.0 * 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(stretched.centroid, [6.0, 0.0]);
    }

    #[test]
    fn a_cube_is_as_wide_as_it_is_long() {
        let cube = of(&[true; 27], &[3, 3, 3], &[1.0; 3], &[1.0; 3]);
        // The inertia around each axis is twice the variance along one, which is 2 / 3.
        let length = (10f64 * 4.0 / 3.0).sqrt();
        assert!((cube.axis_major_length - length).abs() < 1e-9, "{cube:?}");
        assert!((cube.axis_minor_length - length).abs() < 1e-9);
        assert!(cube.surface_area.unwrap() > 40.0);
    }

    #[test]
    fn a_centre_beside_the_object_is_moved_into_it() {
        let mask = [true, true, true, false, false, true, true, true, true];
        let object = Object {
            mask: &mask,
            shape: &[3, 3],
            begin: &[10, 20],
            centre: &[11.0, 21.0],
            resolution: &[2.0, 1.0],
        };
        let moved = properties(object, false, |_| Ok(5)).unwrap();
        assert_eq!(moved.centroid, [22.0, 22.0]);
        let inside = Object { centre: &[10.5, 20.4], ..object };
        let kept = properties(inside, false, |_| Err(Error::internal("not asked for"))).unwrap();
        assert_eq!(kept.centroid, [21.0, 20.4]);
        let odd = Object { centre: &[0.0], ..object };
        assert_eq!(properties(odd, false, |_| Ok(0)).unwrap_err().kind, Kind::ShapeMismatch);
    }

    #[test]
    fn labels_are_selected_exactly() {
        let crop = Array::from_values(&[3], &[u64::MAX, 1, u64::MAX - 1]).unwrap();
        assert_eq!(mask_of(&crop, i128::from(u64::MAX)).unwrap(), [true, false, false]);
        assert_eq!(mask_of(&crop, -1).unwrap(), [false; 3]);
        let crop = Array::from_values(&[2], &[-1i8, 127]).unwrap();
        assert_eq!(mask_of(&crop, -1).unwrap(), [true, false]);
        assert_eq!(mask_of(&crop, 255).unwrap(), [false; 2]);
    }

    proptest! {
        #[test]
        fn eigenvalues_keep_trace_and_norm(
            values in proptest::collection::vec(-9.0f64..9.0, 16),
            n in 1usize..5,
        ) {
            let matrix: Vec<f64> =
                (0..n * n).map(|at| values[at / n * n + at % n] + values[at % n * n + at / n]).collect();
            let trace: f64 = (0..n).map(|axis| matrix[axis * n + axis]).sum();
            let norm: f64 = matrix.iter().map(|value| value * value).sum();
            let found = eigenvalues(matrix, n);
            prop_assert!((found.iter().sum::<f64>() - trace).abs() < 1e-9);
            prop_assert!((found.iter().map(|v| v * v).sum::<f64>() - norm).abs() < 1e-7);
        }
    }
}
