//! Facts as they were.
