//! Request bodies. Owns: reading them within a limit, and all of them within a limit together, and as
//! strict JSON. Must not know: routes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_path_to_error::Segment;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::{ApiError, FieldError};

/// The memory for bodies of which a part is here: whoever sends slowly, or never ends, takes no more
/// than there is.
#[derive(Debug, Clone)]
pub struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    /// So many bytes for all bodies together.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }
}

/// Reads a whole body of at most `max` bytes.
pub async fn read(mut body: Body, max: usize, budget: &BodyBudget) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > max as u64 {
        return Err(ApiError::BodyTooLarge(max));
    }
    let mut taken: Option<SemaphorePermit<'_>> = None;
    let mut whole: Option<Bytes> = None;
    let mut more = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::InvalidJson("The body was cut off.".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > max {
            return Err(ApiError::BodyTooLarge(max));
        }
        if !body.is_end_stream() || taken.is_some() {
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let more = budget.0.try_acquire_many(bytes).map_err(|_| ApiError::Overloaded)?;
            match &mut taken {
                Some(taken) => taken.merge(more),
                None => taken = Some(more),
            }
        }
        // The usual body is one piece and is not copied.
        match whole.take() {
            None if more.is_empty() => whole = Some(data),
            None => more.extend_from_slice(&data),
            Some(first) => {
                more.extend_from_slice(&first);
                more.extend_from_slice(&data);
            }
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(whole.unwrap_or_else(|| more.freeze()))
}

/// Reads a JSON body into a type that refuses unknown fields.
pub async fn json<T: DeserializeOwned>(
    body: Body,
    max: usize,
    budget: &BodyBudget,
) -> Result<T, ApiError> {
    parse(&read(body, max, budget).await?)
}

/// Parses a JSON text into a type that refuses unknown fields.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    match serde_json::from_slice::<Object<T>>(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(error) if error.classify() != Category::Data => {
            Err(ApiError::InvalidJson(format!("{error}. Send one JSON object.")))
        }
        Err(error) => Err(refusal::<T>(bytes, &error)),
    }
}

/// A JSON object, where serde alone would take the fields of a struct from an array, too.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// A list of JSON objects, for `deserialize_with`.
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let all = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|Object(one)| one).collect())
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// The field at fault, which is looked for by reading the text again: most texts have no fault.
fn refusal<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let path = match serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
        Ok(_) => String::new(),
        Err(error) => dotted(error.path()),
    };
    // A field that is missing, unknown or there twice is named by what is said, not by where.
    let mut starts = ["missing field `", "unknown field `", "duplicate field `"].into_iter();
    let named = starts.find_map(|start| what.strip_prefix(start)?.split('`').next());
    let field = match named {
        Some(name) if path == name || path.ends_with(&format!(".{name}")) => path,
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None if path.is_empty() => "body".to_owned(),
        None => path,
    };
    ApiError::InvalidRequest(vec![FieldError::new(field, what)])
}

/// A path as `checks[1].feature`.
fn dotted(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |whole, segment| match segment {
        Segment::Seq { index } => format!("{whole}[{index}]"),
        Segment::Map { key } if whole.is_empty() => key.clone(),
        Segment::Map { key } => format!("{whole}.{key}"),
        Segment::Enum { .. } | Segment::Unknown => whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is tested")]
    struct Ask {
        feature: String,
        #[serde(default)]
        quantity: u32,
        #[serde(default)]
        more: Vec<Object<Ask>>,
    }

    #[test]
    fn refusals_name_the_field() {
        let fields = |json: &str| match parse::<Ask>(json.as_bytes()) {
            Err(ApiError::InvalidRequest(errors)) => errors[0].field.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(fields(r#"{"feature":"a","featur":1}"#), "featur");
        assert_eq!(fields("{}"), "feature");
        for (json, field) in [
            (r#"{"feature":"a","quantity":-3}"#, "quantity"),
            (r#"{"feature":"a","quantity":"3"}"#, "quantity"),
            (r#"{"feature":7}"#, "feature"),
            (r#"{"feature":"a","feature":"b"}"#, "feature"),
            (
                r#"{"feature":"a","more":[{"feature":"b"},{"feature":"c","quantity":null}]}"#,
                "more[1].quantity",
            ),
            (r#"{"feature":"a","more":[{}]}"#, "more[0].feature"),
            (r#"{"feature":"a","more":[{"feature":"b","odd":1}]}"#, "more[0].odd"),
            (r#"{"feature":"a","more":[["b",1,[]]]}"#, "more[0]"),
            (r#"["a",1,[]]"#, "body"),
            (r#""a""#, "body"),
            ("null", "body"),
        ] {
            assert_eq!(fields(json), field, "{json}");
        }
        assert!(matches!(parse::<Ask>(b"{"), Err(ApiError::InvalidJson(_))));
        assert!(matches!(parse::<Ask>(b"\xff\xfe"), Err(ApiError::InvalidJson(_))));
    }

    #[tokio::test]
    async fn bodies_beyond_the_limit_are_refused() {
        let budget = BodyBudget::new(1);
        let body = Body::from(vec![b' '; 11]);
        assert_eq!(read(body, 10, &budget).await, Err(ApiError::BodyTooLarge(10)));
        assert_eq!(read(Body::from("0123456789"), 10, &budget).await.unwrap().len(), 10);
    }
}
