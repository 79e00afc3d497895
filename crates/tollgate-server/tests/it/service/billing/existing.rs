//! Buying again while a subscription is there: the reply leads to what can be done instead, in words
//! that programs read.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_domain::catalog::Interval;
use tollgate_sandbox::sandbox::{Card, FinalAction, Method, Settings};
use tollgate_sandbox::sandbox_price_id;

use super::shop::Shop;
use crate::support::{TestDatabase, catalog, on_both};

async fn refusal(shop: &Shop, code: &str) -> Value {
    let answer = shop.checkout("acme", "elite").await;
    assert_eq!((answer.status, answer.field("code").as_str()), (409, code), "{}", answer.text);
    answer.json()
}

fn actions(refusal: &Value) -> Vec<&str> {
    let all = refusal["actions"].as_array().expect("actions");
    all.iter().map(|one| one["action"].as_str().expect("a word")).collect()
}

fn subscription(shop: &Shop) -> Value {
    shop.list("/v1/subscriptions", "status=all")[0].clone()
}

fn customer(shop: &Shop) -> String {
    subscription(shop)["customer"].as_str().expect("an id").to_owned()
}

/// The renewal fails, and the retries after it.
async fn fail_to_pay(shop: &mut Shop, days: u64) {
    let customer = customer(shop);
    shop.stripe.with(|stripe| stripe.set_card(&customer, Card::Declined)).expect("a card");
    shop.advance(Duration::from_hours(24 * days));
    shop.deliver_events().await;
}

on_both! {
    async fn an_active_subscription_is_changed(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        shop.deliver_events().await;
        let told = refusal(&shop, "already_subscribed").await;
        let id = subscription(&shop)["id"].clone();
        assert_eq!(told["subscription"], json!({"id": id, "status": "active"}));
        let change = json!({
            "action": "change", "method": "POST", "path": "/api/v1/billing/subscription/change",
        });
        assert_eq!(told["actions"], json!([change]));
        shop.subscription_route("cancel", json!({})).await;
        assert_eq!(actions(&refusal(&shop, "already_subscribed").await), ["resume", "change"]);
        shop.close().await;
    }

    async fn one_that_is_not_paid_leads_to_its_invoice(database: &TestDatabase) {
        let settings = Settings { final_action: FinalAction::Unpaid, ..Settings::default() };
        let mut shop = Shop::open_at(database, settings).await;
        shop.buy("acme", "premium").await;
        fail_to_pay(&mut shop, 32).await;
        for code in ["subscription_past_due", "subscription_unpaid"] {
            let told = refusal(&shop, code).await;
            assert_eq!(actions(&told), ["pay", "portal"], "{told}");
            let open = shop.list("/v1/invoices", "status=open");
            assert_eq!(told["actions"][0]["url"], open[0]["hosted_invoice_url"], "{told}");
            assert!(told["actions"][1]["url"].as_str().expect("an address").starts_with("http"));
            shop.advance(Duration::from_hours(24 * 20));
            shop.deliver_events().await;
        }
        shop.close().await;
    }

    async fn one_that_is_paused_leads_to_waking_it(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let id = subscription(&shop)["id"].as_str().expect("an id").to_owned();
        shop.at_stripe(
            Method::Post,
            &format!("/v1/subscriptions/{id}/pause"),
            &[("type", "subscription")],
        );
        shop.deliver_events().await;
        let told = refusal(&shop, "subscription_paused").await;
        assert_eq!(actions(&told), ["resume", "portal"], "{told}");
        let path = told["actions"][0]["path"].as_str().expect("a path").to_owned();
        let woken = shop.app.post(&path, &json!({"accountId": "acme"})).await;
        assert_eq!(woken.status, 200, "{}", woken.text);
        assert_eq!(subscription(&shop)["status"], "active");
        shop.close().await;
    }

    async fn one_whose_first_payment_is_open_leads_to_it(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        let customer = shop.made("/v1/customers", &[("metadata[account_id]", "acme")]);
        let price = sandbox_price_id(&catalog(), "premium", Interval::Month);
        shop.made(
            "/v1/subscriptions",
            &[
                ("customer", &customer),
                ("items[0][price]", &price),
                ("payment_behavior", "default_incomplete"),
            ],
        );
        shop.deliver_events().await;
        let told = refusal(&shop, "subscription_incomplete").await;
        assert_eq!(actions(&told), ["pay", "portal"], "{told}");
        // A day later nobody paid, and it is over: a plan can be bought.
        shop.advance(Duration::from_hours(24));
        assert_eq!(shop.checkout("acme", "elite").await.status, 200);
        shop.close().await;
    }
}
