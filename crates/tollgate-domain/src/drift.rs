//! Drift. Owns: what differs between what we know of an object and what Stripe shows, and the classes
//! such differences fall in. Must not know: how Stripe is asked, how a difference is repaired.

use crate::catalog::{Catalog, PriceTarget};
use crate::change::FieldChange;
use crate::decide::decide;
use crate::entitlement::forecast::planned;
use crate::entitlement::stale::overdue_since;
use crate::facts::Facts;
use crate::ids::EventId;
use crate::observation::{Observation, Seen, SeenSchedule};
use crate::owner::FoundOwner;
use crate::payment::{Invoice, Purchase, PurchaseLine, SessionMode};
use crate::sale;
use crate::subscription::order::same_content;
use crate::subscription::{Subscription, SubscriptionItem, SubscriptionState, SubscriptionStatus};
use crate::time::Timestamp;

mod doubt;
mod ending;

pub use doubt::{Doubt, doubts};
pub use ending::{ends_allowed, would_end};

/// How a difference between our facts and Stripe's came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drift {
    /// Stripe made an event that never came.
    MissedEvent,
    /// All events came, and the order chosen among those of one second was not Stripe's.
    OutOfOrder,
    /// The object changed without any event that could have told of it.
    EditedInStripe,
    /// The catalog does not map a price that is sold; the catalog is to be mended, not the facts.
    UnknownPrice,
    /// We hold an event of the object and did not do what it says.
    OurError,
}

impl Drift {
    /// All, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::MissedEvent,
        Self::OutOfOrder,
        Self::EditedInStripe,
        Self::UnknownPrice,
        Self::OurError,
    ];

    /// Name in reports, in the journal and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissedEvent => "missed_event",
            Self::OutOfOrder => "out_of_order",
            Self::EditedInStripe => "edited_in_stripe",
            Self::UnknownPrice => "unknown_price",
            Self::OurError => "our_error",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drift| drift.as_str() == text)
    }
}

/// What taking in an object that was asked for would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing: we know it so.
    Same,
    /// Nothing but to settle a doubt.
    Unsettled,
    /// Values of the object change; before is `None` where we did not know the object.
    Differs(Vec<FieldChange>),
}

/// Compares by deciding: what Stripe shows differs from what we know exactly if taking it in would
/// change what the object is. When and by what it was seen does not count, and what an object can
/// never come back from (an end) is no difference.
pub fn compare(
    observation: &Observation,
    owner: &FoundOwner,
    facts: &Facts,
    catalog: &Catalog,
) -> Comparison {
    let decision = decide(observation, owner, facts, catalog);
    let mut taken = facts.clone();
    for change in &decision.changes {
        taken.apply(change);
    }
    let before = content(facts, &observation.seen, catalog);
    let after = content(&taken, &observation.seen, catalog);
    let changes: Vec<FieldChange> = after
        .into_iter()
        .filter_map(|(field, to)| {
            let from = before.iter().find(|(known, _)| *known == field).map(|(_, value)| value);
            let changed = from != Some(&to);
            changed.then(|| FieldChange { field, from: from.cloned(), to: Some(to) })
        })
        .collect();
    match (changes.is_empty(), is_doubtful(facts, observation)) {
        (true, false) => Comparison::Same,
        (true, true) => Comparison::Unsettled,
        (false, _) => Comparison::Differs(changes),
    }
}

/// Whether an answer that changes nothing is news all the same: it settles which of several
/// observations came last, that what nobody has spoken of for long is still so, or of which lines
/// that consists of which only the sum was known.
fn is_doubtful(facts: &Facts, observation: &Observation) -> bool {
    if let Seen::Session(seen) = &observation.seen
        && seen.mode == SessionMode::Payment
        && let Some(known) = facts.purchases.get(&seen.id)
    {
        let is_new = |line: &PurchaseLine| known.lines.iter().all(|one| one.id != line.id);
        return seen.lines.iter().any(is_new);
    }
    let Seen::Subscription(seen) = &observation.seen else { return false };
    let is_stale =
        |one: &Subscription| overdue_since(one, facts).is_some_and(|since| since <= observation.at);
    let is_new = |schedule: &SeenSchedule| {
        let known = facts.schedules.get(&schedule.id);
        known.is_none_or(|known| known.tied || known.prices_unseen().next().is_some())
    };
    let planned = seen.schedule.as_ref().is_some_and(is_new);
    let known = facts.subscriptions.get(&seen.id);
    planned || known.is_some_and(|one| one.is_uncertain() || is_stale(one))
}

type Values = Vec<(&'static str, String)>;

/// What an object is by the facts: its named values. Empty for an object that is not known.
fn content(facts: &Facts, seen: &Seen, catalog: &Catalog) -> Values {
    match seen {
        Seen::Subscription(seen) => {
            let known = facts.subscriptions.get(&seen.id);
            known.and_then(|one| Some((one, one.state()?))).map_or_else(
                Values::new,
                |(one, state)| {
                    let mut values = subscription(state, catalog);
                    values.push(("planned", planned(facts, one, catalog)));
                    values
                },
            )
        }
        Seen::Invoice(seen) => facts.invoices.get(&seen.id).map_or_else(Values::new, |one| {
            vec![
                ("status", one.state.status.as_str().to_owned()),
                ("amount_due", one.state.amount_due_minor.to_string()),
                ("amount_paid", one.state.amount_paid_minor.to_string()),
                ("lines", lines(one)),
                ("subscription", text(one.subscription.as_ref())),
            ]
        }),
        Seen::Session(seen) => facts.purchases.get(&seen.id).map_or_else(Values::new, |one| {
            let mut values = vec![
                ("status", one.status.as_str().to_owned()),
                ("paid", one.paid_at.is_some().to_string()),
                ("payment_intent", text(one.payment_intent.as_ref())),
                ("subscription", text(one.subscription.as_ref())),
            ];
            // Events do not list the lines; that we now know them matters where they prove a sale.
            if one.mode == SessionMode::Payment {
                values.push(("sells", sells(one, catalog)));
            }
            values
        }),
        Seen::Adjustment(seen) => facts.adjustments.get(&seen.id).map_or_else(Values::new, |one| {
            vec![
                ("status", one.status.to_string()),
                ("amount", one.amount.amount_minor.to_string()),
            ]
        }),
        Seen::Customer(seen) => facts.customers.get(&seen.id).map_or_else(Values::new, |one| {
            // An address is nobody's business here; that it changed is.
            let email = one.email.as_deref().map_or("none", |_| "set");
            let mut values = vec![("deleted", one.deleted_at.is_some().to_string())];
            if one.at.is_some() {
                values.push(("email", email.to_owned()));
            }
            values
        }),
        Seen::Schedule(_)
        | Seen::InvoicePayment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => Values::new(),
    }
}

/// What a session sells; where nothing is known of it, the prices of its lines, so that knowing them
/// counts even before the catalog does.
fn sells(purchase: &Purchase, catalog: &Catalog) -> String {
    let sales = sale::sales(purchase, catalog);
    if !sales.is_empty() {
        return sale::listed(&sales);
    }
    let prices: Vec<&str> = purchase.lines.iter().map(|line| line.price.as_str()).collect();
    if prices.is_empty() {
        "nothing".to_owned()
    } else {
        format!("nothing ({})", prices.join(", "))
    }
}

fn subscription(state: &SubscriptionState, catalog: &Catalog) -> Values {
    let mut items: Vec<String> = state.items.iter().map(|one| item(one, catalog)).collect();
    items.sort_unstable();
    vec![
        ("status", state.status.as_str().to_owned()),
        ("items", items.join(", ")),
        ("cancel_at_period_end", state.cancel_at_period_end.to_string()),
        ("cancel_at", text(state.cancel_at.as_ref())),
        ("ended_at", text(state.ended_at.as_ref())),
        ("trial_end", text(state.trial_end.as_ref())),
        ("collection_paused", pause(state)),
        ("schedule", text(state.schedule.as_ref())),
        ("update_pending", state.pending_update.is_some().to_string()),
        ("latest_invoice", text(state.latest_invoice.as_ref())),
    ]
}

/// What an invoice bills.
fn lines(invoice: &Invoice) -> String {
    let Some(lines) = &invoice.lines else { return "none".to_owned() };
    let mut shown: Vec<String> = lines
        .all
        .iter()
        .map(|line| {
            let (start, end) = (line.start, line.end);
            format!(
                "{} x {} for {} ({start} to {end})",
                line.quantity, line.price, line.amount_minor
            )
        })
        .collect();
    if lines.cut {
        shown.push("more".to_owned());
    }
    shown.join(", ")
}

fn pause(state: &SubscriptionState) -> String {
    let Some(pause) = &state.collection_pause else { return "false".to_owned() };
    let behavior = pause.behavior.as_deref().unwrap_or("true");
    match pause.resumes_at {
        Some(at) => format!("{behavior} until {at}"),
        None => behavior.to_owned(),
    }
}

/// One item, with what its price buys: a lookup key that moved matters where it changes that.
fn item(item: &SubscriptionItem, catalog: &Catalog) -> String {
    let buys = match catalog.price_target(item.price_ref()) {
        Some(PriceTarget::Plan(plan)) => {
            catalog.plan(plan).map_or_else(|| "unknown".to_owned(), |plan| plan.id.to_string())
        }
        Some(PriceTarget::Badge) => "badge".to_owned(),
        Some(PriceTarget::Boost) => "boost".to_owned(),
        Some(PriceTarget::Usage(feature)) => {
            catalog.feature_key(feature).map_or_else(|| "unknown".to_owned(), ToString::to_string)
        }
        None => "unknown".to_owned(),
    };
    let period = [text(item.period_start.as_ref()), text(item.period_end.as_ref())];
    format!("{} x {} ({buys}, {})", item.quantity, item.price, period.join(" to "))
}

fn text(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

/// Whether a live subscription sells something the catalog does not map.
pub fn sells_unknown(seen: &Seen, catalog: &Catalog) -> bool {
    let Seen::Subscription(seen) = seen else { return false };
    let live = matches!(
        seen.state.status,
        SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue
    );
    let unmapped = |item: &SubscriptionItem| catalog.price_target(item.price_ref()).is_none();
    live && seen.state.selling().any(unmapped)
}

/// What is known of the events about an object that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// An event of it is in the inbox and was not carried out.
    pub stuck: bool,
    /// Since when no event can have been missed, gaps being filled; `None`: never.
    pub whole_since: Option<Timestamp>,
}

/// The class of a difference that was found.
pub fn classify(observation: &Observation, facts: &Facts, evidence: Evidence) -> Drift {
    if evidence.stuck {
        return Drift::OurError;
    }
    let Some(known_at) = newest(facts, &observation.seen) else { return Drift::MissedEvent };
    if let Seen::Subscription(seen) = &observation.seen
        && let Some(known) = facts.subscriptions.get(&seen.id)
        && known.contenders.iter().any(|state| same_content(state, &seen.state))
    {
        return Drift::OutOfOrder;
    }
    if evidence.whole_since.is_some_and(|since| since <= known_at) {
        Drift::EditedInStripe
    } else {
        Drift::MissedEvent
    }
}

/// Whether anything was observed of an object before.
pub fn is_known(observation: &Observation, facts: &Facts) -> bool {
    newest(facts, &observation.seen).is_some()
}

/// Stripe's time of the newest observation of an object; `None` where there is none.
fn newest(facts: &Facts, seen: &Seen) -> Option<Timestamp> {
    match seen {
        Seen::Subscription(seen) => Some(facts.subscriptions.get(&seen.id)?.state()?.version.at),
        Seen::Invoice(seen) => Some(facts.invoices.get(&seen.id)?.state.at),
        Seen::Session(seen) => {
            let purchase = facts.purchases.get(&seen.id)?;
            // Before it is paid, a session has only its status.
            purchase.paid_at.or(purchase.failed_at).or(Some(Timestamp::MIN))
        }
        Seen::Adjustment(seen) => Some(facts.adjustments.get(&seen.id)?.at),
        Seen::Customer(seen) => facts.customers.get(&seen.id)?.at,
        Seen::Schedule(_)
        | Seen::InvoicePayment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => None,
    }
}

/// The observations of a subscription that compete to be its state, and the latest of their times:
/// what a request sent now covers. Nothing for other objects.
pub fn covered(facts: &Facts, object: &str) -> (Vec<EventId>, Option<Timestamp>) {
    let Some(known) = facts.subscriptions.iter().find(|(id, _)| id.as_str() == object) else {
        return (Vec::new(), None);
    };
    let contenders = &known.1.contenders;
    let ids = contenders.iter().map(|state| state.version.event.clone()).collect();
    (ids, contenders.iter().map(|state| state.version.at).max())
}

#[cfg(test)]
mod tests;
