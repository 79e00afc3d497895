//! Calling Stripe's API. Owns: the one way a request leaves: version, keys, retries, rate budget,
//! breaker, time limits. Must not know: storage, what the objects mean to us.
//!
//! [`StripeClient::call`] is that way; the files named after nouns are thin layers over it. A POST
//! carries an idempotency key that the caller has stored before, and every try of a call carries
//! the same one, so that a change is made once however often it is asked for.

pub mod balance;
mod breaker;
mod budget;
pub mod checkout;
pub mod customer;
mod error;
mod exchange;
mod guard;
pub mod invoice;
mod metadata;
mod options;
mod page;
mod patience;
mod portal;
mod price;
mod request;
pub mod schedule;
mod secret;
pub mod subscription;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_domain::Timestamp;

pub use breaker::BreakerOptions;
pub use error::{KeyMismatch, Refusal, StripeError, Unreachable};
pub use exchange::read_date;
pub use exchange::{Fetched, SetupError};
pub use guard::{AccountGuard, Admission};
pub use metadata::Mark;
pub use options::{ClientOptions, PINNED_VERSION};
pub use page::{Cursor, PAGE_LIMIT, Page};
pub use patience::Patience;
pub use request::{ApiPath, Form, Method, Operation};
pub use secret::{
    ApiBase, ApiBaseError, IdempotencyKey, IdempotencyKeyError, KeyMode, SecretKey, SecretKeyError,
};
pub use watch::{Tried, TryResult, Unwatched, Watch};

use breaker::{Breaker, Leave, Turn};
use budget::Budget;
use exchange::{Request, Wire};
use patience::Failure;

/// A client of Stripe's API. Clones share connections, budget, breaker and guard.
#[derive(Debug, Clone)]
pub struct StripeClient {
    shared: Arc<Shared>,
    patience: Patience,
    /// Whether calls wait for the guard to admit the key.
    guarded: bool,
    /// The connected account (`acct_…`) calls are made for instead of the client's own.
    connected: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    wire: Wire,
    budget: Budget,
    breaker: Breaker,
    watch: Arc<dyn Watch>,
    mode: KeyMode,
    guard: Option<Arc<dyn AccountGuard>>,
    /// Set once the guard has admitted the key: neither the key nor its account ever changes.
    admitted: tokio::sync::OnceCell<()>,
}

/// How far one call has come.
struct Progress {
    began: Instant,
    tries: u32,
    /// A try may have been carried out.
    doubt: bool,
}

impl Progress {
    fn left(&self, patience: &Patience) -> Duration {
        patience.total.saturating_sub(self.began.elapsed())
    }
}

impl StripeClient {
    /// A client that talks to nobody yet.
    pub fn new(options: &ClientOptions) -> Result<Self, SetupError> {
        let shared = Shared {
            wire: Wire::new(options)?,
            budget: Budget::new(options.rate_per_second),
            breaker: Breaker::new(options.breaker),
            watch: Arc::clone(&options.watch),
            mode: options.secret_key.mode(),
            guard: options.guard.clone(),
            admitted: tokio::sync::OnceCell::new(),
        };
        let (shared, patience) = (Arc::new(shared), options.patience);
        Ok(Self { shared, patience, guarded: true, connected: None })
    }

    /// The same client for callers with another patience.
    pub fn with_patience(&self, patience: Patience) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The same client for the objects of a connected account (`acct_…`): every call names it.
    pub fn for_connected(&self, account: &str) -> Self {
        Self { connected: Some(account.into()), ..self.clone() }
    }

    /// The connected account (`acct_…`) calls are made for; `None`: the client's own account.
    pub fn connected(&self) -> Option<&str> {
        self.connected.as_deref()
    }

    /// Asks the guard whether the key may be used, where that is not settled yet. Every call does
    /// so by itself.
    pub async fn admit_key(&self) -> Result<(), StripeError> {
        let Some(guard) = self.shared.guard.as_ref().filter(|_| self.guarded) else {
            return Ok(());
        };
        // The key's own account is judged, whichever account this call is for.
        let unguarded = Self { guarded: false, connected: None, ..self.clone() };
        let admitted = || async { guard.admit(&unguarded).await };
        self.shared.admitted.get_or_try_init(admitted).await.copied()
    }

    /// Stripe's clock, in whole seconds, when it last replied anything; `None` before that.
    pub fn last_reply_at(&self) -> Option<Timestamp> {
        self.shared.wire.last_date()
    }

    /// Which world the key opens.
    pub fn mode(&self) -> KeyMode {
        self.shared.mode
    }

    /// Makes one call: sends it, and again where that may help, until it succeeds, is refused, or
    /// patience runs out. A POST needs a `key`; without one it is tried once.
    pub async fn call(
        &self,
        operation: Operation,
        path: &ApiPath,
        form: &Form,
        key: Option<&IdempotencyKey>,
    ) -> Result<Fetched, StripeError> {
        self.admit_key().await?;
        let account = self.connected();
        let request = Request { operation, path, form, key, account };
        let mut progress = Progress { began: Instant::now(), tries: 0, doubt: false };
        loop {
            let leave = self.admit(operation, &progress).await?;
            progress.tries = progress.tries.saturating_add(1);
            let failure = match self.attempt(&request, leave, &progress).await {
                Ok(done) => return done,
                Err(failure) => failure,
            };
            progress.doubt |= failure.leaves_doubt();
            let jitter = fastrand::u32(0..=1000);
            let next = match (operation.method(), key) {
                (Method::Post, None) => None,
                _ => self.patience.next(
                    &failure,
                    progress.tries,
                    progress.left(&self.patience),
                    jitter,
                ),
            };
            match next {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(give_up(failure, progress.doubt)),
            }
        }
    }

    /// Waits for the operation's budget and for the breaker, as long as patience allows.
    async fn admit(
        &self,
        operation: Operation,
        progress: &Progress,
    ) -> Result<Leave<'_>, StripeError> {
        let held =
            |retry_after| StripeError::Held { retry_after, may_have_happened: progress.doubt };
        loop {
            let left = progress.left(&self.patience);
            let (wait, by) = match self.shared.budget.take(operation.name()) {
                Err(wait) => (wait, "budget"),
                Ok(()) => match self.shared.breaker.admit(Instant::now()) {
                    Ok(leave) => return Ok(leave),
                    Err(wait) => (wait, "breaker"),
                },
            };
            self.shared.watch.held(operation.name(), by);
            if wait >= left || (by == "breaker" && !self.patience.waits_for_breaker) {
                return Err(held(wait));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One try, told to the breaker and to whoever watches.
    async fn attempt(
        &self,
        request: &Request<'_>,
        leave: Leave<'_>,
        progress: &Progress,
    ) -> Result<Result<Fetched, StripeError>, Failure> {
        let began = Instant::now();
        let done = self.shared.wire.send(request, progress.left(&self.patience)).await;
        let outage = matches!(&done, Err(failure) if failure.is_outage());
        match leave.settle(!outage, Instant::now()) {
            Turn::Unchanged => {}
            Turn::Opened => self.shared.watch.breaker_turned(true),
            Turn::Closed => self.shared.watch.breaker_turned(false),
        }
        let refusal = match &done {
            Err(Failure::Answered(refusal)) => Some(refusal),
            Err(Failure::Silent { .. }) | Ok(_) => None,
        };
        let request_id = match &done {
            Ok(Ok(fetched)) => fetched.request_id.as_deref(),
            Ok(Err(error)) => error.request_id(),
            Err(_) => refusal.and_then(|refusal| refusal.request_id.as_deref()),
        };
        self.shared.watch.tried(&Tried {
            operation: request.operation.name(),
            number: progress.tries,
            result: label(&done),
            code: refusal.and_then(|refusal| refusal.code.as_deref()),
            request_id,
            took: began.elapsed(),
        });
        done
    }
}

fn label(done: &Result<Result<Fetched, StripeError>, Failure>) -> TryResult {
    match done {
        Ok(Ok(Fetched { replayed: true, .. })) => TryResult::Replayed,
        Ok(_) => TryResult::Ok,
        Err(Failure::Silent { how: Unreachable::Timeout, .. }) => TryResult::Timeout,
        Err(Failure::Silent { .. }) => TryResult::Unreachable,
        Err(Failure::Answered(Refusal { status, .. })) => match status {
            402 => TryResult::Declined,
            409 => TryResult::Conflict,
            429 => TryResult::Throttled,
            500.. => TryResult::ServerError,
            _ => TryResult::Refused,
        },
    }
}

/// The id of a reply's object.
fn identified<T, E>(
    fetched: &Fetched,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, StripeError> {
    #[derive(serde::Deserialize)]
    struct Identified {
        id: String,
    }
    let Identified { id } = fetched.json()?;
    parse(&id).map_err(|_| StripeError::Garbled {
        what: "the object has no usable id",
        request_id: fetched.request_id.clone(),
    })
}

/// The last failure as the call's error. A final refusal settles earlier doubts: had an earlier
/// try been carried out, Stripe would have given its answer again.
fn give_up(failure: Failure, doubt: bool) -> StripeError {
    match failure {
        Failure::Answered(refusal) => {
            let refusal = Box::new(refusal);
            match refusal.status {
                409 | 429 => StripeError::Busy { refusal, may_have_happened: doubt },
                500.. => StripeError::Failed { refusal },
                _ => StripeError::Refused { refusal },
            }
        }
        Failure::Silent { how, detail } => {
            StripeError::Unreachable { how, detail, may_have_happened: doubt }
        }
    }
}

#[cfg(test)]
mod tests;
