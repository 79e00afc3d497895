//! Another product in the same Stripe account, paid by the same customer: never in the way, and never
//! touched.

use serde_json::{Value, json};
use tollgate_domain::catalog::Interval;
use tollgate_sandbox::sandbox::{CheckoutOutcome, Method};
use tollgate_sandbox::sandbox_price_id;
use tollgate_server::scope::Scope;

use super::shop::Shop;
use crate::support::{Answer, TestDatabase, catalog, on_both};

/// Every change of a subscription there is.
const CHANGES: [(&str, &str); 5] = [
    ("change", r#"{"tier": "elite", "timing": "immediate"}"#),
    ("change", r#"{"tier": "basic"}"#),
    ("cancel", r#"{"atPeriodEnd": true}"#),
    ("cancel", r#"{"atPeriodEnd": false}"#),
    ("resume", "{}"),
];

/// The newsletter's price.
fn newsletter(shop: &Shop) -> String {
    shop.made(
        "/v1/prices",
        &[
            ("currency", "usd"),
            ("unit_amount", "700"),
            ("recurring[interval]", "month"),
            ("product_data[name]", "Newsletter"),
        ],
    )
}

/// `acme`'s customer, as the application made it.
fn customer(shop: &Shop) -> String {
    shop.made("/v1/customers", &[("metadata[account_id]", "acme"), ("email", "acme@example.com")])
}

/// Somebody else's checkout page sells something to a customer; the subscription of it.
fn sell(shop: &Shop, customer: &str, price: &str) -> String {
    let session = shop.made(
        "/v1/checkout/sessions",
        &[
            ("mode", "subscription"),
            ("customer", customer),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://letters.example.org/done"),
        ],
    );
    let paid = shop.stripe.with(|one| one.complete_checkout(&session, CheckoutOutcome::Pay));
    paid.expect("it can be paid");
    let session = shop.at_stripe(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[]);
    session["subscription"].as_str().expect("a subscription").to_owned()
}

fn read(shop: &Shop, subscription: &str) -> Value {
    shop.at_stripe(Method::Get, &format!("/v1/subscriptions/{subscription}"), &[])
}

fn is_refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.field("code").as_str()), (409, code), "{}", answer.text);
}

on_both! {
    async fn another_products_subscription_is_neither_in_the_way_nor_touched(
        database: &TestDatabase
    ) {
        let mut shop = Shop::open(database).await;
        let customer = customer(&shop);
        let letter = sell(&shop, &customer, &newsletter(&shop));
        shop.deliver_events().await;
        let before = read(&shop, &letter);
        for (what, body) in CHANGES {
            let body: Value = serde_json::from_str(body).expect("JSON");
            is_refused(&shop.subscription_route(what, body).await, "not_managed");
        }
        is_refused(
            &shop.subscription_route("preview", json!({"tier": "elite"})).await,
            "not_managed",
        );
        let portal = shop.app.get("/api/v1/billing/portal?accountId=acme").await;
        is_refused(&portal, "not_managed");
        let shown = shop.subscription("acme").await;
        assert_eq!((&shown["status"], shown.get("subscription")), (&json!("none"), None), "{shown}");

        // The plan is bought, changed and ended beside it.
        shop.buy("acme", "premium").await;
        assert_eq!(shop.subscription("acme").await["tier"], "premium");
        let after = shop
            .subscription_route("change", json!({"tier": "elite", "timing": "immediate"}))
            .await;
        assert_eq!((after.status, after.field("tier").as_str()), (200, "elite"), "{}", after.text);
        let portal = shop.app.get("/api/v1/billing/portal?accountId=acme").await;
        assert_eq!(portal.status, 200, "{}", portal.text);
        let ended = shop.subscription_route("cancel", json!({"atPeriodEnd": false})).await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        assert_eq!(read(&shop, &letter), before);
        is_refused(&shop.subscription_route("cancel", json!({})).await, "not_managed");
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["tier"], "starter");
        assert_eq!(read(&shop, &letter)["status"], "active");
        shop.close().await;
    }

    async fn of_a_shared_subscription_only_our_item_is_changed(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let all = shop.list("/v1/subscriptions", "status=all");
        let id = all[0]["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/subscriptions/{id}");
        let letter = newsletter(&shop);
        shop.at_stripe(Method::Post, &path, &[("items[0][price]", &letter)]);
        shop.deliver_events().await;
        let foreign = |all: &Value| {
            let items = all["items"]["data"].as_array().expect("items").clone();
            items.into_iter().find(|one| one["price"]["id"] == letter.as_str()).expect("the letter")
        };
        let before = read(&shop, &id);
        for (what, body) in CHANGES.into_iter().skip(1) {
            let body: Value = serde_json::from_str(body).expect("JSON");
            is_refused(&shop.subscription_route(what, body).await, "not_managed");
        }
        let later = json!({"tier": "elite", "timing": "period_end"});
        is_refused(&shop.subscription_route("preview", later).await, "not_managed");
        assert_eq!(read(&shop, &id), before);
        let after = shop
            .subscription_route("change", json!({"tier": "elite", "timing": "immediate"}))
            .await;
        assert_eq!((after.status, after.field("tier").as_str()), (200, "elite"), "{}", after.text);
        let now = read(&shop, &id);
        assert_eq!(foreign(&now), foreign(&before));
        let elite = sandbox_price_id(&catalog(), "elite", Interval::Month);
        let items = now["items"]["data"].as_array().expect("items");
        assert!(items.iter().any(|one| one["price"]["id"] == elite.as_str()), "{now}");
        // Buying again leads to the change, and not to what would concern the letter.
        let again = shop.checkout("acme", "basic").await;
        is_refused(&again, "already_subscribed");
        assert_eq!(again.json()["actions"][0]["action"], "change");
        shop.close().await;
    }

    async fn what_we_made_stays_ours_when_the_catalog_has_lost_its_price(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let all = shop.list("/v1/subscriptions", "status=all");
        let id = all[0]["id"].as_str().expect("an id").to_owned();
        let item = all[0]["items"]["data"][0]["id"].as_str().expect("an id").to_owned();
        // Somebody moved it to a price that the catalog does not name.
        shop.at_stripe(
            Method::Post,
            &format!("/v1/subscriptions/{id}"),
            &[("items[0][id]", &item), ("items[0][price]", &newsletter(&shop))],
        );
        shop.deliver_events().await;
        is_refused(&shop.checkout("acme", "basic").await, "already_subscribed");
        let ended = shop.subscription_route("cancel", json!({"atPeriodEnd": false})).await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        assert_eq!(read(&shop, &id)["status"], "canceled");
        shop.close().await;
    }

    async fn of_duplicates_one_that_sells_more_is_not_ended(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let all = shop.list("/v1/subscriptions", "status=all");
        let (id, customer) = (all[0]["id"].as_str().expect("an id"), &all[0]["customer"]);
        let elite = sandbox_price_id(&catalog(), "elite", Interval::Month);
        sell(&shop, customer.as_str().expect("an id"), &elite);
        shop.at_stripe(
            Method::Post,
            &format!("/v1/subscriptions/{id}"),
            &[("items[0][price]", &newsletter(&shop))],
        );
        shop.deliver_events().await;
        let before = read(&shop, id);
        let key = shop.app.make_key(&[Scope::Admin], None).await;
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
        let path = "/admin/duplicates/acme/resolve";
        let answer = shop.app.request("POST", path, &headers, "{}").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let (ended, left) = (&answer.json()["ended"], &answer.json()["left"]);
        assert_eq!((ended, left), (&json!([]), &json!([id])), "{}", answer.text);
        assert_eq!(read(&shop, id), before);
        shop.close().await;
    }
}
