//! The pages people see: the hosted checkout, the customer portal and the sandbox's own front page.
//! Owns: their routes, their headers, and rendering. Must not know: what the pages' buttons do to
//! the account.
//!
//! Plain HTML that works without scripts; nothing comes from elsewhere.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};

use super::stand::Stand;
use crate::sandbox::PageError;

mod checkout;
mod front;
mod portal;
mod words;

/// Nothing but the sheet of this site. Where forms lead is not limited: the way back to the
/// application is a redirect.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

/// The routes.
pub(crate) fn routes() -> Router<Arc<Stand>> {
    Router::new()
        .route("/", get(front::show))
        .route("/c/pay/{session}", get(checkout::show).post(checkout::act))
        .route("/p/session/{session}", get(portal::show).post(portal::act))
        .route("/_sandbox/pages/clock", post(front::advance))
        .route("/_sandbox/pages/card", post(front::card))
        .route("/_sandbox/pages/settle", post(front::settle))
        .route("/_sandbox/pages/resend", post(front::resend))
        .route("/_sandbox/style.css", get(style))
}

async fn style() -> Response {
    let sheet = include_str!("../../templates/style.css");
    let mut response = Response::new(Body::from(sheet));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Renders a page.
fn page(status: StatusCode, template: &impl Template) -> Response {
    let Ok(text) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Leads the browser on after a form.
fn go_to(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::from_str(address) {
        Ok(address) => {
            response.headers_mut().insert(header::LOCATION, address);
            response
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A page that only says something.
#[derive(Debug, Template)]
#[template(path = "message.html")]
struct Message {
    heading: &'static str,
    text: String,
}

/// A page that cannot be shown, or refuses what was done on it.
fn refused(error: &PageError) -> Response {
    let (status, heading) = match error {
        PageError::Unknown { .. } => (StatusCode::NOT_FOUND, "There is nothing here"),
        PageError::Refused { .. } => (StatusCode::CONFLICT, "That cannot be done"),
        PageError::Declined { .. } => (StatusCode::PAYMENT_REQUIRED, "The payment was declined"),
    };
    page(status, &Message { heading, text: error.to_string() })
}
