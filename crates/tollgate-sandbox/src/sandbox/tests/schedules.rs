//! Schedules: taking a subscription over, phases, letting go.

use super::subscriptions::{
    ELITE, GOOD, PREMIUM, customer, fetched, latest_invoice, updated, with_subscription,
};
use super::{START, ids, kinds, ok, refused, sandbox, text};
use crate::sandbox::Sandbox;
use crate::time::{DAY, HOUR, shifted};

/// A schedule that changes a subscription to the other plan when its period ends.
fn scheduled(sandbox: &mut Sandbox, id: &str, ending: &str) -> String {
    let form = format!("from_subscription={id}");
    let made = ok(sandbox, "POST /v1/subscription_schedules", &form);
    assert_eq!(text(&made, "status"), "active");
    assert_eq!(text(&made, "phases.0.items.0.price"), PREMIUM);
    let schedule = text(&made, "id");
    let form = format!(
        "end_behavior={ending}&phases[0][start_date]={}&phases[0][end_date]={}\
         &phases[0][items][0][price]={PREMIUM}&phases[1][items][0][price]={ELITE}\
         &phases[1][items][0][quantity]=2&phases[1][proration_behavior]=none\
         &phases[1][metadata][why]=grew",
        made["phases"][0]["start_date"], made["phases"][0]["end_date"]
    );
    ok(sandbox, &format!("POST /v1/subscription_schedules/{schedule}"), &form);
    schedule
}

#[test]
fn a_change_at_the_end_of_the_period_comes_with_the_renewal_and_then_lets_go() {
    let (mut sandbox, _, id) = with_subscription();
    let (first, second) = (shifted(START, "month", 1), shifted(START, "month", 2));
    let schedule = scheduled(&mut sandbox, &id, "release");
    let held = fetched(&mut sandbox, &id);
    assert_eq!(text(&held, "schedule"), schedule);
    assert_eq!(text(&held, "items.data.0.price.id"), PREMIUM);
    let pause = refused(&mut sandbox, &format!("POST /v1/subscriptions/{id}/pause"), "");
    assert_eq!(pause.0, 400);
    let from = sandbox.happenings().len();
    sandbox.advance_to(first);
    assert_eq!(
        kinds(&sandbox, from),
        ["subscription_schedule.updated", "customer.subscription.updated", "invoice.created"]
    );
    let changed = fetched(&mut sandbox, &id);
    assert_eq!(text(&changed, "items.data.0.price.id"), ELITE);
    assert_eq!(changed["items"]["data"][0]["quantity"], 2);
    assert_eq!(text(&changed, "metadata.why"), "grew");
    assert_eq!(changed["items"]["data"][0]["current_period_end"], second);
    sandbox.advance_to(first + HOUR);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), 1);
    assert_eq!(text(&invoice, "status"), "paid");
    sandbox.advance_to(second);
    let over = ok(&mut sandbox, &format!("GET /v1/subscription_schedules/{schedule}"), "");
    assert_eq!(text(&over, "status"), "released");
    assert_eq!(text(&over, "released_subscription"), id);
    let free = fetched(&mut sandbox, &id);
    assert!(free["schedule"].is_null());
    assert_eq!(text(&free, "items.data.0.price.id"), ELITE);
    sandbox.advance_to(second + HOUR);
    assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "paid");
}

#[test]
fn a_schedule_can_end_its_subscription() {
    let (mut sandbox, _, id) = with_subscription();
    let schedule = scheduled(&mut sandbox, &id, "cancel");
    sandbox.advance_to(shifted(START, "month", 2));
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "canceled");
    let over = ok(&mut sandbox, &format!("GET /v1/subscription_schedules/{schedule}"), "");
    assert_eq!(text(&over, "status"), "completed");
}

#[test]
fn released_or_cancelled_early_nothing_changes_any_more() {
    for (act, expected) in [("release", "active"), ("cancel", "canceled")] {
        let (mut sandbox, _, id) = with_subscription();
        let schedule = scheduled(&mut sandbox, &id, "release");
        ok(&mut sandbox, &format!("POST /v1/subscription_schedules/{schedule}/{act}"), "");
        let again = format!("POST /v1/subscription_schedules/{schedule}/release");
        assert_eq!(refused(&mut sandbox, &again, "").0, 400);
        sandbox.advance_to(shifted(START, "month", 1) + HOUR);
        let held = fetched(&mut sandbox, &id);
        assert_eq!(text(&held, "status"), expected);
        assert_eq!(text(&held, "items.data.0.price.id"), PREMIUM);
    }
}

#[test]
fn a_subscription_that_ends_takes_its_schedule_along() {
    let (mut sandbox, _, id) = with_subscription();
    let schedule = scheduled(&mut sandbox, &id, "release");
    ok(&mut sandbox, &format!("DELETE /v1/subscriptions/{id}"), "");
    let over = ok(&mut sandbox, &format!("GET /v1/subscription_schedules/{schedule}"), "");
    assert_eq!(text(&over, "status"), "canceled");
    let from = sandbox.happenings().len();
    sandbox.advance_to(START + 100 * DAY);
    assert!(kinds(&sandbox, from).is_empty());
}

#[test]
fn a_schedule_can_begin_a_subscription_later() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let start = START + 10 * DAY;
    let form = format!(
        "customer={customer}&start_date={start}&phases[0][items][0][price]={PREMIUM}\
         &phases[0][iterations]=2&end_behavior=cancel"
    );
    let made = ok(&mut sandbox, "POST /v1/subscription_schedules", &form);
    assert_eq!(text(&made, "status"), "not_started");
    assert_eq!(made["phases"][0]["end_date"], shifted(start, "month", 2));
    sandbox.advance_to(start - 1);
    assert!(ids(&ok(&mut sandbox, "GET /v1/subscriptions", "")).is_empty());
    sandbox.advance_to(start);
    let line = format!("GET /v1/subscription_schedules/{}", text(&made, "id"));
    let active = ok(&mut sandbox, &line, "");
    assert_eq!(text(&active, "status"), "active");
    let id = text(&active, "subscription");
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
    sandbox.advance_to(shifted(start, "month", 1) + HOUR);
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
    sandbox.advance_to(shifted(start, "month", 2));
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "canceled");
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    let (mut sandbox, customer, id) = with_subscription();
    scheduled(&mut sandbox, &id, "release");
    let create = "POST /v1/subscription_schedules";
    let price = format!("phases[0][items][0][price]={PREMIUM}");
    for (form, expected) in [
        (format!("from_subscription={id}"), "invalid_request_error/from_subscription"),
        (format!("from_subscription={id}&{price}"), "invalid_request_error/from_subscription"),
        ("from_subscription=sub_none".to_owned(), "resource_missing/from_subscription"),
        (format!("customer={customer}&{price}"), "parameter_missing/start_date"),
        (format!("customer={customer}&start_date=now"), "parameter_missing/phases"),
        (
            format!("customer={customer}&start_date=now&{price}&phases[0][end_date]=5"),
            "invalid_request_error/phases[0][end_date]",
        ),
        (
            format!("customer={customer}&start_date=now&phases[0][end_date]=now"),
            "parameter_missing/phases[0][items]",
        ),
    ] {
        let error = refused(&mut sandbox, create, &form);
        assert_eq!(error, (400, expected.to_owned()), "{form}");
    }
    let list = ok(&mut sandbox, "GET /v1/subscription_schedules", "scheduled=true");
    assert!(ids(&list).is_empty());
}

#[test]
fn a_phase_in_the_middle_of_a_period_is_prorated() {
    let (mut sandbox, _, id) = with_subscription();
    let middle = START + 10 * DAY;
    let made =
        ok(&mut sandbox, "POST /v1/subscription_schedules", &format!("from_subscription={id}"));
    let form = format!(
        "phases[0][start_date]={START}&phases[0][end_date]={middle}\
         &phases[0][items][0][price]={PREMIUM}&phases[1][items][0][price]={ELITE}\
         &phases[1][proration_behavior]=always_invoice"
    );
    let line = format!("POST /v1/subscription_schedules/{}", text(&made, "id"));
    ok(&mut sandbox, &line, &form);
    sandbox.advance_to(middle);
    let changed = fetched(&mut sandbox, &id);
    assert_eq!(text(&changed, "items.data.0.price.id"), ELITE);
    assert_eq!(changed["items"]["data"][0]["current_period_end"], shifted(START, "month", 1));
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(text(&invoice, "billing_reason"), "subscription_update");
    assert!(invoice["amount_paid"].as_i64().unwrap() > 0);
    assert_eq!(text(&updated(&mut sandbox, &id, "metadata[a]=1"), "metadata.a"), "1");
}
