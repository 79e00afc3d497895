//! Tollgate talks here: HTTP, workers, configuration, command line.

pub mod config;
pub mod keys;
