//! Request bodies. Owns: reading them within a limit and as strict JSON. Must not know: routes.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::error::{ApiError, FieldError};

/// Reads a whole body of at most `max` bytes.
pub async fn read(mut body: Body, max: usize) -> Result<Bytes, ApiError> {
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
        // The usual body is one piece and is not copied.
        match whole.take() {
            None if more.is_empty() => whole = Some(data),
            None => more.extend_from_slice(&data),
            Some(first) => {
                more.extend_from_slice(&first);
                more.extend_from_slice(&data);
            }
        }
    }
    Ok(whole.unwrap_or_else(|| more.freeze()))
}

/// Reads a JSON body into a type that refuses unknown fields.
pub async fn json<T: DeserializeOwned>(body: Body, max: usize) -> Result<T, ApiError> {
    parse(&read(body, max).await?)
}

/// Parses a JSON text into a type that refuses unknown fields.
pub fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| refusal(&error))
}

/// What serde says, as the field at fault where it is one.
fn refusal(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
    if error.classify() != serde_json::error::Category::Data {
        return ApiError::InvalidJson(format!("{text}. Send one JSON object."));
    }
    let field = what.split('`').nth(1).unwrap_or("body").to_owned();
    ApiError::InvalidRequest(vec![FieldError::new(field, what)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ask {
        #[expect(dead_code, reason = "only parsing is tested")]
        feature: String,
    }

    #[test]
    fn refusals_name_the_field() {
        let fields = |json: &str| match parse::<Ask>(json.as_bytes()) {
            Err(ApiError::InvalidRequest(errors)) => errors[0].field.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(fields(r#"{"feature":"a","featur":1}"#), "featur");
        assert_eq!(fields("{}"), "feature");
        assert!(matches!(parse::<Ask>(b"{"), Err(ApiError::InvalidJson(_))));
        assert!(matches!(parse::<Ask>(b"\xff\xfe"), Err(ApiError::InvalidJson(_))));
    }

    #[tokio::test]
    async fn bodies_beyond_the_limit_are_refused() {
        let body = Body::from(vec![b' '; 11]);
        assert_eq!(read(body, 10).await, Err(ApiError::BodyTooLarge(10)));
        assert_eq!(read(Body::from("0123456789"), 10).await.unwrap().len(), 10);
    }
}
