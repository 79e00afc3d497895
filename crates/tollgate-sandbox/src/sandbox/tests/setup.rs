//! Tests of setup intents, the account and payments of invoices. Owns: nothing else. Must not
//! know: how replies are made.

use super::*;

#[test]
fn a_card_is_set_up_for_later() {
    let mut sandbox = sandbox();
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    let form = format!("customer={customer}&usage=on_session");
    let intent = ok(&mut sandbox, "POST /v1/setup_intents", &form);
    assert_eq!(intent["status"], "requires_payment_method");
    let path = format!("/v1/setup_intents/{}", text(&intent, "id"));
    assert_eq!(refused(&mut sandbox, &format!("POST {path}/confirm"), "").0, 400);
    let line = format!("POST {path}/confirm");
    let declined = request(&line, "payment_method=pm_card_chargeDeclined");
    let declined = sandbox.call(&declined);
    assert_eq!((declined.status, fault(&declined).as_str()), (402, "card_declined/"));
    assert_eq!(
        text(&declined.body, "error.setup_intent.last_setup_error.decline_code"),
        "generic_decline"
    );
    let done = ok(&mut sandbox, &line, "payment_method=pm_card_visa");
    assert_eq!((&done["status"], &done["last_setup_error"]), (&"succeeded".into(), &Value::Null));
    assert_eq!(
        kinds(&sandbox, 1),
        [
            "setup_intent.created",
            "setup_intent.setup_failed",
            "payment_method.attached",
            "setup_intent.succeeded"
        ]
    );
    assert_eq!(refused(&mut sandbox, &line, "").1, "setup_intent_unexpected_state/");
    let line = format!("GET /v1/customers/{customer}/payment_methods");
    assert_eq!(ids(&ok(&mut sandbox, &line, "")), [text(&done, "payment_method")]);
    let listed = ok(&mut sandbox, "GET /v1/setup_intents", &format!("customer={customer}"));
    assert_eq!(ids(&listed), [text(&intent, "id")]);
}

#[test]
fn a_setup_can_be_changed_and_cancelled() {
    let mut sandbox = sandbox();
    let form = "payment_method=pm_card_visa&metadata[a]=b";
    let intent = ok(&mut sandbox, "POST /v1/setup_intents", form);
    assert_eq!(intent["status"], "requires_confirmation");
    let path = format!("/v1/setup_intents/{}", text(&intent, "id"));
    let changed = ok(&mut sandbox, &format!("POST {path}"), "description=x&metadata=");
    assert_eq!(
        (&changed["description"], &changed["metadata"]),
        (&"x".into(), &serde_json::json!({}))
    );
    let form = "cancellation_reason=abandoned";
    assert_eq!(ok(&mut sandbox, &format!("POST {path}/cancel"), form)["status"], "canceled");
    assert_eq!(refused(&mut sandbox, &format!("POST {path}"), "description=y").0, 400);
    let fault = refused(&mut sandbox, "POST /v1/setup_intents", "usage=never");
    assert_eq!(fault.1, "invalid_request_error/usage");
}

#[test]
fn the_account_says_who_it_is_and_knows_no_other() {
    let mut sandbox = sandbox();
    let own = ok(&mut sandbox, "GET /v1/account", "");
    assert_eq!(ok(&mut sandbox, &format!("GET /v1/accounts/{}", text(&own, "id")), ""), own);
    let other = refused(&mut sandbox, "GET /v1/accounts/acct_other", "");
    assert_eq!(other, (403, "account_invalid/".to_owned()));
}

#[test]
fn the_invoice_of_a_payment_is_found_by_its_intent() {
    let mut sandbox = sandbox();
    let account = tollgate_domain::ids::AccountId::parse("acme").unwrap();
    let at = tollgate_domain::Timestamp::from_unix_seconds(START);
    let options = crate::ScenarioOptions::new(account, at);
    let story = crate::Scenario::find("checkout").unwrap();
    sandbox.adopt(story.happenings(&catalog(), &options).unwrap());
    let intent = text(&ok(&mut sandbox, "GET /v1/payment_intents", ""), "data.0.id");
    let form = format!("payment[type]=payment_intent&payment[payment_intent]={intent}");
    let payments = ok(&mut sandbox, "GET /v1/invoice_payments", &form);
    let id = text(&payments, "data.0.id");
    let payment = ok(&mut sandbox, &format!("GET /v1/invoice_payments/{id}"), "expand[]=invoice");
    assert_eq!(payment["invoice"]["status"], "paid");
    let form = "payment[type]=payment_intent&payment[payment_intent]=pi_none";
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/invoice_payments", form)).len(), 0);
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/invoice_payments", "status=open")).len(), 0);
}
