//! What an operator must hear of events that reach no account: claims that cannot be, payments for
//! nothing of ours, events of the other mode. Owns: opening and closing these findings. Must not
//! know: how a verdict came about.

use std::collections::HashMap;

use tollgate_domain::ids::ObjectId;
use tollgate_domain::payment::InvoiceStatus;
use tollgate_domain::subscription::SubscriptionStatus;
use tollgate_domain::{Catalog, Finding, FindingCode, Observation, Seen, Timestamp};
use tollgate_store::inbox::{self, EventKey, EventStatus, KnownEvent, Told};
use tollgate_store::{StoreError, Tx, findings};

use super::delivery::{Content, Delivery};
use super::read::ignored;
use super::work::Verdict;

/// What stands for the price where an event shows none.
const NO_PRICE: &str = "unknown price";

/// Opens and closes the findings of a batch, in its transaction.
pub(super) async fn save(
    tx: &mut Tx,
    batch: &[&Delivery],
    verdicts: &[Verdict],
    known: &HashMap<EventKey, KnownEvent>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut open = Vec::new();
    let mut closed = Vec::new();
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        let before = known.get(&delivery.key).map(|event| event.status);
        match (&delivery.content, verdict) {
            (Content::Effect(_) | Content::Thin(_), Verdict::Ignored(reason))
                if *reason == ignored::OTHER_MODE =>
            {
                open.push(other_mode(delivery, now));
            }
            (Content::Ignored(reason), _) if *reason == ignored::OTHER_MODE => {
                open.push(other_mode(delivery, now));
            }
            (Content::Effect(seen), Verdict::Waiting(_)) => {
                open.extend(claim_invalid(seen).or_else(|| owner_unknown(seen)));
                closed.extend(foreign_paid(seen).map(|one| (one.code, one.subject)));
                let over = is_over(seen);
                closed.extend(over.iter().map(|id| (FindingCode::OwnerUnknown, id.clone())));
                closed.extend(over.map(|id| (FindingCode::ClaimInvalid, id)));
            }
            (Content::Effect(seen), Verdict::Foreign(_)) => {
                open.extend(foreign_paid(seen));
                // It waited as long as nothing said what it sells.
                let waited = before.and_then(|_| owner_unknown(seen));
                closed.extend(waited.map(|one| (one.code, one.subject)));
            }
            // One that had been set aside or waited, and has an owner now.
            (Content::Effect(seen), Verdict::Decided(..))
                if matches!(before, Some(EventStatus::Received | EventStatus::Waiting)) =>
            {
                let settled = claim_invalid(seen).into_iter().chain(foreign_paid(seen));
                let settled = settled.chain(owner_unknown(seen));
                closed.extend(settled.map(|one| (one.code, one.subject)));
            }
            _ => {}
        }
    }
    findings::open_unowned(tx, &open).await?;
    let paid = closed.iter().filter(|(code, _)| *code == FindingCode::ForeignPaid);
    let keys: Vec<ObjectId> = paid.filter_map(|(_, subject)| paid_key(subject)).collect();
    let others = inbox::set_aside(tx, &keys).await?;
    for (code, subject) in closed {
        let stands = code == FindingCode::ForeignPaid
            && paid_key(&subject).is_some_and(|key| others.contains(key.as_str()));
        if !stands {
            findings::close_unowned(tx, code, &subject, now).await?;
        }
    }
    Ok(())
}

/// What a payment that is set aside waits for besides its objects and prices, so that the others of
/// the same finding are found when one of them gets an owner.
pub(super) fn waits_as_paid(seen: &Observation) -> Option<ObjectId> {
    paid_key(&foreign_paid(seen)?.subject)
}

fn paid_key(subject: &str) -> Option<ObjectId> {
    ObjectId::parse(&format!("foreign_paid:{}", subject.replace(' ', "_"))).ok()
}

/// Whether an event without an owner sells something of the catalog; `sold`: whether subscriptions
/// do, where their own events have said so.
pub(super) fn sells(seen: &Observation, sold: &HashMap<String, bool>, catalog: &Catalog) -> bool {
    if seen.sells(catalog) {
        return true;
    }
    let Some(id) = seen.sold_by_subscription() else { return false };
    sold.get(id.as_str()).copied().unwrap_or_else(|| seen.costs_as_a_plan(catalog))
}

/// The subscriptions of a batch's checkouts and invoices that do not say themselves what they sell.
pub(super) fn untold(batch: &[&Delivery]) -> Vec<ObjectId> {
    let seen = batch.iter().copied().filter_map(effect);
    let ids = seen.filter_map(|seen| ObjectId::parse(seen.sold_by_subscription()?.as_str()).ok());
    ids.collect()
}

/// The subscriptions of which events without an owner tell for the first time what they sell, and
/// whether that is something of the catalog.
pub(super) fn told_of(
    batch: &[&Delivery],
    verdicts: &[Verdict],
    known: &HashMap<EventKey, KnownEvent>,
) -> Vec<Told> {
    let without = batch.iter().zip(verdicts).filter(|(delivery, verdict)| {
        matches!(verdict, Verdict::Waiting(_) | Verdict::Foreign(_))
            && !known.contains_key(&delivery.key)
    });
    let told = without.filter_map(|(delivery, verdict)| {
        let seen = effect(delivery)?;
        let (id, tells) = match &seen.seen {
            Seen::Subscription(told) => (&told.id, true),
            Seen::Invoice(told) => {
                (told.subscription.as_ref()?, seen.sold_by_subscription().is_none())
            }
            Seen::Customer(_)
            | Seen::Session(_)
            | Seen::Schedule(_)
            | Seen::InvoicePayment(_)
            | Seen::Adjustment(_)
            | Seen::CatalogObject(_)
            | Seen::EntitlementSummary(_) => return None,
        };
        let subscription = ObjectId::parse(id.as_str()).ok()?;
        Some(Told { subscription, ours: tells && matches!(verdict, Verdict::Waiting(_)) })
    });
    told.collect()
}

fn effect(delivery: &Delivery) -> Option<&Observation> {
    match &delivery.content {
        Content::Effect(seen) => Some(seen),
        Content::Thin(_) | Content::Ignored(_) | Content::NoEvent(_) | Content::Garbled(_) => None,
    }
}

/// One for all events of the other mode.
fn other_mode(delivery: &Delivery, now: Timestamp) -> Finding {
    let mode = if delivery.key.livemode { "live" } else { "test" };
    let detail = format!("{mode} events arrive, such as {}", delivery.key.event);
    Finding::new(FindingCode::OtherMode, mode, now, detail)
}

fn claim_invalid(seen: &Observation) -> Option<Finding> {
    let name = seen.invalid_claim?;
    let subject = seen.references.first().map_or("", ObjectId::as_str);
    let detail = format!("{name} names what cannot be an account id");
    Some(Finding::new(FindingCode::ClaimInvalid, subject, seen.at, detail))
}

/// One for each payment or running subscription. It is closed when its events find their account, which is
/// mostly in the same second: events come in no order.
fn owner_unknown(seen: &Observation) -> Option<Finding> {
    let subscription = match &seen.seen {
        Seen::Invoice(invoice) => invoice.subscription.as_ref(),
        Seen::Session(session) => session.subscription.as_ref(),
        Seen::Subscription(subscription) => Some(&subscription.id),
        Seen::Customer(_)
        | Seen::Schedule(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => None,
    };
    let object = seen.references.first().map(ToString::to_string);
    let subject = subscription.map(ToString::to_string).or(object)?;
    let (matters, detail) = match &seen.seen {
        Seen::Subscription(subscription) => {
            let runs = matches!(
                subscription.state.status,
                SubscriptionStatus::Active
                    | SubscriptionStatus::Trialing
                    | SubscriptionStatus::PastDue
            );
            (runs, "runs, and nothing says for which account")
        }
        Seen::Invoice(_)
        | Seen::Session(_)
        | Seen::Customer(_)
        | Seen::Schedule(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => {
            (is_paid(seen), "paid, and nothing says for which account")
        }
    };
    matters.then(|| Finding::new(FindingCode::OwnerUnknown, subject, seen.at, detail))
}

/// A subscription that is over needs no owner any more.
fn is_over(seen: &Observation) -> Option<String> {
    let Seen::Subscription(subscription) = &seen.seen else { return None };
    subscription.state.status.is_terminal().then(|| subscription.id.to_string())
}

/// Whether it tells of money that came.
fn is_paid(seen: &Observation) -> bool {
    match &seen.seen {
        Seen::Invoice(invoice) => {
            invoice.state.status == InvoiceStatus::Paid && invoice.state.amount_paid_minor > 0
        }
        Seen::Session(session) => {
            session.paid && session.total.is_some_and(|total| total.amount_minor > 0)
        }
        Seen::Customer(_)
        | Seen::Subscription(_)
        | Seen::Schedule(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => false,
    }
}

/// One for all payments of the same price. A checkout that shows no prices proves nothing: its
/// invoice tells what was paid for.
fn foreign_paid(seen: &Observation) -> Option<Finding> {
    if matches!(seen.seen, Seen::Session(_)) && seen.sold_by_subscription().is_some() {
        return None;
    }
    let keys = seen.price_keys();
    let subject = keys.first().map_or(NO_PRICE, ObjectId::as_str);
    let object = seen.references.first().map(ToString::to_string);
    let detail = "paid, sells nothing of the catalog and names no account";
    is_paid(seen).then(|| Finding {
        objects: object.into_iter().collect(),
        ..Finding::new(FindingCode::ForeignPaid, subject, seen.at, detail)
    })
}
