//! Arrays that zarr-python and tensorstore wrote (see `data/zarr/generate.py`).

#![allow(clippy::unwrap_used)] // Helpers of tests, too, may fail loudly.

use bioimage_engine::array::Array;
use bioimage_engine::dispatch;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::{Grid, Region};
use bioimage_engine::source::Source;
use bioimage_engine::source::zarr::ZarrArray;
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Entry {
    name: String,
    shape: Vec<u64>,
    dtype: DType,
    codec: Option<String>,
    /// Given where only voxels in the first chunk are stored.
    fill: Option<String>,
}

/// Voxels of the only stored chunk of the arrays with a fill value.
const STORED: [u64; 2] = [4, 6];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/zarr")
}

fn manifest() -> Vec<Entry> {
    serde_json::from_slice(&std::fs::read(folder().join("manifest.json")).unwrap()).unwrap()
}

/// What `expected` of the generator says, as one number.
fn voxel(number: u64, dtype: DType) -> f64 {
    let base = ((number * 7 + 3) % 101) as f64;
    match dtype {
        DType::Bool => base % 2.0,
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => base - 50.0,
        DType::F32 | DType::F64 => base * 0.25 - 10.0,
        _ => base,
    }
}

fn expected(entry: &Entry) -> Vec<f64> {
    let count: u64 = entry.shape.iter().product();
    (0..count)
        .map(|number| match &entry.fill {
            Some(fill)
                if number / entry.shape[1] >= STORED[0] || number % entry.shape[1] >= STORED[1] =>
            {
                fill.parse().unwrap()
            }
            _ => voxel(number, entry.dtype),
        })
        .collect()
}

fn numbers(block: &Array) -> Vec<f64> {
    let wide = block.cast(DType::F64, bioimage_engine::array::Cast::Wrapping).unwrap();
    wide.values::<f64>().unwrap().to_vec()
}

fn assert_same(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = found == expected || (found.is_nan() && expected.is_nan());
        assert!(same, "{what}: voxel {number} is {found}, not {expected}");
    }
}

#[test]
fn every_array_reads_as_it_was_written() {
    let entries = manifest();
    assert!(entries.len() > 80);
    for entry in entries {
        let array = ZarrArray::open(&folder().join("arrays"), &entry.name).unwrap();
        assert_eq!(array.shape(), entry.shape, "{}", entry.name);
        assert_eq!(array.dtype(), entry.dtype, "{}", entry.name);
        if let Some(codec) = &entry.codec {
            assert_eq!(array.codec().as_ref(), Some(codec), "{}", entry.name);
        }
        let block = array.read(&Region::whole(&entry.shape)).unwrap();
        assert_same(&numbers(&block), &expected(&entry), &entry.name);
    }
}

#[test]
fn blocks_that_cut_chunks_read_the_same_with_and_without_held_chunks() {
    for entry in manifest().iter().filter(|entry| entry.shape.len() == 2) {
        let array = ZarrArray::open(&folder().join("arrays"), &entry.name).unwrap();
        let expected = expected(entry);
        for held in [0, 1 << 20] {
            array.hold_at_most(held, false);
            let mut whole = Array::zeros(entry.dtype, &entry.shape);
            let grid = Grid::new(Region::whole(&entry.shape), &[3, 5]).unwrap();
            for id in 0..grid.len() {
                let region = grid.block(id).unwrap().inner;
                let block = array.read(&region).unwrap();
                whole.paste(&region.start, &block, &Region::whole(&region.shape)).unwrap();
            }
            assert_same(&numbers(&whole), &expected, &entry.name);
        }
    }
}

#[test]
fn the_values_of_every_type_are_native() {
    for dtype in DType::ALL {
        let array = ZarrArray::open(&folder().join("arrays"), &format!("v3_{dtype}")).unwrap();
        let block = array.read(&Region::new([1, 2], [1, 1])).unwrap();
        dispatch!(dtype, T => assert_eq!(block.values::<T>().unwrap().len(), 1));
        assert_eq!(numbers(&block), [voxel(12, dtype)]);
    }
}
