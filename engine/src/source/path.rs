//! From the path that a user types to the array that it names.

use super::Spec;
use super::zarr::ZarrArray;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// Separates the file from the path inside it.
const INNER: &str = "::";

/// What can be read, for messages.
const READABLE: &str =
    "a Zarr array (folder.zarr, folder.zarr/inner), a TIFF file, a folder or glob of TIFF slices";

/// The array that an existing path names: `vol.zarr`, `vol.zarr/s0`, `vol.zarr::s0`, `stack.tif`,
/// `slices/` or `slices/*.tif`.
///
/// # Errors
/// `not-found` with the nearest name, `ambiguous-array` for a container with several arrays,
/// `unsupported-format` for any other file.
pub fn locate(text: &str) -> Result<Spec> {
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
        if is_zarr(&path) {
            let (store, inner) = container_above(&path).unwrap_or((path, String::new()));
            return in_container(&store, &inner);
        }
        if has_slices(&path)? {
            return Ok(Spec::Tiff { path });
        }
        return Err(Error::new(
            Kind::UnsupportedFormat,
            format!("'{}' is neither a Zarr array nor a folder of TIFF slices", path.display()),
        )
        .fix(format!("Name {READABLE}.")));
    }
    if is_tiff(&path) {
        return Ok(Spec::Tiff { path });
    }
    Err(Error::new(
        Kind::UnsupportedFormat,
        format!("the format of '{}' is not known", path.display()),
    )
    .fix(format!("Name {READABLE}.")))
}

/// The array that is to be written, which need not exist: its store is the folder whose name ends in
/// `.zarr` (or what precedes `::`), the rest is the path inside.
///
/// # Errors
/// `unsupported-format` for a path that names no Zarr store.
pub fn locate_output(text: &str) -> Result<Spec> {
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
    Err(Error::new(
        Kind::UnsupportedFormat,
        format!("the output '{}' names no Zarr store", path.display()),
    )
    .fix("Give the output a name that ends in .zarr, for example out.zarr."))
}

fn in_container(path: &Path, inner: &str) -> Result<Spec> {
    if !path.exists() {
        return Err(missing(path));
    }
    if !is_zarr(path) {
        return Err(Error::new(
            Kind::UnsupportedFormat,
            format!("'{}' is not a Zarr store", path.display()),
        )
        .fix("'::' separates a Zarr store from the path of an array inside it."));
    }
    let array = ZarrArray::open(path, inner.trim_matches('/'))?;
    super::Source::spec(&array).ok_or_else(|| Error::internal("a Zarr array has no spec"))
}

/// The outermost Zarr hierarchy that `path` lies in, and the path inside it.
fn container_above(path: &Path) -> Option<(PathBuf, String)> {
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

/// Whether the file's name is that of a TIFF file.
pub(super) fn is_tiff(path: &Path) -> bool {
    path.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| {
        matches!(ext.to_ascii_lowercase().as_str(), "tif" | "tiff" | "btf" | "tf8")
    })
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

/// The path from the root, so that a run can be resumed from another folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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
