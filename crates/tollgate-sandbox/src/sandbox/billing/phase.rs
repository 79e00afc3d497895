//! Schedules at work. Owns: which phase begins when and what it does to the subscription. Must not
//! know: parameters of the API.

use super::super::Sandbox;
use super::begin::{NewItem, NewSubscription};
use super::change::Manner;
use super::end::end_of_period;
use super::{PaymentBehavior, Proration};
use crate::object::Object;
use crate::object::schedule::{Phase, PhaseItem, Schedule};
use crate::object::subscription::{Item, Subscription};

impl Schedule {
    /// When it has something to do next: to begin, to enter a phase, or to be done.
    pub(crate) fn next_step(&self) -> Option<i64> {
        if !self.is_live() {
            return None;
        }
        let next = self.current.map_or(0, |index| index.saturating_add(1));
        let end = self.phases.last().map(|phase| phase.end);
        self.phases.get(next).map(|phase| phase.start).or(end)
    }

    /// The phase that is to be entered by an instant.
    fn phase_due(&self, now: i64) -> Option<(usize, &Phase)> {
        let next = self.current.map_or(0, |index| index.saturating_add(1));
        let phase = self.phases.get(next).filter(|phase| phase.start <= now && self.is_live())?;
        Some((next, phase))
    }
}

impl Sandbox {
    /// A schedule begins, enters its next phase, or is done.
    pub(crate) fn step_schedule(&mut self, id: &str) {
        let Some(schedule) = self.copy::<Schedule>(id) else { return };
        let now = self.world.now;
        let phase = schedule.phase_due(now).map(|(index, phase)| (index, phase.clone()));
        match (phase, schedule.subscription.clone()) {
            (Some((index, phase)), None) => self.begin_scheduled(schedule, index, phase),
            (Some(_), Some(subscription)) => self.enter_now(&subscription),
            (None, subscription) => self.finish_schedule(&schedule, subscription),
        }
    }

    fn finish_schedule(&mut self, schedule: &Schedule, subscription: Option<String>) {
        let cancels = schedule.end_behavior == "cancel";
        self.close_schedule(&schedule.id, if cancels { "completed" } else { "released" });
        let Some(before) = subscription.and_then(|id| self.copy::<Subscription>(&id)) else {
            return;
        };
        let mut after = before.clone();
        after.terms.schedule = None;
        let after = self.write(&before, after);
        if cancels {
            self.end_subscription(&after.id, "cancellation_requested");
        }
    }

    /// The subscription of a schedule that begins comes to be.
    fn begin_scheduled(&mut self, mut schedule: Schedule, index: usize, phase: Phase) {
        let item = |item: PhaseItem| NewItem {
            price: item.price,
            quantity: item.quantity,
            metadata: item.metadata,
        };
        let items = phase.items.into_iter().map(item).collect();
        let mut new = NewSubscription::to(&schedule.customer, items);
        new.metadata = phase.metadata;
        new.trial_end = phase.trial_end.filter(|end| *end > self.world.now);
        new.terms.schedule = Some(schedule.id.clone());
        new.behavior = PaymentBehavior::Allow;
        // Nothing is refused where incomplete is allowed but a customer that is gone.
        let subscription = self.begin_subscription(new).ok().map(|subscription| subscription.id);
        schedule.status = if subscription.is_some() { "active" } else { "canceled" };
        schedule.canceled_at = subscription.is_none().then_some(self.world.now);
        schedule.subscription = subscription;
        schedule.current = Some(index);
        self.tell_schedule(schedule);
    }

    /// A phase begins in the middle of a period, or at its end together with the next period.
    fn enter_now(&mut self, id: &str) {
        let Some(before) = self.copy::<Subscription>(id) else { return };
        let renews = matches!(before.status, "active" | "past_due" | "unpaid" | "trialing");
        if renews && end_of_period(&before).is_some_and(|end| end <= self.world.now) {
            return self.renew(id);
        }
        let mut after = before.clone();
        let proration = self.enter_phase(&mut after);
        let manner = Manner { proration, ..Manner::default() };
        // Refused is only what asks to be; a phase that is not paid leaves its invoice open.
        drop(self.change_subscription(&before, after, manner));
    }

    /// Writes the items of the phase that is due into a subscription, and the phase into its
    /// schedule. Returns how the phase bills the change.
    pub(super) fn enter_phase(&mut self, subscription: &mut Subscription) -> Proration {
        let schedule = subscription.terms.schedule.clone();
        let Some(mut schedule) = schedule.and_then(|id| self.copy::<Schedule>(&id)) else {
            return Proration::None;
        };
        let now = self.world.now;
        let due = schedule.phase_due(now).map(|(index, phase)| (index, phase.clone()));
        let Some((index, phase)) = due else { return Proration::None };
        let old = std::mem::take(&mut subscription.items);
        subscription.items = self.items_of(&phase, &old);
        subscription.metadata.extend(phase.metadata);
        schedule.current = Some(index);
        self.tell_schedule(schedule);
        Proration::of(phase.proration_behavior)
    }

    pub(crate) fn items_of(&mut self, phase: &Phase, old: &[Item]) -> Vec<Item> {
        let mut free: Vec<&Item> = old.iter().collect();
        let mut items = Vec::with_capacity(phase.items.len());
        for wanted in &phase.items {
            let same = free.iter().position(|item| item.price.id == wanted.price.id);
            // Alike first, then by place: an item that stays keeps its id.
            let kept = same.or_else(|| (!free.is_empty()).then_some(0)).map(|at| free.remove(at));
            let id = kept.map_or_else(|| self.world.new_short_id("si_"), |item| item.id.clone());
            let now = self.world.now;
            let period =
                old.first().map_or((now, now), |item| (item.period_start, item.period_end));
            items.push(Item {
                id,
                price: wanted.price.clone(),
                quantity: wanted.quantity,
                created: kept.map_or(now, |item| item.created),
                period_start: kept.map_or(period.0, |item| item.period_start),
                period_end: kept.map_or(period.1, |item| item.period_end),
                metadata: wanted.metadata.clone(),
            });
        }
        items
    }

    /// Writes a schedule and tells of it.
    pub(crate) fn tell_schedule(&mut self, schedule: Schedule) {
        let before = self.copy::<Schedule>(&schedule.id);
        let now = Object::Schedule(schedule);
        match before {
            Some(before) => {
                let before = Object::Schedule(before);
                self.world.emit_change("subscription_schedule.updated", before, now);
            }
            None => self.world.emit("subscription_schedule.created", now),
        }
    }
}
