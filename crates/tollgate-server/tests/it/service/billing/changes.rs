//! A subscription that is changed, ended and taken back; its invoices and its portal.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_sandbox::sandbox::{Card, Method};
use tollgate_sandbox::server::{Fault, FaultRule};

use super::shop::Shop;
use crate::support::{Answer, TestDatabase, on_both};

const SUBSCRIPTION: &str = "/api/v1/billing/subscription";

async fn post(shop: &Shop, what: &str, body: Value) -> Answer {
    let mut body = body;
    body["accountId"] = json!("acme");
    shop.app.post(&format!("{SUBSCRIPTION}/{what}"), &body).await
}

async fn done(shop: &Shop, what: &str, body: Value) -> Value {
    let answer = post(shop, what, body).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    answer.json()
}

/// The account's only subscription at Stripe.
fn at_stripe(shop: &Shop) -> Value {
    let all = shop.list("/v1/subscriptions", "status=all");
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

on_both! {
    async fn a_rise_is_in_effect_at_once_and_billed_once(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        shop.advance(Duration::from_hours(24 * 10));
        let cost = done(&shop, "preview", json!({"tier": "elite"})).await;
        assert_eq!(cost["timing"], "immediate");
        assert!(cost["amountDue"].as_i64().expect("an amount") > 0, "{cost}");
        let after = done(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!(after["tier"], "elite", "{after}");
        assert!(after.get("pendingChange").is_none(), "{after}");
        let invoices = shop.list("/v1/invoices", "").len();
        let again = done(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!(again["tier"], "elite");
        assert_eq!(shop.list("/v1/invoices", "").len(), invoices, "nothing more was billed");
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["tier"], "elite");
        shop.close().await;
    }

    async fn a_change_whose_answer_was_lost_is_made_once(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        shop.advance(Duration::from_hours(24));
        let lost = Fault::Cut { accepted: true };
        shop.stripe.add_fault(FaultRule {
            method: Some("POST".to_owned()),
            ..FaultRule::new("/v1/subscriptions/*", 3, lost)
        });
        let answer = post(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!((answer.status, answer.field("code")), (503, "stripe_unavailable".to_owned()));
        let invoices = shop.list("/v1/invoices", "").len();
        let after = done(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!(shop.list("/v1/invoices", "").len(), invoices);
        assert_eq!(after["revision"], shop.subscription("acme").await["revision"]);
        shop.close().await;
    }

    async fn a_fall_waits_for_the_period_end_and_can_be_taken_back(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "elite").await;
        let after = done(&shop, "change", json!({"tier": "basic"})).await;
        assert_eq!(after["tier"], "elite");
        assert_eq!(after["pendingChange"]["tier"], "basic", "{after}");
        assert_eq!(after["pendingChange"]["at"], after["currentPeriodEnd"], "{after}");
        assert!(at_stripe(&shop)["schedule"].is_string());
        // Asked for again, it is the same; staying takes it back; and it can be asked for anew.
        done(&shop, "change", json!({"tier": "basic"})).await;
        let cost = done(&shop, "preview", json!({"tier": "elite"})).await;
        let told = (&cost["timing"], &cost["amountDue"], &cost["lines"]);
        assert_eq!(told, (&json!("immediate"), &json!(0), &json!([])), "{cost}");
        let stays = done(&shop, "change", json!({"tier": "elite"})).await;
        assert!(stays.get("pendingChange").is_none(), "{stays}");
        assert!(at_stripe(&shop)["schedule"].is_null());
        done(&shop, "change", json!({"tier": "basic"})).await;
        shop.advance(Duration::from_hours(24 * 32));
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["tier"], "basic");
        shop.close().await;
    }

    async fn an_end_is_asked_for_taken_back_and_comes(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let answer = post(&shop, "resume", json!({})).await;
        assert_eq!((answer.status, answer.field("code")), (409, "nothing_to_resume".to_owned()));
        let ending = done(&shop, "cancel", json!({})).await;
        assert_eq!((&ending["cancelAtPeriodEnd"], &ending["tier"]), (&json!(true), &json!("premium")));
        let ending = done(&shop, "cancel", json!({"atPeriodEnd": true})).await;
        assert_eq!(ending["cancelAtPeriodEnd"], true);
        let back = done(&shop, "resume", json!({})).await;
        assert_eq!(back["cancelAtPeriodEnd"], false, "{back}");
        let over = done(&shop, "cancel", json!({"atPeriodEnd": false})).await;
        assert_eq!((&over["tier"], &over["status"]), (&json!("starter"), &json!("none")), "{over}");
        assert_eq!(at_stripe(&shop)["status"], "canceled");
        let answer = post(&shop, "cancel", json!({})).await;
        assert_eq!((answer.status, answer.field("code")), (404, "subscription_not_found".to_owned()));
        shop.deliver_events().await;
        shop.buy("acme", "basic").await;
        assert_eq!(shop.subscription("acme").await["tier"], "basic");
        shop.close().await;
    }

    async fn invoices_are_listed_in_pages_and_the_portal_opens(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        shop.advance(Duration::from_hours(24 * 70));
        shop.deliver_events().await;
        let path = "/api/v1/billing/invoices?accountId=acme";
        let all = shop.app.get(path).await.json();
        let all = all["data"].as_array().expect("invoices").clone();
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all.iter().all(|one| one["status"] == "paid" && one["amountPaid"] == 3500), "{all:?}");
        let first = shop.app.get(&format!("{path}&limit=2")).await.json();
        assert_eq!(first["data"], json!(all[..2]));
        let cursor = first["nextCursor"].as_str().expect("more").to_owned();
        let second = shop.app.get(&format!("{path}&limit=2&cursor={cursor}")).await.json();
        assert_eq!(second["data"], json!(all[2..]));
        assert!(second.get("nextCursor").is_none());
        let answer = shop.app.get(&format!("{path}&cursor=x")).await;
        assert_eq!((answer.status, answer.field("code")), (400, "invalid_request".to_owned()));

        let portal = "/api/v1/billing/portal";
        let by_get = shop.app.get(&format!("{portal}?accountId=acme")).await;
        assert_eq!(by_get.status, 200, "{}", by_get.text);
        assert!(by_get.field("url").starts_with("http"), "{}", by_get.text);
        let body = json!({"accountId": "acme", "returnUrl": "http://localhost:3000/back"});
        let by_post = shop.app.post(portal, &body).await;
        assert_eq!(by_post.status, 200, "{}", by_post.text);
        shop.close().await;
    }

    async fn a_rise_that_is_not_paid_is_not_in_effect(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let customer = shop.customers("acme")[0]["id"].as_str().expect("an id").to_owned();
        let set = |card| shop.stripe.with(|stripe| stripe.set_card(&customer, card));
        set(Card::Declined).expect("a card");
        let after = done(&shop, "change", json!({"tier": "elite"})).await;
        assert_eq!(after["tier"], "premium", "{after}");
        assert_eq!(after["pendingChange"]["tier"], "elite");
        assert_eq!(after["pendingChange"]["awaitsPayment"], true);
        assert!(after["pendingChange"]["url"].is_string(), "{after}");
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["tier"], "premium");
        shop.close().await;
    }

    async fn a_paused_subscription_wakes(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let id = at_stripe(&shop)["id"].as_str().expect("an id").to_owned();
        shop.call(Method::Post, &format!("/v1/subscriptions/{id}/pause"));
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["tier"], "starter");
        let awake = done(&shop, "resume", json!({})).await;
        assert_eq!((&awake["tier"], &awake["status"]), (&json!("premium"), &json!("active")), "{awake}");
        shop.close().await;
    }
}
