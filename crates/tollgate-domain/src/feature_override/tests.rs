//! Tests of `feature_override`.
