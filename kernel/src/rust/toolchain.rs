//! Finds the Rust toolchain that compiles cells.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Said when a Rust cell is run and there is no toolchain.
pub const MISSING: &str = "Rust cells need a Rust toolchain, and neither PATH nor ~/.cargo/bin has cargo and rustc: \
     install one from https://rustup.rs and restart the kernel; %bp works without.";

/// The folder of cargo and rustc that has to be added to the search path; `None` where they are on
/// it already.
///
/// # Errors
/// There is no toolchain.
pub fn find() -> Result<Option<PathBuf>, &'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = ["cargo", "rustc"];
    if tools.iter().all(|tool| env::split_paths(&path).any(|folder| folder.join(tool).is_file())) {
        return Ok(None);
    }
    // Started from a desktop, a kernel does not have what the shell's profile adds.
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let folder = cargo_home.or(home).map(|cargo| cargo.join("bin"));
    let has_tools = |folder: &PathBuf| tools.iter().all(|tool| folder.join(tool).is_file());
    folder.filter(has_tools).map(Some).ok_or(MISSING)
}

/// Where the toolchain's own shared libraries are, so that compiled cells load wherever the
/// temporary folder lies.
pub fn library_folder(folder: Option<&Path>) -> Option<PathBuf> {
    let rustc = folder.map_or_else(|| PathBuf::from("rustc"), |folder| folder.join("rustc"));
    let output = Command::new(rustc).args(["--print", "target-libdir"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}
