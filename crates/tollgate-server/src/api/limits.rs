//! Rate limits. Owns: who has asked how often, and the headers that say so. Must not know: routes
//! beyond their class.

use std::num::NonZeroU32;

use governor::RateLimiter;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use http::{HeaderMap, HeaderValue};

use crate::config::RateLimits;

/// What is left of the quota.
pub const RATE_LIMIT: &str = "ratelimit";
/// The quota.
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";
/// Most callers remembered at once; beyond it the fully refilled ones are forgotten.
const CALLERS_MAX: usize = 100_000;

type Limiter =
    RateLimiter<String, DashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// Which quota a route falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Routes without a key.
    Public,
    /// Checks and entitlements.
    Check,
    /// Billing routes.
    Billing,
    /// Everything under `/admin`.
    Admin,
}

impl Class {
    const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Check => "check",
            Self::Billing => "billing",
            Self::Admin => "admin",
        }
    }
}

/// Who has asked how often.
#[derive(Debug)]
pub struct Limits {
    public: Option<Limiter>,
    check: Option<Limiter>,
    billing: Option<Limiter>,
    admin: Option<Limiter>,
    quotas: RateLimits,
}

impl Limits {
    /// Limits per minute as configured; an absent one does not limit.
    pub fn new(quotas: &RateLimits) -> Self {
        let limiter = |per_minute: Option<u32>| {
            per_minute.and_then(NonZeroU32::new).map(|quota| {
                RateLimiter::keyed(governor::Quota::per_minute(quota))
                    .with_middleware::<StateInformationMiddleware>()
            })
        };
        Self {
            public: limiter(quotas.public_per_min),
            check: limiter(quotas.check_per_min),
            billing: limiter(quotas.billing_per_min),
            admin: limiter(quotas.admin_per_min),
            quotas: quotas.clone(),
        }
    }

    /// Counts one request of a caller. `Ok` holds what is left, for the headers; an error is what
    /// the caller has used up.
    pub fn admit(&self, class: Class, caller: &str) -> Result<Option<Quota>, Quota> {
        let (limiter, per_minute) = match class {
            Class::Public => (&self.public, self.quotas.public_per_min),
            Class::Check => (&self.check, self.quotas.check_per_min),
            Class::Billing => (&self.billing, self.quotas.billing_per_min),
            Class::Admin => (&self.admin, self.quotas.admin_per_min),
        };
        let (Some(limiter), Some(per_minute)) = (limiter, per_minute) else { return Ok(None) };
        if limiter.len() > CALLERS_MAX {
            limiter.retain_recent();
        }
        let class = class.name();
        match limiter.check_key(&caller.to_owned()) {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                Ok(Some(Quota { class, per_minute, left, seconds: 60 }))
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                let seconds = wait.as_secs().saturating_add(1);
                Err(Quota { class, per_minute, left: 0, seconds })
            }
        }
    }
}

/// How a caller stands with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub class: &'static str,
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
        if let Ok(value) = HeaderValue::try_from(format!("\"{class}\";r={left};t={seconds}")) {
            headers.insert(RATE_LIMIT, value);
        }
        if let Ok(value) = HeaderValue::try_from(format!("\"{class}\";q={per_minute};w=60")) {
            headers.insert(RATE_LIMIT_POLICY, value);
        }
    }
}
