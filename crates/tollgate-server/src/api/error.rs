//! Errors of the API. Owns: the one table from an error to its status, code and title, and the
//! problem document (RFC 9457). Must not know: private causes; they are logged, never sent.

use std::collections::BTreeSet;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tollgate_stripe::client::{KeyMismatch, KeyMode};

use super::billing::existing::{ActionOut, ExistingOut, actions};
use super::billing::refusal::BillingRefusal;
use super::limits::{Class, Quota};
use crate::engine::ReadError;
use crate::listener::HEAD_BYTES_MAX;

/// Where the documentation of the codes is read, on this very server.
const TYPE_BASE: &str = "/docs/errors#";

/// Everything the API can answer instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// The body or the query is not what the route takes.
    InvalidRequest(Vec<FieldError>),
    /// The body is not JSON.
    InvalidJson(String),
    /// The catalog sent is none, or not one this deployment could run.
    InvalidCatalog(Vec<FieldError>),
    /// The feature is not in the catalog.
    UnknownFeature(String),
    /// `consume` on a feature that is not metered.
    NotMetered(String),
    /// `Stripe-Signature` is missing or does not fit.
    InvalidSignature,
    /// The body says it is encoded.
    UnsupportedEncoding,
    /// The request line and the headers are too long.
    HeadTooLarge,
    /// No key was sent.
    KeyMissing,
    /// The key is unknown, expired or revoked.
    KeyInvalid,
    /// The key lacks the scope.
    ScopeMissing(&'static str),
    /// The key is bound to another account.
    AccountForbidden,
    /// No such route.
    NotFound,
    /// The route exists with other methods.
    MethodNotAllowed(&'static str),
    /// The body is larger than the named limit in bytes.
    BodyTooLarge(usize),
    /// Too many requests.
    RateLimited(Quota),
    /// The account has not reached the revision asked for.
    RevisionNotReached,
    /// A billing route did not do what was asked for.
    Billing(BillingRefusal),
    /// No webhook secret is configured.
    WebhookNotConfigured,
    /// No API key of Stripe is configured.
    StripeNotConfigured,
    /// The API key does not open the Stripe account the data belongs to.
    WrongStripeKey(KeyMismatch),
    /// No event has named this Stripe object.
    ObjectUnknown(String),
    /// A comparison with Stripe is under way.
    ReconciliationRunning,
    /// The event could not be committed; Stripe will send it again.
    NotCommitted,
    /// The database is away; with the private cause, for the log.
    DatabaseUnavailable(String),
    /// No connection is free, or none for the caller's address.
    TooManyConnections,
    /// The bodies of other requests take all the memory there is for them.
    Overloaded,
    /// The engine is stopping.
    Stopping,
    /// The request took longer than the named limit.
    Timeout,
    /// A defect of ours; with the private cause, for the log.
    Internal(String),
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field, as a dotted path.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl FieldError {
    /// What is wrong with a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// The body of every error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Link to the documentation of the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and how to mend it.
    pub detail: String,
    /// Stable snake_case code.
    pub code: &'static str,
    /// The request, as in `X-Request-Id`.
    pub request_id: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The subscription that stands in the way, for refusals of a purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<ExistingOut>,
    /// What can be done instead, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionOut>,
}

impl ApiError {
    /// One field at fault.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest(vec![FieldError::new(field, message)])
    }

    /// The table: status, code, title.
    pub const fn row(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest(_) => (S::BAD_REQUEST, "invalid_request", "Invalid request"),
            Self::InvalidJson(_) => (S::BAD_REQUEST, "invalid_json", "The body is not JSON"),
            Self::InvalidCatalog(_) => (S::BAD_REQUEST, "invalid_catalog", "Invalid catalog"),
            Self::UnknownFeature(_) => (S::BAD_REQUEST, "unknown_feature", "Unknown feature"),
            Self::NotMetered(_) => {
                (S::BAD_REQUEST, "feature_not_metered", "Feature is not metered")
            }
            Self::InvalidSignature => (S::BAD_REQUEST, "invalid_signature", "Invalid signature"),
            Self::UnsupportedEncoding => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "Encoded bodies are not taken")
            }
            Self::HeadTooLarge => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head_too_large",
                "The request's head is too large",
            ),
            Self::KeyMissing => (S::UNAUTHORIZED, "key_missing", "An API key is needed"),
            Self::KeyInvalid => (S::UNAUTHORIZED, "key_invalid", "The API key is not valid"),
            Self::ScopeMissing(_) => (S::FORBIDDEN, "scope_missing", "The key lacks a scope"),
            Self::AccountForbidden => (S::FORBIDDEN, "account_forbidden", "Another account's data"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed(_) => {
                (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::BodyTooLarge(_) => (S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::RateLimited(_) => (S::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::RevisionNotReached => {
                (S::SERVICE_UNAVAILABLE, "revision_not_reached", "Revision not reached")
            }
            Self::Billing(refusal) => refusal.row(),
            Self::WebhookNotConfigured => {
                (S::SERVICE_UNAVAILABLE, "webhook_not_configured", "No webhook secret")
            }
            Self::StripeNotConfigured => {
                (S::SERVICE_UNAVAILABLE, "stripe_not_configured", "No API key of Stripe")
            }
            Self::WrongStripeKey(why) => {
                (S::SERVICE_UNAVAILABLE, why.code(), "The API key does not belong to this database")
            }
            Self::ObjectUnknown(_) => (S::NOT_FOUND, "object_unknown", "Unknown Stripe object"),
            Self::ReconciliationRunning => {
                (S::CONFLICT, "reconciliation_running", "A reconciliation is running")
            }
            Self::NotCommitted => (S::SERVICE_UNAVAILABLE, "not_committed", "Not committed"),
            Self::DatabaseUnavailable(_) => {
                (S::SERVICE_UNAVAILABLE, "database_unavailable", "The database is away")
            }
            Self::TooManyConnections => {
                (S::SERVICE_UNAVAILABLE, "too_many_connections", "Too many connections")
            }
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", "Too much at once"),
            Self::Stopping => (S::SERVICE_UNAVAILABLE, "stopping", "Stopping"),
            Self::Timeout => (S::SERVICE_UNAVAILABLE, "timeout", "Took too long"),
            Self::Internal(_) => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// What happened and how to mend it.
    pub fn detail(&self) -> String {
        match self {
            Self::InvalidRequest(errors) | Self::InvalidCatalog(errors) => match errors.as_slice() {
                [one] => format!("{}: {}", one.field, one.message),
                many => format!("{} places are at fault; see errors.", many.len()),
            },
            Self::InvalidJson(what) => what.clone(),
            Self::UnknownFeature(key) => {
                format!("The catalog has no feature {key:?}; GET /api/v1/features lists them.")
            }
            Self::NotMetered(key) => {
                format!("{key:?} is not metered, so nothing can be consumed; leave consume out.")
            }
            Self::InvalidSignature => "The Stripe-Signature header does not fit this body and the \
                configured secrets, or is more than 300 seconds off."
                .to_owned(),
            Self::UnsupportedEncoding => {
                "Send the body without Content-Encoding, as Stripe does.".to_owned()
            }
            Self::HeadTooLarge => format!("A head may have at most {HEAD_BYTES_MAX} bytes."),
            Self::KeyMissing => {
                "Send Authorization: Bearer tg_… or X-API-Key: tg_…; `tollgate keys create` makes one."
                    .to_owned()
            }
            Self::KeyInvalid => "The key is unknown, expired or revoked.".to_owned(),
            Self::ScopeMissing(scope) => format!("This route needs the scope {scope:?}."),
            Self::AccountForbidden => "The key is bound to one account, and this is about another one or about all.".to_owned(),
            Self::NotFound => "There is nothing at this path; see /openapi.json.".to_owned(),
            Self::MethodNotAllowed(allowed) => format!("This path takes {allowed}."),
            Self::BodyTooLarge(max) => format!("The body may have at most {max} bytes."),
            Self::RateLimited(quota) => quota.detail(),
            Self::RevisionNotReached => {
                "The account has not reached minRevision within 2 s; try again.".to_owned()
            }
            Self::Billing(refusal) => refusal.detail(),
            Self::WebhookNotConfigured => {
                "Set STRIPE_WEBHOOK_SECRET (whsec_…) and restart; until then events are refused so \
                 that Stripe keeps them."
                    .to_owned()
            }
            Self::StripeNotConfigured => {
                "Set STRIPE_SECRET_KEY and restart; without it Stripe cannot be asked.".to_owned()
            }
            Self::WrongStripeKey(_) => "STRIPE_SECRET_KEY does not open the Stripe account this \
                database belongs to, so nothing was asked of Stripe and nothing was changed; \
                `tollgate doctor` tells the two apart."
                .to_owned(),
            Self::ObjectUnknown(object) => format!(
                "No event has named {object:?}; copy the id from Stripe's dashboard or from \
                 `tollgate events show`."
            ),
            Self::ReconciliationRunning => {
                "One runs at a time; GET /admin/reconcile/runs tells how it goes.".to_owned()
            }
            Self::NotCommitted => {
                "The event was not stored; send it again. Nothing of it has taken effect.".to_owned()
            }
            Self::DatabaseUnavailable(_) => "Try again shortly.".to_owned(),
            Self::TooManyConnections => {
                "Use one connection for many requests, and close those not needed.".to_owned()
            }
            Self::Overloaded => {
                "The bodies of other requests take all of http.bodies_bytes_max; try again.".to_owned()
            }
            Self::Stopping => "This instance is stopping; try again.".to_owned(),
            Self::Timeout => "The request was given up; try again.".to_owned(),
            Self::Internal(_) => "The cause is in the log under this requestId.".to_owned(),
        }
    }

    /// Seconds after which to try again, for the errors that say so.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(quota) => Some(quota.seconds),
            Self::RevisionNotReached
            | Self::TooManyConnections
            | Self::Overloaded
            | Self::Stopping => Some(1),
            Self::NotCommitted | Self::DatabaseUnavailable(_) | Self::Timeout => Some(5),
            Self::Billing(refusal) => refusal.retry_after(),
            Self::ReconciliationRunning => Some(30),
            Self::WebhookNotConfigured | Self::StripeNotConfigured | Self::WrongStripeKey(_) => {
                Some(60)
            }
            Self::InvalidRequest(_)
            | Self::InvalidJson(_)
            | Self::InvalidCatalog(_)
            | Self::UnknownFeature(_)
            | Self::NotMetered(_)
            | Self::InvalidSignature
            | Self::UnsupportedEncoding
            | Self::HeadTooLarge
            | Self::KeyMissing
            | Self::KeyInvalid
            | Self::ScopeMissing(_)
            | Self::AccountForbidden
            | Self::NotFound
            | Self::MethodNotAllowed(_)
            | Self::BodyTooLarge(_)
            | Self::ObjectUnknown(_)
            | Self::Internal(_) => None,
        }
    }

    /// Every stable code, sorted.
    pub fn codes() -> Vec<&'static str> {
        let codes: BTreeSet<&str> = Self::all().iter().map(|error| error.row().1).collect();
        codes.into_iter().collect()
    }

    /// One of each, for the documentation of the codes.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::InvalidRequest(Vec::new()),
            Self::InvalidJson(String::new()),
            Self::InvalidCatalog(Vec::new()),
            Self::UnknownFeature(String::new()),
            Self::NotMetered(String::new()),
            Self::InvalidSignature,
            Self::UnsupportedEncoding,
            Self::HeadTooLarge,
            Self::KeyMissing,
            Self::KeyInvalid,
            Self::ScopeMissing("check"),
            Self::AccountForbidden,
            Self::NotFound,
            Self::MethodNotAllowed("GET"),
            Self::BodyTooLarge(0),
            Self::RateLimited(Quota { class: Class::Public, per_minute: 0, left: 0, seconds: 0 }),
            Self::RevisionNotReached,
            Self::WebhookNotConfigured,
            Self::StripeNotConfigured,
            Self::ObjectUnknown(String::new()),
            Self::ReconciliationRunning,
            Self::NotCommitted,
            Self::DatabaseUnavailable(String::new()),
            Self::TooManyConnections,
            Self::Overloaded,
            Self::Stopping,
            Self::Timeout,
            Self::Internal(String::new()),
        ];
        let any = String::new;
        all.extend(
            [
                KeyMismatch::Account { found: any(), known: any() },
                KeyMismatch::Mode { found: KeyMode::Test, known: KeyMode::Live },
                KeyMismatch::Unproven { asked: Vec::new() },
            ]
            .map(Self::WrongStripeKey),
        );
        all.extend(BillingRefusal::all().into_iter().map(Self::Billing));
        all
    }

    /// What only the log may know.
    pub fn private_cause(&self) -> Option<&str> {
        if let Self::Billing(refusal) = self {
            return refusal.private_cause();
        }
        if let Self::DatabaseUnavailable(cause) | Self::Internal(cause) = self {
            return Some(cause);
        }
        None
    }

    /// The problem document for one request.
    pub fn render(&self, request_id: &str) -> Response {
        let (status, code, title) = self.row();
        let errors = if let Self::InvalidRequest(errors) | Self::InvalidCatalog(errors) = self {
            errors.clone()
        } else {
            Vec::new()
        };
        let existing = if let Self::Billing(BillingRefusal::AlreadySubscribed(existing)) = self {
            Some(&**existing)
        } else {
            None
        };
        let problem = Problem {
            kind: format!("{TYPE_BASE}{code}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            code,
            request_id: request_id.to_owned(),
            errors,
            subscription: existing.map(|one| ExistingOut::of(&one.id, &one.status)),
            actions: existing.map(actions).unwrap_or_default(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_else(|_| UNWRITABLE.to_vec());
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::RateLimited(quota) = self {
            quota.mark(headers);
        }
        if let Self::MethodNotAllowed(allowed) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        if matches!(self, Self::KeyMissing | Self::KeyInvalid) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What is sent where a problem cannot be written as JSON.
const UNWRITABLE: &[u8] =
    br#"{"type":"about:blank","title":"Internal error","status":500,"code":"internal"}"#;

impl IntoResponse for ApiError {
    /// Leaves the error in the response's extensions; the outermost layer, which knows the
    /// request's id, renders it.
    fn into_response(self) -> Response {
        let mut response = self.row().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::RevisionNotReached => Self::RevisionNotReached,
            ReadError::NotMetered(feature) => Self::NotMetered(feature),
            ReadError::Store(error) => error.into(),
            ReadError::Shared(error) => error.as_ref().into(),
        }
    }
}

impl From<tollgate_store::StoreError> for ApiError {
    fn from(error: tollgate_store::StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&tollgate_store::StoreError> for ApiError {
    fn from(error: &tollgate_store::StoreError) -> Self {
        // For the one log line of this request.
        let cause = error.to_string();
        if error.is_unavailable() {
            Self::DatabaseUnavailable(cause)
        } else {
            Self::Internal(cause)
        }
    }
}
