//! Who may use the sandbox. Owns: keeping other sites in the reader's browser away from it. Must not
//! know: routes.
//!
//! The sandbox listens on the loopback, but any page a developer has open can send requests there, also
//! with a name of its own that leads to the loopback. A request that names another host, or that a
//! browser says comes from another site, is refused. The API and the stream of events are for
//! programs: what a page of any other site asks of them, reading included, is refused.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, header};

/// Lets requests of this site pass, and plain links from others.
pub(crate) async fn own_site_only(request: Request, next: Next) -> Response {
    if is_own_host(request.headers()) && is_own_site(request.method(), request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "Only pages of this sandbox may do this.\n").into_response()
}

/// Lets programs pass, and pages of this site.
pub(crate) async fn no_site(request: Request, next: Next) -> Response {
    if is_own_host(request.headers()) && is_not_of_another_site(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "Only programs on this machine may do this, no other site.\n")
        .into_response()
}

/// A name that resolves to the loopback without being it would be another site's.
fn is_own_host(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

fn is_own_site(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET || method == Method::HEAD || is_not_of_another_site(headers)
}

fn is_not_of_another_site(headers: &HeaderMap) -> bool {
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (says("sec-fetch-site"), says("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => says("host").is_some_and(|host| origin == format!("http://{host}")),
        // No browser.
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn other_sites_may_link_but_not_act() {
        let own = [("host", "127.0.0.1:80"), ("origin", "http://127.0.0.1:80")];
        let other = [("host", "127.0.0.1:80"), ("origin", "https://evil.example")];
        let said = [("host", "127.0.0.1:80"), ("sec-fetch-site", "cross-site")];
        assert!(is_own_site(&Method::POST, &headers(&own)));
        assert!(is_own_site(&Method::POST, &headers(&[("host", "127.0.0.1:80")])));
        assert!(!is_own_site(&Method::POST, &headers(&other)));
        assert!(!is_own_site(&Method::POST, &headers(&said)));
        assert!(is_own_site(&Method::GET, &headers(&said)));
        assert!(is_not_of_another_site(&headers(&[("host", "127.0.0.1:80")])), "a program");
        assert!(
            !is_not_of_another_site(&headers(&other)) && !is_not_of_another_site(&headers(&said))
        );
    }

    #[test]
    fn only_the_loopback_is_this_host() {
        for (host, expected) in [
            ("127.0.0.1:12111", true),
            ("localhost", true),
            ("[::1]:80", true),
            ("evil.example:12111", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(is_own_host(&headers(&[("host", host)])), expected, "{host}");
        }
    }
}
