//! Tests of `sale`.
