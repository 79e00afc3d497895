//! Tests of the server as a whole: its configuration, and the real binary from outside.

#[cfg(test)]
mod config;
