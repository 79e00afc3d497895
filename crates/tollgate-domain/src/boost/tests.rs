//! Tests of `boost`.
