//! A rise whose payment is open: it makes one invoice however often it is asked for, and is taken back
//! by whatever is asked for instead.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tollgate_sandbox::sandbox::{Card, Method};
use tollgate_sandbox::server::{Fault, FaultRule};
use tollgate_server::workers::refetch;

use super::shop::Shop;
use crate::support::{TestDatabase, on_both};

/// A shop in which `acme` is on premium and its card no longer works.
async fn with_card(database: &TestDatabase, card: Card) -> Shop {
    let mut shop = Shop::open(database).await;
    shop.buy("acme", "premium").await;
    shop.deliver_events().await;
    set_card(&shop, card);
    shop
}

fn set_card(shop: &Shop, card: Card) {
    let customer = shop.customers("acme")[0]["id"].as_str().expect("an id").to_owned();
    shop.stripe.with(|stripe| stripe.set_card(&customer, card)).expect("a card");
}

async fn done(shop: &Shop, what: &str, body: Value) -> Value {
    let answer = shop.subscription_route(what, body).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    answer.json()
}

fn open_invoices(shop: &Shop) -> Vec<Value> {
    shop.list("/v1/invoices", "status=open")
}

fn subscription(shop: &Shop) -> Value {
    shop.list("/v1/subscriptions", "status=all")[0].clone()
}

/// Nothing is left to be paid for a change, here and at Stripe; the plan is the one that was bought.
async fn is_taken_back(shop: &mut Shop) {
    assert_eq!(open_invoices(shop), Vec::<Value>::new());
    assert_eq!(subscription(shop)["pending_update"], Value::Null);
    shop.deliver_events().await;
    while refetch::tick(shop.app.app()).await.expect("Stripe answers") > 0 {}
    let shown = shop.subscription("acme").await;
    let awaits = shown.get("pendingChange").map(|change| change["awaitsPayment"].clone());
    assert_ne!(awaits, Some(json!(true)), "{shown}");
}

async fn ask_many_times(database: &TestDatabase, card: Card) {
    let mut shop = with_card(database, card).await;
    let ask = || done(&shop, "change", json!({"tier": "elite"}));
    let mut answers = join_all((0..8).map(|_| ask())).await;
    answers.push(ask().await);
    let open = open_invoices(&shop);
    assert_eq!(open.len(), 1, "{open:?}");
    for answer in &answers {
        assert_eq!(answer["tier"], "premium", "{answer}");
        let pending = &answer["pendingChange"];
        let is = (&pending["tier"], &pending["awaitsPayment"]);
        assert_eq!(is, (&json!("elite"), &json!(true)));
        assert_eq!(pending["url"], open[0]["hosted_invoice_url"], "{answer}");
        assert_eq!(pending["at"], answers[0]["pendingChange"]["at"], "{answer}");
    }
    set_card(&shop, Card::Good);
    let id = open[0]["id"].as_str().expect("an id");
    shop.call(Method::Post, &format!("/v1/invoices/{id}/pay"));
    shop.deliver_events().await;
    assert_eq!(shop.subscription("acme").await["tier"], "elite");
    shop.close().await;
}

on_both! {
    async fn a_declined_rise_asked_for_many_times_makes_one_invoice(database: &TestDatabase) {
        ask_many_times(database, Card::Declined).await;
    }

    async fn a_rise_to_confirm_asked_for_many_times_makes_one_invoice(database: &TestDatabase) {
        ask_many_times(database, Card::AsksToConfirm).await;
    }

    async fn another_rise_takes_the_place_of_the_one_before(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        let first = done(&shop, "change", json!({"tier": "elite"})).await;
        let second = done(&shop, "change", json!({"tier": "exclusive"})).await;
        assert_eq!(second["pendingChange"]["tier"], "exclusive", "{second}");
        assert_ne!(first["pendingChange"]["url"], second["pendingChange"]["url"]);
        let open = open_invoices(&shop);
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0]["hosted_invoice_url"], second["pendingChange"]["url"]);
        // Both changes are of one second, so that their events do not tell which is the later one.
        shop.deliver_events().await;
        shop.advance(Duration::from_mins(2));
        while refetch::tick(shop.app.app()).await.expect("Stripe answers") > 0 {}
        assert_eq!(shop.subscription("acme").await["pendingChange"]["tier"], "exclusive");
        shop.close().await;
    }

    async fn the_present_plan_takes_a_rise_back_that_awaits_its_payment(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        done(&shop, "change", json!({"tier": "elite"})).await;
        let back = done(&shop, "change", json!({"tier": "premium"})).await;
        assert!(back.get("pendingChange").is_none(), "{back}");
        is_taken_back(&mut shop).await;
        // It can be asked for anew.
        let again = done(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!(again["pendingChange"]["tier"], "elite", "{again}");
        assert_eq!(open_invoices(&shop).len(), 1);
        shop.close().await;
    }

    async fn a_rise_whose_answer_was_lost_is_taken_back_and_made_anew(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        let lost = Fault::Cut { accepted: true };
        shop.stripe.add_fault(FaultRule {
            method: Some("POST".to_owned()),
            ..FaultRule::new("/v1/subscriptions/*", 3, lost)
        });
        let answer = shop.subscription_route("change", json!({"tier": "elite"})).await;
        assert_eq!((answer.status, answer.field("code")), (503, "stripe_unavailable".to_owned()));
        done(&shop, "change", json!({"tier": "premium"})).await;
        is_taken_back(&mut shop).await;
        let again = done(&shop, "change", json!({"tier": "elite"})).await;
        let open = open_invoices(&shop);
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(again["pendingChange"]["url"], open[0]["hosted_invoice_url"], "{again}");
        shop.close().await;
    }

    async fn a_fall_takes_the_place_of_a_rise_that_awaits_its_payment(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        done(&shop, "change", json!({"tier": "elite"})).await;
        let fall = done(&shop, "change", json!({"tier": "basic"})).await;
        assert_eq!(fall["pendingChange"]["tier"], "basic", "{fall}");
        is_taken_back(&mut shop).await;
        let shown = shop.subscription("acme").await;
        assert_eq!(shown["pendingChange"]["tier"], "basic", "{shown}");
        // And the other way round: the rise is what is planned then.
        let rise = done(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!(rise["pendingChange"]["tier"], "elite", "{rise}");
        assert_eq!(subscription(&shop)["schedule"], Value::Null);
        shop.close().await;
    }

    async fn an_end_at_the_period_end_takes_a_rise_back(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        done(&shop, "change", json!({"tier": "elite"})).await;
        let ending = done(&shop, "cancel", json!({})).await;
        assert_eq!(ending["cancelAtPeriodEnd"], true, "{ending}");
        is_taken_back(&mut shop).await;
        shop.close().await;
    }

    async fn an_end_now_takes_a_rise_back(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        done(&shop, "change", json!({"tier": "elite"})).await;
        done(&shop, "cancel", json!({"atPeriodEnd": false})).await;
        is_taken_back(&mut shop).await;
        shop.close().await;
    }

    async fn where_stripe_refuses_to_void_nothing_is_ended(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        done(&shop, "change", json!({"tier": "elite"})).await;
        let refusal = Fault::Status { status: 403, code: None, should_retry: None, accepted: false };
        shop.stripe.add_fault(FaultRule::new("/v1/invoices/*/void", 1, refusal));
        let answer = shop.subscription_route("cancel", json!({"atPeriodEnd": false})).await;
        assert_ne!(answer.status, 200, "{}", answer.text);
        assert_eq!(shop.subscription("acme").await["tier"], "premium");
        assert_eq!(open_invoices(&shop).len(), 1);
        done(&shop, "cancel", json!({"atPeriodEnd": false})).await;
        is_taken_back(&mut shop).await;
        shop.close().await;
    }

    async fn a_rise_paid_while_it_is_taken_back_is_in_effect(database: &TestDatabase) {
        let mut shop = with_card(database, Card::Declined).await;
        done(&shop, "change", json!({"tier": "elite"})).await;
        set_card(&shop, Card::Good);
        let id = open_invoices(&shop)[0]["id"].as_str().expect("an id").to_owned();
        shop.call(Method::Post, &format!("/v1/invoices/{id}/pay"));
        // The events of the payment have not come: premium is asked for where elite is paid.
        let fall = done(&shop, "change", json!({"tier": "premium"})).await;
        assert_eq!((&fall["tier"], &fall["pendingChange"]["tier"]), (&json!("elite"), &json!("premium")));
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["tier"], "elite");
        shop.close().await;
    }
}
