//! Region properties: size, extent, axes, centre and surface of each object of a label image.
//!
//! In two passes over objects that are listed, else in three, of which the first finds them: one adds up
//! moments and surfaces, the last looks into those objects whose centre of mass lies beside them. Halo: one
//! voxel with surfaces. Memory: the block, 4 bytes a voxel with surfaces, some 200 bytes for each object of
//! a block, and for the merge some 400 for each object; in the last pass 17 bytes for each voxel of a
//! bounding box, or of parts of a large one. Moments are exact.

use super::kernel::measure::objects;
use super::kernel::measure::shapes::{self, Objects, Shape, deepest};
use super::kernel::measure::surface::Surfaces;
use super::parameters::PerAxis;
use super::passes::Successive;
use super::table::{Table, axis_names, of_axis};
use super::{ArrayShape, BlockIo};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::grid::{Block, Region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of region properties.
///
/// The result has a row for each object, with areas and lengths in units of the resolution: `label`;
/// `n_voxels`; `area`, the volume; `extent`, the share of the bounding box that it fills;
/// `equivalent_diameter_area`, the diameter of a ball of the same volume; `axis_major_length` and
/// `axis_minor_length` of an ellipsoid with the same moments; `centroid_z` and so on, the centre of mass,
/// or where that lies beside the object, its deepest voxel; the bounding box in voxels, `bb_min_z` and so
/// on up to and without `bb_max_z` and so on; and if asked for, `surface_area`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, clap::Args)]
pub struct RegionProps {
    /// Extents of a voxel, which areas and lengths are told by [default: 1 along every axis]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "X[,X...]")]
    pub resolution: Option<PerAxis<f64>>,
    /// Measure the area of surfaces, too, in three dimensions
    #[serde(default)]
    #[arg(long)]
    pub compute_surface: bool,
    /// The objects to measure; the verb measures all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    #[arg(skip)]
    pub objects: Option<Objects>,
}

/// What a pass knows of those before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    objects: Objects,
    /// Their shapes, once they are measured.
    shapes: Option<Vec<Shape>>,
}

/// What blocks give.
#[derive(Serialize, Deserialize)]
pub enum Found {
    /// Objects, where none are listed.
    Objects(objects::Partial),
    /// Sums over them.
    Shapes(shapes::Partial),
    /// The deepest voxel of objects by their rows.
    Places(Vec<(u64, Vec<u64>)>),
}

/// What a pass does.
enum Task<'a> {
    FindObjects,
    MeasureShapes(&'a Objects),
    PlaceCentres(&'a Objects, &'a [Shape]),
}

impl RegionProps {
    fn task<'a>(&'a self, state: Option<&'a State>) -> Task<'a> {
        match (state, &self.objects) {
            (Some(State { objects, shapes: Some(shapes) }), _) => {
                Task::PlaceCentres(objects, shapes)
            }
            (Some(State { objects, shapes: None }), _) | (None, Some(objects)) => {
                Task::MeasureShapes(objects)
            }
            (None, None) => Task::FindObjects,
        }
    }

    fn resolution(&self, ndim: usize) -> Result<Vec<f64>> {
        match &self.resolution {
            Some(resolution) => resolution.for_axes("resolution", ndim),
            None => Ok(vec![1.0; ndim]),
        }
    }

    fn surfaces(&self, ndim: usize) -> Result<Option<Surfaces>> {
        match *self.resolution(ndim)? {
            [z, y, x] if self.compute_surface => Ok(Some(Surfaces::new([z, y, x]))),
            _ => Ok(None),
        }
    }

    /// The deepest voxels of those objects that begin in a block and whose centre lies beside them.
    fn places(&self, objects: &Objects, shapes: &[Shape], io: &BlockIo) -> Result<Found> {
        let (input, ndim) = (&io.inputs[0], io.block.inner.ndim());
        let resolution = self.resolution(ndim)?;
        let (start, end) = (&io.block.inner.start, io.block.inner.end());
        let mut places = Vec::new();
        for (row, shape) in shapes.iter().enumerate() {
            if shape.voxels == 0 || shape.is_central {
                continue;
            }
            let object = objects.get(row, ndim);
            let axes = object.begin.iter().zip(start.iter().zip(&end));
            if axes.into_iter().all(|(at, (start, end))| (start..end).contains(&at)) {
                let place = deepest(&object, &resolution, |region| {
                    io.cancel.check()?;
                    input.read(region)
                })?;
                places.push((row as u64, place));
            }
        }
        Ok(Found::Places(places))
    }

    fn table(
        &self,
        State { objects, shapes }: &State,
        places: &[(u64, Vec<u64>)],
    ) -> Result<Table> {
        let shapes = shapes.as_deref().unwrap_or_default();
        if shapes.is_empty() {
            return Ok(Table::default());
        }
        let rows = [objects.len() as u64];
        let ndim = objects.begins.len() / objects.len();
        let resolution = self.resolution(ndim)?;
        let voxel: f64 = resolution.iter().product();
        let column = |of: &dyn Fn(usize, &Shape) -> f64| {
            let values = shapes.iter().enumerate().map(|(row, shape)| of(row, shape));
            Array::from_values(&rows, &values.collect::<Vec<f64>>())
        };
        let area = |shape: &Shape| shape.voxels as f64 * voxel;
        let voxels: Vec<i64> = shapes.iter().map(|shape| shape.voxels as i64).collect();
        let mut table = Table::default()
            .with("label", objects.label_column()?)
            .with("n_voxels", Array::from_values(&rows, &voxels)?)
            .with("area", column(&|_, shape| area(shape))?)
            .with(
                "extent",
                column(&|row, shape| {
                    shape.voxels as f64 / objects.get(row, ndim).region().voxels() as f64
                })?,
            )
            .with(
                "equivalent_diameter_area",
                column(&|_, shape| {
                    let power = 2.0 * ndim as f64 * area(shape) / std::f64::consts::PI;
                    libm::pow(power, 1.0 / ndim as f64)
                })?,
            )
            .with("axis_major_length", column(&|_, shape| shape.major)?)
            .with("axis_minor_length", column(&|_, shape| shape.minor)?);
        let mut centres = objects.centres.clone();
        for (row, place) in places {
            let of_object = &mut centres[*row as usize * ndim..][..ndim];
            for (to, place) in of_object.iter_mut().zip(place) {
                *to = *place as f64;
            }
        }
        let axes = axis_names(ndim);
        for (axis, name) in axes.iter().enumerate() {
            let of_axis = of_axis(&centres, axis, ndim);
            let centre = column(&|row, _| of_axis[row] * resolution[axis])?;
            table = table.with(&format!("centroid_{name}"), centre);
        }
        for (prefix, corners) in [("bb_min", &objects.begins), ("bb_max", &objects.ends)] {
            for (axis, name) in axes.iter().enumerate() {
                let of_axis = of_axis(corners, axis, ndim);
                let values: Vec<i64> = of_axis.into_iter().map(|at| at as i64).collect();
                table =
                    table.with(&format!("{prefix}_{name}"), Array::from_values(&rows, &values)?);
            }
        }
        if self.surfaces(ndim)?.is_some() {
            table = table.with("surface_area", column(&|_, shape| shape.surface)?);
        }
        Ok(table)
    }
}

impl Successive for RegionProps {
    type Partial = Found;
    type State = State;

    const NAME: &'static str = "regionprops";
    const TAKES_MASK: bool = false;

    fn check(&self, inputs: &[ArrayShape]) -> Result<()> {
        for input in inputs {
            if !input.dtype.is_integer() || input.dtype == DType::Bool {
                let dtype = input.dtype;
                return Err(Error::new(
                    Kind::DtypeMismatch,
                    format!("regionprops expects an integer label image, got dtype {dtype}."),
                )
                .fix("Label the image first, or convert it to an integer type."));
            }
            let resolution = self.resolution(input.shape.len())?;
            if let Some(bad) = resolution.iter().find(|one| !one.is_finite() || **one <= 0.0) {
                return Err(Error::argument(format!(
                    "resolution must be positive and finite, got {bad}"
                ))
                .about("resolution")
                .fix("Give the extents of a voxel."));
            }
            if let Some(objects) = &self.objects {
                objects.check(&input.shape)?;
            }
        }
        Ok(())
    }

    fn passes(&self) -> usize {
        if self.objects.is_some() { 2 } else { 3 }
    }

    fn stage(&self, pass: usize) -> &'static str {
        match self.passes() - pass {
            1 => "place centres",
            2 => "measure shapes",
            _ => "find objects",
        }
    }

    fn halo(&self, pass: usize, ndim: usize) -> Vec<u64> {
        vec![u64::from(self.compute_surface && pass + 2 == self.passes()); ndim]
    }

    fn region(&self, state: Option<&State>, block: &Block) -> Option<Region> {
        match self.task(state) {
            Task::PlaceCentres(..) => None,
            // What lies behind the block is seen by the next one.
            _ => {
                let (start, end) = (block.outer.start.clone(), block.inner.end());
                let shape = start.iter().zip(end).map(|(start, end)| end - start).collect();
                Some(Region { start, shape })
            }
        }
    }

    fn block_bytes(&self, voxels: u64) -> u64 {
        // Objects of some voxels each, and the numbers of objects.
        voxels * if self.compute_surface { 12 } else { 8 }
    }

    fn of_block(&self, state: Option<&State>, io: &BlockIo, blocks: &[Array]) -> Result<Found> {
        match (self.task(state), blocks.first()) {
            (Task::FindObjects, Some(block)) => {
                let start = &io.block.inner.start;
                objects::Partial::of_block(block, None, start).map(Found::Objects)
            }
            (Task::MeasureShapes(objects), Some(block)) => {
                let surfaces = self.surfaces(io.block.inner.ndim())?;
                shapes::Partial::of_block(objects, block, io.block, surfaces.as_ref())
                    .map(Found::Shapes)
            }
            (Task::PlaceCentres(objects, shapes), _) => self.places(objects, shapes, io),
            (_, None) => Err(Error::internal("no voxels of a block that was to be read")),
        }
    }

    fn merge(&self, into: &mut Found, other: Found) {
        match (into, other) {
            (Found::Objects(into), Found::Objects(other)) => into.merge(other),
            (Found::Shapes(into), Found::Shapes(other)) => into.merge(other),
            (Found::Places(into), Found::Places(other)) => into.extend(other),
            // Blocks of one pass give the same.
            _ => {}
        }
    }

    fn advance(&self, state: Option<&State>, whole: Option<Found>) -> Result<State> {
        if let Some(Found::Objects(found)) = whole {
            return Ok(State { objects: Objects::found(found.finish()?)?, shapes: None });
        }
        let objects = state.map(|state| &state.objects).or(self.objects.as_ref());
        let objects = objects.cloned().unwrap_or_default();
        let ndim = objects.begins.len() / objects.len().max(1);
        let shapes = match whole {
            Some(Found::Shapes(found)) => {
                Some(found.finish(objects.len(), &self.resolution(ndim)?))
            }
            _ => None,
        };
        Ok(State { objects, shapes })
    }

    fn finish(&self, state: Option<&State>, whole: Option<Found>) -> Result<Table> {
        let places = match whole {
            Some(Found::Places(places)) => places,
            _ => Vec::new(),
        };
        state.map_or_else(|| Ok(Table::default()), |state| self.table(state, &places))
    }
}
