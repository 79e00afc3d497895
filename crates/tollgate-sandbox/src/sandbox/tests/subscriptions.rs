//! Subscriptions through the API: beginning, changing, pausing, ending, and what is refused.

use serde_json::Value;

use super::{START, fault, ids, kinds, ok, ok_in, refused, request, sandbox, text};
use crate::sandbox::Sandbox;
use crate::time::{DAY, HOUR, shifted};
use crate::version::ApiVersion;

pub(super) const GOOD: &str = "pm_card_visa";
pub(super) const FAILS: &str = "pm_card_chargeCustomerFail";
pub(super) const PREMIUM: &str = "price_sietch_premium_monthly";
pub(super) const ELITE: &str = "price_sietch_elite_monthly";
pub(super) const PREMIUM_YEARLY: &str = "price_sietch_premium_yearly";

/// A customer with a payment method by its test name; without one where it is empty.
pub(super) fn customer(sandbox: &mut Sandbox, method: &str) -> String {
    let form = if method.is_empty() {
        String::new()
    } else {
        format!("&payment_method={method}&invoice_settings[default_payment_method]={method}")
    };
    let form = format!("email=a@b.example&metadata[account_id]=acme{form}");
    text(&ok(sandbox, "POST /v1/customers", &form), "id")
}

/// Begins a subscription of the usual plan; `more` is added to the form.
pub(super) fn subscribed(sandbox: &mut Sandbox, customer: &str, more: &str) -> Value {
    let form = format!("customer={customer}&items[0][price]={PREMIUM}{more}");
    ok(sandbox, "POST /v1/subscriptions", &form)
}

/// A sandbox with one subscription of a customer whose card works: the customer, the subscription.
pub(super) fn with_subscription() -> (Sandbox, String, String) {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let subscription = subscribed(&mut sandbox, &customer, "");
    (sandbox, customer, text(&subscription, "id"))
}

pub(super) fn fetched(sandbox: &mut Sandbox, id: &str) -> Value {
    ok(sandbox, &format!("GET /v1/subscriptions/{id}"), "")
}

pub(super) fn updated(sandbox: &mut Sandbox, id: &str, form: &str) -> Value {
    ok(sandbox, &format!("POST /v1/subscriptions/{id}"), form)
}

pub(super) fn item(subscription: &Value) -> String {
    text(subscription, "items.data.0.id")
}

/// The newest invoice of a subscription.
pub(super) fn latest_invoice(sandbox: &mut Sandbox, id: &str) -> Value {
    let form = "expand[]=latest_invoice";
    ok(sandbox, &format!("GET /v1/subscriptions/{id}"), form)["latest_invoice"].clone()
}

/// The customer pays with another card.
pub(super) fn change_card(sandbox: &mut Sandbox, customer: &str, method: &str) {
    let form = format!("payment_method={method}&invoice_settings[default_payment_method]={method}");
    ok(sandbox, &format!("POST /v1/customers/{customer}"), &form);
}

#[test]
fn a_subscription_begins_active_and_paid() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let from = sandbox.happenings().len();
    let subscription = subscribed(&mut sandbox, &customer, "&metadata[account_id]=acme");
    assert_eq!(text(&subscription, "status"), "active");
    assert_eq!(text(&subscription, "metadata.account_id"), "acme");
    assert_eq!(subscription["items"]["data"][0]["current_period_end"], shifted(START, "month", 1));
    assert_eq!(
        kinds(&sandbox, from),
        [
            "customer.updated",
            "customer.subscription.created",
            "invoice.created",
            "invoice.finalized",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice_payment.paid",
            "invoice.updated",
            "invoice.paid",
            "invoice.payment_succeeded",
        ]
    );
    assert!(sandbox.happenings()[from..].iter().all(|one| one.cause.is_some()));
}

#[test]
fn before_basil_a_subscription_waits_for_its_payment() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let form = format!("customer={customer}&items[0][price]={PREMIUM}");
    let from = sandbox.happenings().len();
    let made = ok_in(&mut sandbox, ApiVersion::Acacia, "POST /v1/subscriptions", &form);
    assert_eq!(text(&made, "status"), "active");
    assert_eq!(made["current_period_end"], shifted(START, "month", 1));
    let told = kinds(&sandbox, from);
    assert_eq!(told.last(), Some(&"customer.subscription.updated"));
}

#[test]
fn a_first_payment_that_fails_leaves_it_incomplete_until_paid_or_expired() {
    for pays in [true, false] {
        let mut sandbox = sandbox();
        let customer = customer(&mut sandbox, FAILS);
        let subscription = subscribed(&mut sandbox, &customer, "");
        let id = text(&subscription, "id");
        assert_eq!(text(&subscription, "status"), "incomplete");
        let invoice = text(&latest_invoice(&mut sandbox, &id), "id");
        let change = format!("items[0][id]={}&items[0][quantity]=2", item(&subscription));
        let path = format!("POST /v1/subscriptions/{id}");
        assert_eq!(refused(&mut sandbox, &path, &change).0, 400);
        ok(&mut sandbox, &path, "metadata[a]=1");
        if pays {
            sandbox.advance_to(START + 22 * HOUR);
            change_card(&mut sandbox, &customer, GOOD);
            ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/pay"), "");
            assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
            sandbox.advance_to(START + 24 * HOUR);
            assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
            continue;
        }
        let from = sandbox.happenings().len();
        sandbox.advance_to(START + 23 * HOUR - 1);
        assert!(kinds(&sandbox, from).is_empty());
        sandbox.advance_to(START + 23 * HOUR);
        assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "incomplete_expired");
        assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "void");
        assert!(!kinds(&sandbox, from).contains(&"customer.subscription.deleted"));
        sandbox.advance_to(START + 90 * DAY);
        assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "incomplete_expired");
    }
}

#[test]
fn payment_behavior_decides_what_a_missing_payment_means() {
    let mut sandbox = sandbox();
    let fails = customer(&mut sandbox, FAILS);
    let none = customer(&mut sandbox, "");
    let form = |customer: &str, behavior: &str| {
        format!("customer={customer}&items[0][price]={PREMIUM}&payment_behavior={behavior}")
    };
    let line = "POST /v1/subscriptions";
    let error = refused(&mut sandbox, line, &form(&fails, "error_if_incomplete"));
    assert_eq!(error, (402, "card_declined/".to_owned()));
    let error = refused(&mut sandbox, line, &form(&none, "error_if_incomplete"));
    assert_eq!(error, (400, "resource_missing/".to_owned()));
    let error = refused(&mut sandbox, line, &form(&none, "allow_incomplete"));
    assert_eq!(error, (400, "resource_missing/".to_owned()));
    let waits = ok(&mut sandbox, line, &form(&none, "default_incomplete"));
    assert_eq!(text(&waits, "status"), "incomplete");
    assert_eq!(text(&latest_invoice(&mut sandbox, &text(&waits, "id")), "status"), "open");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (mut sandbox, customer, id) = with_subscription();
    let create = "POST /v1/subscriptions";
    let update = format!("POST /v1/subscriptions/{id}");
    let base = format!("customer={customer}&items[0][price]={PREMIUM}");
    let cases = [
        (create, "customer=cus_none&items[0][price]=x".to_owned(), "resource_missing/customer"),
        (create, format!("customer={customer}"), "parameter_missing/items"),
        (create, format!("items[0][price]={PREMIUM}"), "parameter_missing/customer"),
        (create, format!("{base}&colour=red"), "parameter_unknown/colour"),
        (
            create,
            format!("customer={customer}&items[0][price]=nope"),
            "resource_missing/items[0][price]",
        ),
        (create, format!("{base}&trial_end=5"), "invalid_request_error/trial_end"),
        (
            create,
            format!("{base}&trial_period_days=5&trial_end={}", START + DAY),
            "invalid_request_error/trial_period_days",
        ),
        (
            create,
            format!("{base}&collection_method=send_invoice"),
            "invalid_request_error/days_until_due",
        ),
        (update.as_str(), "cancel_at=5".to_owned(), "invalid_request_error/cancel_at"),
        (
            update.as_str(),
            "items[0][id]=si_none&items[0][quantity]=2".to_owned(),
            "resource_missing/items[0][id]",
        ),
        (
            update.as_str(),
            "payment_behavior=pending_if_incomplete&metadata[a]=1".to_owned(),
            "invalid_request_error/metadata",
        ),
        (
            update.as_str(),
            "proration_behavior=sometimes".to_owned(),
            "invalid_request_error/proration_behavior",
        ),
    ];
    for (line, form, expected) in cases {
        let reply = sandbox.clone().call(&request(line, &form));
        assert_eq!((reply.status, fault(&reply).as_str()), (400, expected), "{line} {form}");
    }
    let unknown = refused(&mut sandbox, "GET /v1/subscriptions/sub_none", "");
    assert_eq!(unknown, (404, "resource_missing/id".to_owned()));
    // The only item cannot be taken away.
    let subscription = fetched(&mut sandbox, &id);
    let form = format!("items[0][id]={}&items[0][deleted]=true", item(&subscription));
    assert_eq!(refused(&mut sandbox, &update, &form).1, "invalid_request_error/items");
    assert_eq!(fetched(&mut sandbox, &id), subscription);
}

#[test]
fn prices_of_another_currency_are_refused() {
    let (mut sandbox, customer, id) = with_subscription();
    let product = text(&ok(&mut sandbox, "POST /v1/products", "name=Else"), "id");
    let form = format!("currency=eur&unit_amount=100&product={product}&recurring[interval]=month");
    let euro = text(&ok(&mut sandbox, "POST /v1/prices", &form), "id");
    let update = format!("POST /v1/subscriptions/{id}");
    let error = refused(&mut sandbox, &update, &format!("items[0][price]={euro}"));
    assert_eq!(error, (400, "invalid_request_error/items".to_owned()));
    let form = format!("customer={customer}&items[0][price]={euro}");
    let error = refused(&mut sandbox, "POST /v1/subscriptions", &form);
    assert_eq!(error, (400, "invalid_request_error/items[0][price]".to_owned()));
    let form = format!("currency=usd&unit_amount=100&product={product}");
    let once = text(&ok(&mut sandbox, "POST /v1/prices", &form), "id");
    let error = refused(&mut sandbox, &update, &format!("items[0][price]={once}"));
    assert_eq!(error, (400, "invalid_request_error/items[0][price]".to_owned()));
}

#[test]
fn cancelled_now_it_is_over_and_stays_over() {
    let (mut sandbox, _, id) = with_subscription();
    sandbox.advance_to(START + DAY);
    let from = sandbox.happenings().len();
    let form = "cancellation_details[comment]=Enough&cancellation_details[feedback]=unused";
    let ended = ok(&mut sandbox, &format!("DELETE /v1/subscriptions/{id}"), form);
    assert_eq!(text(&ended, "status"), "canceled");
    assert_eq!(ended["ended_at"], START + DAY);
    assert_eq!(text(&ended, "cancellation_details.comment"), "Enough");
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.deleted"]);
    let again = refused(&mut sandbox, &format!("DELETE /v1/subscriptions/{id}"), "");
    assert_eq!(again, (404, "resource_missing/id".to_owned()));
    let change = format!("POST /v1/subscriptions/{id}");
    let refusal = refused(&mut sandbox, &change, "cancel_at_period_end=true");
    assert_eq!(refusal, (400, "invalid_request_error/cancel_at_period_end".to_owned()));
    let noted = ok(&mut sandbox, &change, "metadata[why]=sand");
    assert_eq!(
        (text(&noted, "status"), text(&noted, "metadata.why")),
        ("canceled".to_owned(), "sand".to_owned())
    );
    let from = sandbox.happenings().len();
    sandbox.advance_to(START + 100 * DAY);
    assert!(kinds(&sandbox, from).is_empty());
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "canceled");
}

#[test]
fn cancelling_with_proration_and_invoice_gives_the_rest_back() {
    let (mut sandbox, customer, id) = with_subscription();
    let half = (shifted(START, "month", 1) - START) / 2;
    sandbox.advance_to(START + half);
    let form = "prorate=true&invoice_now=true";
    ok(&mut sandbox, &format!("DELETE /v1/subscriptions/{id}"), form);
    let list = format!("subscription={id}");
    let invoices = ok(&mut sandbox, "GET /v1/invoices", &list);
    let credit = &invoices["data"][0];
    assert!(credit["total"].as_i64().unwrap() < 0);
    assert_eq!(text(credit, "status"), "paid");
    let customer = ok(&mut sandbox, &format!("GET /v1/customers/{customer}"), "");
    assert_eq!(customer["balance"], credit["total"]);
}

#[test]
fn a_cancellation_to_the_end_of_the_period_can_be_taken_back() {
    let (mut sandbox, _, id) = with_subscription();
    let end = shifted(START, "month", 1);
    let later = updated(&mut sandbox, &id, "cancel_at_period_end=true");
    assert_eq!((&later["cancel_at"], &later["canceled_at"]), (&end.into(), &START.into()));
    assert_eq!(text(&later, "status"), "active");
    let mut kept = sandbox.clone();
    let back = updated(&mut kept, &id, "cancel_at_period_end=false");
    assert!(back["cancel_at"].is_null() && back["canceled_at"].is_null());
    kept.advance_to(end + HOUR);
    assert_eq!(text(&fetched(&mut kept, &id), "status"), "active");
    let from = sandbox.happenings().len();
    sandbox.advance_to(end);
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.deleted"]);
    assert_eq!(sandbox.happenings()[from].created(), end);
    assert_eq!(fetched(&mut sandbox, &id)["ended_at"], end);
}

#[test]
fn a_pause_stops_periods_and_a_resumption_goes_on_or_begins_anew() {
    let (mut sandbox, _, id) = with_subscription();
    let end = shifted(START, "month", 1);
    sandbox.advance_to(START + 5 * DAY);
    let paused = ok(&mut sandbox, &format!("POST /v1/subscriptions/{id}/pause"), "");
    assert_eq!(text(&paused, "status"), "paused");
    assert_eq!(text(&paused, "status_details.paused.subscription.type"), "pause_requested");
    let again = refused(&mut sandbox, &format!("POST /v1/subscriptions/{id}/pause"), "");
    assert_eq!(again.0, 400);
    let mut soon = sandbox.clone();
    soon.advance_to(START + 10 * DAY);
    let from = soon.happenings().len();
    let resumed = ok(&mut soon, &format!("POST /v1/subscriptions/{id}/resume"), "");
    assert_eq!(text(&resumed, "status"), "active");
    assert_eq!(resumed["items"]["data"][0]["current_period_end"], end);
    assert_eq!(
        kinds(&soon, from),
        ["customer.subscription.updated", "customer.subscription.resumed"]
    );
    let from = sandbox.happenings().len();
    sandbox.advance_to(end + 9 * DAY);
    assert!(kinds(&sandbox, from).is_empty());
    let resumed = ok(&mut sandbox, &format!("POST /v1/subscriptions/{id}/resume"), "");
    assert_eq!(text(&resumed, "status"), "active");
    assert_eq!(resumed["items"]["data"][0]["current_period_start"], end + 9 * DAY);
    assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "paid");
    let twice = refused(&mut sandbox, &format!("POST /v1/subscriptions/{id}/resume"), "");
    assert_eq!(twice.0, 400);
}

#[test]
fn a_resumption_can_wait_for_its_payment_and_gives_up_after_a_day() {
    let (mut sandbox, customer, id) = with_subscription();
    ok(&mut sandbox, &format!("POST /v1/subscriptions/{id}/pause"), "");
    sandbox.advance_to(START + 40 * DAY);
    change_card(&mut sandbox, &customer, FAILS);
    let form = "payment_behavior=resume_on_payment_success";
    let waits = ok(&mut sandbox, &format!("POST /v1/subscriptions/{id}/resume"), form);
    assert_eq!(text(&waits, "status"), "paused");
    let invoice = text(&waits, "latest_invoice");
    let mut expires = sandbox.clone();
    expires.advance_to(START + 41 * DAY);
    assert_eq!(text(&latest_invoice(&mut expires, &id), "status"), "void");
    assert_eq!(text(&fetched(&mut expires, &id), "status"), "paused");
    change_card(&mut sandbox, &customer, GOOD);
    ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/pay"), "");
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
    assert!(kinds(&sandbox, 0).contains(&"customer.subscription.resumed"));
}

#[test]
fn lists_leave_out_what_was_cancelled_unless_asked() {
    let (mut sandbox, customer, id) = with_subscription();
    let other = text(&subscribed(&mut sandbox, &customer, ""), "id");
    ok(&mut sandbox, &format!("DELETE /v1/subscriptions/{id}"), "");
    let mut listed = |form: &str| {
        let list = ok(&mut sandbox, "GET /v1/subscriptions", form);
        ids(&list)
    };
    assert_eq!(listed(""), [other.as_str()]);
    assert_eq!(listed("status=all"), [other.as_str(), id.as_str()]);
    assert_eq!(listed("status=canceled"), [id.as_str()]);
    assert_eq!(listed("status=ended"), [id.as_str()]);
    assert_eq!(listed("status=trialing"), Vec::<String>::new());
    assert_eq!(listed(&format!("customer={customer}&price={PREMIUM}")), [other.as_str()]);
    assert_eq!(listed("price=other"), Vec::<String>::new());
    assert_eq!(listed(&format!("created[gt]={START}")), Vec::<String>::new());
}

#[test]
fn items_come_and_go_by_their_own_routes() {
    let (mut sandbox, _, id) = with_subscription();
    let form = format!("subscription={id}&price={ELITE}&quantity=2&proration_behavior=none");
    let added = ok(&mut sandbox, "POST /v1/subscription_items", &form);
    assert_eq!((&added["quantity"], text(&added, "price.id").as_str()), (&2.into(), ELITE));
    assert_eq!(refused(&mut sandbox, "POST /v1/subscription_items", &form).0, 400);
    let list = ok(&mut sandbox, "GET /v1/subscription_items", &format!("subscription={id}"));
    assert_eq!(ids(&list).len(), 2);
    let added = text(&added, "id");
    let path = format!("/v1/subscription_items/{added}");
    let five = ok(&mut sandbox, &format!("POST {path}"), "quantity=5&metadata[seat]=yes");
    assert_eq!((&five["quantity"], text(&five, "metadata.seat").as_str()), (&5.into(), "yes"));
    let gone = ok(&mut sandbox, &format!("DELETE {path}"), "");
    assert_eq!(gone["deleted"], true);
    let left = fetched(&mut sandbox, &id);
    assert_eq!(left["items"]["data"].as_array().unwrap().len(), 1);
    let missing = refused(&mut sandbox, &format!("GET {path}"), "");
    assert_eq!(missing, (404, "resource_missing/id".to_owned()));
}

#[test]
fn a_deleted_customer_has_no_running_subscription() {
    let (mut sandbox, customer, id) = with_subscription();
    let from = sandbox.happenings().len();
    ok(&mut sandbox, &format!("DELETE /v1/customers/{customer}"), "");
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.deleted", "customer.deleted"]);
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "canceled");
    let form = format!("customer={customer}&items[0][price]={PREMIUM}");
    let error = refused(&mut sandbox, "POST /v1/subscriptions", &form);
    assert_eq!(error, (400, "resource_missing/customer".to_owned()));
}
