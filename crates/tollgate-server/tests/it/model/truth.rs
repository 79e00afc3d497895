//! The engine's facts beside Stripe's truth, which the sandbox tells in plain words and not by way
//! of its API.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::Facts;
use tollgate_domain::ids::{AdjustmentId, InvoiceId, SessionId, SubscriptionId};
use tollgate_domain::payment::SessionStatus;
use tollgate_sandbox::sandbox::{
    AdjustmentTruth, CustomerTruth, InvoiceTruth, SessionTruth, SubscriptionTruth,
};

use super::life::World;

/// What accounts have at Stripe. One customer may pay for several: what names its own account is
/// that one's, with all that hangs on it, and the rest is the customer's.
pub(super) fn by_account(world: &World) -> BTreeMap<String, CustomerTruth> {
    let truth = world.stripe.with(|stripe| stripe.truth());
    assert!(!truth.is_empty(), "nobody lived");
    let empty = |name: &str| {
        let id = name.to_owned();
        (id.clone(), CustomerTruth { id, ..CustomerTruth::default() })
    };
    let mut all: BTreeMap<String, CustomerTruth> =
        world.accounts.iter().map(|one| empty(&one.name)).collect();
    let mut take = |owner: &str, give: &dyn Fn(&mut CustomerTruth)| {
        give(all.get_mut(owner).expect("an account"));
    };
    for customer in truth {
        let payer = &customer.metadata["account_id"];
        let named = |metadata: &BTreeMap<String, String>| metadata.get("account_id").cloned();
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for one in &customer.subscriptions {
            owners.extend(named(&one.metadata).map(|owner| (one.id.clone(), owner)));
        }
        for one in &customer.sessions {
            let intent = one.payment_intent.iter().cloned();
            owners.extend(intent.zip(named(&one.metadata)));
        }
        let owner = |of: Option<&String>| of.and_then(|of| owners.get(of)).unwrap_or(payer).clone();
        for one in &customer.sessions {
            let owner = named(&one.metadata).unwrap_or_else(|| owner(one.subscription.as_ref()));
            take(&owner, &|its| its.sessions.push(one.clone()));
        }
        for one in &customer.subscriptions {
            take(&owner(Some(&one.id)), &|its| its.subscriptions.push(one.clone()));
        }
        for one in &customer.invoices {
            take(&owner(one.subscription.as_ref()), &|its| its.invoices.push(one.clone()));
        }
        for one in &customer.refunds {
            take(&owner(Some(&one.payment_intent)), &|its| its.refunds.push(one.clone()));
        }
        for one in &customer.disputes {
            take(&owner(Some(&one.payment_intent)), &|its| its.disputes.push(one.clone()));
        }
    }
    all
}

/// Everything in which the two differ, in words.
pub(super) async fn differences(world: &World) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, truth) in by_account(world) {
        compare(&world.facts(&name).await, &truth, &mut differences);
    }
    differences
}

fn compare(facts: &Facts, truth: &CustomerTruth, into: &mut Vec<String>) {
    let mut differ = |id: &str, ours: String, theirs: String| {
        if ours != theirs {
            into.push(format!("{} {id}\n  ours   {ours}\n  Stripe {theirs}", facts.account));
        }
    };
    for one in &truth.subscriptions {
        differ(&one.id, our_subscription(facts, one), their_subscription(one));
    }
    for one in truth.invoices.iter().filter(|one| one.status != "draft") {
        differ(&one.id, our_invoice(facts, one), their_invoice(one));
    }
    for one in truth.sessions.iter().filter(|one| one.status != "open") {
        differ(&one.id, our_session(facts, one), their_session(one));
    }
    for one in truth.refunds.iter().chain(&truth.disputes) {
        differ(&one.id, our_adjustment(facts, one), format!("{} {}", one.status, one.amount_minor));
    }
    // Nothing that is another account's.
    let theirs = truth.subscriptions.iter().map(|one| &one.id);
    let theirs = theirs.chain(truth.invoices.iter().map(|one| &one.id));
    let theirs: BTreeSet<&String> =
        theirs.chain(truth.sessions.iter().map(|one| &one.id)).collect();
    let ours = facts.subscriptions.keys().map(ToString::to_string);
    let ours = ours.chain(facts.invoices.keys().map(ToString::to_string));
    for id in ours.chain(facts.purchases.keys().map(ToString::to_string)) {
        differ(
            &id,
            "known".to_owned(),
            if theirs.contains(&id) { "known" } else { "not its own" }.to_owned(),
        );
    }
}

fn seconds(at: Option<i64>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

fn our_subscription(facts: &Facts, truth: &SubscriptionTruth) -> String {
    let id = SubscriptionId::parse(&truth.id).unwrap();
    let Some(one) = facts.subscriptions.get(&id) else { return "unknown".to_owned() };
    let state = one.state().unwrap();
    let at = |at: Option<tollgate_domain::Timestamp>| {
        seconds(at.map(tollgate_domain::Timestamp::unix_seconds))
    };
    let items: Vec<String> = state
        .items
        .iter()
        .map(|item| {
            let (from, to) = (at(item.period_start), at(item.period_end));
            format!("{} x {} {from}..{to}", item.quantity, item.price)
        })
        .collect();
    let invoice = state.latest_invoice.as_ref().map(ToString::to_string);
    let certain = if one.is_uncertain() { "?" } else { "" };
    let pause = state.collection_pause.as_ref().and_then(|pause| pause.behavior.as_deref());
    format!(
        "{}{certain} {items:?} {} {} {} {} {invoice:?} {pause:?}",
        state.status.as_str(),
        state.cancel_at_period_end,
        at(state.cancel_at),
        at(state.ended_at),
        at(state.trial_end),
    )
}

fn their_subscription(truth: &SubscriptionTruth) -> String {
    let items: Vec<String> = truth
        .items
        .iter()
        .map(|item| {
            let (from, to) = item.period;
            format!("{} x {} {from}..{to}", item.quantity, item.price)
        })
        .collect();
    format!(
        "{} {items:?} {} {} {} {} {:?} {:?}",
        truth.status,
        truth.cancel_at_period_end,
        seconds(truth.cancel_at),
        seconds(truth.ended_at),
        seconds(truth.trial_end),
        truth.latest_invoice,
        truth.pause_collection,
    )
}

fn our_invoice(facts: &Facts, truth: &InvoiceTruth) -> String {
    let id = InvoiceId::parse(&truth.id).unwrap();
    facts.invoices.get(&id).map_or_else(
        || "unknown".to_owned(),
        |one| {
            let of = one.subscription.as_ref().map(ToString::to_string);
            let state = &one.state;
            format!("{} {} {of:?}", state.status.as_str(), state.amount_paid_minor)
        },
    )
}

fn their_invoice(truth: &InvoiceTruth) -> String {
    format!("{} {} {:?}", truth.status, truth.amount_paid_minor, truth.subscription)
}

fn our_session(facts: &Facts, truth: &SessionTruth) -> String {
    let id = SessionId::parse(&truth.id).unwrap();
    facts.purchases.get(&id).map_or_else(
        || "unknown".to_owned(),
        |one| {
            let of = one.subscription.as_ref().map(ToString::to_string);
            format!("{} {} {of:?}", one.status.as_str(), one.paid_at.is_some())
        },
    )
}

fn their_session(truth: &SessionTruth) -> String {
    let complete = truth.status == SessionStatus::Complete.as_str();
    let paid = complete && truth.payment_status != "unpaid";
    format!("{} {paid} {:?}", truth.status, truth.subscription)
}

fn our_adjustment(facts: &Facts, truth: &AdjustmentTruth) -> String {
    let id = AdjustmentId::parse(&truth.id).unwrap();
    facts.adjustments.get(&id).map_or_else(
        || "unknown".to_owned(),
        |one| format!("{} {}", one.status, one.amount.amount_minor),
    )
}
