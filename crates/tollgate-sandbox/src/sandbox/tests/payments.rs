//! Tests of payment methods, intents and charges. Owns: nothing else. Must not know: how replies
//! are made.

use super::*;

fn pay(method: &str, extra: &str) -> String {
    format!("amount=1000&currency=usd&payment_method={method}&confirm=true{extra}")
}

fn list(sandbox: &mut Sandbox, path: &str, form: &str) -> usize {
    ids(&ok(sandbox, &format!("GET {path}"), form)).len()
}

#[test]
fn a_payment_with_a_test_card_succeeds_and_can_be_read_from_all_sides() {
    let mut sandbox = sandbox();
    let intent = ok(&mut sandbox, "POST /v1/payment_intents", &pay("pm_card_visa", ""));
    assert_eq!(
        (&intent["status"], &intent["amount_received"]),
        (&"succeeded".into(), &1000.into())
    );
    assert!(text(&intent, "client_secret").starts_with(&text(&intent, "id")));
    assert_eq!(
        kinds(&sandbox, 0),
        ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    );
    let line = format!("GET /v1/payment_intents/{}", text(&intent, "id"));
    let form = "expand[]=latest_charge.refunds&expand[]=payment_method";
    let shown = ok(&mut sandbox, &line, form);
    assert_eq!(shown["latest_charge"]["payment_method_details"]["card"]["last4"], "4242");
    assert_eq!(shown["latest_charge"]["refunds"]["data"], serde_json::json!([]));
    assert_eq!(shown["payment_method"]["type"], "card");
    assert_eq!(shown["latest_charge"]["payment_method"], shown["payment_method"]["id"]);
    let of = format!("payment_intent={}", text(&intent, "id"));
    assert_eq!(list(&mut sandbox, "/v1/charges", &of), 1);
    let old = ok_in(&mut sandbox, ApiVersion::V2020, &line, "");
    assert!(old.get("latest_charge").is_none());
}

#[test]
fn a_declined_payment_is_an_error_whose_attempt_stays() {
    let mut sandbox = sandbox();
    let form = pay("pm_card_chargeCustomerFail", "");
    let reply = sandbox.call(&request("POST /v1/payment_intents", &form));
    assert_eq!((reply.status, fault(&reply).as_str()), (402, "card_declined/"));
    let error = &reply.body["error"];
    assert_eq!(
        (&error["type"], &error["decline_code"]),
        (&"card_error".into(), &"generic_decline".into())
    );
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(error["payment_intent"]["last_payment_error"]["code"], "card_declined");
    assert_eq!(
        kinds(&sandbox, 0),
        ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    );
    let path = format!("/v1/payment_intents/{}", text(error, "payment_intent.id"));
    let again = refused(&mut sandbox, &format!("POST {path}/confirm"), "");
    assert_eq!(again.1, "payment_intent_unexpected_state/");
    let line = format!("POST {path}/confirm");
    let paid = ok(&mut sandbox, &line, "payment_method=pm_card_mastercard");
    assert_eq!((&paid["status"], &paid["last_payment_error"]), (&"succeeded".into(), &Value::Null));
    let over = refused(&mut sandbox, &format!("POST {path}/cancel"), "");
    assert_eq!(over.1, "payment_intent_unexpected_state/");
}

#[test]
fn every_way_to_decline_has_its_code() {
    let mut sandbox = sandbox();
    for (name, code) in [
        ("chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("visa_chargeDeclinedLostCard", "lost_card"),
        ("authenticationRequired", "authentication_required"),
    ] {
        let form = pay(&format!("pm_card_{name}"), "&off_session=true");
        let reply = sandbox.call(&request("POST /v1/payment_intents", &form));
        assert_eq!(reply.body["error"]["decline_code"], code);
    }
    let form = pay("pm_card_chargeDeclinedExpiredCard", "");
    let reply = sandbox.call(&request("POST /v1/payment_intents", &form));
    assert_eq!(reply.body["error"]["code"], "expired_card");
}

#[test]
fn a_payment_that_asks_waits_for_the_cardholder() {
    let mut sandbox = sandbox();
    for (confirms, status) in [(true, "succeeded"), (false, "requires_payment_method")] {
        let form = pay("pm_card_authenticationRequired", "");
        let intent = ok(&mut sandbox, "POST /v1/payment_intents", &form);
        assert_eq!(intent["status"], "requires_action");
        assert_eq!(intent["next_action"]["type"], "redirect_to_url");
        let id = text(&intent, "id");
        assert!(sandbox.confirm_action(&id, confirms));
        assert!(!sandbox.confirm_action(&id, confirms));
        let intent = ok(&mut sandbox, &format!("GET /v1/payment_intents/{id}"), "");
        assert_eq!((&intent["status"], &intent["next_action"]), (&status.into(), &Value::Null));
    }
}

#[test]
fn money_can_be_held_and_taken_in_part() {
    let mut sandbox = sandbox();
    let form = pay("pm_card_visa", "&capture_method=manual");
    let intent = ok(&mut sandbox, "POST /v1/payment_intents", &form);
    assert_eq!(intent["status"], "requires_capture");
    assert_eq!(intent["amount_capturable"], 1000);
    let path = format!("POST /v1/payment_intents/{}/capture", text(&intent, "id"));
    let fault = refused(&mut sandbox, &path, "amount_to_capture=1001");
    assert_eq!(fault, (400, "amount_too_large/amount_to_capture".to_owned()));
    let taken = ok(&mut sandbox, &path, "amount_to_capture=600");
    assert_eq!((&taken["status"], &taken["amount_received"]), (&"succeeded".into(), &600.into()));
    let charge =
        ok(&mut sandbox, &format!("GET /v1/charges/{}", text(&taken, "latest_charge")), "");
    assert_eq!((&charge["amount_captured"], &charge["captured"]), (&600.into(), &true.into()));
}

#[test]
fn a_debit_takes_its_time_and_then_arrives_or_not() {
    for (iban, status, last) in [
        ("AT611904300234573201", "succeeded", "payment_intent.succeeded"),
        ("AT861904300235473202", "requires_payment_method", "payment_intent.payment_failed"),
        ("IT60X0542811101000000123456", "requires_payment_method", "payment_intent.payment_failed"),
    ] {
        let mut sandbox = sandbox();
        let form = format!("type=sepa_debit&sepa_debit[iban]={iban}&billing_details[name]=Jenny");
        let method = ok(&mut sandbox, "POST /v1/payment_methods", &form);
        assert_eq!(method["sepa_debit"]["last4"], &iban[iban.len() - 4..]);
        let form = pay(&text(&method, "id"), "&payment_method_types[]=sepa_debit");
        let intent = ok(&mut sandbox, "POST /v1/payment_intents", &form);
        assert_eq!(intent["status"], "processing");
        assert_eq!(sandbox.next_due(), Some(START + 3));
        sandbox.advance_to(START + 2);
        let line = format!("GET /v1/payment_intents/{}", text(&intent, "id"));
        assert_eq!(ok(&mut sandbox, &line, "")["status"], "processing");
        sandbox.advance_to(START + 10);
        assert_eq!(ok(&mut sandbox, &line, "")["status"], status);
        let told = sandbox.happenings().last().unwrap();
        assert_eq!((told.kind(), told.created()), (last, START + 3));
        assert_eq!((sandbox.now(), sandbox.next_due()), (START + 10, None));
    }
}

#[test]
fn an_intent_without_a_method_waits_and_can_be_changed_and_cancelled() {
    let mut sandbox = sandbox();
    let intent = ok(&mut sandbox, "POST /v1/payment_intents", "amount=5&currency=EUR");
    assert_eq!(
        (&intent["status"], &intent["currency"]),
        (&"requires_payment_method".into(), &"eur".into())
    );
    let path = format!("/v1/payment_intents/{}", text(&intent, "id"));
    assert_eq!(refused(&mut sandbox, &format!("POST {path}/confirm"), "").0, 400);
    let form = "amount=7&payment_method=pm_card_visa&metadata[a]=b";
    let changed = ok(&mut sandbox, &format!("POST {path}"), form);
    assert_eq!(
        (&changed["status"], &changed["amount"]),
        (&"requires_confirmation".into(), &7.into())
    );
    let form = "cancellation_reason=abandoned";
    let gone = ok(&mut sandbox, &format!("POST {path}/cancel"), form);
    assert_eq!((&gone["status"], &gone["canceled_at"]), (&"canceled".into(), &START.into()));
    assert_eq!(refused(&mut sandbox, &format!("POST {path}/confirm"), "").0, 400);
    assert_eq!(refused(&mut sandbox, &format!("POST {path}"), "amount=1").0, 400);
}

#[test]
fn methods_are_attached_listed_made_default_and_taken_off() {
    let mut sandbox = sandbox();
    let form = "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";
    let customer = ok(&mut sandbox, "POST /v1/customers", form);
    let id = text(&customer, "id");
    let default = text(&customer, "invoice_settings.default_payment_method");
    assert!(default.starts_with("pm_1"));
    assert_eq!(kinds(&sandbox, 0), ["payment_method.attached", "customer.created"]);
    let form = format!("customer={id}");
    let second = ok(&mut sandbox, "POST /v1/payment_methods/pm_card_amex/attach", &form);
    let methods = ok(&mut sandbox, &format!("GET /v1/customers/{id}/payment_methods"), "type=card");
    assert_eq!(ids(&methods), [text(&second, "id"), default.clone()]);
    assert_eq!(list(&mut sandbox, "/v1/payment_methods", &format!("{form}&type=sepa_debit")), 0);
    let line = format!("GET /v1/customers/{id}/payment_methods/{default}");
    assert_eq!(ok(&mut sandbox, &line, "")["card"]["brand"], "visa");
    ok(&mut sandbox, &format!("POST /v1/payment_methods/{default}/detach"), "");
    let customer = ok(&mut sandbox, &format!("GET /v1/customers/{id}"), "");
    assert_eq!(customer["invoice_settings"]["default_payment_method"], Value::Null);
    let twice = refused(&mut sandbox, &format!("POST /v1/payment_methods/{default}/detach"), "");
    assert_eq!(twice.1, "payment_method_unexpected_state/");
    let form = format!("invoice_settings[default_payment_method]={}", text(&second, "id"));
    let changed = ok(&mut sandbox, &format!("POST /v1/customers/{id}"), &form);
    assert_eq!(changed["invoice_settings"]["default_payment_method"], second["id"]);
    let other = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    let fault = refused(&mut sandbox, &format!("POST /v1/customers/{other}"), &form);
    assert_eq!(fault.1, "resource_missing/invoice_settings[default_payment_method]");
}

#[test]
fn cards_are_taken_by_token_and_test_number_only() {
    let mut sandbox = sandbox();
    let form = "type=card&card[token]=tok_mastercard&billing_details[email]=a@b.example";
    let method = ok(&mut sandbox, "POST /v1/payment_methods", form);
    assert_eq!(
        (&method["card"]["brand"], &method["card"]["last4"]),
        (&"mastercard".into(), &"4444".into())
    );
    assert_eq!(method["billing_details"]["email"], "a@b.example");
    let form = "type=card&card[number]=4242 4242 4242 4242&card[exp_month]=3&card[exp_year]=2040";
    let method = ok(&mut sandbox, "POST /v1/payment_methods", form);
    assert_eq!(
        (&method["card"]["exp_month"], &method["card"]["exp_year"]),
        (&3.into(), &2040.into())
    );
    for (form, status, fault) in [
        ("type=card&card[number]=4111111111111111", 402, "card_declined/card[number]"),
        ("type=card&card[token]=tok_none", 400, "resource_missing/card[token]"),
        ("type=card", 400, "parameter_missing/card"),
        ("type=boat", 400, "invalid_request_error/type"),
        (
            "type=sepa_debit&sepa_debit[iban]=DE00",
            400,
            "invalid_bank_account_iban/sepa_debit[iban]",
        ),
        (
            "type=card&card[number]=4242424242424242&card[exp_month]=13",
            402,
            "invalid_expiry_month/card[exp_month]",
        ),
    ] {
        let found = refused(&mut sandbox, "POST /v1/payment_methods", form);
        assert_eq!(found, (status, fault.to_owned()), "{form}");
    }
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    let form = format!("customer={customer}");
    let line = "POST /v1/payment_methods/pm_card_chargeDeclined/attach";
    assert_eq!(refused(&mut sandbox, line, &form), (402, "card_declined/".to_owned()));
}

#[test]
fn impossible_payments_are_refused() {
    let mut sandbox = sandbox();
    for (form, fault) in [
        ("currency=usd", "parameter_missing/amount"),
        ("amount=5", "parameter_missing/currency"),
        ("amount=0&currency=usd", "parameter_invalid_integer/amount"),
        ("amount=5&currency=usd&customer=cus_x", "resource_missing/customer"),
        ("amount=5&currency=usd&payment_method=pm_x", "resource_missing/payment_method"),
        (
            "amount=5&currency=usd&payment_method_types[]=cash",
            "invalid_request_error/payment_method_types",
        ),
    ] {
        let found = refused(&mut sandbox, "POST /v1/payment_intents", form);
        assert_eq!(found, (400, fault.to_owned()), "{form}");
    }
}

#[test]
fn a_customer_changes_the_card_and_charges_follow_it() {
    use super::super::{Card, PageError};
    let mut sandbox = sandbox();
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    for (word, declines) in
        [("good", false), ("declined", true), ("asks-to-confirm", true), ("disputed", false)]
    {
        sandbox.set_card(&customer, Card::parse(word).unwrap()).unwrap();
        let shown = ok(&mut sandbox, &format!("GET /v1/customers/{customer}"), "");
        let method = text(&shown, "invoice_settings.default_payment_method");
        assert_eq!(sandbox.declines(&method).is_some(), declines, "{word}");
    }
    assert_eq!(
        ids(&ok(&mut sandbox, &format!("GET /v1/customers/{customer}/payment_methods"), "")).len(),
        4
    );
    let unknown = sandbox.set_card("cus_none", Card::Good);
    assert_eq!(unknown, Err(PageError::Unknown { id: "cus_none".to_owned() }));
    assert_eq!(Card::parse("bad"), None);
}

#[test]
fn the_intent_of_an_invoice_waits_from_its_finalizing_and_pays_it_when_confirmed() {
    let mut sandbox = sandbox();
    let price = text(&ok(&mut sandbox, "GET /v1/prices", "recurring[interval]=month"), "data.0.id");
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    let form = format!(
        "customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete\
         &expand[]=latest_invoice.payments&expand[]=latest_invoice.confirmation_secret"
    );
    let held = ok(&mut sandbox, "POST /v1/subscriptions", &form);
    assert_eq!(held["status"], "incomplete");
    let payment = &held["latest_invoice"]["payments"]["data"][0];
    assert_eq!((&payment["status"], &payment["amount_paid"]), (&"open".into(), &Value::Null));
    let intent = text(payment, "payment.payment_intent");
    assert!(text(&held, "latest_invoice.confirmation_secret.client_secret").starts_with(&intent));
    let line = format!("POST /v1/payment_intents/{intent}/confirm");
    let declined = request(&line, "payment_method=pm_card_chargeCustomerFail");
    let declined = sandbox.call(&declined);
    assert_eq!((declined.status, fault(&declined).as_str()), (402, "card_declined/"));
    assert_eq!(text(&declined.body, "error.payment_intent.status"), "requires_payment_method");
    let paid = ok(&mut sandbox, &line, "payment_method=pm_card_visa");
    assert_eq!((&paid["status"], &paid["created"]), (&"succeeded".into(), &START.into()));
    let line = format!("GET /v1/subscriptions/{}", text(&held, "id"));
    let held = ok(&mut sandbox, &line, "expand[]=latest_invoice.payments");
    assert_eq!(
        (&held["status"], &held["latest_invoice"]["status"]),
        (&"active".into(), &"paid".into())
    );
    assert_eq!(held["latest_invoice"]["payments"]["data"][0]["status"], "paid");
}

#[test]
fn a_voided_invoice_takes_its_payment_with_it() {
    let mut sandbox = sandbox();
    let price = text(&ok(&mut sandbox, "GET /v1/prices", "recurring[interval]=month"), "data.0.id");
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", "source=tok_visa"), "id");
    let form =
        format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete");
    let held = ok(&mut sandbox, "POST /v1/subscriptions", &form);
    let invoice = text(&held, "latest_invoice");
    ok(&mut sandbox, &format!("POST /v1/invoices/{invoice}/void"), "");
    let payments = ok(&mut sandbox, "GET /v1/invoice_payments", &format!("invoice={invoice}"));
    assert_eq!(payments["data"][0]["status"], "canceled");
    let line =
        format!("GET /v1/payment_intents/{}", text(&payments, "data.0.payment.payment_intent"));
    assert_eq!(ok(&mut sandbox, &line, "")["status"], "canceled");
    let unknown = refused(&mut sandbox, "POST /v1/customers", "source=tok_none");
    assert_eq!(unknown, (400, "resource_missing/source".to_owned()));
}
