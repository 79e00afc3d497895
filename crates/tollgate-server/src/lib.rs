//! Tollgate talks here: HTTP, workers, configuration, command line.
