//! Changes of subscriptions through the API: what they bill, give back, wait for, and refuse.

use serde_json::Value;

use super::subscriptions::{
    ELITE, FAILS, GOOD, PREMIUM, PREMIUM_YEARLY, change_card, fetched, item, latest_invoice,
    updated, with_subscription,
};
use super::{START, fault, ids, kinds, ok, request, text};
use crate::sandbox::Sandbox;
use crate::time::{DAY, HOUR, shifted};

#[test]
fn an_upgrade_billed_now_gives_back_and_charges_the_rest_of_the_period() {
    let (mut sandbox, _, id) = with_subscription();
    let end = shifted(START, "month", 1);
    sandbox.advance_to(START + (end - START) / 2);
    let subscription = fetched(&mut sandbox, &id);
    let from = sandbox.happenings().len();
    let form = format!(
        "items[0][id]={}&items[0][price]={ELITE}&proration_behavior=always_invoice",
        item(&subscription)
    );
    let changed = updated(&mut sandbox, &id, &form);
    assert_eq!(text(&changed, "items.data.0.price.id"), ELITE);
    assert_eq!(item(&changed), item(&subscription));
    assert_eq!(changed["items"]["data"][0]["current_period_end"], end);
    assert_eq!(
        kinds(&sandbox, from)[..4],
        [
            "invoiceitem.created",
            "invoiceitem.created",
            "customer.subscription.updated",
            "invoice.created"
        ]
    );
    assert_eq!(kinds(&sandbox, from).last(), Some(&"invoice.payment_succeeded"));
    let invoice = latest_invoice(&mut sandbox, &id);
    let amount = |line: usize| invoice["lines"]["data"][line]["amount"].as_i64().unwrap();
    let price = |subscription: &Value| {
        subscription["items"]["data"][0]["price"]["unit_amount"].as_i64().unwrap()
    };
    assert_eq!(amount(0), -((price(&subscription) + 1) / 2));
    assert_eq!(amount(1), (price(&changed) + 1) / 2);
    assert_eq!(invoice["amount_paid"], amount(0) + amount(1));
    assert_eq!(text(&invoice, "billing_reason"), "subscription_update");
}

#[test]
fn prorations_wait_for_the_next_invoice_where_that_is_asked_for() {
    let (mut sandbox, customer, id) = with_subscription();
    sandbox.advance_to(START + 10 * DAY);
    let form = format!("items[0][id]={}&items[0][quantity]=3", item(&fetched(&mut sandbox, &id)));
    updated(&mut sandbox, &id, &form);
    let waiting =
        ok(&mut sandbox, "GET /v1/invoiceitems", &format!("customer={customer}&pending=true"));
    assert_eq!(ids(&waiting).len(), 2);
    sandbox.advance_to(shifted(START, "month", 1) + HOUR);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), 3);
    assert_eq!(text(&invoice, "status"), "paid");
    let waiting = ok(&mut sandbox, "GET /v1/invoiceitems", "pending=true");
    assert!(ids(&waiting).is_empty());
    // And not at all where that is asked for.
    let from = sandbox.happenings().len();
    let form = format!(
        "items[0][id]={}&items[0][quantity]=1&proration_behavior=none",
        item(&fetched(&mut sandbox, &id))
    );
    updated(&mut sandbox, &id, &form);
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.updated"]);
}

#[test]
fn a_downgrade_billed_now_leaves_a_credit_that_pays_the_next_invoice() {
    let (mut sandbox, customer, id) = with_subscription();
    let form = format!(
        "items[0][id]={}&items[0][price]={ELITE}&proration_behavior=always_invoice",
        item(&fetched(&mut sandbox, &id))
    );
    updated(&mut sandbox, &id, &form);
    updated(&mut sandbox, &id, &form.replace(ELITE, PREMIUM));
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!((text(&invoice, "status").as_str(), &invoice["amount_due"]), ("paid", &0.into()));
    let total = invoice["total"].as_i64().unwrap();
    assert!(total < 0);
    let owed = ok(&mut sandbox, &format!("GET /v1/customers/{customer}"), "");
    assert_eq!(owed["balance"], total);
    sandbox.advance_to(shifted(START, "month", 1) + HOUR);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["starting_balance"], total);
    let due = (invoice["total"].as_i64().unwrap() + total).max(0);
    assert_eq!(invoice["amount_due"], due);
}

#[test]
fn another_interval_begins_a_new_period_at_once() {
    let (mut sandbox, _, id) = with_subscription();
    sandbox.advance_to(START + 10 * DAY);
    let form = format!(
        "items[0][id]={}&items[0][price]={PREMIUM_YEARLY}",
        item(&fetched(&mut sandbox, &id))
    );
    let changed = updated(&mut sandbox, &id, &form);
    let now = START + 10 * DAY;
    assert_eq!(changed["items"]["data"][0]["current_period_start"], now);
    assert_eq!(changed["items"]["data"][0]["current_period_end"], shifted(now, "year", 1));
    assert_eq!(changed["billing_cycle_anchor"], now);
    assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "paid");
}

#[test]
fn an_upgrade_that_is_not_paid_is_applied_refused_or_waits() {
    let change = |sandbox: &mut Sandbox, id: &str, behavior: &str| {
        let form = format!(
            "items[0][id]={}&items[0][price]={ELITE}&proration_behavior=always_invoice\
             &payment_behavior={behavior}",
            item(&fetched(sandbox, id))
        );
        sandbox.call(&request(&format!("POST /v1/subscriptions/{id}"), &form))
    };
    let (mut sandbox, customer, id) = with_subscription();
    sandbox.advance_to(START + DAY);
    change_card(&mut sandbox, &customer, FAILS);
    let before = (fetched(&mut sandbox, &id), sandbox.happenings().len());
    let reply = change(&mut sandbox, &id, "error_if_incomplete");
    assert_eq!((reply.status, fault(&reply).as_str()), (402, "card_declined/"));
    assert_eq!((fetched(&mut sandbox, &id), sandbox.happenings().len()), before);

    let mut allowed = sandbox.clone();
    let reply = change(&mut allowed, &id, "allow_incomplete");
    assert_eq!(text(&reply.body, "status"), "past_due");
    assert_eq!(text(&reply.body, "items.data.0.price.id"), ELITE);

    let reply = change(&mut sandbox, &id, "pending_if_incomplete");
    assert_eq!(text(&reply.body, "status"), "active");
    assert_eq!(text(&reply.body, "items.data.0.price.id"), PREMIUM);
    assert_eq!(text(&reply.body, "pending_update.subscription_items.0.price.id"), ELITE);
    let mut expires = sandbox.clone();
    expires.advance_to(START + DAY + 23 * HOUR);
    let expired = fetched(&mut expires, &id);
    assert!(expired["pending_update"].is_null());
    assert_eq!(text(&expired, "items.data.0.price.id"), PREMIUM);
    assert_eq!(text(&latest_invoice(&mut expires, &id), "status"), "void");
    let last = expires.happenings().last().unwrap().kind();
    assert_eq!(last, "customer.subscription.pending_update_expired");

    change_card(&mut sandbox, &customer, GOOD);
    let invoice = text(&latest_invoice(&mut sandbox, &id), "id");
    ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/pay"), "");
    let applied = fetched(&mut sandbox, &id);
    assert!(applied["pending_update"].is_null());
    assert_eq!(text(&applied, "items.data.0.price.id"), ELITE);
    let told = kinds(&sandbox, 0);
    assert!(told.contains(&"customer.subscription.pending_update_applied"));
}

#[test]
fn of_the_changes_that_wait_for_their_payment_one_can_be_paid() {
    let change = |sandbox: &mut Sandbox, id: &str, price: &str, more: &str| {
        let form = format!(
            "items[0][id]={}&items[0][price]={price}&proration_behavior=always_invoice{more}",
            item(&fetched(sandbox, id))
        );
        ok(sandbox, &format!("POST /v1/subscriptions/{id}"), &form)
    };
    let open = |sandbox: &mut Sandbox| {
        let found = ok(sandbox, "GET /v1/invoices", "status=open");
        found["data"].as_array().unwrap().clone()
    };
    let waits = "&payment_behavior=pending_if_incomplete";
    let (mut sandbox, customer, id) = with_subscription();
    sandbox.advance_to(START + DAY);
    change_card(&mut sandbox, &customer, FAILS);
    let first = change(&mut sandbox, &id, ELITE, waits);
    let second = change(&mut sandbox, &id, ELITE, waits);
    assert_ne!(first["latest_invoice"], second["latest_invoice"]);
    let left = open(&mut sandbox);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["id"], second["latest_invoice"]);

    // Its invoice void, it is discarded; a change that does not wait takes its place, too.
    let mut replaced = sandbox.clone();
    let invoice = text(&second, "latest_invoice");
    ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/void"), "");
    assert!(fetched(&mut sandbox, &id)["pending_update"].is_null());
    assert_eq!(text(&fetched(&mut sandbox, &id), "items.data.0.price.id"), PREMIUM);
    change_card(&mut replaced, &customer, GOOD);
    let after = change(&mut replaced, &id, ELITE, "");
    assert!(after["pending_update"].is_null());
    assert_eq!(text(&after, "items.data.0.price.id"), ELITE);
    assert_eq!(open(&mut replaced), Vec::<serde_json::Value>::new());
}
