//! `bioimage-kernel`: a Jupyter kernel for Rust cells and `%bp` commands.

// Without Rust cells nothing prints, asks or is completed by name.
#![cfg_attr(not(feature = "rust-cells"), allow(dead_code))]

mod cell;
mod comms;
mod completion;
mod execute;
mod history;
mod install;
mod interrupt;
mod kernel;
mod magics;
mod rust;
mod session;
mod sockets;

use anyhow::Result;
use clap::{Parser, Subcommand};
use install::Place;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Parser)]
#[command(name = "bioimage-kernel", version, about, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The connection file that Jupyter wrote: runs the kernel
    #[arg(short = 'f', long = "connection", value_name = "FILE")]
    connection: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Make the kernel known to Jupyter
    Install(Place),
    /// Make Jupyter forget the kernel
    Uninstall(Place),
}

fn main() -> Result<()> {
    // This program is also the process that runs cells, and evcxr's wrapper of the compiler.
    #[cfg(feature = "rust-cells")]
    rust::child::hook();
    let arguments = Arguments::parse();
    match (arguments.task, arguments.connection) {
        (Some(Task::Install(place)), _) => {
            println!("Installed the kernel in {}", install::install(&place)?.display());
            Ok(())
        }
        (Some(Task::Uninstall(place)), _) => {
            println!("Removed {}", install::uninstall(&place)?.display());
            Ok(())
        }
        (None, Some(file)) => kernel::run(&file),
        (None, None) => Ok(()),
    }
}

/// Locks; a thread that panicked while it held the lock leaves data that is still whole here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
