//! `GET /.well-known/security.txt` (RFC 9116). Owns: what the file says. Must not know: what may stand in
//! the setting.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use tollgate_domain::Timestamp;

use super::error::ApiError;
use super::query::Query;
use crate::app::App;
use crate::config::SecurityContact;

/// Where the file is looked for.
pub const PATH: &str = "/.well-known/security.txt";

/// How long what was read may be relied on, in whole days; the RFC asks for less than a year.
const VALID_DAYS: i64 = 180;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// `GET /.well-known/security.txt`; 404 where nobody said whom to tell.
pub async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    Query::parse(request.uri().query()).finish()?;
    let contact = app.config.security_contact.as_ref().ok_or(ApiError::NotFound)?;
    let mut response = text(contact, app.clock.now()).into_response();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn text(contact: &SecurityContact, now: Timestamp) -> String {
    let mut text = String::new();
    for address in &contact.contacts {
        let _ = writeln!(text, "Contact: {address}");
    }
    // From the beginning of the day, so that the text of one day is one text.
    let midnight = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(DAY_MS));
    let _ = writeln!(text, "Expires: {}", midnight.plus_days(VALID_DAYS));
    if let Some(policy) = &contact.policy {
        let _ = writeln!(text, "Policy: {policy}");
    }
    text
}
