//! Tests of checkout sessions. Owns: nothing else. Must not know: how replies are made.

use super::super::{CheckoutOutcome, PageError, PageResult};
use super::*;

/// The ids of the catalog's monthly, second monthly and one-time price.
pub(super) fn prices(sandbox: &mut Sandbox) -> (String, String, String) {
    let mut find = |filter: &str, index: usize| {
        let form = format!("limit=100&active=true&{filter}");
        let list = ok(sandbox, "GET /v1/prices", &form);
        text(&list, &format!("data.{index}.id"))
    };
    let monthly = "recurring[interval]=month";
    (find(monthly, 0), find(monthly, 1), find("type=one_time", 0))
}

const BACK: &str = "success_url=https://app.example/done?session={CHECKOUT_SESSION_ID}\
                    &cancel_url=https://app.example/back";

/// Opens a session for one piece of a price.
pub(super) fn open(sandbox: &mut Sandbox, mode: &str, price: &str, extra: &str) -> Value {
    let form =
        format!("mode={mode}&{BACK}&line_items[0][price]={price}&line_items[0][quantity]=1{extra}");
    ok(sandbox, "POST /v1/checkout/sessions", &form)
}

fn shown(sandbox: &mut Sandbox, session: &Value) -> Value {
    ok(sandbox, &format!("GET /v1/checkout/sessions/{}", text(session, "id")), "")
}

fn pay(sandbox: &mut Sandbox, session: &Value, how: CheckoutOutcome) -> PageResult {
    sandbox.complete_checkout(&text(session, "id"), how).unwrap()
}

#[test]
fn a_session_is_opened_with_everything_the_page_needs() {
    let mut sandbox = sandbox();
    sandbox.set_pages_base("http://127.0.0.1:8420/");
    let (_, _, once) = prices(&mut sandbox);
    let customer = ok(&mut sandbox, "POST /v1/customers", "email=a@b.example");
    let extra = format!(
        "&customer={}&client_reference_id=acme&metadata[account_id]=acme&expand[]=line_items",
        text(&customer, "id")
    );
    let session = open(&mut sandbox, "payment", &once, &extra);
    let id = text(&session, "id");
    assert_eq!(session["url"], format!("http://127.0.0.1:8420/c/pay/{id}"));
    assert_eq!(
        (&session["status"], &session["payment_status"]),
        (&"open".into(), &"unpaid".into())
    );
    assert_eq!(session["customer_details"]["email"], "a@b.example");
    assert_eq!(session["line_items"]["data"][0]["price"]["id"], once);
    assert_eq!(session["amount_total"], session["line_items"]["data"][0]["amount_total"]);
    assert_eq!(session["expires_at"], START + 86_400);
    assert_eq!(sandbox.happenings().len(), 1, "an opened session is no event");
    let lines = ok(&mut sandbox, &format!("GET /v1/checkout/sessions/{id}/line_items"), "");
    assert_eq!(lines["data"][0]["quantity"], 1);
    let page = sandbox.checkout_page(&id).unwrap();
    assert_eq!((page.status, page.subscribes, page.trial_end), ("open", false, None));
    assert_eq!(page.cancel_url.as_deref(), Some("https://app.example/back"));
    assert_eq!(page.lines.len(), 1);
    let line = format!("GET /v1/checkout/sessions/{id}");
    assert_eq!(ok_in(&mut sandbox, ApiVersion::Clover, &line, "")["ui_mode"], "hosted");
    assert_eq!(ok_in(&mut sandbox, ApiVersion::Dahlia, &line, "")["ui_mode"], "hosted_page");
}

#[test]
fn a_one_time_purchase_is_paid_on_the_page() {
    let mut sandbox = sandbox();
    let (_, _, once) = prices(&mut sandbox);
    let extra = "&payment_intent_data[metadata][account_id]=acme&metadata[a]=b";
    let session = open(&mut sandbox, "payment", &once, extra);
    let went = pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    let url = format!("https://app.example/done?session={}", text(&session, "id"));
    assert_eq!(went, PageResult::GoTo(url));
    assert_eq!(
        kinds(&sandbox, 0),
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ]
    );
    let done = shown(&mut sandbox, &session);
    assert_eq!((&done["status"], &done["payment_status"]), (&"complete".into(), &"paid".into()));
    assert_eq!((&done["url"], &done["metadata"]["a"]), (&Value::Null, &"b".into()));
    let line = format!("GET /v1/payment_intents/{}", text(&done, "payment_intent"));
    let intent = ok(&mut sandbox, &line, "expand[]=latest_charge");
    assert_eq!(intent["metadata"]["account_id"], "acme");
    assert_eq!(intent["latest_charge"]["metadata"]["account_id"], "acme");
    let again = sandbox.complete_checkout(&text(&session, "id"), CheckoutOutcome::Pay);
    assert!(matches!(again, Err(PageError::Refused { .. })), "{again:?}");
    let form = format!("payment_intent={}", text(&intent, "id"));
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/checkout/sessions", &form)).len(), 1);
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/checkout/sessions", "status=open")).len(), 0);
}

#[test]
fn a_declined_purchase_leaves_the_session_open_for_another_card() {
    let mut sandbox = sandbox();
    let (_, _, once) = prices(&mut sandbox);
    let session = open(&mut sandbox, "payment", &once, "");
    let declined = pay(&mut sandbox, &session, CheckoutOutcome::Fail);
    assert_eq!(declined, PageResult::Declined("Your card was declined.".to_owned()));
    assert_eq!(shown(&mut sandbox, &session)["status"], "open");
    assert_eq!(
        kinds(&sandbox, 0),
        ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    );
    pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    let intents = ok(&mut sandbox, "GET /v1/payment_intents", "");
    assert_eq!(ids(&intents), [text(&shown(&mut sandbox, &session), "payment_intent")]);
}

#[test]
fn money_that_takes_days_completes_the_session_unpaid_and_is_told_when_it_is_settled() {
    for (succeeds, status, last) in [
        (true, "paid", "checkout.session.async_payment_succeeded"),
        (false, "unpaid", "checkout.session.async_payment_failed"),
    ] {
        let mut sandbox = sandbox();
        let (_, _, once) = prices(&mut sandbox);
        let session = open(&mut sandbox, "payment", &once, "");
        let id = text(&session, "id");
        assert!(sandbox.settle_later(&id, succeeds).is_err());
        pay(&mut sandbox, &session, CheckoutOutcome::PayLater);
        let done = shown(&mut sandbox, &session);
        assert_eq!(
            (&done["status"], &done["payment_status"]),
            (&"complete".into(), &"unpaid".into())
        );
        assert_eq!(sandbox.next_due(), None);
        sandbox.advance_to(START + 3 * 86_400);
        sandbox.settle_later(&id, succeeds).unwrap();
        assert_eq!(shown(&mut sandbox, &session)["payment_status"], status);
        let told = sandbox.happenings().last().unwrap();
        assert_eq!((told.kind(), told.created()), (last, START + 3 * 86_400));
        assert!(sandbox.settle_later(&id, succeeds).is_err());
    }
}

#[test]
fn the_private_calls_of_the_command_line_pay_a_session() {
    let mut sandbox = sandbox();
    let form = "currency=eur&unit_amount=1500&product_data[name]=x";
    let price = text(&ok(&mut sandbox, "POST /v1/prices", form), "id");
    let extra = "&line_items[0][quantity]=2&payment_method_types[]=sepa_debit\
                 &payment_intent_data[setup_future_usage]=off_session\
                 &payment_intent_data[shipping][name]=J\
                 &payment_intent_data[shipping][address][line1]=L";
    let session = open(&mut sandbox, "payment", &price, extra);
    let path = format!("/v1/payment_pages/{}", text(&session, "id"));
    assert_eq!(ok(&mut sandbox, &format!("GET {path}"), "")["state"], "active");
    let form = "type=sepa_debit&sepa_debit[iban]=AT611904300234573201";
    let method = text(&ok(&mut sandbox, "POST /v1/payment_methods", form), "id");
    let line = format!("POST {path}/confirm");
    let wrong = format!("payment_method={method}&expected_amount=1");
    let fault = refused(&mut sandbox, &line, &wrong);
    assert_eq!(fault.1, "checkout_amount_mismatch/expected_amount");
    let form = format!("payment_method={method}&expected_amount=3000");
    assert_eq!(ok(&mut sandbox, &line, &form)["payment_status"], "unpaid");
    assert_eq!(refused(&mut sandbox, &line, &form).1, "checkout_session_not_open/");
    sandbox.advance_to(START + 10);
    assert_eq!(kinds(&sandbox, 0).last(), Some(&"checkout.session.async_payment_succeeded"));
    assert_eq!(
        shown(&mut sandbox, &session)["payment_method_types"],
        serde_json::json!(["sepa_debit"])
    );
    assert_eq!(refused(&mut sandbox, "GET /v1/payment_pages/cs_none", "").0, 404);
}

#[test]
fn an_open_session_runs_out_by_itself_or_on_request() {
    let mut sandbox = sandbox();
    let (_, _, once) = prices(&mut sandbox);
    let extra = format!("&expires_at={}", START + 3_600);
    let first = open(&mut sandbox, "payment", &once, &extra);
    let second = open(&mut sandbox, "payment", &once, "");
    let line = format!("POST /v1/checkout/sessions/{}/expire", text(&second, "id"));
    let gone = ok(&mut sandbox, &line, "");
    assert_eq!((&gone["status"], &gone["url"]), (&"expired".into(), &Value::Null));
    assert_eq!(refused(&mut sandbox, &line, "").0, 400);
    sandbox.advance_to(START + 3_599);
    assert_eq!(shown(&mut sandbox, &first)["status"], "open");
    sandbox.advance_to(START + 7_200);
    assert_eq!(shown(&mut sandbox, &first)["status"], "expired");
    let told = sandbox.happenings().last().unwrap();
    assert_eq!((told.kind(), told.created()), ("checkout.session.expired", START + 3_600));
    let late = sandbox.complete_checkout(&text(&first, "id"), CheckoutOutcome::Pay);
    assert!(matches!(late, Err(PageError::Refused { .. })));
    assert_eq!(sandbox.next_due(), None);
}

#[test]
fn lines_can_be_made_up_and_sessions_be_embedded() {
    let mut sandbox = sandbox();
    let form = "mode=payment&ui_mode=embedded&return_url=https://app.example/\
                &line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=700\
                &line_items[0][price_data][product_data][name]=Sand&line_items[0][quantity]=3";
    let session = ok(&mut sandbox, "POST /v1/checkout/sessions", form);
    assert_eq!((&session["amount_total"], &session["url"]), (&2100.into(), &Value::Null));
    assert!(text(&session, "client_secret").contains("_secret_"));
    assert_eq!(session["ui_mode"], "embedded_page");
    assert_eq!(session["return_url"], "https://app.example/");
}

#[test]
fn impossible_sessions_are_refused() {
    let mut sandbox = sandbox();
    let (monthly, _, once) = prices(&mut sandbox);
    let gone = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    ok(&mut sandbox, &format!("DELETE /v1/customers/{gone}"), "");
    let form = "currency=jpy&unit_amount=15&product_data[name]=x&recurring[interval]=month";
    let yen = text(&ok(&mut sandbox, "POST /v1/prices", form), "id");
    let form = "currency=usd&unit_amount=15&product_data[name]=x&active=false";
    let inactive = text(&ok(&mut sandbox, "POST /v1/prices", form), "id");
    let with = |mode: &str, price: &str, extra: &str| {
        format!("mode={mode}&{BACK}&line_items[0][price]={price}{extra}")
    };
    let line = "line_items[0][price]";
    for (form, fault) in [
        (with("payment", "price_none", ""), format!("resource_missing/{line}")),
        (with("payment", &monthly, ""), format!("invalid_request_error/{line}")),
        (with("subscription", &once, ""), format!("invalid_request_error/{line}")),
        (with("payment", &inactive, ""), format!("invalid_request_error/{line}")),
        (with("donation", &once, ""), "invalid_request_error/mode".to_owned()),
        (with("payment", &once, "&customer=cus_none"), "resource_missing/customer".to_owned()),
        (
            with("payment", &once, &format!("&customer={gone}")),
            "resource_missing/customer".to_owned(),
        ),
        (
            with("payment", &once, "&line_items[0][quantity]=0"),
            "parameter_invalid_integer/line_items[0][quantity]".to_owned(),
        ),
        (
            with("subscription", &monthly, &format!("&line_items[1][price]={yen}")),
            "invalid_request_error/line_items".to_owned(),
        ),
        (
            with("payment", &once, &format!("&expires_at={}", START + 60)),
            "invalid_request_error/expires_at".to_owned(),
        ),
        (
            with("payment", &once, "&subscription_data[trial_period_days]=3"),
            "invalid_request_error/subscription_data".to_owned(),
        ),
        (
            with("subscription", &monthly, "&payment_intent_data[description]=x"),
            "invalid_request_error/payment_intent_data".to_owned(),
        ),
        (
            with("subscription", &monthly, "&subscription_data[trial_period_days]=0"),
            "parameter_invalid_integer/subscription_data[trial_period_days]".to_owned(),
        ),
        (
            format!("mode=payment&line_items[0][price]={once}"),
            "parameter_missing/success_url".to_owned(),
        ),
        (
            format!("mode=payment&success_url=app&line_items[0][price]={once}"),
            "url_invalid/success_url".to_owned(),
        ),
        (format!("mode=payment&{BACK}"), "parameter_missing/line_items".to_owned()),
    ] {
        let found = refused(&mut sandbox, "POST /v1/checkout/sessions", &form);
        assert_eq!(found, (400, fault), "{form}");
    }
    assert!(matches!(sandbox.checkout_page("cs_none"), Err(PageError::Unknown { .. })));
}

#[test]
fn what_a_page_collects_is_shown_and_refused_as_stripe_does() {
    let mut sandbox = sandbox();
    let (monthly, _, _) = prices(&mut sandbox);
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    let with = |extra: &str| {
        format!(
            "mode=subscription&{BACK}&line_items[0][price]={monthly}&customer={customer}{extra}"
        )
    };
    let all = "&automatic_tax[enabled]=true&customer_update[address]=auto&customer_update[name]=auto\
               &tax_id_collection[enabled]=true&consent_collection[terms_of_service]=required\
               &billing_address_collection=required&allow_promotion_codes=true&locale=de\
               &line_items[0][quantity]=2&line_items[0][adjustable_quantity][enabled]=true\
               &line_items[0][adjustable_quantity][minimum]=1";
    let made = ok(&mut sandbox, "POST /v1/checkout/sessions", &with(all));
    assert_eq!(made["automatic_tax"]["enabled"], true);
    assert_eq!(made["tax_id_collection"]["enabled"], true);
    assert_eq!(made["consent_collection"]["terms_of_service"], "required");
    assert_eq!(
        (&made["billing_address_collection"], &made["locale"]),
        (&"required".into(), &"de".into())
    );
    let page = sandbox.checkout_page(&text(&made, "id")).unwrap();
    assert_eq!(page.lines[0].adjustable, Some((1, 99)));
    for (extra, fault) in [
        ("&automatic_tax[enabled]=true", "customer_tax_location_invalid/"),
        ("&tax_id_collection[enabled]=true", "invalid_request_error/tax_id_collection"),
        ("&automatic_tax[liability][type]=self", "parameter_missing/automatic_tax[enabled]"),
        ("&locale=xx", "invalid_request_error/locale"),
        (
            "&line_items[0][quantity]=5&line_items[0][adjustable_quantity][enabled]=true\
             &line_items[0][adjustable_quantity][maximum]=4",
            "invalid_request_error/line_items[0][adjustable_quantity]",
        ),
    ] {
        let found = refused(&mut sandbox, "POST /v1/checkout/sessions", &with(extra));
        assert_eq!(found, (400, fault.to_owned()), "{extra}");
    }
    let guest = format!(
        "mode=subscription&{BACK}&line_items[0][price]={monthly}&customer_update[name]=auto"
    );
    let found = refused(&mut sandbox, "POST /v1/checkout/sessions", &guest);
    assert_eq!(found, (400, "invalid_request_error/customer_update".to_owned()));
}

fn subscriptions(sandbox: &mut Sandbox) -> Value {
    ok(sandbox, "GET /v1/subscriptions", "status=all&expand[]=data.latest_invoice")
}

#[test]
fn a_subscription_begins_when_its_session_is_paid() {
    let mut sandbox = sandbox();
    let (monthly, _, _) = prices(&mut sandbox);
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", "email=a@b.example"), "id");
    let extra = format!("&customer={customer}&subscription_data[metadata][account_id]=acme");
    let session = open(&mut sandbox, "subscription", &monthly, &extra);
    assert_eq!(ids(&subscriptions(&mut sandbox)).len(), 0);
    let from = sandbox.happenings().len();
    assert!(matches!(pay(&mut sandbox, &session, CheckoutOutcome::Pay), PageResult::GoTo(_)));
    let told = kinds(&sandbox, from);
    assert_eq!(told.first(), Some(&"payment_method.attached"));
    assert_eq!(told.last(), Some(&"checkout.session.completed"));
    for kind in ["customer.subscription.created", "invoice.paid", "charge.succeeded"] {
        assert_eq!(told.iter().filter(|one| **one == kind).count(), 1, "{kind}: {told:?}");
    }
    let held = subscriptions(&mut sandbox);
    assert_eq!(
        (&held["data"][0]["status"], &held["data"][0]["metadata"]["account_id"]),
        (&"active".into(), &"acme".into())
    );
    assert_eq!(held["data"][0]["latest_invoice"]["status"], "paid");
    let done = shown(&mut sandbox, &session);
    assert_eq!(
        (&done["payment_status"], &done["subscription"]),
        (&"paid".into(), &held["data"][0]["id"])
    );
    assert_eq!(done["invoice"], held["data"][0]["latest_invoice"]["id"]);
    let line = format!("GET /v1/subscriptions/{}", text(&done, "subscription"));
    let subscription = ok(&mut sandbox, &line, "expand[]=default_payment_method");
    assert_eq!(subscription["default_payment_method"]["customer"], customer.as_str());
}

#[test]
fn a_trial_begins_without_a_payment_and_a_guest_becomes_a_customer() {
    let mut sandbox = sandbox();
    let (monthly, _, _) = prices(&mut sandbox);
    let extra = "&customer_email=guest@b.example&subscription_data[trial_period_days]=14";
    let session = open(&mut sandbox, "subscription", &monthly, extra);
    assert_eq!(session["amount_total"], 0);
    let page = sandbox.checkout_page(&text(&session, "id")).unwrap();
    assert_eq!((page.trial_end, page.can_pay_later), (Some(START + 14 * 86_400), false));
    let later = sandbox.complete_checkout(&text(&session, "id"), CheckoutOutcome::PayLater);
    assert!(matches!(later, Err(PageError::Refused { .. })));
    let declined = pay(&mut sandbox, &session, CheckoutOutcome::Fail);
    assert!(matches!(declined, PageResult::Declined(_)));
    assert_eq!(kinds(&sandbox, 0), Vec::<&str>::new());
    pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    let done = shown(&mut sandbox, &session);
    assert_eq!(done["payment_status"], "no_payment_required");
    let held = subscriptions(&mut sandbox);
    assert_eq!(
        (&held["data"][0]["status"], &held["data"][0]["trial_end"]),
        (&"trialing".into(), &(START + 14 * 86_400).into())
    );
    let line = format!("GET /v1/customers/{}", text(&done, "customer"));
    assert_eq!(ok(&mut sandbox, &line, "")["email"], "guest@b.example");
}

#[test]
fn a_declined_subscription_does_not_begin_and_its_attempt_stays() {
    let mut sandbox = sandbox();
    let (monthly, _, _) = prices(&mut sandbox);
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", ""), "id");
    let session = open(&mut sandbox, "subscription", &monthly, &format!("&customer={customer}"));
    let declined = pay(&mut sandbox, &session, CheckoutOutcome::Fail);
    assert!(matches!(declined, PageResult::Declined(_)));
    assert_eq!(kinds(&sandbox, 1), ["charge.failed", "payment_intent.payment_failed"]);
    assert_eq!(shown(&mut sandbox, &session)["status"], "open");
    assert_eq!(ids(&subscriptions(&mut sandbox)).len(), 0);
    pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    assert_eq!(ids(&subscriptions(&mut sandbox)).len(), 1);
}

#[test]
fn a_method_taken_off_is_no_subscriptions_any_more() {
    let mut sandbox = sandbox();
    let (monthly, _, _) = prices(&mut sandbox);
    let session = open(&mut sandbox, "subscription", &monthly, "&customer_email=a@b.example");
    pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    let held = subscriptions(&mut sandbox);
    let method = text(&held, "data.0.default_payment_method");
    ok(&mut sandbox, &format!("POST /v1/payment_methods/{method}/detach"), "");
    assert_eq!(subscriptions(&mut sandbox)["data"][0]["default_payment_method"], Value::Null);
    let customer = text(&held, "data.0.customer");
    sandbox.set_card(&customer, super::super::Card::Good).unwrap();
    assert!(subscriptions(&mut sandbox)["data"][0]["default_payment_method"].is_string());
}

#[test]
fn a_customer_that_is_deleted_keeps_no_subscription() {
    let mut sandbox = sandbox();
    let (monthly, _, _) = prices(&mut sandbox);
    let session = open(&mut sandbox, "subscription", &monthly, "&customer_email=a@b.example");
    pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    let customer = text(&shown(&mut sandbox, &session), "customer");
    let from = sandbox.happenings().len();
    ok(&mut sandbox, &format!("DELETE /v1/customers/{customer}"), "");
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.deleted", "customer.deleted"]);
    assert_eq!(subscriptions(&mut sandbox)["data"][0]["status"], "canceled");
}

#[test]
fn the_largest_amounts_add_up_without_breaking_anything() {
    let mut sandbox = sandbox();
    let form = "currency=usd&unit_amount=999999999999&product_data[name]=x&recurring[interval]=day";
    let price = text(&ok(&mut sandbox, "POST /v1/prices", form), "id");
    let items: Vec<String> =
        (0..20).map(|n| format!("[{n}][price]={price}&{{}}[{n}][quantity]=4294967295")).collect();
    let list = |name: &str| {
        items
            .iter()
            .map(|item| format!("{name}{}", item.replace("{}", name)))
            .collect::<Vec<_>>()
            .join("&")
    };
    let form = format!("mode=subscription&{BACK}&{}", list("line_items"));
    let session = ok(&mut sandbox, "POST /v1/checkout/sessions", &form);
    assert_eq!(session["amount_total"], i64::MAX);
    pay(&mut sandbox, &session, CheckoutOutcome::Pay);
    sandbox.advance_to(START + 5 * 86_400);
    assert!(kinds(&sandbox, 0).contains(&"checkout.session.completed"));
}
