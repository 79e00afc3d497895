//! Test clocks: a time of their own for some customers.

use super::subscriptions::{GOOD, PREMIUM, fetched, latest_invoice, with_subscription};
use super::{START, kinds, ok, refused, text};
use crate::time::{DAY, HOUR, shifted};

#[test]
fn a_clock_moves_its_customers_and_nobody_else() {
    let (mut sandbox, _, other) = with_subscription();
    let form = format!("frozen_time={START}&name=Ahead");
    let clock = ok(&mut sandbox, "POST /v1/test_helpers/test_clocks", &form);
    assert_eq!((text(&clock, "status"), &clock["frozen_time"]), ("ready".into(), &START.into()));
    let clock = text(&clock, "id");
    let form = format!(
        "test_clock={clock}&payment_method={GOOD}\
         &invoice_settings[default_payment_method]={GOOD}"
    );
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", &form), "id");
    let form = format!("customer={customer}&items[0][price]={PREMIUM}");
    let own = ok(&mut sandbox, "POST /v1/subscriptions", &form);
    assert_eq!(text(&own, "test_clock"), clock);
    let own = text(&own, "id");
    // The world's time does not move what goes by the clock.
    sandbox.advance_to(START + DAY);
    let end = shifted(START, "month", 1);
    let path = format!("/v1/test_helpers/test_clocks/{clock}");
    let from = sandbox.happenings().len();
    let form = format!("frozen_time={}", end + 2 * HOUR);
    let moved = ok(&mut sandbox, &format!("POST {path}/advance"), &form);
    assert_eq!(text(&moved, "status"), "advancing");
    assert_eq!(text(&ok(&mut sandbox, &format!("GET {path}"), ""), "status"), "ready");
    assert_eq!(sandbox.now(), START + DAY);
    let told = kinds(&sandbox, from);
    assert_eq!(told.first(), Some(&"test_helpers.test_clock.advancing"));
    assert_eq!(told.last(), Some(&"test_helpers.test_clock.ready"));
    let renewed = fetched(&mut sandbox, &own);
    assert_eq!(renewed["items"]["data"][0]["current_period_start"], end);
    assert_eq!(text(&latest_invoice(&mut sandbox, &own), "status"), "paid");
    let untouched = fetched(&mut sandbox, &other);
    assert_eq!(untouched["items"]["data"][0]["current_period_start"], START);
    // What is asked of its customers happens at the clock's time.
    let ended = ok(&mut sandbox, &format!("DELETE /v1/subscriptions/{own}"), "");
    assert_eq!(ended["ended_at"], end + 2 * HOUR);
    // And the world's time does what is due in it.
    sandbox.advance_to(end);
    assert_eq!(fetched(&mut sandbox, &other)["items"]["data"][0]["current_period_start"], end);
}

#[test]
fn clocks_go_forward_only_and_not_too_far() {
    let (mut sandbox, _, _) = with_subscription();
    let form = format!("frozen_time={START}");
    let clock = text(&ok(&mut sandbox, "POST /v1/test_helpers/test_clocks", &form), "id");
    let path = format!("/v1/test_helpers/test_clocks/{clock}");
    for to in [START, START - 1, START + 1000 * DAY] {
        let form = format!("frozen_time={to}");
        let error = refused(&mut sandbox, &format!("POST {path}/advance"), &form);
        assert_eq!(error, (400, "invalid_request_error/frozen_time".to_owned()));
    }
    let form = format!("test_clock={clock}&email=a@b.example");
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", &form), "id");
    ok(&mut sandbox, &format!("DELETE {path}"), "");
    assert_eq!(refused(&mut sandbox, &format!("GET {path}"), "").0, 404);
    assert_eq!(ok(&mut sandbox, &format!("GET /v1/customers/{customer}"), "")["deleted"], true);
    let unknown = refused(&mut sandbox, "POST /v1/customers", "test_clock=clock_none");
    assert_eq!(unknown, (400, "resource_missing/test_clock".to_owned()));
}
