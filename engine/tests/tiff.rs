//! TIFF files of every supported kind, written by tifffile (see data/tiff/generate.py), and broken ones.

// Clippy allows these in test functions by itself, but not in what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use bioimage_engine::array::Array;
use bioimage_engine::dtype::DType;
use bioimage_engine::grid::{Grid, Region};
use bioimage_engine::source::tiff::TiffStack;
use bioimage_engine::source::{Axis, Source};
use bioimage_engine::{Error, Kind, dispatch};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiff").join(name)
}

fn open(name: &str) -> TiffStack {
    TiffStack::open(&data(name)).unwrap()
}

fn whole(stack: &TiffStack) -> Array {
    stack.read(&Region::whole(stack.shape())).unwrap()
}

fn open_error(path: &Path) -> Error {
    match TiffStack::open(path) {
        Ok(stack) => panic!("{} opened as {:?}", path.display(), stack.shape()),
        Err(error) => error,
    }
}

/// The voxels of a test file: `values` in generate.py.
fn expected(dtype: DType, shape: &[u64]) -> Array {
    let numbers = (0..shape.iter().product::<u64>() as i64).map(|index| {
        let number = (index * 7 + index / 13) % 251;
        match dtype {
            DType::Bool => f64::from(number % 3 == 0),
            DType::U8 => number as f64,
            DType::I8 => f64::from((number - 100) as i8),
            _ => {
                let number = number + 256 * (index % 7);
                match dtype {
                    DType::F32 | DType::F64 => number as f64 / 8.0 - 10.0,
                    DType::I16 | DType::I32 | DType::I64 => (number - 100) as f64,
                    _ => number as f64,
                }
            }
        }
    });
    let numbers: Vec<f64> = numbers.collect();
    let array = Array::from_values(shape, &numbers).unwrap();
    array.cast(dtype, bioimage_engine::array::Cast::Checked).unwrap()
}

/// Reads a stack block by block, in a block shape that divides nothing.
fn by_blocks(stack: &TiffStack) -> Array {
    let block_shape: Vec<u64> = stack.shape().iter().map(|n| (n / 3).max(1)).collect();
    stack.hold_at_most(stack.held_bytes(&block_shape, &[0; 3]).most, false);
    let grid = Grid::new(Region::whole(stack.shape()), &block_shape).unwrap();
    let mut array = Array::zeros(stack.dtype(), stack.shape());
    for id in 0..grid.len() {
        let region = grid.block(id).unwrap().inner;
        let block = stack.read(&region).unwrap();
        array.paste(&region.start, &block, &Region::whole(&region.shape)).unwrap();
    }
    array
}

#[test]
fn every_kind_of_file_reads_as_tifffile_reads_it() {
    let manifest = std::fs::read_to_string(data("manifest.json")).unwrap();
    let manifest: Vec<serde_json::Value> = serde_json::from_str(&manifest).unwrap();
    assert!(manifest.len() > 60);
    for entry in manifest {
        let name = entry["file"].as_str().unwrap();
        let stack = open(name);
        let shape: Vec<u64> = serde_json::from_value(entry["shape"].clone()).unwrap();
        assert_eq!(stack.shape(), shape, "shape of {name}");
        assert_eq!(stack.dtype().name(), entry["dtype"], "dtype of {name}");
        let expected = expected(stack.dtype(), &shape);
        assert!(whole(&stack) == expected, "voxels of {name}");
        assert!(by_blocks(&stack) == expected, "voxels of {name}, read by blocks");
        assert_eq!(stack.metadata().axes.len(), shape.len(), "axes of {name}");
    }
}

fn axis(name: &str, scale: Option<f64>, unit: Option<&str>) -> Axis {
    Axis { name: name.to_owned(), scale, unit: unit.map(str::to_owned) }
}

#[test]
fn axes_and_voxel_size_of_imagej_are_kept() {
    let lengths =
        [axis("y", Some(0.2), Some("micrometer")), axis("x", Some(0.25), Some("micrometer"))];
    let z = axis("z", Some(2.5), Some("micrometer"));
    for name in ["imagej-hyperstack.tif", "imagej-one-directory.tif"] {
        let mut axes = vec![axis("t", Some(0.5), Some("second")), z.clone(), axis("c", None, None)];
        axes.extend(lengths.clone());
        assert_eq!(open(name).metadata().axes, axes, "{name}");
    }
    let mut axes = vec![z];
    axes.extend(lengths);
    assert_eq!(open("imagej-singletons.tif").metadata().axes, axes);
}

#[test]
fn axes_voxel_size_and_channels_of_ome_are_kept() {
    let metadata = open("ome.tif").metadata();
    assert_eq!(
        metadata.axes,
        [
            axis("t", Some(2.0), Some("second")),
            axis("c", None, None),
            axis("z", Some(900.0), Some("nanometer")),
            axis("y", Some(0.5), Some("micrometer")),
            axis("x", Some(0.25), Some("micrometer")),
        ]
    );
    assert_eq!(metadata.attributes["channel_names"], serde_json::json!(["DAPI", "GFP"]));
    let names: Vec<_> = open("ome-rgb.tif").metadata().axes.into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["z", "y", "x", "c"]);
}

#[test]
fn the_unit_of_decoding_and_the_compression_are_told() {
    let stack = open("zlib-strips-le.tif");
    assert_eq!(stack.chunks(), Some(vec![1, 8, 21]));
    assert_eq!(stack.codec().as_deref(), Some("deflate"));
    let stored = stack.stored_bytes().unwrap();
    assert!(stored > 100 && stored < data("zlib-strips-le.tif").metadata().unwrap().len());
    assert_eq!(open("tiles-zlib.tif").chunks(), Some(vec![1, 16, 32]));
    assert_eq!(open("rgb-planar.tif").chunks(), Some(vec![1, 1, 8, 21]));
    assert_eq!(open("none-uint16-le.tif").stored_bytes(), Some(2 * 19 * 21 * 2));
}

/// Writes slices of 6 x 5 voxels: slice `n` is all `n`.
fn write_slices(folder: &Path, names: &[&str]) {
    for (value, name) in names.iter().enumerate() {
        let file = File::create(folder.join(name)).unwrap();
        let mut encoder = TiffEncoder::new(file).unwrap();
        encoder.write_image::<colortype::Gray8>(5, 6, &[value as u8; 30]).unwrap();
    }
}

#[test]
fn slices_of_a_folder_or_pattern_are_stacked_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &["s1.tif", "s2.tif", "s10.TIF", "s11.tif"]);
    std::fs::write(folder.path().join("notes.txt"), "no slice").unwrap();
    std::fs::write(folder.path().join(".s3.tif"), "left by another program").unwrap();
    let stack = TiffStack::open(folder.path()).unwrap();
    assert_eq!(stack.shape(), [4, 6, 5]);
    assert_eq!(stack.metadata().axes[0].name, "z");
    let column = stack.read(&Region::new([0, 2, 3], [4, 1, 1])).unwrap();
    assert_eq!(column.values::<u8>().unwrap(), [0, 1, 2, 3]);
    let some = TiffStack::open(&folder.path().join("s?.tif")).unwrap();
    assert_eq!(some.shape(), [2, 6, 5]);

    let before = stack.fingerprint().unwrap();
    assert_eq!(stack.fingerprint().unwrap(), before);
    write_slices(folder.path(), &["s1.tif", "s2.tif"]);
    assert_ne!(stack.fingerprint().unwrap(), before);
}

#[test]
fn a_slice_of_another_shape_or_type_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_slices(folder.path(), &["s1.tif", "s2.tif"]);
    let odd = folder.path().join("s3.tif");
    let encode = || TiffEncoder::new(File::create(&odd).unwrap()).unwrap();
    encode().write_image::<colortype::Gray8>(5, 7, &[0; 35]).unwrap();
    let error = open_error(folder.path());
    assert_eq!(error.kind, Kind::ShapeMismatch);
    assert!(error.message.contains("s3.tif") && error.message.contains("7,5"), "{error}");
    encode().write_image::<colortype::Gray16>(5, 6, &[0; 30]).unwrap();
    let error = open_error(folder.path());
    assert_eq!(error.kind, Kind::DtypeMismatch);
    assert!(error.message.contains("s3.tif") && error.message.contains("uint16"), "{error}");
}

#[test]
fn what_is_no_stack_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(open_error(folder.path()).kind, Kind::NotFound);
    assert_eq!(open_error(&folder.path().join("*.tif")).kind, Kind::NotFound);
    assert_eq!(open_error(&folder.path().join("a.tif")).kind, Kind::NotFound);
    let path = folder.path().join("text.tif");
    for text in ["", "II", "not a TIFF file at all"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(open_error(&path).kind, Kind::UnsupportedFormat, "{text:?}");
    }
}

/// A copy of a little-endian classic file with the first value of a tag of its first page replaced.
fn with_tag(name: &str, tag: u16, value: u32) -> tempfile::NamedTempFile {
    let mut bytes = std::fs::read(data(name)).unwrap();
    let ifd = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes(bytes[ifd..ifd + 2].try_into().unwrap()) as usize;
    let entry = (0..count)
        .map(|index| ifd + 2 + 12 * index)
        .find(|entry| bytes[*entry..entry + 2] == tag.to_le_bytes())
        .unwrap();
    // A single number of type LONG.
    bytes[entry + 2..entry + 4].copy_from_slice(&4u16.to_le_bytes());
    bytes[entry + 4..entry + 8].copy_from_slice(&1u32.to_le_bytes());
    bytes[entry + 8..entry + 12].copy_from_slice(&value.to_le_bytes());
    let file = tempfile::Builder::new().suffix(".tif").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn another_compression_is_refused_with_those_that_are_read() {
    let file = with_tag("zlib-strips-le.tif", 259, 7);
    let error = open_error(file.path());
    assert_eq!(error.kind, Kind::UnsupportedCodec);
    for word in ["JPEG", "none, lzw, deflate, packbits, zstd", "page 0"] {
        assert!(error.message.contains(word), "{error}");
    }
}

#[test]
fn samples_that_are_no_numbers_here_are_refused() {
    let error = open_error(with_tag("none-uint16-le.tif", 258, 12).path());
    assert_eq!(error.kind, Kind::UnsupportedFormat);
    assert!(error.message.contains("12 bits"), "{error}");
}

#[test]
fn claims_beyond_the_file_are_not_believed() {
    const HEIGHT: u16 = 257;
    const ROWS_PER_STRIP: u16 = 278;
    for (name, tag, value) in [
        ("none-uint8-le.tif", HEIGHT, u32::MAX),
        ("none-uint8-le.tif", HEIGHT, 100_000),
        ("zlib-strips-le.tif", HEIGHT, u32::MAX),
        ("zlib-strips-le.tif", ROWS_PER_STRIP, 4),
        // Offsets of strips.
        ("none-uint8-le.tif", 273, 1 << 31),
        ("none-uint8-le.tif", 273, u32::MAX),
    ] {
        let file = with_tag(name, tag, value);
        let error = TiffStack::open(file.path())
            .and_then(|stack| {
                let last: Vec<u64> = stack.shape().iter().map(|n| n - 1).collect();
                let read = |start| stack.read(&Region::new(start, vec![1; last.len()]));
                read(vec![0; last.len()])?;
                read(last.clone())?;
                // A page unlike the first is left out of the stack, which is as good.
                let mut end_of_first = last.clone();
                end_of_first[0] = 0;
                read(end_of_first)
            })
            .unwrap_err();
        assert_eq!(error.kind, Kind::CorruptData, "{name} {tag} {value}: {error}");
        assert!(error.message.contains(file.path().to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_list_of_pages_that_leads_back_is_refused() {
    let mut bytes = std::fs::read(data("none-uint8-le.tif")).unwrap();
    let ifd = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
    let at = ifd as usize;
    let count = u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let next = at + 2 + 12 * count;
    bytes[next..next + 4].copy_from_slice(&ifd.to_le_bytes());
    let file = tempfile::Builder::new().suffix(".tif").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    assert_eq!(open_error(file.path()).kind, Kind::CorruptData);
}

#[test]
fn broken_files_give_errors_of_the_kind_that_says_so() {
    let mut random = fastrand::Rng::with_seed(7);
    let file = tempfile::Builder::new().suffix(".tif").tempfile().unwrap();
    let names = [
        "none-uint16-le.tif",
        "zlib-predictor-uint32-be.tif",
        "lzw-strips-le.tif",
        "zstd-bool.tif",
        "packbits-strips-be.tif",
        "tiles-zlib.tif",
        "imagej-one-directory.tif",
        "ome.tif",
        "rgb-planar.tif",
        "shaped-truncated.tif",
    ];
    let mut failures = 0;
    for name in names {
        let original = std::fs::read(data(name)).unwrap();
        for attempt in 0..120 {
            let mut bytes = original.clone();
            if attempt % 3 == 0 {
                bytes.truncate(random.usize(..bytes.len()));
            } else {
                for _ in 0..random.usize(1..6) {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
            }
            std::fs::write(file.path(), bytes).unwrap();
            let read = TiffStack::open(file.path()).and_then(|stack| {
                // A damaged extent may ask for much more memory than the file is large.
                let small: Vec<u64> = stack.shape().iter().map(|n| (*n).min(40)).collect();
                stack.read(&Region::whole(&small))
            });
            if let Err(error) = read {
                failures += 1;
                assert!(
                    matches!(
                        error.kind,
                        Kind::CorruptData | Kind::UnsupportedFormat | Kind::UnsupportedCodec
                    ),
                    "{name}, attempt {attempt}: {error:?}"
                );
            }
        }
    }
    assert!(failures > 300, "{failures}");
}

/// A stack of deflated pages, 96 x 80 voxels of 16 bits, in strips of so many rows.
fn write_stack(path: &Path, pages: u64, rows_per_strip: u32) -> Array {
    let shape = [pages, 96, 80];
    let array = expected(DType::U16, &shape);
    let compression = Compression::Deflate(DeflateLevel::Fast);
    let mut encoder =
        TiffEncoder::new(File::create(path).unwrap()).unwrap().with_compression(compression);
    for page in array.values::<u16>().unwrap().chunks(96 * 80) {
        let mut image = encoder.new_image::<colortype::Gray16>(80, 96).unwrap();
        image.rows_per_strip(rows_per_strip).unwrap();
        image.write_data(page).unwrap();
    }
    array
}

#[test]
fn no_strip_of_a_band_is_decoded_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    for (rows_per_strip, block_shape) in [
        (96, [4, 16, 16]),
        (16, [4, 16, 16]),
        (32, [4, 16, 40]),
        (7, [3, 20, 30]),
        (5, [4, 48, 80]),
        (48, [5, 40, 33]),
    ] {
        let expected = write_stack(&path, 12, rows_per_strip);
        let stack = TiffStack::open(&path).unwrap();
        let held = stack.held_bytes(&block_shape, &[0; 3]).most;
        assert!(held <= expected.byte_len() as u64 + 7 * 160 * 12, "{held}");
        stack.hold_at_most(held, false);
        let grid = Grid::new(Region::whole(stack.shape()), &block_shape).unwrap();
        // Two threads on neighbouring blocks, at the same time and never further apart.
        let step = Barrier::new(2);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (stack, grid, step, expected) = (&stack, &grid, &step, &expected);
                scope.spawn(move || {
                    for pair in 0..grid.len().div_ceil(2) {
                        step.wait();
                        if let Ok(block) = grid.block(2 * pair + thread) {
                            let read = stack.read(&block.inner).unwrap();
                            let mut part = Array::zeros(read.dtype(), read.shape());
                            let origin = vec![0; 3];
                            part.paste(&origin, expected, &block.inner).unwrap();
                            assert!(read == part);
                        }
                    }
                });
            }
        });
        let strips = 12 * 96u64.div_ceil(u64::from(rows_per_strip));
        assert_eq!(stack.decoded(), strips, "{rows_per_strip} rows, blocks {block_shape:?}");
    }
}

#[test]
fn a_strip_that_many_threads_want_is_decoded_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    let expected = write_stack(&path, 1, 96);
    for _ in 0..20 {
        let stack = TiffStack::open(&path).unwrap();
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(whole(&stack).bytes(), expected.bytes());
                });
            }
        });
        assert_eq!(stack.decoded(), 1);
    }
}

#[test]
fn with_too_little_held_the_result_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    let expected = write_stack(&path, 6, 16);
    for limit in [0, 1, 16 * 160, 5 * 16 * 160] {
        let stack = TiffStack::open(&path).unwrap();
        stack.hold_at_most(limit, false);
        let grid = Grid::new(Region::whole(stack.shape()), &[3, 20, 11]).unwrap();
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Ok(block) = grid.block(next.fetch_add(1, Ordering::Relaxed)) {
                        let read = stack.read(&block.inner).unwrap();
                        let mut part = Array::zeros(read.dtype(), read.shape());
                        part.paste(&[0, 0, 0], &expected, &block.inner).unwrap();
                        assert!(read == part);
                    }
                });
            }
        });
        assert!(stack.decoded() > 36);
    }
}

#[test]
fn nothing_is_held_where_no_two_blocks_need_the_same_strip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    write_stack(&path, 4, 16);
    let stack = TiffStack::open(&path).unwrap();
    assert_eq!(stack.held_bytes(&[2, 96, 80], &[0; 3]).most, 0);
    assert_eq!(stack.held_bytes(&[2, 32, 80], &[0; 3]).most, 0);
    // Two rows of blocks, of two pages and one strip each.
    assert_eq!(stack.held_bytes(&[2, 8, 80], &[0; 3]).most, 2 * 2 * 16 * 160);
    let raw = open("none-uint16-be.tif");
    assert_eq!(raw.held_bytes(&[1, 4, 21], &[0; 3]).most, 0);
    assert!(raw.held_bytes(&[1, 4, 4], &[0; 3]).most > 0);
}

#[test]
fn a_strip_that_does_not_decode_fails_every_read_of_it_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    let expected = write_stack(&path, 3, 96);
    let strip = {
        let mut decoder = tiff::decoder::Decoder::new(File::open(&path).unwrap()).unwrap();
        decoder.seek_to_image(1).unwrap();
        decoder.get_tag_u64(tiff::tags::Tag::StripOffsets).unwrap() as usize
    };
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in &mut bytes[strip + 20..strip + 60] {
        *byte ^= 0x5a;
    }
    std::fs::write(&path, bytes).unwrap();
    let stack = TiffStack::open(&path).unwrap();
    for start in [0, 40, 0] {
        let error = stack.read(&Region::new([1, start, 3], [1, 5, 5])).unwrap_err();
        assert_eq!(error.kind, Kind::CorruptData);
        assert!(error.message.contains("page 1"), "{error}");
        assert!(error.message.contains("stack.tif"), "{error}");
    }
    let sound = Region::new([2, 0, 0], [1, 96, 80]);
    let mut part = Array::zeros(DType::U16, &sound.shape);
    part.paste(&[0, 0, 0], &expected, &sound).unwrap();
    assert!(stack.read(&sound).unwrap() == part);
}

#[test]
fn every_type_has_a_file() {
    for dtype in DType::ALL {
        let stack = open(&format!("none-{}-be.tif", dtype.name()));
        assert_eq!(stack.dtype(), dtype);
        let size = dispatch!(dtype, T => std::mem::size_of::<T>());
        assert_eq!(whole(&stack).byte_len(), 2 * 19 * 21 * size);
    }
}
