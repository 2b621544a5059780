//! Folders of folders that hold arrays: how an array in them is found and named.

use crate::error::{Error, Kind, Result, nearest};
use std::path::{Component, Path};

/// Folders that a listing looks into before it gives up on what is no hierarchy.
const MOST_FOLDERS: usize = 10_000;

/// A kind of store.
pub(super) struct Hierarchy {
    /// The format's name.
    pub(super) format: &'static str,
    /// The files that make a folder an array, for messages.
    pub(super) markers: &'static str,
    /// Whether a folder says of itself that it is an array.
    pub(super) is_array: fn(&Path) -> bool,
}

impl Hierarchy {
    /// Paths of the arrays below `folder`, sorted; the empty path if it is an array itself. Folders
    /// without metadata are looked into, since some writers leave out the groups.
    pub(super) fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let mut arrays = Vec::new();
        let mut pending = vec![(folder.to_owned(), String::new())];
        let mut seen = 0;
        while let Some((folder, name)) = pending.pop() {
            if (self.is_array)(&folder) {
                arrays.push(name);
                continue;
            }
            for entry in folder.read_dir().map_err(|error| Error::read(&folder, &error))?.flatten()
            {
                let Ok(child) = entry.file_name().into_string() else { continue };
                if child.starts_with('.') || !entry.path().is_dir() {
                    continue;
                }
                seen += 1;
                if seen > MOST_FOLDERS {
                    return Err(Error::new(
                        Kind::UnsupportedFormat,
                        format!("'{}' holds too many folders to be searched", folder.display()),
                    )
                    .fix("Name the array itself."));
                }
                let path = if name.is_empty() { child } else { format!("{name}/{child}") };
                pending.push((entry.path(), path));
            }
        }
        arrays.sort();
        Ok(arrays)
    }

    /// The path of an array inside a store, without what does not belong there.
    pub(super) fn inner_path(&self, array: &str) -> Result<String> {
        let inner = array.trim_matches('/');
        let plain = Path::new(inner).components().all(|part| matches!(part, Component::Normal(_)));
        if plain {
            return Ok(inner.to_owned());
        }
        let format = self.format;
        Err(Error::argument(format!("'{array}' is not a path inside a store of format {format}"))
            .fix("Use names separated by '/', for example em/s0."))
    }

    /// The path of the only array below the group at `inner`.
    pub(super) fn only_below(&self, store: &Path, inner: &str) -> Result<String> {
        let (format, markers) = (self.format, self.markers);
        let folder = store.join(inner);
        let arrays: Vec<String> = self
            .list(&folder)?
            .into_iter()
            .map(|below| if inner.is_empty() { below } else { format!("{inner}/{below}") })
            .collect();
        match arrays.as_slice() {
            [] => Err(Error::new(
                Kind::NotFound,
                format!("'{}' holds no {format} array", folder.display()),
            )
            .fix(format!("Name a folder with {markers}, or a group that holds one."))),
            [only] => Ok(only.clone()),
            _ => Err(Error::new(
                Kind::AmbiguousArray,
                format!(
                    "'{}' holds {} arrays: {}",
                    folder.display(),
                    arrays.len(),
                    some_of(&arrays)
                ),
            )
            .fix(format!(
                "Name one of them, for example {}::{}.",
                store.display(),
                arrays[0]
            ))),
        }
    }

    /// Why there is no array at `inner`.
    pub(super) fn missing(&self, store: &Path, inner: &str) -> Error {
        let format = self.format;
        if store.is_file() {
            return Error::new(
                Kind::UnsupportedFormat,
                format!("'{}' is a file; {format} arrays are folders", store.display()),
            )
            .fix(format!("Unpack it if it is an archive of a {format} store."));
        }
        let folder = store.join(inner);
        let error = Error::new(Kind::NotFound, format!("'{}' does not exist", folder.display()));
        if store.is_dir() {
            let arrays = self.list(store).unwrap_or_default();
            return match nearest(inner, arrays.iter().map(String::as_str)) {
                Some(near) => error.fix(format!("Did you mean '{}::{near}'?", store.display())),
                None if arrays.is_empty() => error.fix("The store holds no array."),
                None => error.fix(format!("The store holds: {}.", some_of(&arrays))),
            };
        }
        let siblings: Vec<String> = store
            .parent()
            .and_then(|parent| parent.read_dir().ok())
            .map(|entries| {
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            })
            .unwrap_or_default();
        let name = store.file_name().unwrap_or_default().to_string_lossy();
        match nearest(&name, siblings.iter().map(String::as_str)) {
            Some(near) => {
                error.fix(format!("Did you mean '{}'?", store.with_file_name(near).display()))
            }
            None => error.fix("Check the path."),
        }
    }
}

/// The first names of a list that may be long.
pub(super) fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}
