//! Tests of `waiver`.
