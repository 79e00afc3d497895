//! The documentation page. Owns: its assets, inside the binary; no request leaves the machine.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};

use super::error::ApiError;
use super::path::PathParameter;

/// Nothing but our own files, and nothing may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub async fn home() -> Redirect {
    Redirect::temporary("/docs")
}

/// `GET /docs`
pub async fn page() -> Response {
    serve("text/html; charset=utf-8", include_str!("../../assets/docs.html"))
}

/// `GET /docs/{asset}`
pub async fn asset(PathParameter(name): PathParameter) -> Result<Response, ApiError> {
    match name.as_str() {
        "docs.js" => {
            Ok(serve("text/javascript; charset=utf-8", include_str!("../../assets/docs.js")))
        }
        "docs.css" => Ok(serve("text/css; charset=utf-8", include_str!("../../assets/docs.css"))),
        "errors" => Ok(serve("text/html; charset=utf-8", &ERRORS)),
        _ => Err(ApiError::NotFound),
    }
}

/// The page of error codes, where the `type` of every problem document leads.
static ERRORS: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let mut page = String::from(include_str!("../../assets/errors.html"));
    for error in ApiError::all() {
        let (status, code, title) = error.row();
        let status = status.as_u16();
        // Codes and titles are constants of ours without markup.
        let cells = format!("<td><code>{code}</code></td><td>{status}</td><td>{title}</td>");
        page.extend(["<tr id=\"", code, "\">", &cells, "</tr>\n"]);
    }
    page.push_str("</tbody></table></main></body></html>\n");
    page
});

fn serve(kind: &'static str, text: &'static str) -> Response {
    let mut response = (StatusCode::OK, text).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, kind);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-cache");
    response
}
