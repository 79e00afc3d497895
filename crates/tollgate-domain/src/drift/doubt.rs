//! Doubts. Owns: which objects an event leaves so unclear that Stripe is to be asked for them. Must not
//! know: when and by whom they are asked for.

use crate::change::{Change, Decision};
use crate::facts::Facts;
use crate::ids::ObjectId;
use crate::observation::{EventKind, Observation, Seen, SeenInvoice, SeenSchedule};
use crate::payment::{InvoiceStatus, SessionMode};
use crate::subscription::{LifecycleRank, Subscription};

/// Why an object is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// A checkout completed; what it sold is asked for before anything else.
    Checkout,
    /// The event showed a part of the items.
    ItemsCut,
    /// The event showed a part of an invoice's lines.
    LinesCut,
    /// Nothing was heard of an active subscription long after its paid period.
    Stale,
    /// The event names a schedule that is not known.
    Planned,
    /// The first event of the object was not its creation.
    FirstSight,
    /// Events of one second do not say which came last.
    Tie,
    /// An event from just before a reply came after it, and the reply may not have known of it.
    Crossed,
}

impl Doubt {
    /// Name in storage and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::ItemsCut => "items_cut",
            Self::LinesCut => "lines_cut",
            Self::Stale => "stale",
            Self::Planned => "planned",
            Self::FirstSight => "first_sight",
            Self::Tie => "tie",
            Self::Crossed => "crossed",
        }
    }

    /// Whether it is worth waiting a moment: the second of a tie should be over, and more events
    /// of an object that was just seen for the first time are probably under way.
    pub const fn can_wait(self) -> bool {
        matches!(self, Self::FirstSight | Self::Tie | Self::Crossed | Self::Planned)
    }
}

/// A reply's clock and that of events may be apart by so much without anybody noticing.
const CROSSING_MS: i64 = 2_000;

/// The doubts an event leaves. `facts` are those after `decision`, as far as the event touches
/// them.
pub fn doubts(
    observation: &Observation,
    decision: &Decision,
    facts: &Facts,
) -> Vec<(ObjectId, Doubt)> {
    match &observation.seen {
        Seen::Subscription(seen) => {
            let Some(known) = facts.subscriptions.get(&seen.id) else { return Vec::new() };
            let doubt = about_subscription(observation, decision, known, seen.state.items_cut)
                .or_else(|| about_schedule(observation, known, facts));
            let object = ObjectId::parse(seen.id.as_str()).ok();
            object.zip(doubt).into_iter().collect()
        }
        Seen::Session(seen) if observation.fetched.is_none() => {
            let mut objects = Vec::new();
            let complete = matches!(
                observation.kind,
                EventKind::CheckoutCompleted | EventKind::CheckoutAsyncSucceeded
            );
            let unknown = seen.lines.is_empty() || seen.lines_cut;
            if complete && seen.mode == SessionMode::Payment && unknown {
                objects.push(seen.id.as_str());
            }
            if let Some(id) = seen.subscription.as_ref().filter(|_| complete)
                && !facts.subscriptions.contains_key(id)
            {
                objects.push(id.as_str());
            }
            let ids = objects.into_iter().filter_map(|id| ObjectId::parse(id).ok());
            ids.map(|id| (id, Doubt::Checkout)).collect()
        }
        Seen::Invoice(seen) if observation.fetched.is_none() => about_invoice(seen, facts),
        Seen::Schedule(seen) => about_plan(seen, facts).into_iter().collect(),
        Seen::Session(_)
        | Seen::Customer(_)
        | Seen::Invoice(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => Vec::new(),
    }
}

fn about_subscription(
    observation: &Observation,
    decision: &Decision,
    known: &Subscription,
    items_cut: bool,
) -> Option<Doubt> {
    let state = known.state()?;
    if state.status.is_terminal() {
        return None;
    }
    let event = &observation.event;
    let saved = |change: &Change| matches!(change, Change::SaveSubscription(_));
    let first = known.contenders.len() == 1 && was_unknown(decision);
    if items_cut && state.version.event == *event {
        Some(Doubt::ItemsCut)
    } else if known.is_uncertain() && decision.changes.iter().any(saved) {
        Some(Doubt::Tie)
    } else if observation.fetched.is_some() {
        None
    } else if first && observation.kind != EventKind::SubscriptionCreated {
        Some(Doubt::FirstSight)
    } else {
        let crossed = state.version.rank == LifecycleRank::Fetched
            && !state.covers.contains(event)
            && observation.at < state.version.at
            && observation.at.plus_ms(CROSSING_MS) >= state.version.at;
        crossed.then_some(Doubt::Crossed)
    }
}

/// A schedule whose phases nobody has told of; the subscription shows it when it is asked for.
fn about_schedule(observation: &Observation, known: &Subscription, facts: &Facts) -> Option<Doubt> {
    let named = known.state()?.schedule.as_ref()?;
    match facts.schedules.get(named) {
        Some(known) if known.tied && !known.version.over => Some(Doubt::Tie),
        Some(_) => None,
        None => observation.fetched.is_none().then_some(Doubt::Planned),
    }
}

/// A schedule whose events do not say what came last, or of whose prices they show the ids alone; the
/// subscription shows it whole.
fn about_plan(seen: &SeenSchedule, facts: &Facts) -> Option<(ObjectId, Doubt)> {
    let known = facts.schedules.get(&seen.id).filter(|known| !known.version.over)?;
    let doubt = if known.tied {
        Doubt::Tie
    } else {
        known.prices_unseen().next().map(|_| Doubt::Planned)?
    };
    Some((ObjectId::parse(known.subscription.as_ref()?.as_str()).ok()?, doubt))
}

/// A paid invoice proves what it bills, so all of its lines are wanted; and where nothing is known
/// of the subscription, that is wanted more.
fn about_invoice(seen: &SeenInvoice, facts: &Facts) -> Vec<(ObjectId, Doubt)> {
    let Some(subscription) = &seen.subscription else { return Vec::new() };
    let known = facts.invoices.get(&seen.id).and_then(|invoice| invoice.lines.as_ref());
    let is_cut = seen.state.status != InvoiceStatus::Draft && known.is_none_or(|lines| lines.cut);
    let unknown =
        seen.state.status == InvoiceStatus::Paid && !facts.subscriptions.contains_key(subscription);
    let cut = is_cut.then_some((seen.id.as_str(), Doubt::LinesCut));
    let first = unknown.then_some((subscription.as_str(), Doubt::FirstSight));
    let both = cut.into_iter().chain(first);
    both.filter_map(|(id, doubt)| Some((ObjectId::parse(id).ok()?, doubt))).collect()
}

/// A state that follows none changes the status from nothing.
fn was_unknown(decision: &Decision) -> bool {
    let mut changed = decision.billing().flat_map(|told| &told.changes);
    changed.any(|change| change.field == "status" && change.from.is_none())
}
