//! Stored forms of values. Owns: how a checked text and a nullable previous value are written and
//! read by `serde`. Must not know: which format is written, where it is kept.
//!
//! The form of a fact is part of the schema: a name keeps its meaning, and a field that is added
//! can be missing in what was written before.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Implements the stored form of a type that is a checked text with `as_str`.
macro_rules! text_form {
    ($name:ident, $parse:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::codec::read_text(from, $parse)
            }
        }
    };
}
pub(crate) use text_form;

/// Reads a text and checks it, without a copy in between.
pub(crate) fn read_text<'de, D, T, E>(
    from: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    struct Text<P>(P);

    impl<T, E: fmt::Display, P: FnOnce(&str) -> Result<T, E>> Visitor<'_> for Text<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<F: Error>(self, text: &str) -> Result<T, F> {
            (self.0)(text).map_err(F::custom)
        }
    }

    from.deserialize_str(Text(parse))
}

/// Reads a field that is there: `null` and a value are two things, and a missing field, which
/// `default` stands for, is a third.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}
