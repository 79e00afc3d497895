//! One call of the API. Owns: what a request and a reply are made of. Must not know: the network
//! they came over and what they are about.

use serde_json::Value;

use super::params::Params;
use crate::version::ApiVersion;

/// The methods of Stripe's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes or changes.
    Post,
    /// Removes or ends.
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// The method.
    pub method: Method,
    /// The path without its query, such as `/v1/customers`.
    pub path: String,
    /// The query of a GET or DELETE, or the form body of a POST.
    pub params: Params,
    /// The version asked for; `None` for the account's default.
    pub version: Option<ApiVersion>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

impl ApiRequest {
    /// A request in the account's default version and without an idempotency key.
    pub fn new(method: Method, path: &str, params: Params) -> Self {
        Self { method, path: path.to_owned(), params, version: None, idempotency_key: None }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// `Request-Id`.
    pub request_id: String,
    /// The reply is that of an earlier request with the same idempotency key.
    pub idempotent_replayed: bool,
    /// `Stripe-Should-Retry`, where Stripe would say.
    pub should_retry: Option<bool>,
}
