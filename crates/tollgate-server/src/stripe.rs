//! The way out to Stripe. Owns: making the client from the configuration, and what its calls leave
//! in metrics and logs. Must not know: what is called.

pub mod binding;
pub mod guard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tollgate_stripe::StripeClient;
use tollgate_stripe::client::{ClientOptions, SecretKey, Tried, TryResult, Watch};

use crate::config::StripeConfig;
use crate::metrics::{CallLabels, HeldLabels, Metrics};

pub use binding::Binding;
pub use guard::{DatabaseGuard, KeyStanding};

/// The client, where there is a key for it. Its calls wait for the guard to admit the key.
pub fn client(
    config: &StripeConfig,
    metrics: &Arc<Metrics>,
    guard: &DatabaseGuard,
    contact: &StripeContact,
) -> Option<StripeClient> {
    let key = SecretKey::parse(config.secret_key.as_ref()?.expose());
    let key = key.map_err(|error| tracing::error!(%error, "Stripe cannot be called")).ok()?;
    let options = ClientOptions {
        account: config.account.clone(),
        watch: Arc::new(Witness { metrics: Arc::clone(metrics), contact: contact.clone() }),
        guard: Some(Arc::new(guard.clone())),
        ..ClientOptions::new(config.api_base.clone(), key)
    };
    let client = StripeClient::new(&options);
    client.map_err(|error| tracing::error!(%error, "Stripe cannot be called")).ok()
}

/// Whether the last call found Stripe. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct StripeContact(Arc<AtomicU8>);

/// What the last call to Stripe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// There has been none.
    None,
    /// Stripe answered.
    Answers,
    /// Stripe could not be reached, did not answer in time, or only with an error of its own.
    Fails,
}

impl StripeContact {
    /// What the last call found.
    pub fn get(&self) -> Contact {
        match self.0.load(Ordering::Relaxed) {
            0 => Contact::None,
            1 => Contact::Answers,
            _ => Contact::Fails,
        }
    }

    fn note(&self, result: TryResult) {
        let found = match result {
            TryResult::Ok
            | TryResult::Replayed
            | TryResult::Refused
            | TryResult::Declined
            | TryResult::Conflict
            | TryResult::Throttled => 1,
            TryResult::ServerError | TryResult::Timeout | TryResult::Unreachable => 2,
        };
        self.0.store(found, Ordering::Relaxed);
    }
}

/// Counts and logs every call. What it is told holds no key, no body and no parameter.
#[derive(Debug)]
struct Witness {
    metrics: Arc<Metrics>,
    contact: StripeContact,
}

impl Watch for Witness {
    fn tried(&self, tried: &Tried<'_>) {
        let outcome = tried.result.as_str();
        let labels = CallLabels { operation: tried.operation, outcome };
        self.metrics.stripe_requests.get_or_create(&labels).inc();
        let took = self.metrics.stripe_request.get_or_create(&labels);
        took.observe(tried.took.as_secs_f64());
        self.contact.note(tried.result);
        let (operation, request_id, code) = (tried.operation, tried.request_id, tried.code);
        let took_ms = tried.took.as_millis();
        if matches!(tried.result, TryResult::Ok | TryResult::Replayed) {
            tracing::debug!(
                operation,
                attempt = tried.number,
                request_id,
                took_ms,
                outcome,
                "called Stripe"
            );
        } else {
            tracing::warn!(
                operation,
                attempt = tried.number,
                request_id,
                code,
                took_ms,
                outcome,
                "a call to Stripe did not succeed"
            );
        }
    }

    fn held(&self, operation: &'static str, by: &'static str) {
        self.metrics.stripe_held.get_or_create(&HeldLabels { operation, by }).inc();
    }

    fn breaker_turned(&self, open: bool) {
        self.metrics.stripe_breaker_open.set(i64::from(open));
        if open {
            tracing::error!("Stripe seems to be down; calls are held back");
        } else {
            tracing::info!("Stripe answers again");
        }
    }
}
