//! One JSON value as it comes. Owns: telling absent, null, usable and garbled apart without ever
//! failing. Must not know: which fields exist or which are needed.
//!
//! Stripe's objects differ between API versions in what is there and in what form. A derived
//! strict struct fails as a whole on one odd value, and its error text may quote that value. A
//! [`Field`] never fails on well-formed JSON; whoever reads it decides what an odd value means.
//! Nothing here recurses: whatever is not asked for is skipped by the JSON reader with a loop.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tollgate_domain::Timestamp;

/// A field of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// The object does not have it.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// It has a form nobody expects here.
    Garbled,
    /// It has a value.
    Given(T),
}

impl<T> Field<T> {
    /// The value, where there is a usable one.
    pub(crate) const fn given(&self) -> Option<&T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Null | Self::Garbled => None,
        }
    }

    /// Whether the object mentions the field at all.
    pub(crate) const fn is_listed(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// This field, or another where this one has no value (a newer path, then the older one). A
    /// garbled value is not papered over by the older path.
    pub(crate) fn or<'a>(&'a self, older: &'a Self) -> &'a Self {
        match self {
            Self::Given(_) | Self::Garbled => self,
            Self::Absent | Self::Null => older,
        }
    }
}

/// What a value can be made from. Each form that is not implemented is garbled.
pub(crate) trait Value<'de>: Sized {
    /// From a JSON string.
    fn from_text(_text: Cow<'de, str>) -> Option<Self> {
        None
    }

    /// From a whole number, also when written like `5.0`.
    fn from_integer(_number: i64) -> Option<Self> {
        None
    }

    /// From `true` or `false`.
    fn from_flag(_flag: bool) -> Option<Self> {
        None
    }

    /// From an object. Errors are errors of the JSON text only.
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| None)
    }

    /// From an array. Errors are errors of the JSON text only.
    fn from_list<A: SeqAccess<'de>>(list: A) -> Result<Option<Self>, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| None)
    }
}

impl<'de, T: Value<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

fn given_or_garbled<T>(value: Option<T>) -> Field<T> {
    value.map_or(Field::Garbled, Field::Given)
}

impl<'de, T: Value<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Field<T>, E> {
        Ok(given_or_garbled(T::from_flag(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<T>, E> {
        Ok(given_or_garbled(T::from_integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<T>, E> {
        Ok(given_or_garbled(i64::try_from(number).ok().and_then(T::from_integer)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field<T>, E> {
        Ok(given_or_garbled(whole(number).and_then(T::from_integer)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<T>, E> {
        Ok(given_or_garbled(T::from_text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<T>, E> {
        Ok(given_or_garbled(T::from_text(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<T>, A::Error> {
        T::from_map(map).map(given_or_garbled)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Field<T>, A::Error> {
        T::from_list(list).map(given_or_garbled)
    }
}

/// The whole number a JSON number like `5.0` stands for; `None` beyond 2^53, where the text would
/// not have survived the reading.
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT_MAX {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53, checked above")]
    let exact = number as i64;
    Some(exact)
}

/// Reads an object into a struct whose fields are all [`Field`]s, as a [`Value`].
macro_rules! object_value {
    ($name:ident) => {
        impl<'de: 'a, 'a> crate::field::Value<'de> for $name<'a> {
            fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
                crate::field::read_map(map).map(Some)
            }
        }
    };
}
pub(crate) use object_value;

/// The body of [`object_value`].
pub(crate) fn read_map<'de, T, A>(map: A) -> Result<T, A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    T::deserialize(MapAccessDeserializer::new(map))
}

/// A text, borrowed from the body where it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Value<'de> for Text<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(text))
    }
}

impl Value<'_> for i64 {
    fn from_integer(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl Value<'_> for bool {
    fn from_flag(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

/// An instant in Stripe's form, Unix seconds.
impl Value<'_> for Timestamp {
    fn from_integer(seconds: i64) -> Option<Self> {
        Some(Self::from_unix_seconds(seconds))
    }
}

/// A reference to another object: its id, or the object itself (expanded or deleted) with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference<'a>(pub(crate) Cow<'a, str>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expanded<'a> {
    #[serde(borrow)]
    id: Field<Text<'a>>,
}

impl<'de: 'a, 'a> Value<'de> for Reference<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(text))
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        let expanded: Expanded<'a> = read_map(map)?;
        Ok(match expanded.id {
            Field::Given(Text(id)) => Some(Self(id)),
            Field::Absent | Field::Null | Field::Garbled => None,
        })
    }
}

/// Most elements of a list that are kept; Stripe's own pages have at most 100. A longer list
/// counts as cut, so a body of a million brackets does not become a gigabyte.
pub(crate) const LIST_MAX: usize = 256;

/// A list: Stripe's list object, or a bare array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T> {
    /// The elements present.
    pub(crate) data: Vec<Field<T>>,
    /// There are more than these.
    pub(crate) cut: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { data: Vec::new(), cut: false }
    }
}

impl<T> List<T> {
    /// The usable elements.
    pub(crate) fn given(&self) -> impl Iterator<Item = &T> {
        self.data.iter().filter_map(Field::given)
    }
}

#[derive(Deserialize)]
#[serde(default, bound(deserialize = "T: Value<'de>"))]
struct Page<T> {
    data: Field<Elements<T>>,
    has_more: Field<bool>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { data: Field::Absent, has_more: Field::Absent }
    }
}

struct Elements<T>(List<T>);

impl<'de, T: Value<'de>> Value<'de> for Elements<T> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut data = Vec::new();
        while data.len() < LIST_MAX {
            match list.next_element()? {
                Some(element) => data.push(element),
                None => return Ok(Some(Self(List { data, cut: false }))),
            }
        }
        let cut = list.next_element::<IgnoredAny>()?.is_some();
        IgnoredAny.visit_seq(list)?;
        Ok(Some(Self(List { data, cut })))
    }
}

impl<'de, T: Value<'de>> Value<'de> for List<T> {
    fn from_list<A: SeqAccess<'de>>(list: A) -> Result<Option<Self>, A::Error> {
        Ok(Elements::from_list(list)?.map(|elements| elements.0))
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        let page: Page<T> = read_map(map)?;
        Ok(match page.data {
            Field::Given(Elements(List { data, cut })) => {
                Some(Self { data, cut: cut || page.has_more == Field::Given(true) })
            }
            // Lists of the years before `data` had other names; nothing in them is needed.
            Field::Absent | Field::Null => Some(Self::default()),
            Field::Garbled => None,
        })
    }
}
