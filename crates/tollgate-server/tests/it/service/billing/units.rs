//! Plans sold by the unit: seats bought, changed, shown, and the portal that lets customers change
//! them.

use serde_json::{Value, json};
use tollgate_stripe::shop::{PortalQuantity, fetch_stock};

use super::shop::Shop;
use crate::support::{Answer, TestDatabase, on_both};

async fn checkout(shop: &Shop, tier: &str, quantity: u64) -> Answer {
    let mut asking = Shop::asking("acme", tier);
    asking["quantity"] = json!(quantity);
    shop.app.post("/api/v1/billing/checkout", &asking).await
}

async fn change(shop: &Shop, what: &str, body: Value) -> Answer {
    let mut body = body;
    body["accountId"] = json!("acme");
    shop.app.post(&format!("/api/v1/billing/subscription/{what}"), &body).await
}

/// Seats, and how they were counted.
async fn seats(shop: &Shop) -> (Value, Value) {
    let shown = shop.app.get("/api/v1/entitlements?accountId=acme&explain=true").await.json();
    (shown["limits"]["seats"].clone(), shown["trace"]["counted"]["seats"].clone())
}

fn quantity_at_stripe(shop: &Shop) -> u64 {
    let all = shop.list("/v1/subscriptions", "status=all");
    all[0]["items"]["data"][0]["quantity"].as_u64().expect("a quantity")
}

on_both! {
    async fn seats_are_bought_changed_and_counted(database: &TestDatabase) {
        let mut shop = Shop::open_with_catalog(database, "saas").await;
        let session = checkout(&shop, "pro", 12).await;
        assert_eq!(session.status, 200, "{}", session.text);
        let session = session.field("sessionId");
        shop.pay(&session);
        shop.sync(&session).await;
        assert_eq!(seats(&shop).await, (json!(12), json!("12 x 1")));
        let ask = |units: u64| json!({"accountId": "acme", "feature": "seats", "requestedUsage": units});
        let allowed = shop.app.post("/api/v1/check", &ask(12)).await.json();
        assert_eq!(allowed["canAccess"], true, "{allowed}");
        let denied = shop.app.post("/api/v1/check", &ask(13)).await.json();
        assert_eq!((&denied["canAccess"], &denied["requiredTier"]), (&json!(false), &json!("pro")));

        let more = change(&shop, "change", json!({"tier": "pro", "quantity": 15, "timing": "immediate"}));
        assert_eq!(more.await.status, 200);
        assert_eq!(quantity_at_stripe(&shop), 15);
        shop.deliver_events().await;
        assert_eq!(seats(&shop).await, (json!(15), json!("15 x 1")));
        // Nothing asked for: the seats stay.
        let same = change(&shop, "change", json!({"tier": "pro"})).await;
        assert_eq!((same.status, quantity_at_stripe(&shop)), (200, 15), "{}", same.text);
        // A plan that is not sold by the seat is bought once.
        let cost = change(&shop, "preview", json!({"tier": "starter", "timing": "immediate"})).await;
        assert_eq!(cost.status, 200, "{}", cost.text);
        let less = change(&shop, "change", json!({"tier": "starter", "timing": "immediate"})).await;
        assert_eq!(less.status, 200, "{}", less.text);
        assert_eq!(quantity_at_stripe(&shop), 1);
        assert_eq!(seats(&shop).await, (json!(1), Value::Null));
        shop.close().await;
    }

    async fn who_had_a_subscription_before_buys_again_without_a_trial(database: &TestDatabase) {
        let mut shop = Shop::open_with_catalog(database, "saas").await;
        assert_eq!(shop.buy("acme", "pro").await.status, 200);
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["status"], "trialing");
        let ended = shop.subscription_route("cancel", json!({"accountId": "acme", "atPeriodEnd": false}));
        assert_eq!(ended.await.status, 200);
        shop.deliver_events().await;
        let again = shop.buy("acme", "pro").await;
        assert_eq!(again.status, 200, "{}", again.text);
        shop.deliver_events().await;
        assert_eq!(shop.subscription("acme").await["status"], "active", "one trial is enough");
        shop.close().await;
    }

    async fn units_that_give_nothing_are_not_sold(database: &TestDatabase) {
        let shop = Shop::open_with_catalog(database, "saas").await;
        let refused = checkout(&shop, "starter", 2).await;
        let found = (refused.status, refused.field("code"));
        assert_eq!(found, (400, "plan_not_sold_by_unit".to_owned()), "{}", refused.text);
        assert!(shop.list("/v1/checkout/sessions", "").is_empty());
        shop.close().await;
    }

    async fn the_portal_lets_customers_choose_seats_of_such_plans(database: &TestDatabase) {
        let shop = Shop::open_with_catalog(database, "saas").await;
        let app = shop.app.app();
        let client = app.stripe.as_ref().expect("a client");
        let stock = fetch_stock(client).await.expect("the stock");
        let wish = tollgate_server::catalog_sync::portal_wish(&app.config.catalog, &stock, None);
        let mut quantities: Vec<PortalQuantity> =
            wish.products.iter().map(|product| product.quantity).collect();
        quantities.sort_unstable();
        assert_eq!(quantities, [PortalQuantity::Fixed, PortalQuantity::UpTo(None)]);
        let made = tollgate_stripe::shop::create_portal(client, &wish).await.expect("a portal");
        assert!(made.is_as(&wish), "{made:?}");
        let fixed: Vec<_> = wish
            .products
            .iter()
            .map(|product| tollgate_stripe::shop::PortalProduct {
                quantity: PortalQuantity::Fixed,
                ..product.clone()
            })
            .collect();
        let other = tollgate_stripe::shop::PortalWish { products: fixed, ..wish };
        assert!(!made.is_as(&other));
        shop.close().await;
    }
}
