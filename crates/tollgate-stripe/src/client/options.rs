//! What a client is made from. Owns: the defaults and the pinned API version. Must not know: where
//! the values come from.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::client::breaker::BreakerOptions;
use crate::client::guard::AccountGuard;
use crate::client::patience::Patience;
use crate::client::secret::{ApiBase, SecretKey};
use crate::client::watch::{Unwatched, Watch};

/// The API version every request names. One version for requests, whatever the versions of the
/// events that come in.
pub const PINNED_VERSION: &str = "2026-10-28.endive";

/// Calls a second of one operation. Stripe allows 25; the rest is for other instances and people.
const RATE_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(14);
/// The same where the API is on this machine: that is the sandbox, which limits nothing.
const RATE_PER_SECOND_LOOPBACK: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// How a client reaches Stripe and how it behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Where the API is.
    pub api_base: ApiBase,
    /// What opens it.
    pub secret_key: SecretKey,
    /// The connected account (`acct_…`) to act for, if not the key's own.
    pub account: Option<String>,
    /// The API version, [`PINNED_VERSION`].
    pub version: &'static str,
    /// Time for a connection.
    pub connect_timeout: Duration,
    /// Time for one try from sending to the last byte of the reply.
    pub try_timeout: Duration,
    /// How long callers go on unless they say otherwise.
    pub patience: Patience,
    /// Calls a second of one operation.
    pub rate_per_second: NonZeroU32,
    /// When to spare Stripe.
    pub breaker: BreakerOptions,
    /// Who looks on.
    pub watch: Arc<dyn Watch>,
    /// Who decides whether the key may be used at all; `None`: whoever has the client does.
    pub guard: Option<Arc<dyn AccountGuard>>,
}

impl ClientOptions {
    /// The defaults, for a base and a key.
    pub fn new(api_base: ApiBase, secret_key: SecretKey) -> Self {
        let rate_per_second =
            if api_base.is_loopback() { RATE_PER_SECOND_LOOPBACK } else { RATE_PER_SECOND };
        Self {
            api_base,
            secret_key,
            account: None,
            version: PINNED_VERSION,
            connect_timeout: Duration::from_secs(5),
            try_timeout: Duration::from_secs(30),
            guard: None,
            patience: Patience::request(),
            rate_per_second,
            breaker: BreakerOptions::default(),
            watch: Arc::new(Unwatched),
        }
    }
}
