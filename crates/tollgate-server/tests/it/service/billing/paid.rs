//! What is different once somebody has paid.

use serde_json::json;

use super::shop::Shop;
use crate::support::{TestDatabase, on_both};

on_both! {
    async fn what_was_paid_unseen_is_not_sold_again(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let session = shop.session("acme", "premium").await;
        shop.pay(&session);
        // No event has come, and another plan is asked for.
        let answer = shop.checkout("acme", "elite").await;
        assert_eq!((answer.status, answer.field("code")), (409, "already_subscribed".to_owned()));
        assert_eq!(shop.subscription("acme").await["tier"], "premium");
        shop.close().await;
    }

    async fn coming_back_gives_access_before_any_event(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        assert_eq!(shop.app.check("acme", "weekly_digest").await["canAccess"], false);
        let session = shop.session("acme", "premium").await;
        shop.pay(&session);
        let synced = shop.sync(&session).await.json();
        assert_eq!(synced["status"], "complete");
        assert_eq!(synced["paymentStatus"], "paid");
        let revision = synced["revision"].as_u64().expect("a revision");
        let check = serde_json::json!(
            {"accountId": "acme", "feature": "weekly_digest", "minRevision": revision});
        let check = shop.app.post("/api/v1/feature-check", &check).await.json();
        assert_eq!(check["canAccess"], true, "{check}");
        assert_eq!(check["tier"], "premium");

        // The events that come later change nothing more, and syncing again neither.
        shop.deliver_events().await;
        let synced = shop.sync(&session).await;
        assert_eq!(synced.status, 200, "{}", synced.text);
        let standing = shop.subscription("acme").await;
        assert_eq!(standing["tier"], "premium");
        assert_eq!(standing["status"], "active");
        shop.close().await;
    }

    async fn who_has_a_subscription_changes_it_instead(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let answer = shop.checkout("acme", "elite").await;
        assert_eq!((answer.status, answer.field("code")), (409, "already_subscribed".to_owned()));
        for path in ["change", "preview", "cancel", "resume"] {
            let mut body = json!({"accountId": "nobody"});
            if ["change", "preview"].contains(&path) {
                body["tier"] = json!("elite");
            }
            let path = format!("/api/v1/billing/subscription/{path}");
            let answer = shop.app.post(&path, &body).await;
            let found = (answer.status, answer.field("code"));
            assert_eq!(found, (404, "subscription_not_found".to_owned()), "{path}");
        }
        let answer = shop.app.get("/api/v1/billing/portal?accountId=nobody").await;
        assert_eq!((answer.status, answer.field("code")), (404, "customer_not_found".to_owned()));
        let evil = "/api/v1/billing/portal?accountId=acme&returnUrl=https%3A%2F%2Fevil.test";
        let answer = shop.app.get(evil).await;
        assert_eq!((answer.status, answer.field("code")), (400, "redirect_not_allowed".to_owned()));
        shop.close().await;
    }

    async fn a_plan_bought_once_is_had_for_its_days(database: &TestDatabase) {
        let shop = Shop::open_with_catalog(database, "levels").await;
        let mut asking = Shop::asking("acme", "PRO");
        asking["interval"] = json!("once");
        let answer = shop.app.post("/api/v1/billing/checkout", &asking).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let session = answer.field("sessionId");
        shop.pay(&session);
        let synced = shop.sync(&session).await;
        assert_eq!(synced.field("paymentStatus"), "paid", "{}", synced.text);
        assert_eq!(shop.app.check("acme", "full_content").await["canAccess"], true);
        let standing = shop.subscription("acme").await;
        assert_eq!((&standing["tier"], &standing["status"]), (&json!("pro"), &json!("none")));
        assert_eq!(standing["source"]["type"], "grant");
        shop.advance(std::time::Duration::from_hours(24 * 366));
        assert_eq!(shop.app.check("acme", "full_content").await["canAccess"], false);
        shop.close().await;
    }
}
