//! Rate limits. Owns: who has asked how often, and the headers that say so. Must not know: routes
//! beyond their class.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::ConnectInfo;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, request::Parts};

use super::error::ApiError;
use crate::config::{Config, RateLimits};

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
}

impl Class {
    const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Check => "check",
        }
    }
}

/// Who has asked how often.
#[derive(Debug)]
pub struct Limits {
    public: Option<Limiter>,
    check: Option<Limiter>,
    quotas: RateLimits,
}

impl Limits {
    /// Limits per minute as configured; an absent one does not limit.
    pub fn new(quotas: &RateLimits) -> Self {
        let limiter = |per_minute: Option<u32>| {
            per_minute.and_then(NonZeroU32::new).map(|quota| {
                RateLimiter::keyed(Quota::per_minute(quota))
                    .with_middleware::<StateInformationMiddleware>()
            })
        };
        Self {
            public: limiter(quotas.public_per_min),
            check: limiter(quotas.check_per_min),
            quotas: quotas.clone(),
        }
    }

    /// Counts one request of a caller. `Ok` holds what is left, for the headers.
    pub fn admit(&self, class: Class, caller: &str) -> Result<Option<Admitted>, Refused> {
        let (limiter, quota) = match class {
            Class::Public => (&self.public, self.quotas.public_per_min),
            Class::Check => (&self.check, self.quotas.check_per_min),
        };
        let (Some(limiter), Some(quota)) = (limiter, quota) else { return Ok(None) };
        if limiter.len() > CALLERS_MAX {
            limiter.retain_recent();
        }
        match limiter.check_key(&caller.to_owned()) {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                Ok(Some(Admitted { class, quota, left }))
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Err(Refused { class, quota, seconds: wait.as_secs().saturating_add(1) })
            }
        }
    }
}

/// A request within its quota.
#[derive(Debug, Clone, Copy)]
pub struct Admitted {
    class: Class,
    quota: u32,
    left: u32,
}

impl Admitted {
    /// Tells the caller what is left.
    pub fn mark(self, headers: &mut HeaderMap) {
        write_headers(headers, self.class, self.quota, self.left, 60);
    }
}

/// A request beyond its quota.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    class: Class,
    quota: u32,
    seconds: u64,
}

impl Refused {
    /// The answer: 429 with the headers.
    pub fn into_response(self) -> Response {
        let error = ApiError::RateLimited(self.seconds);
        let mut response = axum::response::IntoResponse::into_response(error);
        write_headers(response.headers_mut(), self.class, self.quota, 0, self.seconds);
        response
    }

    /// The name of the quota, for metrics.
    pub const fn class(self) -> &'static str {
        self.class.name()
    }
}

fn write_headers(headers: &mut HeaderMap, class: Class, quota: u32, left: u32, seconds: u64) {
    let name = class.name();
    if let Ok(value) = HeaderValue::try_from(format!("\"{name}\";r={left};t={seconds}")) {
        headers.insert(RATE_LIMIT, value);
    }
    if let Ok(value) = HeaderValue::try_from(format!("\"{name}\";q={quota};w=60")) {
        headers.insert(RATE_LIMIT_POLICY, value);
    }
}

/// The caller's address: the peer, or what a trusted proxy says of it.
pub fn client_address(parts: &Parts, config: &Config) -> IpAddr {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
    let trusted =
        |address: IpAddr| config.http.trusted_proxies.iter().any(|net| net.contains(address));
    if !trusted(peer) {
        return peer;
    }
    // From the right: the first address that is not one of our proxies is the client.
    let forwarded = parts.headers.get_all("x-forwarded-for").iter();
    let mut hops: Vec<IpAddr> = forwarded
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map_while(|hop| hop.trim().parse().ok())
        .collect();
    while let Some(hop) = hops.pop() {
        if !trusted(hop) {
            return hop;
        }
    }
    peer
}
