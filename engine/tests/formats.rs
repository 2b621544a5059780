//! N5, MRC and NIfTI files that other programs wrote (see `data/formats/generate.py`).

#![allow(clippy::unwrap_used)] // Helpers of tests, too, may fail loudly.

use bioimage_engine::Kind;
use bioimage_engine::array::{Array, Cast};
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::{Grid, Region};
use bioimage_engine::source::mrc::MrcFile;
use bioimage_engine::source::n5::N5Array;
use bioimage_engine::source::nifti::NiftiFile;
use bioimage_engine::source::path::locate;
use bioimage_engine::source::{Sink, Source};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(serde::Deserialize)]
struct Entry {
    format: String,
    name: String,
    shape: Vec<u64>,
    dtype: DType,
    codec: String,
    scale: Option<Vec<Option<f64>>>,
}

const N5: &str = "z5py.n5";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

fn manifest() -> Vec<Entry> {
    serde_json::from_slice(&std::fs::read(folder().join("manifest.json")).unwrap()).unwrap()
}

fn open(entry: &Entry) -> Arc<dyn Source> {
    let path = match entry.format.as_str() {
        "n5" => folder().join(N5).join(&entry.name),
        _ => folder().join(&entry.name),
    };
    locate(path.to_str().unwrap()).unwrap().open().unwrap()
}

/// What `expected` of the generator says, as one number.
fn voxel(number: u64, dtype: DType) -> f64 {
    let base = ((number * 7 + 3) % 101) as f64;
    match dtype {
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => base - 50.0,
        DType::F32 | DType::F64 => base * 0.25 - 10.0,
        _ => base,
    }
}

fn expected(shape: &[u64], dtype: DType) -> Array {
    let values: Vec<f64> = (0..shape.iter().product()).map(|number| voxel(number, dtype)).collect();
    Array::from_values(shape, &values).unwrap().cast(dtype, Cast::Wrapping).unwrap()
}

fn part(array: &Array, region: &Region) -> Array {
    let mut block = Array::zeros(array.dtype(), &region.shape);
    block.paste(&vec![0; region.ndim()], array, region).unwrap();
    block
}

#[test]
fn every_file_reads_as_it_was_written_whole_and_in_blocks() {
    let entries = manifest();
    assert!(entries.len() > 50);
    for entry in entries {
        let source = open(&entry);
        let name = &entry.name;
        assert_eq!(source.shape(), entry.shape, "{name}");
        assert_eq!(source.dtype(), entry.dtype, "{name}");
        assert_eq!(source.codec().as_ref(), Some(&entry.codec), "{name}");
        if let Some(scale) = &entry.scale {
            let axes = source.metadata().axes;
            assert_eq!(&axes.iter().map(|axis| axis.scale).collect::<Vec<_>>(), scale, "{name}");
        }
        let whole = expected(&entry.shape, entry.dtype);
        assert_eq!(source.read(&Region::whole(&entry.shape)).unwrap(), whole, "{name}");
        for budget in [0, 1 << 20] {
            source.hold_at_most(budget, false);
            let grid = Grid::new(Region::whole(&entry.shape), &vec![3; entry.shape.len()]).unwrap();
            for id in 0..grid.len() {
                let region = grid.block(id).unwrap().inner;
                assert_eq!(source.read(&region).unwrap(), part(&whole, &region), "{name} {region}");
            }
        }
    }
}

#[test]
fn every_source_is_opened_again_by_its_spec_and_changes_its_fingerprint() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["int16.mrc", "v1.nii.gz"] {
        let path = copy.path().join(name);
        std::fs::copy(folder().join(name), &path).unwrap();
        let source = locate(path.to_str().unwrap()).unwrap().open().unwrap();
        let again = source.spec().unwrap().open().unwrap();
        assert_eq!(again.shape(), source.shape());
        let before = source.fingerprint().unwrap();
        assert_eq!(again.fingerprint().unwrap(), before);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.push(0);
        std::fs::write(&path, bytes).unwrap();
        assert_ne!(source.fingerprint().unwrap(), before);
        let error = source.spec().unwrap().open_sink().map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::UnsupportedFormat);
    }
}

#[test]
fn a_slope_and_intercept_are_applied() {
    let source = NiftiFile::open(&folder().join("scaled.nii")).unwrap();
    assert_eq!(source.dtype(), DType::F64);
    let block = source.read(&Region::whole(source.shape())).unwrap();
    let stored = expected(source.shape(), DType::I16);
    let stored = stored.values::<i16>().unwrap();
    for (value, stored) in block.values::<f64>().unwrap().iter().zip(stored) {
        assert_eq!(*value, f64::from(*stored) * 0.5 - 3.0);
    }
}

#[test]
fn a_packed_image_tells_what_it_holds_and_a_plain_one_holds_nothing() {
    let packed = NiftiFile::open(&folder().join("v1.nii.gz")).unwrap();
    assert_eq!(packed.held_bytes(&[1, 1, 1], &[0; 3]).most, 3 * 4 * 5 * 2);
    let plain = NiftiFile::open(&folder().join("int16.nii")).unwrap();
    assert_eq!(plain.held_bytes(&[1, 1, 1], &[0; 3]).most, 0);
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let refusal = |path: &str| {
        let spec = locate(folder().join(path).to_str().unwrap());
        spec.and_then(|spec| spec.open()).map(|_| ()).unwrap_err()
    };
    let cases = [
        ("half.mrc", Kind::UnsupportedFormat, "16-bit floats"),
        ("z5py.n5/xz", Kind::UnsupportedCodec, "xz"),
        ("pair.hdr", Kind::UnsupportedFormat, "not known"),
        ("z5py.n5", Kind::AmbiguousArray, "arrays"),
    ];
    for (path, kind, word) in cases {
        let error = refusal(path);
        assert_eq!(error.kind, kind, "{path}: {}", error.message);
        assert!(error.message.contains(word), "{path}: {}", error.message);
        assert!(error.fix.is_some(), "{path}");
    }
    let error = NiftiFile::open(&folder().join("pair.hdr")).map(|_| ()).unwrap_err();
    assert!(error.message.contains("NIfTI pair"), "{}", error.message);
    let error = MrcFile::open(&folder().join("manifest.json")).map(|_| ()).unwrap_err();
    assert!(error.message.contains("manifest.json"), "{}", error.message);
}

#[test]
fn a_damaged_image_says_so() {
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("short.nii.gz");
    let bytes = std::fs::read(folder().join("v1-big.nii.gz")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    let read = |source: NiftiFile| source.read(&Region::whole(source.shape()));
    let error = NiftiFile::open(&path).and_then(read).unwrap_err();
    assert_eq!(error.kind, Kind::CorruptData);
    assert!(error.message.contains("short.nii.gz"), "{}", error.message);
    let path = copy.path().join("short.mrc");
    let bytes = std::fs::read(folder().join("int16.mrc")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(MrcFile::open(&path).map(|_| ()).unwrap_err().kind, Kind::CorruptData);
}

fn read_any(path: &Path) -> bioimage_engine::Result<()> {
    let source = locate(path.to_str().unwrap())?.open()?;
    let shape: Vec<u64> = source.shape().iter().map(|&extent| extent.min(4)).collect();
    source.read(&Region::whole(&shape)).map(drop)
}

proptest! {
    #[test]
    fn damaged_headers_are_errors_and_nothing_worse(
        file in prop::sample::select(vec!["int16.mrc", "volumes.mrc", "int16.nii", "v2-4d.nii"]),
        changes in prop::collection::vec((0usize..1024, any::<u8>()), 1..6),
        packed: bool,
        len in prop::option::of(0usize..1500),
    ) {
        let mut bytes = std::fs::read(folder().join(file)).unwrap();
        bytes.truncate(len.unwrap_or(usize::MAX));
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join(file);
        if packed && file.ends_with("nii") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = read_any(&path) {
            let kinds = [Kind::CorruptData, Kind::UnsupportedFormat];
            prop_assert!(kinds.contains(&error.kind), "{error:?}");
            prop_assert!(error.message.contains(file), "{}", error.message);
        }
    }

    #[test]
    fn damaged_blocks_are_errors_and_nothing_worse(
        name in prop::sample::select(
            vec!["raw", "gzip", "bzip2", "lz4", "zstd", "blosc_lz4", "blosc_zstd", "ts_zlib", "java_lz4"]
        ),
        changes in prop::collection::vec((0usize..200, any::<u8>()), 1..4),
        len in prop::option::of(0usize..100),
    ) {
        let copy = tempfile::tempdir().unwrap();
        let (from, to) = (folder().join(N5).join(name), copy.path().join(name));
        std::fs::create_dir_all(to.join("0")).unwrap();
        std::fs::copy(from.join("attributes.json"), to.join("attributes.json")).unwrap();
        let mut bytes = std::fs::read(from.join("0/0")).unwrap();
        bytes.truncate(len.unwrap_or(usize::MAX));
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        std::fs::write(to.join("0/0"), bytes).unwrap();
        if let Err(error) = read_any(&to) {
            prop_assert_eq!(error.kind, Kind::CorruptData);
        }
    }
}

/// A copy of an N5 array to write to.
fn writable(name: &str) -> (tempfile::TempDir, N5Array) {
    let copy = tempfile::tempdir().unwrap();
    let target = copy.path().join(name);
    std::fs::create_dir(&target).unwrap();
    let source = folder().join(N5).join(name).join("attributes.json");
    std::fs::copy(source, target.join("attributes.json")).unwrap();
    let array = N5Array::open_writable(copy.path(), name).unwrap();
    (copy, array)
}

#[test]
fn what_is_written_is_read_and_borders_are_cut_off() {
    for name in ["raw", "gzip", "ts_zlib", "zstd", "bzip2", "blosc_lz4", "float64", "int8"] {
        let (copy, array) = writable(name);
        let whole = expected(&[7, 10], array.dtype());
        let grid = Grid::new(Region::whole(&[7, 10]), &[3, 4]).unwrap();
        array.hold_at_most(1 << 20, false);
        for id in 0..grid.len() {
            let region = grid.block(id).unwrap().inner;
            assert!(array.write(&region, &part(&whole, &region)).unwrap() > 0, "{name}");
            assert_eq!(array.read(&region).unwrap(), part(&whole, &region), "{name}");
        }
        let all = Region::whole(&[7, 10]);
        assert_eq!(array.read(&all).unwrap(), whole, "{name}");
        assert!(array.verify(&all, true).unwrap(), "{name}");
        let border = std::fs::read(copy.path().join(name).join("1/1")).unwrap();
        assert_eq!(border[..12], [0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3], "{name}");
    }
}

#[test]
fn blocks_that_are_not_stored_are_zeros() {
    let array = N5Array::open(&folder().join(N5), "partly").unwrap();
    let block = array.read(&Region::new([2, 4], [4, 4])).unwrap();
    let values = block.values::<u8>().unwrap();
    assert_eq!(values, [9, 9, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (_copy, array) = writable("raw");
    assert!(!array.verify(&Region::whole(&[7, 10]), false).unwrap());
}

#[test]
fn a_torn_block_is_named_and_not_verified() {
    for name in ["raw", "gzip", "zstd", "blosc_lz4", "bzip2"] {
        let (copy, array) = writable(name);
        let region = Region::new([0, 0], [4, 6]);
        array.write(&region, &expected(&[4, 6], array.dtype())).unwrap();
        let path = copy.path().join(name).join("0/0");
        let bytes = std::fs::read(&path).unwrap();
        for len in [3, 10, bytes.len() - 3] {
            std::fs::write(&path, &bytes[..len]).unwrap();
            let error = array.read(&region).unwrap_err();
            assert_eq!(error.kind, Kind::CorruptData, "{name}");
            assert!(error.message.contains("0/0"), "{}", error.message);
            assert!(!array.verify(&region, true).unwrap(), "{name}");
        }
    }
}

#[test]
fn lz4_of_which_two_forms_exist_is_not_written() {
    let error = N5Array::open_writable(&folder().join(N5), "lz4").map(|_| ()).unwrap_err();
    assert_eq!(error.kind, Kind::UnsupportedCodec);
}

#[test]
fn a_damaged_lz4_stream_is_noticed() {
    let copy = tempfile::tempdir().unwrap();
    let target = copy.path().join("java_lz4");
    std::fs::create_dir_all(target.join("0")).unwrap();
    let source = folder().join(N5).join("java_lz4");
    std::fs::copy(source.join("attributes.json"), target.join("attributes.json")).unwrap();
    let bytes = std::fs::read(source.join("0/0")).unwrap();
    let array = N5Array::open(copy.path(), "java_lz4").unwrap();
    // The second block is stored as it is, so that only its checksum tells.
    let second = bytes.windows(9).rposition(|bytes| bytes == b"LZ4Block\x10").unwrap();
    let stored = bytes[..second].windows(9).rposition(|bytes| bytes == b"LZ4Block\x10").unwrap();
    for at in [stored + 25, 12, 20, 30] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        std::fs::write(target.join("0/0"), damaged).unwrap();
        let error = array.read(&Region::whole(&[7, 10])).unwrap_err();
        assert_eq!(error.kind, Kind::CorruptData, "{at}");
    }
}
