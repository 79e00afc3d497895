//! Subscriptions. Owns: what subscription events do: one more observation, perhaps a new state,
//! one billing event. Must not know: whether the state gives access.

use std::fmt;

use super::{Draft, Primary, least, least_member, yes_no};
use crate::catalog::{Catalog, PlanIndex, PriceTarget};
use crate::change::{BillingEvent, BillingEventKind, Change, FieldChange};
use crate::news::{News, Told};
use crate::observation::{EventKind, SeenSchedule, SeenSubscription};
use crate::own_claim::OwnClaim;
use crate::subscription::{
    Schedule, ScheduleVersion, Subscription, SubscriptionItem, SubscriptionState,
    SubscriptionStatus,
};
use crate::time::Timestamp;

pub(super) fn decide<'a>(draft: &mut Draft<'a>, seen: &'a SeenSubscription) -> Primary {
    let facts = draft.facts;
    let known = facts.subscriptions.get(&seen.id);
    draft.meet_customer();
    let mut after = merge(draft, known, seen);
    look_at_prices(draft, seen, &mut after.told);
    let before_state = known.and_then(Subscription::state);
    let after_state = after.state();
    let applied = after_state.is_some_and(|state| state.version.event == draft.observation.event);
    let before_state = known.zip(before_state);
    let changes =
        field_changes(draft.catalog, before_state, after_state.map(|state| (&after, state)));
    let changed = known.is_none_or(|known| {
        known.contenders != after.contenders
            || known.whole != after.whole
            || known.price_keys != after.price_keys
            || known.own_claim != after.own_claim
            || known.told != after.told
            || known.member != after.member
            || known.customer != after.customer
    });
    let details = details(seen, applied);
    let status = after_state.map_or("unknown", |state| state.status.as_str());
    let billing = BillingEvent {
        kind: billing_kind(draft.observation.kind, seen),
        summary: format!("Subscription {} is {status}", seen.id),
        subscription: Some(seen.id.clone()),
        invoice: None,
        changes,
    };
    if changed {
        draft.change(Change::SaveSubscription(after));
    }
    draft.change(Change::AppendSubscriptionState(seen.id.clone(), seen.state.clone()));
    if let Some(schedule) = &seen.schedule {
        take_schedule(draft, schedule);
    }
    Primary { subject: seen.id.to_string(), details, billing: Some(billing) }
}

pub(super) fn decide_schedule(draft: &mut Draft<'_>, seen: &SeenSchedule) -> Primary {
    draft.meet_customer();
    let applied = take_schedule(draft, seen);
    let mut details = vec![("applied", yes_no(applied)), ("over", yes_no(seen.over))];
    details.extend(seen.subscription.as_ref().map(|id| ("subscription", id.to_string())));
    Primary::new(&seen.id, details)
}

/// Takes in what is planned; returns whether that is news.
fn take_schedule(draft: &mut Draft<'_>, seen: &SeenSchedule) -> bool {
    let observation = draft.observation;
    let ranks = [(EventKind::ScheduleCreated, 0), (EventKind::SubscriptionFetched, 2)];
    let rank = ranks.iter().find(|(kind, _)| *kind == observation.kind);
    let rank = rank.map_or(1, |(_, rank)| *rank);
    let event = observation.event.clone();
    let version = ScheduleVersion { over: seen.over, at: observation.at, rank, event };
    let shown = Schedule::shown(seen, version);
    let known = draft.facts.schedules.get(&seen.id);
    let after = known.map_or_else(|| shown.clone(), |known| known.merged(&shown));
    let applied = after.version == shown.version;
    if known != Some(&after) {
        draft.change(Change::SaveSchedule(after));
    }
    applied
}

/// The subscription with one more observation, without its history (saving leaves that alone).
fn merge(draft: &Draft<'_>, known: Option<&Subscription>, seen: &SeenSubscription) -> Subscription {
    let customer = draft.observation.customer.as_ref();
    let member = draft.member();
    let nothing = Subscription::unobserved(seen.id.clone());
    let known = known.unwrap_or(&nothing);
    let shown = OwnClaim::shown(draft.observation);
    let mut merged = Subscription {
        customer: least(known.customer.as_ref(), customer).cloned(),
        member: least_member(known.member.as_ref(), member),
        contenders: known.contenders.clone(),
        whole: known.whole.clone(),
        price_keys: known.price_keys.clone(),
        own_claim: OwnClaim::newest(known.own_claim.as_ref(), Some(&shown)),
        told: known.told.clone(),
        ..nothing.clone()
    };
    merged.observe(seen.state.clone());
    merged
}

/// Tells of boosts that were in effect and ended, in this order; notices prices that sell nothing we
/// know.
fn look_at_prices<'a>(draft: &mut Draft<'a>, seen: &'a SeenSubscription, told: &mut Told) {
    let mut boosts = false;
    for item in seen.state.selling() {
        match draft.catalog.price_target(item.price_ref()) {
            Some(PriceTarget::Boost) => boosts = true,
            Some(PriceTarget::Plan(_) | PriceTarget::Badge | PriceTarget::Usage(_)) => {}
            None => draft.unknown_prices.push(item.price.as_str()),
        }
    }
    if !boosts {
        return;
    }
    let (purchased, canceled) = (News::BoostPurchased, News::BoostCanceled);
    let mut tell = |told: &mut Told, news| draft.tell(told, news, &seen.id, Some(&seen.id), None);
    match seen.state.status {
        SubscriptionStatus::Trialing | SubscriptionStatus::Active | SubscriptionStatus::PastDue => {
            // An end that came first was kept back until now.
            let ended = !told.contains(&purchased) && told.remove(&canceled);
            tell(told, purchased);
            if ended {
                tell(told, canceled);
            }
        }
        SubscriptionStatus::Canceled if told.contains(&purchased) => tell(told, canceled),
        SubscriptionStatus::Canceled => {
            told.insert(canceled);
        }
        SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unknown(_) => {}
    }
}

fn details(seen: &SeenSubscription, applied: bool) -> Vec<(&'static str, String)> {
    let mut details = Vec::with_capacity(6);
    details.push(("applied", yes_no(applied)));
    details.extend(seen.state.pending_end().map(|end| ("ends", end.to_string())));
    if seen.state.items_cut {
        details.push(("items_cut", yes_no(true)));
    }
    details.extend(seen.state.period_end().map(|end| ("period_end", end.to_string())));
    let prices: Vec<&str> = seen.state.items.iter().map(|item| item.price.as_str()).collect();
    details.push(("prices", prices.join(",")));
    details.push(("status", seen.state.status.as_str().to_owned()));
    details
}

/// Event types that have a billing event of their own; all others say that something changed.
const NAMED: [(EventKind, BillingEventKind); 5] = [
    (EventKind::SubscriptionCreated, BillingEventKind::SubscriptionCreated),
    (EventKind::SubscriptionDeleted, BillingEventKind::SubscriptionCanceled),
    (EventKind::SubscriptionPaused, BillingEventKind::SubscriptionPaused),
    (EventKind::SubscriptionResumed, BillingEventKind::SubscriptionResumed),
    (EventKind::SubscriptionTrialWillEnd, BillingEventKind::SubscriptionTrialEnding),
];

/// By the event's type; what we fetched has none and goes by what it shows. Never by what was known
/// before, or the order of arrival would name it.
fn billing_kind(kind: EventKind, seen: &SeenSubscription) -> BillingEventKind {
    if kind == EventKind::SubscriptionFetched && seen.state.status == SubscriptionStatus::Canceled {
        return BillingEventKind::SubscriptionCanceled;
    }
    let named = NAMED.iter().find(|(event, _)| *event == kind);
    named.map_or(BillingEventKind::SubscriptionUpdated, |(_, billing)| *billing)
}

/// What changed in the merged state, under the names of the envelope; nothing for a stale event.
fn field_changes(
    catalog: &Catalog,
    before: Option<(&Subscription, &SubscriptionState)>,
    after: Option<(&Subscription, &SubscriptionState)>,
) -> Vec<FieldChange> {
    if before.map(|(_, state)| &state.version) == after.map(|(_, state)| &state.version) {
        return Vec::new();
    }
    let (from, to) = (
        before.map(|(one, state)| Shown::of(catalog, one, state)),
        after.map(|(one, state)| Shown::of(catalog, one, state)),
    );
    let mut changes = Vec::new();
    let mut compare = |field, value: for<'s> fn(&'s Shown<'s>) -> Option<Value<'s>>| {
        let (from, to) = (from.as_ref().and_then(value), to.as_ref().and_then(value));
        if from != to {
            let text = |value: Value<'_>| value.to_string();
            changes.push(FieldChange { field, from: from.map(text), to: to.map(text) });
        }
    };
    compare("status", |shown| Some(Value::Text(shown.state.status.as_str())));
    compare("planCode", |shown| shown.top.map(|(_, _, code)| Value::Text(code)));
    compare("seatCount", |shown| shown.top.map(|(_, seats, _)| Value::Number(seats)));
    compare("autoRenew", |shown| Some(Value::Flag(shown.state.pending_end().is_none())));
    compare("currentPeriodStart", |shown| shown.state.period_start().map(Value::Instant));
    compare("currentPeriodEnd", |shown| shown.state.period_end().map(Value::Instant));
    compare("trialEndsAt", |shown| shown.state.trial_end.map(Value::Instant));
    compare("cancelAt", |shown| shown.state.pending_end().map(Value::Instant));
    changes
}

/// A state as the envelope shows it.
struct Shown<'a> {
    state: &'a SubscriptionState,
    top: Option<(PlanIndex, u64, &'a str)>,
}

impl<'a> Shown<'a> {
    fn of(catalog: &'a Catalog, subscription: &Subscription, state: &'a SubscriptionState) -> Self {
        Self { state, top: top(catalog, subscription.items_of(state)) }
    }
}

/// A value of the envelope, compared before it is written: most do not change.
#[derive(PartialEq)]
enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Flag(bool),
    Instant(Timestamp),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Instant(at) => at.fmt(f),
        }
    }
}

/// The highest plan among the items' prices, its seats and its code.
fn top<'c>(catalog: &'c Catalog, items: &[SubscriptionItem]) -> Option<(PlanIndex, u64, &'c str)> {
    items
        .iter()
        .filter(|item| item.quantity > 0)
        .filter_map(|item| match catalog.price_target(item.price_ref())? {
            PriceTarget::Plan(plan) => Some((plan, item.quantity, catalog.plan(plan)?.id.as_str())),
            PriceTarget::Badge | PriceTarget::Boost | PriceTarget::Usage(_) => None,
        })
        .max()
}
