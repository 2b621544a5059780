//! Zarr arrays that are written and read here.

#![allow(clippy::unwrap_used)] // Helpers of tests, too, may fail loudly.

use bioimage_engine::array::Array;
use bioimage_engine::dtype::DType;
use bioimage_engine::error::Kind;
use bioimage_engine::grid::{Grid, Region};
use bioimage_engine::source::zarr::{Codec, NewArray, Version, ZarrArray};
use bioimage_engine::source::{Axis, Metadata, Sink, Source};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn new(shape: &[u64], dtype: DType, chunks: &[u64], codec: &str) -> NewArray {
    NewArray {
        shape: shape.to_vec(),
        dtype,
        chunks: chunks.to_vec(),
        shards: None,
        codec: codec.to_owned(),
        metadata: Metadata::default(),
        version: Version::V3,
    }
}

fn sharded(shape: &[u64], chunks: &[u64], shards: &[u64]) -> NewArray {
    NewArray { shards: Some(shards.to_vec()), ..new(shape, DType::U16, chunks, "zstd:1") }
}

/// Voxels that differ from each other and, mostly, from 0.
fn pattern(dtype: DType, shape: &[u64]) -> Array {
    let mut array = Array::zeros(dtype, shape);
    for (i, byte) in array.bytes_mut().iter_mut().enumerate() {
        let value = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        *byte = if dtype == DType::Bool { value as u8 & 1 } else { value as u8 };
    }
    array
}

fn part(array: &Array, region: &Region) -> Array {
    let mut block = Array::zeros(array.dtype(), &region.shape);
    block.paste(&vec![0; region.ndim()], array, region).unwrap();
    block
}

fn write_in_blocks(sink: &ZarrArray, voxels: &Array, block_shape: &[u64]) {
    let grid = Grid::new(Region::whole(voxels.shape()), block_shape).unwrap();
    for id in 0..grid.len() {
        let region = grid.block(id).unwrap().inner;
        sink.write(&region, &part(voxels, &region)).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

fn reread(folder: &Path) -> Array {
    let array = ZarrArray::open(folder, "").unwrap();
    array.read(&Region::whole(array.shape())).unwrap()
}

#[test]
fn every_type_and_codec_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in DType::ALL {
        for codec in Codec::CHOICES {
            let path = folder.path().join(format!("{dtype}-{codec}.zarr"));
            let (shape, voxels) = ([5, 9, 7], pattern(dtype, &[5, 9, 7]));
            let array = ZarrArray::create(&path, "", &new(&shape, dtype, &[2, 4, 7], codec), false)
                .unwrap();
            assert_eq!(array.codec().unwrap(), Codec::parse(codec).unwrap().to_string());
            let written = array.write(&Region::whole(&shape), &voxels).unwrap();
            assert!(written > 0);
            assert_eq!(reread(&path).bytes(), voxels.bytes(), "{dtype} {codec}");
            assert!(array.verify(&Region::whole(&shape), true).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_blocks_over_any_chunks_or_shards_come_back(
        axes in prop::collection::vec((1u64..9, 1u64..5, 1u64..3, 1u64..7, 1u64..7), 1..6),
        with_shards: bool,
        codec in prop::sample::select(vec!["none", "zstd:1", "blosc-lz4"]),
        held in prop::sample::select(vec![0u64, 100, 1 << 20]),
        old: bool,
        again: bool,
    ) {
        let column = |pick: fn(&(u64, u64, u64, u64, u64)) -> u64| -> Vec<u64> {
            axes.iter().map(pick).collect()
        };
        let shape = column(|axis| axis.0);
        let grid = NewArray {
            shards: (with_shards && !old).then(|| column(|axis| axis.1 * axis.2)),
            version: if old { Version::V2 } else { Version::V3 },
            ..new(&shape, DType::I16, &column(|axis| axis.1), codec)
        };
        let folder = tempfile::tempdir().unwrap();
        let array = ZarrArray::create(folder.path(), "a", &grid, false).unwrap();
        prop_assert_eq!(array.shards(), grid.shards.clone());
        let voxels = pattern(DType::I16, &shape);
        write_in_blocks(&array, &voxels, &column(|axis| axis.3));
        let array = ZarrArray::open(folder.path(), "a").unwrap();
        array.hold_at_most(held, again);
        let blocks = Grid::new(Region::whole(&shape), &column(|axis| axis.4)).unwrap();
        let blocks = blocks.with_halo(&vec![u64::from(again); shape.len()]).unwrap();
        for id in 0..blocks.len() {
            let region = blocks.block(id).unwrap().outer;
            let block = array.read(&region).unwrap();
            prop_assert_eq!(block, part(&voxels, &region));
        }
    }
}

#[test]
fn arrays_without_voxels_and_without_axes() {
    let folder = tempfile::tempdir().unwrap();
    let empty = new(&[0, 5], DType::U8, &[2, 5], "none");
    let array = ZarrArray::create(&folder.path().join("empty"), "", &empty, false).unwrap();
    let region = Region::whole(&[0, 5]);
    assert_eq!(array.write(&region, &Array::zeros(DType::U8, &[0, 5])).unwrap(), 0);
    assert_eq!(array.read(&region).unwrap().voxels(), 0);

    let point = ZarrArray::create(
        &folder.path().join("point"),
        "",
        &new(&[], DType::F64, &[], "zstd"),
        false,
    )
    .unwrap();
    let value = Array::from_values::<f64>(&[], &[2.5]).unwrap();
    point.write(&Region::whole(&[]), &value).unwrap();
    assert_eq!(reread(&folder.path().join("point")), value);
}

#[test]
fn a_torn_chunk_is_reported_by_name_and_found_by_verify() {
    let folder = tempfile::tempdir().unwrap();
    for (name, grid) in [
        ("none", new(&[8], DType::U16, &[4], "none")),
        ("zstd", new(&[8], DType::U16, &[4], "zstd")),
        ("gzip", new(&[8], DType::U16, &[4], "gzip")),
        ("blosc", new(&[8], DType::U16, &[4], "blosc-zstd")),
        ("shards", sharded(&[8], &[2], &[4])),
    ] {
        let array = ZarrArray::create(folder.path(), name, &grid, false).unwrap();
        let whole = Region::whole(&[8]);
        array.write(&whole, &pattern(DType::U16, &[8])).unwrap();
        let file = folder.path().join(name).join("c/1");
        let bytes = std::fs::read(&file).unwrap();
        for len in [0, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&file, &bytes[..len]).unwrap();
            let error = array.read(&whole).unwrap_err();
            assert_eq!(error.kind, Kind::CorruptData, "{name} cut to {len}: {error}");
            assert!(error.message.contains("c/1"), "{error}");
            assert!(!array.verify(&whole, true).unwrap(), "{name} cut to {len}");
            assert!(array.read(&Region::new([0], [4])).is_ok());
        }
        std::fs::remove_file(&file).unwrap();
        assert!(!array.verify(&whole, false).unwrap());
        assert!(array.verify(&Region::new([0], [4]), true).unwrap());
        array.write(&Region::new([4], [4]), &pattern(DType::U16, &[4])).unwrap();
        assert!(array.verify(&whole, true).unwrap());
    }
}

#[test]
fn a_damaged_shard_index_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let array = ZarrArray::create(folder.path(), "a", &sharded(&[8], &[2], &[8]), false).unwrap();
    array.write(&Region::whole(&[8]), &pattern(DType::U16, &[8])).unwrap();
    let file = folder.path().join("a/c/0");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(array.read(&Region::whole(&[8])).unwrap_err().kind, Kind::CorruptData);
}

#[test]
fn a_failed_write_leaves_the_old_content() {
    let folder = tempfile::tempdir().unwrap();
    for (name, grid) in
        [("chunks", new(&[4], DType::U16, &[4], "none")), ("shards", sharded(&[4], &[2], &[4]))]
    {
        let array = ZarrArray::create(folder.path(), name, &grid, false).unwrap();
        let (whole, voxels) = (Region::whole(&[4]), pattern(DType::U16, &[4]));
        array.write(&whole, &voxels).unwrap();
        // A folder in the place of the temporary file is a write error that root meets too.
        let obstacle = folder.path().join(name).join("c/.0.bp-tmp");
        std::fs::create_dir(&obstacle).unwrap();
        let error = array.write(&whole, &Array::zeros(DType::U16, &[4])).unwrap_err();
        assert_eq!(error.kind, Kind::WriteFailed, "{error}");
        assert_eq!(array.read(&whole).unwrap(), voxels);
    }
}

#[test]
fn leftovers_of_a_dead_attempt_are_removed_for_the_region_only() {
    let folder = tempfile::tempdir().unwrap();
    let grid = new(&[4, 4], DType::U8, &[2, 2], "none");
    let array = ZarrArray::create(folder.path(), "", &grid, false).unwrap();
    array.write(&Region::whole(&[4, 4]), &pattern(DType::U8, &[4, 4])).unwrap();
    let before = files(folder.path());
    for chunk in ["c/0/.0.bp-tmp", "c/0/.1.bp-tmp", "c/1/.1.bp-tmp"] {
        std::fs::write(folder.path().join(chunk), b"half").unwrap();
    }
    array.discard_leftovers(&Region::new([0, 0], [2, 4])).unwrap();
    let left: Vec<_> =
        files(folder.path()).into_iter().filter(|file| !before.contains(file)).collect();
    assert_eq!(left, [folder.path().join("c/1/.1.bp-tmp")]);
    array.discard_leftovers(&Region::whole(&[4, 4])).unwrap();
    assert_eq!(files(folder.path()), before);
}

#[test]
fn chunks_of_nothing_but_fill_value_are_stored_so_that_absence_proves_something() {
    let folder = tempfile::tempdir().unwrap();
    for (name, grid) in
        [("chunks", new(&[4], DType::U16, &[2], "none")), ("shards", sharded(&[4], &[1], &[2]))]
    {
        let array = ZarrArray::create(folder.path(), name, &grid, false).unwrap();
        let whole = Region::whole(&[4]);
        assert!(!array.verify(&whole, false).unwrap());
        assert!(array.write(&whole, &Array::zeros(DType::U16, &[4])).unwrap() > 0);
        assert!(array.verify(&whole, true).unwrap());
        assert_eq!(array.read(&whole).unwrap(), Array::zeros(DType::U16, &[4]));
    }
}

#[test]
fn encoded_chunks_are_passed_through_also_into_shards_and_out_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let base = new(&[5, 6], DType::U16, &[2, 2], "zstd");
    let grids = [
        ("chunks", base.clone()),
        ("shards", NewArray { shards: Some(vec![2, 4]), ..base.clone() }),
        ("larger-shards", NewArray { shards: Some(vec![4, 4]), ..base }),
    ];
    for ((source, from), (target, to)) in
        grids.iter().flat_map(|from| grids.iter().map(move |to| (from, to)))
    {
        let name = |end| format!("{source}-to-{target}/{end}");
        let from = ZarrArray::create(folder.path(), &name("from"), from, false).unwrap();
        let to = ZarrArray::create(folder.path(), &name("to"), to, false).unwrap();
        assert_eq!(from.encoding(), to.encoding());
        let mut voxels = pattern(DType::U16, &[5, 6]);
        from.write(&Region::whole(&[5, 6]), &voxels).unwrap();
        // A unit that is not stored, in the place of one that is.
        let unit = from.write_unit().unwrap();
        let absent = Region::new(vec![0; 2], &unit[..]);
        from.write_encoded(&absent, &mut |_, _| Ok(false)).unwrap();
        voxels.paste(&[0, 0], &Array::zeros(DType::U16, &unit), &Region::whole(&unit)).unwrap();
        to.write(&Region::whole(&[5, 6]), &pattern(DType::U16, &[5, 6])).unwrap();
        let units = Grid::new(Region::whole(&[5, 6]), &to.write_unit().unwrap()).unwrap();
        for id in 0..units.len() {
            let unit = units.block(id).unwrap().inner;
            let mut read = 0;
            let written = to
                .write_encoded(&unit, &mut |chunk, bytes| {
                    let stored = from.read_encoded(chunk, bytes)?;
                    read += if stored { bytes.len() as u64 } else { 0 };
                    Ok(stored)
                })
                .unwrap();
            assert!(written >= read, "{source} to {target}: {written} of {read}");
        }
        assert_eq!(to.read(&Region::whole(&[5, 6])).unwrap(), voxels, "{source} to {target}");
        assert!(from.read_encoded(&Region::new([0, 0], [2, 3]), &mut Vec::new()).is_err());
    }
}

#[test]
fn the_encoding_tells_apart_what_differs_in_bytes_only() {
    let folder = tempfile::tempdir().unwrap();
    let base = new(&[8, 8], DType::U16, &[4, 4], "zstd:3");
    let mut encodings: Vec<String> = [
        base.clone(),
        NewArray { codec: "zstd:4".into(), ..base.clone() },
        NewArray { dtype: DType::I16, ..base.clone() },
        NewArray { chunks: vec![4, 2], ..base.clone() },
    ]
    .iter()
    .map(|grid| ZarrArray::create(folder.path(), "a", grid, true).unwrap().encoding().unwrap())
    .collect();
    let again = NewArray { shape: vec![20, 4], ..base };
    let same = ZarrArray::create(folder.path(), "a", &again, true).unwrap().encoding().unwrap();
    assert_eq!(encodings[0], same);
    let shards = NewArray { shards: Some(vec![8, 8]), ..again };
    let shards = ZarrArray::create(folder.path(), "a", &shards, true).unwrap().encoding().unwrap();
    assert_eq!(shards, same, "a shard changes nothing in its chunks");
    encodings.sort();
    encodings.dedup();
    assert_eq!(encodings.len(), 4);
}

#[test]
fn an_existing_array_is_overwritten_only_when_asked_and_nothing_else_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.zarr");
    let grid = new(&[4], DType::U8, &[2], "none");
    let kind = |array: &str, overwrite| {
        ZarrArray::create(&store, array, &grid, overwrite).err().map(|error| error.kind)
    };
    assert_eq!(kind("em/s0", false), None);
    let array = ZarrArray::open(&store, "em/s0").unwrap();
    array.write(&Region::whole(&[4]), &pattern(DType::U8, &[4])).unwrap();
    assert_eq!(kind("em/s1", false), None);
    assert_eq!(kind("em/s0", false), Some(Kind::AlreadyExists));
    assert!(store.join("em/s0/c/0").exists());
    assert_eq!(kind("em/s0", true), None);
    assert!(!store.join("em/s0/c").exists());
    assert_eq!(ZarrArray::list(&store).unwrap(), ["em/s0", "em/s1"]);
    for overwrite in [false, true] {
        assert_eq!(kind("em", overwrite), Some(Kind::AlreadyExists));
        assert_eq!(kind("", overwrite), Some(Kind::AlreadyExists));
        assert_eq!(kind("em/s0/x", overwrite), Some(Kind::AlreadyExists));
    }
    let papers = store.join("papers");
    std::fs::create_dir(&papers).unwrap();
    std::fs::write(papers.join("thesis.tex"), "").unwrap();
    assert_eq!(kind("papers", true), Some(Kind::AlreadyExists));
    assert!(papers.join("thesis.tex").exists());
    assert_eq!(files(&store).iter().filter(|file| file.ends_with(".bp-removed")).count(), 0);
}

#[test]
fn a_refused_overwrite_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".zgroup"), r#"{"zarr_format": 2}"#).unwrap();
    let array = folder.path().join("a");
    std::fs::create_dir(&array).unwrap();
    let metadata = r#"{"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "|u1", "order": "C",
        "fill_value": 0, "compressor": null, "filters": null}"#;
    std::fs::write(array.join(".zarray"), metadata).unwrap();
    let before = files(folder.path());
    let grid = new(&[4], DType::U8, &[2], "none");
    let error = ZarrArray::create(folder.path(), "a", &grid, true).err().unwrap();
    assert_eq!(error.kind, Kind::InvalidArgument);
    assert_eq!(files(folder.path()), before);
    let array = ZarrArray::open(folder.path(), "a").unwrap();
    array.write(&Region::whole(&[4]), &pattern(DType::U8, &[4])).unwrap();
    assert_eq!(array.read(&Region::whole(&[4])).unwrap(), pattern(DType::U8, &[4]));
}

#[test]
fn grids_and_codecs_that_cannot_be_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.zarr");
    let wrong = [
        (sharded(&[64], &[16], &[40]), "shards of 48"),
        (new(&[64], DType::U8, &[16, 16], "none"), "each axis"),
        (new(&[64], DType::U8, &[0], "none"), "at least 1"),
        (new(&[64], DType::U8, &[8], "zstdd"), "zstd"),
        (new(&[1 << 32], DType::U8, &[1 << 31], "blosc-lz4"), "smaller chunks"),
    ];
    for (grid, fix) in wrong {
        let error = ZarrArray::create(&store, "", &grid, true).err().unwrap();
        assert_eq!(error.kind, Kind::InvalidArgument);
        assert!(error.fix.as_ref().unwrap().contains(fix), "{}", error.report());
        assert!(!store.exists());
    }
    assert!(ZarrArray::create(&store, "../b", &new(&[1], DType::U8, &[1], "none"), true).is_err());
}

#[test]
fn a_path_that_names_no_array_says_which_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("vol.zarr");
    let grid = new(&[4], DType::U8, &[2], "none");
    ZarrArray::create(&store, "em/raw", &grid, false).unwrap();
    let only = ZarrArray::open(&store, "").unwrap();
    assert_eq!(only.spec().unwrap().display(), format!("{}::em/raw", store.display()));
    assert!(ZarrArray::open(&store.join("em/raw"), "").is_ok());
    ZarrArray::create(&store, "labels", &grid, false).unwrap();

    let error = |path: &Path, array: &str| ZarrArray::open(path, array).err().unwrap();
    let ambiguous = error(&store, "");
    assert_eq!(ambiguous.kind, Kind::AmbiguousArray);
    assert!(ambiguous.message.contains("em/raw, labels"), "{ambiguous}");
    let missing = error(&store, "lables");
    assert_eq!(missing.kind, Kind::NotFound);
    assert!(missing.fix.unwrap().contains("::labels"));
    let missing = error(&folder.path().join("vol.zar"), "");
    assert_eq!(missing.kind, Kind::NotFound);
    assert!(missing.fix.unwrap().contains("vol.zarr"));
    std::fs::write(folder.path().join("a.zip"), "").unwrap();
    assert_eq!(error(&folder.path().join("a.zip"), "").kind, Kind::UnsupportedFormat);
    std::fs::write(store.join("labels/zarr.json"), "{").unwrap();
    assert_eq!(error(&store, "labels").kind, Kind::CorruptData);
}

fn with_metadata(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) -> Kind {
    let grid = new(&[4], DType::U8, &[2], "zstd");
    ZarrArray::create(folder, "", &grid, true).unwrap();
    let file = folder.join("zarr.json");
    let mut json = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(&file, json.to_string()).unwrap();
    let error = ZarrArray::open(folder, "").err().unwrap();
    assert!(error.message.contains(folder.to_str().unwrap()), "{error}");
    assert!(error.fix.is_some());
    error.kind
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.zarr");
    let kind = with_metadata(&store, |json| json["codecs"][1]["name"] = "numcodecs.pcodec".into());
    assert_eq!(kind, Kind::UnsupportedCodec);
    for dtype in ["complex64", "float16", "string"] {
        let kind = with_metadata(&store, |json| json["data_type"] = dtype.into());
        assert_eq!(kind, Kind::DtypeMismatch);
    }
    let kind = with_metadata(&store, |json| json["chunk_grid"]["name"] = "rectilinear".into());
    assert_eq!(kind, Kind::UnsupportedFormat);
    let kind = with_metadata(&store, |json| json["chunk_grid"]["configuration"] = 3.into());
    assert_eq!(kind, Kind::CorruptData);

    let v2 = folder.path().join("v2.zarr");
    std::fs::create_dir(&v2).unwrap();
    let metadata = r#"{"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<u2", "order": "C",
        "fill_value": 0, "compressor": {"id": "jpeg2k", "level": 3}, "filters": null}"#;
    std::fs::write(v2.join(".zarray"), metadata).unwrap();
    let error = ZarrArray::open(&v2, "").err().unwrap();
    assert_eq!(error.kind, Kind::UnsupportedCodec);
    assert!(error.message.contains("jpeg2k") && error.fix.unwrap().contains("blosc"));
    std::fs::write(v2.join(".zarray"), metadata.replace("<u2", "<c8")).unwrap();
    assert_eq!(ZarrArray::open(&v2, "").err().unwrap().kind, Kind::DtypeMismatch);
}

#[test]
fn axes_units_voxel_size_and_attributes_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let axis = |name: &str, scale, unit: Option<&str>| Axis {
        name: name.into(),
        scale,
        unit: unit.map(str::to_owned),
    };
    let metadata = Metadata {
        axes: vec![
            axis("c", None, None),
            axis("y", Some(0.25), Some("micrometer")),
            axis("", Some(0.5), None),
        ],
        attributes: serde_json::from_str(r#"{"stain": "DAPI", "n": [1, 2.5]}"#).unwrap(),
    };
    let grid =
        NewArray { metadata: metadata.clone(), ..new(&[2, 3, 4], DType::U8, &[1, 3, 4], "none") };
    ZarrArray::create(folder.path(), "a", &grid, false).unwrap();
    assert_eq!(ZarrArray::open(folder.path(), "a").unwrap().metadata(), metadata);
}

#[test]
fn multiscales_of_ome_zarr_give_axes_and_the_scale_of_the_level() {
    let folder = tempfile::tempdir().unwrap();
    let multiscales = serde_json::json!([{
        "axes": [
            {"name": "z", "type": "space", "unit": "micrometer"},
            {"name": "y", "type": "space"},
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [10.0, 1.0]}],
        "datasets": [
            {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5]}]},
            {"path": "s1", "coordinateTransformations": [
                {"type": "scale", "scale": [2.0, 1.5]}, {"type": "translation", "translation": [1, 1]},
            ]},
        ],
    }]);
    for (name, ome) in [
        ("old", serde_json::json!({"multiscales": multiscales})),
        ("new", serde_json::json!({"ome": {"version": "0.5", "multiscales": multiscales}})),
    ] {
        let store = folder.path().join(name);
        let grid = new(&[2, 3], DType::U8, &[2, 3], "none");
        ZarrArray::create(&store, "s1", &grid, false).unwrap();
        let group = serde_json::json!({"zarr_format": 3, "node_type": "group", "attributes": ome});
        std::fs::write(store.join("zarr.json"), group.to_string()).unwrap();
        let metadata = ZarrArray::open(&store, "s1").unwrap().metadata();
        assert_eq!(metadata.voxel_size().unwrap(), [20.0, 1.5]);
        assert_eq!(metadata.axes[0].name, "z");
        assert_eq!(metadata.axes[0].unit.as_deref(), Some("micrometer"));
        assert_eq!(metadata.axes[1].unit, None);
        assert_eq!(ZarrArray::open(&store.join("s1"), "").unwrap().metadata(), metadata);
    }
}

#[test]
fn the_fingerprint_changes_with_the_data_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let grid = new(&[4], DType::U8, &[2], "none");
    let array = ZarrArray::create(folder.path(), "", &grid, false).unwrap();
    let region = Region::new([0], [2]);
    let mut seen = vec![array.fingerprint().unwrap()];
    array.write(&region, &pattern(DType::U8, &[2])).unwrap();
    seen.push(array.fingerprint().unwrap());
    array.write(&region, &Array::zeros(DType::U8, &[2])).unwrap();
    seen.push(array.fingerprint().unwrap());
    std::fs::write(folder.path().join("c/0"), b"abc").unwrap();
    seen.push(array.fingerprint().unwrap());
    assert_eq!(ZarrArray::open(folder.path(), "").unwrap().fingerprint().unwrap(), seen[3]);
    seen.dedup();
    assert_eq!(seen.len(), 4);
    let sizes = files(folder.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(array.stored_bytes(), Some(sizes));
}

#[test]
fn nothing_is_held_where_blocks_are_whole_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let grid = new(&[100, 100, 100], DType::U16, &[10, 20, 20], "none");
    let array = ZarrArray::create(folder.path(), "", &grid, false).unwrap();
    assert_eq!(array.held_bytes(&[20, 40, 100], &[0; 3]).most, 0);
    assert_eq!(array.held_bytes(&[100, 100, 100], &[0; 3]).most, 0);
    // One layer of chunks where the first axis is cut, less where only a later one is.
    assert_eq!(array.held_bytes(&[15, 20, 20], &[0; 3]).most, 10 * 100 * 100 * 2);
    assert_eq!(array.held_bytes(&[20, 20, 30], &[0; 3]).most, 20 * 20 * 20 * 2);
    // With a halo what a layer of blocks touches, and an eighth for those that are ahead.
    assert_eq!(array.held_bytes(&[10, 20, 20], &[1; 3]).most, 30 * 100 * 100 * 2 / 8 * 9);
    assert_eq!(array.held_bytes(&[10, 100, 20], &[1; 3]).most, 30 * 100 * 100 * 2 / 8 * 9);
    assert_eq!(array.held_bytes(&[100, 100, 100], &[1; 3]).most, 0);
}

#[test]
fn a_shard_that_another_process_replaces_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let array = ZarrArray::create(folder.path(), "a", &sharded(&[8], &[2], &[8]), false).unwrap();
    let other = ZarrArray::open(folder.path(), "a").unwrap();
    let whole = Region::whole(&[8]);
    for round in 0..3u16 {
        let values: Vec<u16> = (0..8).map(|i| i * round * 1000).collect();
        let voxels = Array::from_values::<u16>(&[8], &values).unwrap();
        array.write(&whole, &voxels).unwrap();
        assert_eq!(other.read(&whole).unwrap(), voxels);
    }
}
