//! Replies. Owns: what every JSON reply has in common. Must not know: what is replied.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use serde::Serialize;

use super::error::ApiError;

/// A JSON reply that nobody may keep.
pub fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// [`json()`] of a value.
pub fn of(value: &impl Serialize) -> Result<Response, ApiError> {
    Ok(json(bytes(value)?))
}

/// A value as JSON. Only a defect can be in the way, and is told; an empty body never is a reply.
pub fn bytes(value: &impl Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(unwritable)
}

/// A reply that cannot be written as JSON.
#[expect(clippy::needless_pass_by_value, reason = "the form of map_err")]
pub fn unwritable(error: serde_json::Error) -> ApiError {
    ApiError::Internal(format!("the reply cannot be written as JSON: {error}"))
}
