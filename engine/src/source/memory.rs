//! Arrays in this process's memory.
