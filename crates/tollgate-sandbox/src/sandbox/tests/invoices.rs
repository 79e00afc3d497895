//! Invoices and invoice items through the API, and previews.

use serde_json::Value;

use super::subscriptions::{
    ELITE, FAILS, GOOD, PREMIUM, PREMIUM_YEARLY, change_card, customer, fetched, item,
    latest_invoice, updated, with_subscription,
};
use super::{START, fault, ids, kinds, ok, refused, request, sandbox, text};
use crate::sandbox::Sandbox;
use crate::time::{DAY, HOUR, shifted};

/// A draft of a customer over 20.00, made as Stripe's command line makes it.
fn drafted(sandbox: &mut Sandbox, customer: &str) -> Value {
    let form = format!("customer={customer}&amount=2000&currency=usd&description=Spice");
    ok(sandbox, "POST /v1/invoiceitems", &form);
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    ok(sandbox, "POST /v1/invoices", &form)
}

#[test]
fn an_invoice_made_by_hand_is_paid_when_somebody_says_so() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let draft = drafted(&mut sandbox, &customer);
    assert_eq!((text(&draft, "status"), &draft["total"]), ("draft".into(), &2000.into()));
    assert!(draft["parent"].is_null());
    assert_eq!(text(&draft, "lines.data.0.parent.type"), "invoice_item_details");
    sandbox.advance_to(START + 5 * DAY);
    let id = text(&draft, "id");
    assert_eq!(text(&ok(&mut sandbox, &format!("GET /v1/invoices/{id}"), ""), "status"), "draft");
    let from = sandbox.happenings().len();
    let paid = ok(&mut sandbox, &format!("POST /v1/invoices/{id}/pay"), "");
    assert_eq!((text(&paid, "status"), &paid["amount_paid"]), ("paid".into(), &2000.into()));
    assert_eq!(kinds(&sandbox, from).first(), Some(&"invoice.finalized"));
    let again = refused(&mut sandbox, &format!("POST /v1/invoices/{id}/pay"), "");
    assert_eq!(again, (400, "invoice_already_paid/".to_owned()));
}

#[test]
fn who_has_to_confirm_a_payment_is_told_so() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, "pm_card_authenticationRequired");
    let id = text(&drafted(&mut sandbox, &customer), "id");
    let from = sandbox.happenings().len();
    let reply = sandbox.call(&request(&format!("POST /v1/invoices/{id}/pay"), ""));
    assert_eq!((reply.status, fault(&reply).as_str()), (402, "authentication_required/"));
    let told = kinds(&sandbox, from);
    let place = |kind: &str| told.iter().position(|told| *told == kind).unwrap();
    assert!(place("invoice.payment_failed") < place("invoice.payment_action_required"));
}

#[test]
fn a_declined_payment_is_an_error_whose_traces_stay() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, FAILS);
    let id = text(&drafted(&mut sandbox, &customer), "id");
    let from = sandbox.happenings().len();
    let reply = sandbox.call(&request(&format!("POST /v1/invoices/{id}/pay"), ""));
    assert_eq!((reply.status, fault(&reply).as_str()), (402, "card_declined/"));
    let told = kinds(&sandbox, from);
    assert!(told.contains(&"charge.failed") && told.contains(&"invoice.payment_failed"));
    let open = ok(&mut sandbox, &format!("GET /v1/invoices/{id}"), "");
    assert_eq!((text(&open, "status"), &open["attempt_count"]), ("open".into(), &1.into()));
    let good = text(
        &ok(
            &mut sandbox,
            &format!("POST /v1/payment_methods/{GOOD}/attach"),
            &format!("customer={customer}"),
        ),
        "id",
    );
    let form = format!("payment_method={good}");
    let paid = ok(&mut sandbox, &format!("POST /v1/invoices/{id}/pay"), &form);
    assert_eq!(text(&paid, "status"), "paid");
}

#[test]
fn without_a_payment_method_nothing_is_tried() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, "");
    let id = text(&drafted(&mut sandbox, &customer), "id");
    let error = refused(&mut sandbox, &format!("POST /v1/invoices/{id}/pay"), "");
    assert_eq!(error, (400, "resource_missing/".to_owned()));
    let draft = ok(&mut sandbox, &format!("GET /v1/invoices/{id}"), "");
    assert_eq!((text(&draft, "status"), &draft["attempted"]), ("draft".into(), &false.into()));
}

#[test]
fn an_invoice_that_advances_is_finalised_and_collected_by_itself() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let id = text(&drafted(&mut sandbox, &customer), "id");
    ok(&mut sandbox, &format!("POST /v1/invoices/{id}"), "auto_advance=true");
    sandbox.advance_to(START + HOUR - 1);
    assert_eq!(text(&ok(&mut sandbox, &format!("GET /v1/invoices/{id}"), ""), "status"), "draft");
    sandbox.advance_to(START + HOUR);
    assert_eq!(text(&ok(&mut sandbox, &format!("GET /v1/invoices/{id}"), ""), "status"), "paid");
}

#[test]
fn drafts_are_deleted_and_final_invoices_closed() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let id = text(&drafted(&mut sandbox, &customer), "id");
    for (act, code) in [("void", 400), ("mark_uncollectible", 400), ("send", 400)] {
        let error = refused(&mut sandbox, &format!("POST /v1/invoices/{id}/{act}"), "");
        assert_eq!(error.0, code, "{act}");
    }
    ok(&mut sandbox, &format!("DELETE /v1/invoices/{id}"), "");
    assert_eq!(refused(&mut sandbox, &format!("GET /v1/invoices/{id}"), "").0, 404);
    // What was on it waits again.
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    let second = ok(&mut sandbox, "POST /v1/invoices", &form);
    assert_eq!(second["total"], 2000);
    let id = text(&second, "id");
    let open = ok(&mut sandbox, &format!("POST /v1/invoices/{id}/finalize"), "");
    assert_eq!(text(&open, "status"), "open");
    assert_eq!(refused(&mut sandbox, &format!("DELETE /v1/invoices/{id}"), "").0, 400);
    let lost = ok(&mut sandbox, &format!("POST /v1/invoices/{id}/mark_uncollectible"), "");
    assert_eq!(text(&lost, "status"), "uncollectible");
    assert_eq!(text(&lost, "status_details.uncollectible.reason"), "user_forgiven");
    let void = ok(&mut sandbox, &format!("POST /v1/invoices/{id}/void"), "");
    assert_eq!(text(&void, "status"), "void");
    let told = kinds(&sandbox, 0);
    for kind in ["invoice.deleted", "invoice.marked_uncollectible", "invoice.voided"] {
        assert!(told.contains(&kind), "{kind}");
    }
}

#[test]
fn closing_what_is_overdue_ends_the_arrears() {
    let (mut sandbox, customer, id) = with_subscription();
    change_card(&mut sandbox, &customer, FAILS);
    sandbox.advance_to(shifted(START, "month", 1) + HOUR);
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "past_due");
    let invoice = text(&latest_invoice(&mut sandbox, &id), "id");
    ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/void"), "");
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
}

#[test]
fn money_for_a_subscription_that_is_over_does_not_revive_it() {
    let (mut sandbox, customer, id) = with_subscription();
    change_card(&mut sandbox, &customer, FAILS);
    sandbox.advance_to(shifted(START, "month", 1) + HOUR);
    ok(&mut sandbox, &format!("DELETE /v1/subscriptions/{id}"), "");
    let open = latest_invoice(&mut sandbox, &id);
    assert_eq!((text(&open, "status"), &open["auto_advance"]), ("open".into(), &false.into()));
    change_card(&mut sandbox, &customer, GOOD);
    let from = sandbox.happenings().len();
    sandbox.advance_to(sandbox.now() + 30 * DAY);
    assert!(kinds(&sandbox, from).is_empty());
    ok(&mut sandbox, &format!("POST /v1/invoices/{}/pay", text(&open, "id")), "");
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "canceled");
}

#[test]
fn items_wait_join_drafts_change_and_go() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let draft = ok(&mut sandbox, "POST /v1/invoices", &format!("customer={customer}"));
    let invoice = text(&draft, "id");
    assert_eq!(draft["total"], 0);
    let form = format!("customer={customer}&invoice={invoice}&amount=500&currency=usd");
    let item = text(&ok(&mut sandbox, "POST /v1/invoiceitems", &form), "id");
    let line = format!("GET /v1/invoices/{invoice}");
    assert_eq!(ok(&mut sandbox, &line, "")["total"], 500);
    ok(&mut sandbox, &format!("POST /v1/invoiceitems/{item}"), "amount=700&description=More");
    assert_eq!(ok(&mut sandbox, &line, "")["total"], 700);
    let lines = ok(&mut sandbox, &format!("{line}/lines"), "");
    assert_eq!(text(&lines, "data.0.description"), "More");
    ok(&mut sandbox, &format!("DELETE /v1/invoiceitems/{item}"), "");
    assert_eq!(ok(&mut sandbox, &line, "")["total"], 0);
    let missing = refused(&mut sandbox, "POST /v1/invoiceitems", "amount=5&currency=usd");
    assert_eq!(missing, (400, "parameter_missing/customer".to_owned()));
    ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/finalize"), "");
    assert_eq!(
        refused(&mut sandbox, "POST /v1/invoiceitems", &form),
        (400, "invoice_not_editable/invoice".to_owned())
    );
}

#[test]
fn lists_filter_by_customer_subscription_and_status() {
    let (mut sandbox, customer, id) = with_subscription();
    drafted(&mut sandbox, &customer);
    let mut count = |form: String| ids(&ok(&mut sandbox, "GET /v1/invoices", &form)).len();
    assert_eq!(count(String::new()), 2);
    assert_eq!(count(format!("customer={customer}")), 2);
    assert_eq!(count(format!("subscription={id}")), 1);
    assert_eq!(count("status=draft".to_owned()), 1);
    assert_eq!(count("status=paid&customer=cus_none".to_owned()), 0);
    assert_eq!(count("collection_method=send_invoice".to_owned()), 0);
}

fn preview(sandbox: &mut Sandbox, form: &str) -> Value {
    ok(sandbox, "POST /v1/invoices/create_preview", form)
}

#[test]
fn a_preview_costs_what_the_change_then_costs_and_leaves_no_trace() {
    for (price, now) in [(ELITE, true), (PREMIUM_YEARLY, true), (ELITE, false)] {
        let (mut sandbox, _, id) = with_subscription();
        sandbox.advance_to(START + 11 * DAY);
        let item = item(&fetched(&mut sandbox, &id));
        let behavior = if now { "always_invoice" } else { "create_prorations" };
        let details = "subscription_details";
        let form = format!(
            "subscription={id}&{details}[items][0][id]={item}&{details}[items][0][price]={price}\
             &{details}[proration_behavior]={behavior}"
        );
        let (told, truth) = (sandbox.happenings().len(), sandbox.truth());
        let shown = preview(&mut sandbox, &form);
        assert_eq!((sandbox.happenings().len(), sandbox.truth()), (told, truth));
        assert_eq!(text(&shown, "status"), "draft");
        let form =
            format!("items[0][id]={item}&items[0][price]={price}&proration_behavior={behavior}");
        updated(&mut sandbox, &id, &form);
        if !now {
            sandbox.advance_to(shifted(START, "month", 1) + HOUR);
        }
        let real = latest_invoice(&mut sandbox, &id);
        assert_eq!(shown["total"], real["total"], "{price} {behavior}");
        assert_eq!(shown["amount_due"], real["amount_due"], "{price} {behavior}");
    }
}

#[test]
fn a_preview_shows_the_next_renewal_or_a_beginning_or_nothing() {
    let (mut sandbox, customer, id) = with_subscription();
    let next = preview(&mut sandbox, &format!("subscription={id}"));
    let end = shifted(START, "month", 1);
    assert_eq!(next["lines"]["data"][0]["period"]["start"], end);
    assert_eq!(next["next_payment_attempt"], end + HOUR);
    let details = "subscription_details[items][0]";
    let form = format!("customer={customer}&{details}[price]={PREMIUM}&{details}[quantity]=3");
    let first = preview(&mut sandbox, &form);
    assert_eq!(first["total"].as_i64().unwrap(), 3 * next["total"].as_i64().unwrap());
    updated(&mut sandbox, &id, "cancel_at_period_end=true");
    let line = "POST /v1/invoices/create_preview";
    let none = refused(&mut sandbox, line, &format!("subscription={id}"));
    assert_eq!(none, (400, "invoice_upcoming_none/".to_owned()));
    let none = refused(&mut sandbox, line, "");
    assert_eq!(none, (400, "parameter_missing/customer".to_owned()));
}
