//! From what a user types to an array.
