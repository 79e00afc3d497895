//! Idempotency. Owns: which replies are remembered under which key, for how long, and what a key
//! must not be used for. Must not know: what the requests do.

use std::collections::BTreeMap;

use super::error::ApiError;
use super::request::{ApiReply, ApiRequest, Method};
use crate::time::DAY;

/// The longest key Stripe takes, in characters.
const LONGEST_KEY: usize = 255;

/// A reply that is given again.
#[derive(Debug, Clone)]
struct Remembered {
    path: String,
    fingerprint: String,
    reply: ApiReply,
    /// Forgotten at this time, in Unix seconds.
    until: i64,
}

/// All remembered replies.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(BTreeMap<String, Remembered>);

impl Keys {
    /// Remembers the reply to a POST with a key. Requests that were refused for what they say are
    /// not remembered, so that they can be mended.
    pub(super) fn remember(&mut self, request: &ApiRequest, reply: &ApiReply, now: i64) {
        let Some(key) = key(request) else { return };
        if matches!(reply.status, 400 | 404 | 409 | 429) {
            return;
        }
        self.0.retain(|_, remembered| remembered.until > now);
        let remembered = Remembered {
            path: request.path.clone(),
            fingerprint: fingerprint(request),
            reply: reply.clone(),
            until: now.saturating_add(DAY),
        };
        self.0.insert(key.to_owned(), remembered);
    }
}

/// The reply remembered for a request; an error if its key was used for another.
pub(super) fn replay(
    keys: &Keys,
    request: &ApiRequest,
    now: i64,
) -> Result<Option<ApiReply>, ApiError> {
    let Some(key) = key(request) else { return Ok(None) };
    if key.chars().count() > LONGEST_KEY {
        let message = format!("Idempotency keys must be at most {LONGEST_KEY} characters long.");
        return Err(ApiError::idempotency(message));
    }
    let Some(found) = keys.0.get(key).filter(|found| found.until > now) else { return Ok(None) };
    if found.path != request.path {
        return Err(ApiError::idempotency(format!(
            "Keys for idempotent requests can only be used for the same endpoint they were first \
             used for ('{}' vs '{}'). Try using a key other than '{key}' if you meant to execute a \
             different request.",
            request.path, found.path
        )));
    }
    if found.fingerprint != fingerprint(request) {
        return Err(ApiError::idempotency(format!(
            "Keys for idempotent requests can only be used with the same parameters they were \
             first used with. Try using a key other than '{key}' if you meant to execute a \
             different request."
        )));
    }
    Ok(Some(ApiReply { idempotent_replayed: true, ..found.reply.clone() }))
}

/// The key of a request that is remembered at all.
fn key(request: &ApiRequest) -> Option<&str> {
    let key = request.idempotency_key.as_deref().filter(|key| !key.is_empty());
    key.filter(|_| request.method == Method::Post)
}

fn fingerprint(request: &ApiRequest) -> String {
    let version = request.version.map_or("", |version| version.as_str());
    format!("{version}\n{}", request.params.fingerprint())
}
