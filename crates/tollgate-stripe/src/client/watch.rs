//! Being watched. Owns: what is told about each try, for metrics and logs. Must not know: which
//! metrics there are. Nothing told here is secret or personal.

use std::fmt;
use std::time::Duration;

/// How one try ended, a label for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TryResult {
    /// 2xx.
    Ok,
    /// 2xx, and the first answer to this idempotency key was given again.
    Replayed,
    /// 4xx other than those below.
    Refused,
    /// 402.
    Declined,
    /// 409.
    Conflict,
    /// 429.
    Throttled,
    /// 5xx.
    ServerError,
    /// No reply within the time allowed.
    Timeout,
    /// No connection, or one that broke.
    Unreachable,
}

impl TryResult {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
            Self::Declined => "declined",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
        }
    }
}

/// One try of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried<'a> {
    /// The operation's name.
    pub operation: &'static str,
    /// 1 for the first.
    pub number: u32,
    /// How it ended.
    pub result: TryResult,
    /// Stripe's error code, where it gave one.
    pub code: Option<&'a str>,
    /// The id support asks for.
    pub request_id: Option<&'a str>,
    /// From sending to the end of the reply.
    pub took: Duration,
}

/// Somebody who looks on. Called in the path of the calls, so it must be quick.
pub trait Watch: fmt::Debug + Send + Sync {
    /// A try has ended.
    fn tried(&self, tried: &Tried<'_>);
    /// A call waits, or fails, because of our own rate limit (`budget`) or the `breaker`.
    fn held(&self, operation: &'static str, by: &'static str);
    /// The breaker opened (`true`) or closed.
    fn breaker_turned(&self, open: bool);
}

/// Nobody looks on.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn tried(&self, _tried: &Tried<'_>) {}
    fn held(&self, _operation: &'static str, _by: &'static str) {}
    fn breaker_turned(&self, _open: bool) {}
}
