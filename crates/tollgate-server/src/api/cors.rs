//! Cross-origin requests. Owns: which origins may read answers. Off unless origins are listed.

use http::{HeaderMap, HeaderValue, Request, header};

/// The origins that may read answers.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// For the listed origins, such as `https://app.example`.
    pub fn new(origins: &[String]) -> Self {
        let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        Self { origins: origins.collect() }
    }

    /// The headers for a request from a listed origin; `None` for any other request.
    pub fn headers_for<B>(&self, request: &Request<B>) -> Option<HeaderMap> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = request.headers().get(header::ORIGIN)?;
        if !self.origins.contains(origin) {
            return None;
        }
        let mut headers = HeaderMap::new();
        let mut set = |name, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(header::VARY, "Origin");
        set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
        set(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, If-None-Match, X-API-Key, X-Request-Id",
        );
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, Retry-After, X-Request-Id");
        set(header::ACCESS_CONTROL_MAX_AGE, "600");
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        Some(headers)
    }
}
