//! Calls that make or change something at Stripe. Owns: writing down before sending, the key, and
//! going on after a crash or a silence. Must not know: what is made.

use tollgate_domain::Timestamp;
use tollgate_domain::buying::NextCall;
use tollgate_domain::ids::AccountId;
use tollgate_store::stripe_requests::{self, StripeRequest};
use tollgate_stripe::StripeError;
use tollgate_stripe::client::{Form, IdempotencyKey, Refusal};

use super::BillingError;
use crate::app::App;

/// How often the rows of a call may change under it before it is given up.
const ROUNDS_MAX: u32 = 8;
/// How far Stripe's clock may be from ours when something is looked for by its time.
const CLOCK_SLACK_MS: i64 = 3_600_000;
/// What a change is settled with that was made.
const DONE: &str = "done";
/// What a change is settled with that Stripe refused.
const REFUSED: &str = "refused";

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// For whom.
    pub account: &'a AccountId,
    /// Its row.
    pub row: &'a str,
}

/// What came of making something once.
#[derive(Debug)]
pub enum Made<T> {
    /// It was made, or shown again, just now.
    Now(T),
    /// It had been made before; this is its id.
    Before(String),
}

/// Something that is made once.
pub trait Making {
    /// What Stripe shows of it.
    type Shown;
    /// The parameters to make it with.
    fn form(&self) -> Form;
    /// Makes it; returns its id too.
    fn make(
        &self,
        form: &Form,
        key: &IdempotencyKey,
    ) -> impl Future<Output = Result<(String, Self::Shown), StripeError>> + Send;
    /// Looks for it, made between two instants or a little around them.
    fn look(
        &self,
        between: (Timestamp, Timestamp),
    ) -> impl Future<Output = Result<Option<String>, StripeError>> + Send;
}

fn key_of(request: &StripeRequest) -> Result<IdempotencyKey, BillingError> {
    let text = format!("tollgate-{}-{}", request.subject, request.generation);
    // Subjects are ids of ours or of Stripe's, so they fit.
    IdempotencyKey::parse(&text).map_err(|_| BillingError::Contended)
}

impl App {
    /// Makes something at Stripe once, however often and by however many this is asked for.
    pub(crate) async fn make_once<M: Making>(
        &self,
        subject: Subject<'_>,
        making: &M,
    ) -> Result<Made<M::Shown>, BillingError> {
        let db = &self.engine.db;
        let form = making.form().encoded();
        let mut must_look = false;
        for _ in 0..ROUNDS_MAX {
            let request = stripe_requests::note(db, subject.account, subject.row, &form).await?;
            if let Some(object) = request.object {
                return Ok(Made::Before(object));
            }
            let now = self.clock.now();
            if must_look || NextCall::of(request.first_sent_at, now) == NextCall::LookFirst {
                if let Some(found) = making.look(sent_between(&request, now)).await? {
                    stripe_requests::settle(db, &request, &found, now).await?;
                } else {
                    stripe_requests::renew(db, &request, &form).await?;
                    must_look = false;
                }
                continue;
            }
            if !stripe_requests::mark_sent(db, &request, now).await? {
                continue;
            }
            match making.make(&Form::from_encoded(&request.form), &key_of(&request)?).await {
                Ok((id, shown)) => {
                    stripe_requests::settle(db, &request, &id, now).await?;
                    return Ok(Made::Now(shown));
                }
                Err(error) if error.refusal().is_some_and(Refusal::is_key_reuse) => {
                    must_look = true;
                }
                Err(error) => {
                    if !error.may_have_happened() && !error.is_passing() {
                        // Nothing was made: the next one who asks starts afresh.
                        stripe_requests::renew(db, &request, &form).await?;
                    }
                    return Err(error.into());
                }
            }
        }
        Err(BillingError::Contended)
    }

    /// Writes a change down before it is sent, and gives the key to send it with. The same change
    /// whose outcome is unknown keeps its key; any other gets one of its own.
    pub(crate) async fn begin_change(
        &self,
        subject: Subject<'_>,
        form: &Form,
    ) -> Result<Change, BillingError> {
        let db = &self.engine.db;
        let text = form.encoded();
        for _ in 0..ROUNDS_MAX {
            let request = stripe_requests::note(db, subject.account, subject.row, &text).await?;
            let now = self.clock.now();
            let same = request.object.is_none() && request.form == text;
            if !same || NextCall::of(request.first_sent_at, now) == NextCall::LookFirst {
                // Changes set a state and are planned after reading it, so an older one that may
                // have been made needs no looking for.
                stripe_requests::renew(db, &request, &text).await?;
            } else if stripe_requests::mark_sent(db, &request, now).await? {
                return Ok(Change { key: key_of(&request)?, request });
            }
        }
        Err(BillingError::Contended)
    }

    /// Notes how a change ended. One that may have been made stays open, for its key to be used
    /// again.
    pub(crate) async fn end_change<T>(
        &self,
        change: &Change,
        done: &Result<T, StripeError>,
    ) -> Result<(), BillingError> {
        let outcome = match done {
            Ok(_) => DONE,
            Err(error) if !error.may_have_happened() && !error.is_passing() => REFUSED,
            Err(_) => return Ok(()),
        };
        let now = self.clock.now();
        stripe_requests::settle(&self.engine.db, &change.request, outcome, now).await?;
        Ok(())
    }

    /// Notes that an earlier change has been undone, whatever its answer was: the same asked for again
    /// is another change, and must not be answered with what the first one came to.
    pub(crate) async fn close_change(&self, subject: Subject<'_>) -> Result<(), BillingError> {
        let db = &self.engine.db;
        let request = stripe_requests::note(db, subject.account, subject.row, "").await?;
        if request.object.is_none() {
            stripe_requests::settle(db, &request, DONE, self.clock.now()).await?;
        }
        Ok(())
    }
}

/// A change that is on its way.
#[derive(Debug)]
pub(crate) struct Change {
    /// What it is sent with.
    pub(crate) key: IdempotencyKey,
    request: StripeRequest,
}

fn sent_between(request: &StripeRequest, now: Timestamp) -> (Timestamp, Timestamp) {
    let first = request.first_sent_at.unwrap_or(now);
    let last = request.last_sent_at.unwrap_or(now);
    (first.plus_ms(-CLOCK_SLACK_MS), last.plus_ms(CLOCK_SLACK_MS))
}
