//! Facts as they were, as scenarios.

use crate::entitlement::scenario::{read, time};
use crate::facts::Facts;
use crate::payment::InvoiceStatus;

fn as_of(scenario: &str, at: &str) -> Facts {
    read(scenario).1.as_of(time(at))
}

#[test]
fn a_subscription_is_what_its_events_up_to_then_say() {
    let story = "sub s basic active @1d\nsub s premium active @3d\nsub s premium canceled @5d";
    let status = |at| {
        let facts = as_of(story, at);
        facts.subscriptions.get("s").map(|s| {
            let state = s.state().unwrap();
            (
                state.items[0].price.as_str().to_owned(),
                state.status.as_str().to_owned(),
                s.history.len(),
            )
        })
    };
    let row =
        |price: &str, status: &str, states| Some((price.to_owned(), status.to_owned(), states));
    assert_eq!(status("23h"), None);
    assert_eq!(status("1d"), row("price_basic", "active", 1));
    assert_eq!(status("4d23h"), row("price_premium", "active", 2));
    assert_eq!(status("5d"), row("price_premium", "canceled", 3));
}

#[test]
fn an_invoice_is_put_together_from_the_instants_it_keeps() {
    let story = "invoice i s paid @9d created=2d fails=3d,5d";
    let seen = |at| {
        as_of(story, at).invoices.get("i").map(|i| {
            (
                i.state.status,
                i.state.attempt_count,
                i.failed_attempts.len(),
                i.paid_at.is_some(),
                i.state.amount_paid_minor,
            )
        })
    };
    assert_eq!(seen("1d"), None);
    assert_eq!(seen("2d"), Some((InvoiceStatus::Open, 0, 0, false, 0)));
    assert_eq!(seen("4d"), Some((InvoiceStatus::Open, 1, 1, false, 0)));
    assert_eq!(seen("5d"), Some((InvoiceStatus::Open, 2, 2, false, 0)));
    assert_eq!(seen("9d"), Some((InvoiceStatus::Paid, 2, 2, true, 3500)));
}

#[test]
fn operator_facts_begin_with_their_granting_and_lose_later_revocations() {
    let story = "
        waiver w elite @2d revoked=4d
        grant g elite @2d revoked=4d
        boosts b 2 @2d revoked=4d
        override o white_label on @2d revoked=4d
    ";
    let revoked = |at| -> Vec<bool> {
        let facts = as_of(story, at);
        facts.operator_facts.values().map(|one| one.revocation.is_some()).collect()
    };
    assert_eq!(revoked("1d"), []);
    assert_eq!(revoked("3d"), [false; 4]);
    assert_eq!(revoked("4d"), [true; 4]);
}

#[test]
fn purchases_and_what_takes_them_back_begin_with_their_events() {
    let story = "
        catalog levels
        buy c pro paid=3d failed=2d amount=19000
        buy never pro amount=19000
        refund r c 19000 failed @9d effective=5d
        dispute d c 19000 needs_response @6d
    ";
    let seen = |at| {
        let facts = as_of(story, at);
        let purchase =
            facts.purchases.get("c").map(|c| (c.paid_at.is_some(), c.failed_at.is_some()));
        let refund = facts.adjustments.get("r").map(|r| r.status.to_string());
        (purchase, refund, facts.adjustments.contains_key("d"))
    };
    assert_eq!(seen("1d"), (None, None, false));
    assert_eq!(seen("2d"), (Some((false, true)), None, false));
    assert_eq!(seen("3d"), (Some((true, true)), None, false));
    assert_eq!(seen("5d"), (Some((true, true)), Some("succeeded".to_owned()), false));
    assert_eq!(seen("9d"), (Some((true, true)), Some("failed".to_owned()), true));
    assert!(!as_of(story, "9d").purchases.contains_key("never"));
}

#[test]
fn nothing_is_taken_away_from_the_end_of_time() {
    let (_, facts) = read(
        "
        sub s premium active @1d
        sub s premium past_due @3d
        invoice i s open @4d created=3d fails=3d
        waiver w elite @2d until=9d revoked=4d
        refund r c 1 succeeded @4d
    ",
    );
    assert_eq!(facts.as_of(time("99d")), facts);
}
