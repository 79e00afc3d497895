//! Parameters in paths. Owns: reading them, and the refusal of what is no text. Must not know: routes.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::error::ApiError;

/// The one parameter of a route's path, percent-decoded.
#[derive(Debug)]
pub struct PathParameter(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathParameter {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        let refused = |_| ApiError::field("path", "must be percent-encoded UTF-8");
        read.map(|Path(text)| Self(text)).map_err(refused)
    }
}
