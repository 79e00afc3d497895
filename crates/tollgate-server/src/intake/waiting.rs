//! Events that wait. Owns: when waiting for an owner or for a reading ends, and as what. Must not
//! know: what wakes them before, what they tell.

use tollgate_domain::Timestamp;
use tollgate_store::inbox::{EventStatus, KnownEvent, Outcome};

use super::Intake;
use super::delivery::Delivery;
use super::read::ignored;
use super::work::Waiting;

/// What an event had before it is looked at again.
pub(super) type Before<'k> = Option<&'k KnownEvent>;

impl Intake {
    /// An event without an owner waits until one is known. Where nobody was named in its days, it is
    /// of somebody else in the same Stripe account, which is no failure: it is set aside, and what it
    /// waited for still wakes it. What it tells of money stays told by findings of its own.
    pub(super) fn await_owner(
        &self,
        outcome: &mut Outcome,
        (delivery, waiting): (&Delivery, &Waiting),
        before: Before<'_>,
        now: Timestamp,
    ) {
        if self.wait(outcome, delivery, before, now) {
            outcome.status = EventStatus::Ignored;
            outcome.reason = Some(ignored::OWNER_UNKNOWN_EXPIRED.to_owned());
            outcome.processed_at = Some(now);
            outcome.next_attempt_at = None;
            return;
        }
        outcome.reason = Some(match waiting.invalid_claim {
            Some(name) => format!("claim_invalid: {name} cannot be an account id"),
            None => "no account is linked to its objects yet".to_owned(),
        });
    }

    /// A thin event waits until its object was read. Who asks Stripe wakes it; time alone ends it,
    /// and only where Stripe can be asked.
    pub(super) fn await_reading(
        &self,
        outcome: &mut Outcome,
        delivery: &Delivery,
        before: Before<'_>,
        now: Timestamp,
    ) {
        if self.wait(outcome, delivery, before, now) && self.asks {
            outcome.status = EventStatus::Dead;
            outcome.next_attempt_at = None;
            outcome.reason = Some("Stripe did not show its object in time".to_owned());
            return;
        }
        let why = if self.asks {
            "its object was not read yet"
        } else {
            "its object cannot be read: stripe.secret_key is not set"
        };
        outcome.reason = Some(why.to_owned());
    }

    /// Lets an event wait until its days end; returns whether it waited for all of them. Waiting is
    /// no attempt. One that was set aside, given up or replayed after its days waits as many again, or
    /// until something it waits for comes about and still tells of no owner.
    fn wait(
        &self,
        outcome: &mut Outcome,
        delivery: &Delivery,
        before: Before<'_>,
        now: Timestamp,
    ) -> bool {
        let days = i64::from(self.workers.waiting_days_max);
        let end = delivery.received_at.plus_days(days);
        let waited = before.is_some_and(|known| known.status == EventStatus::Waiting);
        outcome.processed_at = None;
        outcome.attempts = before.map_or(0, |known| known.attempts);
        outcome.status = EventStatus::Waiting;
        outcome.next_attempt_at = Some(if end > now { end } else { now.plus_days(days) });
        waited && end <= now
    }
}
