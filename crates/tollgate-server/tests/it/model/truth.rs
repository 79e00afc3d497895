//! The engine's facts beside Stripe's truth, which the sandbox tells in plain words and not by way
//! of its API.

use tollgate_domain::Facts;
use tollgate_domain::ids::{AccountId, AdjustmentId, InvoiceId, SessionId, SubscriptionId};
use tollgate_domain::payment::SessionStatus;
use tollgate_sandbox::sandbox::{
    AdjustmentTruth, CustomerTruth, InvoiceTruth, SessionTruth, SubscriptionTruth,
};

use super::life::World;

/// Everything in which the two differ, in words.
pub(super) async fn differences(world: &World) -> Vec<String> {
    let truth = world.stripe.with(|stripe| stripe.truth());
    assert!(!truth.is_empty(), "nobody lived");
    let mut differences = Vec::new();
    for customer in truth {
        let account = AccountId::parse(&customer.metadata["account_id"]).unwrap();
        let db = &world.app.app().engine.db;
        let facts = tollgate_store::facts::load(db, &account, tollgate_domain::facts::Window::ALL)
            .await
            .expect("facts are read");
        compare(&facts, &customer, &mut differences);
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
    let extra =
        facts.subscriptions.len() - truth.subscriptions.len().min(facts.subscriptions.len());
    differ("subscriptions of nobody", extra.to_string(), "0".to_owned());
    for one in truth.invoices.iter().filter(|one| one.status != "draft") {
        differ(&one.id, our_invoice(facts, one), their_invoice(one));
    }
    for one in truth.sessions.iter().filter(|one| one.status != "open") {
        differ(&one.id, our_session(facts, one), their_session(one));
    }
    for one in truth.refunds.iter().chain(&truth.disputes) {
        differ(&one.id, our_adjustment(facts, one), format!("{} {}", one.status, one.amount_minor));
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
