//! Which files make up a stack, and in which order.

use crate::error::{Error, Kind, Result};
use crate::source::path::is_tiff;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// The files that a path names: itself, the TIFF files in a folder, or what a glob pattern matches;
/// in natural order, that is `slice2` before `slice10`.
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = if path.is_dir() { in_folder(path)? } else { matching(path)? };
    if files.is_empty() {
        return Err(Error::new(
            Kind::NotFound,
            format!("there is no TIFF file in '{}'", path.display()),
        )
        .fix("Name a TIFF file, a folder of slices, or a pattern such as 'slices/*.tif'."));
    }
    // By folder first, so that no folder's slices are mixed with another's.
    files.sort_by(|a, b| {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        natural(&text(a), &text(b))
    });
    Ok(files)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::read(folder, &error);
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Names with a leading dot are what other programs leave beside the slices.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && is_tiff(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::read(pattern, &error));
    }
    let paths = glob::glob(&text)
        .map_err(|error| Error::argument(format!("'{text}' is not a pattern: {error}")))?;
    let files: Result<Vec<PathBuf>, _> = paths.collect();
    let mut files = files.map_err(|error| Error::read(error.path(), error.error()))?;
    files.retain(|path| path.is_file());
    Ok(files)
}

/// Compares names as a reader does: runs of digits by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&l), Some(&r)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let (one, rest) = split_number(left);
            let (other, other_rest) = split_number(right);
            let order = one.len().cmp(&other.len()).then_with(|| one.cmp(other));
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (rest, other_rest);
        } else if l == r {
            (left, right) = (&left[1..], &right[1..]);
        } else {
            return l.cmp(&r);
        }
    }
}

/// The leading digits without leading zeros, and what follows them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    (&digits[start..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_value() {
        let mut names = ["s10.tif", "s2.tif", "s2b.tif", "s002.tif", "r3.tif", "s1e9.tif", "s.tif"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["r3.tif", "s.tif", "s1e9.tif", "s002.tif", "s2.tif", "s2b.tif", "s10.tif"]
        );
    }
}
