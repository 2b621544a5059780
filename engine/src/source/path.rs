//! From the path that a user types to the array that it names.

use super::Spec;
use super::n5::{self, N5Array};
use super::zarr::ZarrArray;
use crate::error::{Error, Kind, Result};
use std::path::{Component, Path, PathBuf};

/// Separates the file from the path inside it.
const INNER: &str = "::";

/// What can be read, for messages.
const READABLE: &str = "a Zarr or N5 array (folder.zarr, folder.n5/inner), a TIFF, MRC or NIfTI \
    file, a folder or glob of TIFF slices";

/// The array that an existing path names: `vol.zarr`, `vol.zarr/s0`, `vol.n5::s0`, `stack.tif`,
/// `map.mrc`, `image.nii.gz`, `slices/` or `slices/*.tif`.
///
/// # Errors
/// `not-found` with the nearest name, `ambiguous-array` for a container with several arrays,
/// `unsupported-format` for any other file.
pub fn locate(text: &str) -> Result<Spec> {
    check_local(text)?;
    if let Some((file, inner)) = text.split_once(INNER) {
        return in_container(&expand(file), inner);
    }
    let path = expand(text);
    if is_glob(text) && !path.exists() {
        return Ok(Spec::Tiff { path });
    }
    if !path.exists() {
        return match container_above(&path) {
            Some((store, inner)) => in_container(&store, &inner),
            None => Err(missing(&path)),
        };
    }
    if path.is_dir() {
        if let Some((store, inner)) = container_above(&path) {
            return in_container(&store, &inner);
        }
        if has_slices(&path)? {
            return Ok(Spec::Tiff { path });
        }
        return Err(Error::new(
            Kind::UnsupportedFormat,
            format!("'{}' is no Zarr or N5 array and no folder of TIFF slices", path.display()),
        )
        .fix(format!("Name {READABLE}.")));
    }
    if is_tiff(&path) {
        return Ok(Spec::Tiff { path });
    }
    if has_ending(&path, &MRC) {
        return Ok(Spec::Mrc { path: absolute(&path) });
    }
    if has_ending(&path, &NIFTI) {
        return Ok(Spec::Nifti { path: absolute(&path) });
    }
    Err(Error::new(
        Kind::UnsupportedFormat,
        format!("the format of '{}' is not known", path.display()),
    )
    .fix(format!("Name {READABLE}.")))
}

/// The array that is to be written: its store is the folder whose name ends in `.zarr` (or what
/// precedes `::`), the rest is the path inside. A Zarr array need not exist; an N5 store must.
///
/// # Errors
/// `unsupported-format` for a path that names neither.
pub fn locate_output(text: &str) -> Result<Spec> {
    check_local(text)?;
    let (path, array) = match text.split_once(INNER) {
        Some((file, inner)) => (expand(file), inner.trim_matches('/').to_owned()),
        None => {
            let path = expand(text);
            container_above(&path)
                .or_else(|| named_container(&path))
                .unwrap_or((path, String::new()))
        }
    };
    if is_zarr(&path) || has_zarr_name(&path) {
        return Ok(Spec::Zarr { path: absolute(&path), array });
    }
    if is_n5(&path) {
        return Ok(Spec::N5 { path: absolute(&path), array });
    }
    Err(Error::new(
        Kind::UnsupportedFormat,
        format!("the output '{}' names no Zarr store", path.display()),
    )
    .fix("Give the output a name that ends in .zarr, for example out.zarr."))
}

/// The arrays in the Zarr or N5 store at `path`, by their paths inside it; none for other folders.
///
/// # Errors
/// `not-found` and the like where the folder cannot be listed.
pub fn arrays_in(path: &Path) -> Result<Vec<(String, Spec)>> {
    let path = absolute(path);
    let mut arrays = Vec::new();
    for array in ZarrArray::list(&path)? {
        arrays.push((array.clone(), Spec::Zarr { path: path.clone(), array }));
    }
    for array in N5Array::list(&path)? {
        arrays.push((array.clone(), Spec::N5 { path: path.clone(), array }));
    }
    Ok(arrays)
}

fn in_container(path: &Path, inner: &str) -> Result<Spec> {
    if !path.exists() {
        return Err(missing(path));
    }
    let array: Box<dyn super::Source> = if is_zarr(path) {
        Box::new(ZarrArray::open(path, inner)?)
    } else if is_n5(path) {
        Box::new(N5Array::open(path, inner)?)
    } else {
        return Err(Error::new(
            Kind::UnsupportedFormat,
            format!("'{}' is neither a Zarr nor an N5 store", path.display()),
        )
        .fix("'::' separates a store from the path of an array inside it."));
    };
    array.spec().ok_or_else(|| Error::internal("an array in a store has no spec"))
}

/// The outermost Zarr hierarchy, or else the outermost N5 store, that `path` lies in, and the path
/// inside it.
fn container_above(path: &Path) -> Option<(PathBuf, String)> {
    zarr_above(path).or_else(|| {
        // Groups of N5 need not say what they are.
        let store = path.ancestors().filter(|folder| is_n5(folder)).last()?;
        let inner = path.strip_prefix(store).ok()?.to_str()?.to_owned();
        Some((store.to_owned(), inner))
    })
}

fn zarr_above(path: &Path) -> Option<(PathBuf, String)> {
    let mut found = None;
    let mut inner: Vec<String> = Vec::new();
    let mut here = Some(path);
    while let Some(folder) = here {
        if is_zarr(folder) {
            found = Some((
                folder.to_owned(),
                inner.iter().rev().cloned().collect::<Vec<_>>().join("/"),
            ));
        } else if found.is_some() {
            break;
        }
        inner.push(folder.file_name()?.to_str()?.to_owned());
        here = folder.parent();
    }
    found
}

/// The innermost folder that is called `….zarr`, which need not exist, and the path inside it.
fn named_container(path: &Path) -> Option<(PathBuf, String)> {
    let store = path.ancestors().find(|folder| has_zarr_name(folder))?;
    let inner = path.strip_prefix(store).ok()?.to_str()?.to_owned();
    Some((store.to_owned(), inner))
}

fn has_zarr_name(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "zarr" || ext == "zr")
}

fn is_zarr(path: &Path) -> bool {
    ["zarr.json", ".zarray", ".zgroup"].iter().any(|name| path.join(name).is_file())
}

fn is_n5(path: &Path) -> bool {
    path.is_dir() && (path.extension().is_some_and(|ext| ext == "n5") || n5::is_container(path))
}

/// Whether the file's name is that of a TIFF file.
pub(super) fn is_tiff(path: &Path) -> bool {
    has_ending(path, &TIFF)
}

const TIFF: [&str; 4] = [".tif", ".tiff", ".btf", ".tf8"];
/// Names that the programs of electron microscopy give to MRC files.
const MRC: [&str; 6] = [".mrc", ".rec", ".mrcs", ".map", ".st", ".ali"];
const NIFTI: [&str; 2] = [".nii", ".nii.gz"];

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn has_slices(folder: &Path) -> Result<bool> {
    let entries = folder.read_dir().map_err(|error| Error::read(folder, &error))?;
    Ok(entries.flatten().any(|entry| is_tiff(&entry.path())))
}

/// `~` stands for the home folder, as in a shell.
fn expand(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(text),
    }
}

/// The path from the root, so that a run can be resumed from another folder, without `..`: what is
/// written below `new/..`, where nothing is yet, would be found to lie beside `new` afterwards.
pub fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                // What is above a symbolic link is above its target.
                plain = plain.canonicalize().unwrap_or(plain);
                plain.pop();
            }
            part => plain.push(part),
        }
        plain
    })
}

/// An address such as `s3://bucket/a.zarr` is no path, and would name a folder `s3:`.
fn check_local(text: &str) -> Result<()> {
    let is_scheme = |scheme: &str| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => Err(Error::new(
            Kind::UnsupportedFormat,
            format!("'{text}' is a remote address; only files are read and written"),
        )
        .fix("Give the path of a local or mounted file, or in Python an open array.")),
        _ => Ok(()),
    }
}

fn missing(path: &Path) -> Error {
    let error = Error::new(Kind::NotFound, format!("'{}' does not exist", path.display()));
    let nearest = path.parent().zip(path.file_name()).and_then(|(parent, name)| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let names: Vec<String> = parent
            .read_dir()
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        let nearest = crate::error::nearest(name.to_str()?, names.iter().map(String::as_str))?;
        Some(path.with_file_name(nearest))
    });
    match nearest {
        Some(other) => error.fix(format!("Did you mean '{}'?", other.display())),
        None => error.fix("Check the path."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_n5_array_is_found_below_groups_that_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let array = folder.path().join("store/em/s0");
        std::fs::create_dir_all(&array).unwrap();
        std::fs::write(folder.path().join("store/attributes.json"), r#"{"n5": "2.0.0"}"#).unwrap();
        let json = r#"{"dimensions": [6], "blockSize": [2], "dataType": "uint8",
                       "compression": {"type": "raw"}}"#;
        std::fs::write(array.join("attributes.json"), json).unwrap();
        let expected = Spec::N5 { path: folder.path().join("store"), array: "em/s0".into() };
        let text = |inner: &str| format!("{}/store{inner}", folder.path().display());
        for inner in ["", "/em", "/em/s0", "::em", "::em/s0/"] {
            assert_eq!(locate(&text(inner)).unwrap(), expected, "{inner}");
        }
        assert_eq!(locate_output(&text("/em/s0")).unwrap(), expected);
        let error = locate(&text("/em/s1")).unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        assert!(error.fix.unwrap().contains("::em/s0"));
    }

    #[test]
    fn an_output_inside_a_store_is_split_at_the_store() {
        let Spec::Zarr { path, array } = locate_output("/a/vol.zarr/em/s0").unwrap() else {
            panic!("not a Zarr array");
        };
        assert_eq!((path.to_str().unwrap(), array.as_str()), ("/a/vol.zarr", "em/s0"));
        let error = locate_output("/a/out.tif").unwrap_err();
        assert_eq!(error.kind, Kind::UnsupportedFormat);
    }

    #[test]
    fn a_misspelt_path_names_the_nearest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stack.tif"), b"").unwrap();
        let error = locate(folder.path().join("stcak.tif").to_str().unwrap()).unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        assert!(error.fix.unwrap().contains("stack.tif"));
    }
}
