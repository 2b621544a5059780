//! Sources that change another source while it is read.

mod roi;

pub use roi::RoiSource;
