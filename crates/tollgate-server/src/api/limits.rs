//! Rate limits. Owns: the quotas, who is counted against which, and the headers that say so. Must
//! not know: routes beyond their class.
//!
//! Callers with a key are counted by the key, all others by their address. Two classes count nothing
//! but failures: requests without a valid key and webhooks without a right signature. Their quota
//! refuses failures only, so nobody who has the key or the secret is kept out by what others send
//! from the same address.

mod buckets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request};

use self::buckets::Buckets;
use super::client_address::Head;
use super::error::ApiError;
use crate::address_block::address_block;
use crate::app::App;
use crate::config::RateLimits;
use crate::metrics::ReasonLabel;

/// What is left of the quota.
pub const RATE_LIMIT: &str = "ratelimit";
/// The quota.
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";

/// Which quota a request falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Routes without a key.
    Public,
    /// The state of the engine, for who watches it.
    Health,
    /// Requests that were refused for want of a valid key.
    Unauthorized,
    /// Webhooks that were refused for want of a right signature.
    BadSignature,
    /// Checks and entitlements.
    Check,
    /// Billing routes.
    Billing,
    /// Everything under `/admin`.
    Admin,
}

impl Class {
    /// All of them.
    const ALL: [Self; 7] = [
        Self::Public,
        Self::Health,
        Self::Unauthorized,
        Self::BadSignature,
        Self::Check,
        Self::Billing,
        Self::Admin,
    ];

    /// Its name in headers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Health => "health",
            Self::Unauthorized => "unauthorized",
            Self::BadSignature => "bad_signatures",
            Self::Check => "check",
            Self::Billing => "billing",
            Self::Admin => "admin",
        }
    }

    const fn per_minute(self, quotas: &RateLimits) -> Option<u32> {
        match self {
            Self::Public => quotas.public_per_min,
            Self::Health => quotas.health_per_min,
            Self::Unauthorized => quotas.unauthorized_per_min,
            Self::BadSignature => quotas.bad_signatures_per_min,
            Self::Check => quotas.check_per_min,
            Self::Billing => quotas.billing_per_min,
            Self::Admin => quotas.admin_per_min,
        }
    }
}

/// Who has asked how often.
#[derive(Debug)]
pub struct Limits(BTreeMap<Class, (u32, Buckets)>);

impl Limits {
    /// Limits per minute as configured; an absent one does not limit.
    pub fn new(quotas: &RateLimits) -> Self {
        let limited = Class::ALL.into_iter().filter_map(|class| {
            let per_minute = class.per_minute(quotas)?;
            Some((class, (per_minute, Buckets::per_minute(per_minute))))
        });
        Self(limited.collect())
    }

    /// Counts one request of a caller. `Ok` holds what is left, for the headers; an error is what
    /// the caller has used up.
    fn take(&self, class: Class, caller: &str) -> Result<Option<Quota>, Quota> {
        let Some((per_minute, buckets)) = self.0.get(&class) else { return Ok(None) };
        let quota = |left, seconds| Quota { class, per_minute: *per_minute, left, seconds };
        match buckets.take(caller, Instant::now()) {
            Ok(left) => Ok(Some(quota(left, 60))),
            Err(wait) => Err(quota(0, wait.as_secs().saturating_add(1))),
        }
    }

    fn is_spent(&self, class: Class, caller: &str) -> bool {
        let limited = self.0.get(&class);
        limited.is_some_and(|(_, buckets)| buckets.is_spent(caller, Instant::now()))
    }
}

impl App {
    /// Counts a request of the caller with a key against its quota.
    pub fn admit(&self, class: Class, key_id: &str) -> Result<Option<Quota>, ApiError> {
        self.limits.take(class, key_id).map_err(|quota| self.rate_limited(quota))
    }

    /// What a stranger is told of a request that failed: the error, or, where its address has used
    /// up what may fail, to wait.
    pub fn failed(&self, class: Class, client: IpAddr, error: ApiError) -> ApiError {
        match self.limits.take(class, &address_block(client).to_string()) {
            Ok(_) => error,
            Err(quota) => self.rate_limited(quota),
        }
    }

    /// Whether nothing more may fail of what comes from an address.
    pub fn may_not_fail(&self, class: Class, client: IpAddr) -> bool {
        self.limits.is_spent(class, &address_block(client).to_string())
    }

    fn rate_limited(&self, quota: Quota) -> ApiError {
        let label = ReasonLabel { reason: quota.class.name() };
        self.metrics.rate_limited.get_or_create(&label).inc();
        ApiError::RateLimited(quota)
    }
}

/// Passes on a request for a route that needs no key, within the quota of its address; what is beyond
/// it costs no more than this.
pub async fn within_quota(
    State((app, class)): State<(Arc<App>, Class)>,
    request: Request<Body>,
    next: Next,
) -> Result<Response, ApiError> {
    let client = address_block(Head::of(&request).client(&app.config));
    let admitted = app.admit(class, &client.to_string())?;
    let mut response = next.run(request).await;
    if let Some(quota) = admitted {
        quota.mark(response.headers_mut());
    }
    Ok(response)
}

/// How a caller stands with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Which one.
    pub class: Class,
    /// Requests allowed a minute.
    pub per_minute: u32,
    /// Requests left now.
    pub left: u32,
    /// Seconds until there are more.
    pub seconds: u64,
}

impl Quota {
    /// Tells the caller, in the fields of the RateLimit draft.
    pub fn mark(self, headers: &mut HeaderMap) {
        let Self { class, per_minute, left, seconds } = self;
        let class = class.name();
        if let Ok(value) = HeaderValue::try_from(format!("\"{class}\";r={left};t={seconds}")) {
            headers.insert(RATE_LIMIT, value);
        }
        if let Ok(value) = HeaderValue::try_from(format!("\"{class}\";q={per_minute};w=60")) {
            headers.insert(RATE_LIMIT_POLICY, value);
        }
    }

    /// Tells the caller, in words.
    pub fn detail(self) -> String {
        let Self { class, per_minute, seconds, .. } = self;
        let beyond = match class {
            Class::Unauthorized => {
                format!(
                    "{per_minute} requests a minute without a valid key are told so, from one address; a valid key is taken meanwhile."
                )
            }
            Class::BadSignature => {
                format!(
                    "{per_minute} webhooks a minute without a right signature are told so, from one address; rightly signed ones are taken meanwhile."
                )
            }
            Class::Public | Class::Health | Class::Check | Class::Billing | Class::Admin => {
                format!("{per_minute} requests a minute are allowed.")
            }
        };
        format!("{beyond} Try again in {seconds} s.")
    }
}
