//! Timers of billing. Owns: what of subscriptions, invoices and schedules becomes due when. Must not
//! know: what is done then; how time passes.

use super::super::Sandbox;
use super::super::time::Timer;
use super::PATIENCE_SECONDS;
use super::collect::Attempt;
use super::end::end_of_period;
use super::renew::TRIAL_NOTICE;
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::schedule::Schedule;
use crate::object::subscription::Subscription;

/// What becomes due, in the order in which it happens within one second: what ends comes before
/// what goes on, and a draft is finalised before it is collected.
pub(in super::super) const TIMERS: &[Timer] = &[
    Timer { next: |sandbox| sandbox.next_subscription(incomplete_until), ring: expire_incomplete },
    Timer { next: |sandbox| sandbox.next_subscription(pending_until), ring: expire_pending },
    Timer { next: |sandbox| sandbox.next_subscription(resumption_until), ring: expire_resumption },
    Timer { next: |sandbox| sandbox.next_subscription(collects_again), ring: collect_again },
    Timer {
        next: |sandbox| sandbox.next_subscription(trial_notice),
        ring: |sandbox, id| sandbox.tell_trial_end(id),
    },
    Timer {
        next: |sandbox| sandbox.next_subscription(ends),
        ring: |sandbox, id| sandbox.end_subscription(id, "cancellation_requested"),
    },
    Timer { next: next_step, ring: |sandbox, id| sandbox.step_schedule(id) },
    Timer {
        next: |sandbox| sandbox.next_subscription(renews),
        ring: |sandbox, id| sandbox.renew(id),
    },
    Timer {
        next: |sandbox| sandbox.next_invoice(finalizes),
        ring: |sandbox, id| sandbox.finalize_invoice(id),
    },
    Timer {
        next: |sandbox| sandbox.next_invoice(collects),
        // A refusal is told by events and sets the next attempt.
        ring: |sandbox, id| drop(sandbox.collect_invoice(id, None, Attempt::Planned)),
    },
];

impl Sandbox {
    /// The subscription something is due for first, and when.
    fn next_subscription(&self, due: fn(&Subscription) -> Option<i64>) -> Option<(i64, String)> {
        let all = self.world.objects.all::<Subscription>();
        let all = all.filter(|one| self.ticks(one.terms.test_clock.as_deref()));
        all.filter_map(|one| Some((due(one)?, one)))
            .filter(|(_, one)| self.knows(&one.customer))
            .min_by_key(|(at, one)| (*at, one.created, one.id.as_str()))
            .map(|(at, one)| (at, one.id.clone()))
    }

    /// Whether a customer is known. What adopted events tell of others stands still: nobody can be
    /// billed for it.
    fn knows(&self, customer: &str) -> bool {
        self.world.objects.get::<Customer>(customer).is_some()
    }

    fn next_invoice(&self, due: fn(&Invoice) -> Option<i64>) -> Option<(i64, String)> {
        let all = self.world.objects.all::<Invoice>();
        let all = all.filter(|one| self.ticks(one.terms.test_clock.as_deref()));
        all.filter_map(|one| Some((due(one)?, one)))
            .filter(|(_, one)| self.knows(&one.bill_to.customer))
            .min_by_key(|(at, one)| (*at, one.created, one.id.as_str()))
            .map(|(at, one)| (at, one.id.clone()))
    }
}

fn is_running(subscription: &Subscription) -> bool {
    matches!(subscription.status, "trialing" | "active" | "past_due" | "unpaid")
}

fn incomplete_until(subscription: &Subscription) -> Option<i64> {
    let incomplete = subscription.status == "incomplete";
    incomplete.then(|| subscription.created.saturating_add(PATIENCE_SECONDS))
}

fn expire_incomplete(sandbox: &mut Sandbox, id: &str) {
    let Some(mut subscription) = sandbox.copy::<Subscription>(id) else { return };
    if let Some(invoice) = subscription.latest_invoice.clone() {
        sandbox.void_invoice(&invoice);
    }
    if let Some(schedule) = subscription.terms.schedule.take() {
        sandbox.close_schedule(&schedule, "canceled");
    }
    let now = sandbox.world.now;
    sandbox.world.update(&mut subscription, |subscription| {
        subscription.status = "incomplete_expired";
        subscription.ended_at = Some(now);
    });
}

fn pending_until(subscription: &Subscription) -> Option<i64> {
    let pending = subscription.pending_update.as_ref().filter(|_| is_running(subscription));
    pending.map(|pending| pending.expires_at)
}

fn expire_pending(sandbox: &mut Sandbox, id: &str) {
    let Some(mut subscription) = sandbox.copy::<Subscription>(id) else { return };
    if let Some(pending) = &subscription.pending_update {
        sandbox.void_invoice(&pending.invoice.clone());
    }
    sandbox.world.update(&mut subscription, |one| one.pending_update = None);
    let object = Object::Subscription(subscription);
    sandbox.world.emit("customer.subscription.pending_update_expired", object);
}

fn resumption_until(subscription: &Subscription) -> Option<i64> {
    let begun = subscription.items.iter().map(|item| item.period_start).max();
    subscription.terms.resumes_with.as_ref()?;
    begun.map(|begun| begun.saturating_add(PATIENCE_SECONDS))
}

fn expire_resumption(sandbox: &mut Sandbox, id: &str) {
    let Some(mut subscription) = sandbox.copy::<Subscription>(id) else { return };
    if let Some(invoice) = subscription.terms.resumes_with.take() {
        sandbox.void_invoice(&invoice);
    }
    sandbox.world.keep(subscription);
}

fn collects_again(subscription: &Subscription) -> Option<i64> {
    let pause = subscription.terms.pause_collection.as_ref().filter(|_| is_running(subscription));
    pause.and_then(|pause| pause.resumes_at)
}

fn collect_again(sandbox: &mut Sandbox, id: &str) {
    let Some(mut subscription) = sandbox.copy::<Subscription>(id) else { return };
    sandbox.world.update(&mut subscription, |one| one.terms.pause_collection = None);
}

fn trial_notice(subscription: &Subscription) -> Option<i64> {
    let told = subscription.terms.trial_end_told == subscription.trial_end;
    let end = subscription.trial_end.filter(|_| subscription.status == "trialing" && !told);
    end.map(|end| end.saturating_sub(TRIAL_NOTICE))
}

fn ends(subscription: &Subscription) -> Option<i64> {
    let living = is_running(subscription) || subscription.status == "paused";
    subscription.cancel_at.filter(|_| living)
}

fn renews(subscription: &Subscription) -> Option<i64> {
    end_of_period(subscription).filter(|_| is_running(subscription))
}

fn next_step(sandbox: &Sandbox) -> Option<(i64, String)> {
    let all = sandbox.world.objects.all::<Schedule>();
    let all = all.filter(|one| sandbox.ticks(one.test_clock.as_deref()));
    let held = |id: &String| sandbox.world.objects.get::<Subscription>(id).is_some();
    all.filter_map(|one| Some((one.next_step()?, one)))
        .filter(|(_, one)| sandbox.knows(&one.customer))
        .filter(|(_, one)| one.subscription.as_ref().is_none_or(held))
        .min_by_key(|(at, one)| (*at, one.created, one.id.as_str()))
        .map(|(at, one)| (at, one.id.clone()))
}

fn finalizes(invoice: &Invoice) -> Option<i64> {
    invoice.terms.finalizes_at.filter(|_| invoice.status == "draft" && invoice.advances())
}

fn collects(invoice: &Invoice) -> Option<i64> {
    invoice.next_payment_attempt.filter(|_| invoice.status == "open" && invoice.advances())
}
