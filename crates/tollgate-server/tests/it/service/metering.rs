//! Counting the uses of metered features.

use serde_json::{Value, json};
use tollgate_domain::Timestamp;

use crate::support::{Settings, TestApp, TestDatabase, on_both, run_sql_on};

/// 10 calls for everyone, by the billing period.
const CATALOG: &str = r#"
[catalog]
currency = "usd"
default_plan = "free"
upgrade_url = "/upgrade?tier={plan}"

[features.calls]
name = "Calls"
kind = "metered"
period = "billing_period"

[features.export]
name = "Export"

[[plans]]
id = "free"
name = "Free"
rank = 0
features = ["export"]
quotas = { calls = 10 }

[[plans]]
id = "pro"
name = "Pro"
rank = 1
monthly = 2000
stripe_prices = ["price_pro"]
quotas = { calls = 10 }
"#;

async fn start(database: &TestDatabase) -> TestApp {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("catalog.toml");
    std::fs::write(&file, CATALOG).expect("a catalog");
    let catalog = Some(file.display().to_string());
    TestApp::start_with(database, Settings { catalog, ..Settings::default() }).await
}

fn consume(account: &str, uses: u64) -> Value {
    json!({"accountId": account, "feature": "calls", "consume": true, "requestedUsage": uses})
}

async fn used(app: &TestApp, account: &str) -> u64 {
    app.check(account, "calls").await["usage"].as_u64().expect("a count")
}

/// Tells of a subscription to `price_pro` of the account `acme`; instants in hours of the test.
struct Subscribed {
    id: &'static str,
    status: &'static str,
    period: (i64, i64),
}

/// An account whose clock is moved by hours.
struct Hours {
    app: TestApp,
    start: Timestamp,
}

impl Hours {
    async fn start(database: &TestDatabase) -> Self {
        let app = start(database).await;
        let start = app.now();
        Self { app, start }
    }

    fn hour(&self, hour: i64) -> Timestamp {
        self.start.plus_hours(hour)
    }

    fn go_to(&self, hour: i64) {
        self.app.clock.set(self.hour(hour));
    }

    /// News of something that happened at an hour.
    async fn tell(&self, at: i64, subscribed: Subscribed) {
        let seconds = |hour| self.hour(hour).unix_seconds();
        let Subscribed { id, status, period: (from, to) } = subscribed;
        let trial_end = (status == "trialing").then(|| seconds(to));
        let event = json!({
            "id": format!("evt_{id}_{at}"), "object": "event", "livemode": false,
            "type": "customer.subscription.updated", "api_version": "2026-10-28.endive",
            "created": seconds(at), "data": {"object": {
                "id": id, "object": "subscription", "status": status, "customer": "cus_1",
                "metadata": {"account_id": "acme"}, "created": seconds(at), "trial_end": trial_end,
                "items": {"object": "list", "has_more": false, "data": [{
                    "id": format!("si_{id}"), "object": "subscription_item", "quantity": 1,
                    "price": {"id": "price_pro", "object": "price"},
                    "current_period_start": seconds(from), "current_period_end": seconds(to),
                }]},
            }},
        });
        assert_eq!(self.app.deliver(&event.to_string()).await.field("status"), "processed");
    }

    /// Asks for uses; whether they were counted, and the count afterwards.
    async fn consume(&self, uses: u64) -> (bool, u64) {
        let answer = self.app.post("/api/v1/feature-check", &consume("acme", uses)).await.json();
        (answer["canAccess"] == true, answer["usage"].as_u64().expect("a count"))
    }
}

const DAY: i64 = 24;

on_both! {
    async fn hopping_between_subscriptions_hands_out_no_second_quota(database: &TestDatabase) {
        let hours = Hours::start(database).await;
        hours.tell(0, Subscribed { id: "sub_a", status: "trialing", period: (0, 7 * DAY) }).await;
        assert_eq!(hours.consume(10).await, (true, 10));
        hours.go_to(DAY);
        hours.tell(12, Subscribed { id: "sub_a", status: "canceled", period: (0, 7 * DAY) }).await;
        hours.tell(DAY, Subscribed { id: "sub_b", status: "trialing", period: (DAY, 8 * DAY) }).await;
        assert_eq!(hours.consume(1).await, (false, 10), "a new trial");
        hours.go_to(DAY + 1);
        let paid = (DAY + 1, DAY + 1 + 30 * DAY);
        hours.tell(DAY + 1, Subscribed { id: "sub_b", status: "active", period: paid }).await;
        assert_eq!(hours.consume(1).await, (false, 10), "the trial paid early");
        hours.tell(DAY + 1, Subscribed { id: "sub_c", status: "active", period: paid }).await;
        assert_eq!(hours.consume(1).await, (false, 10), "one beside it");
        let entitlements = hours.app.get("/api/v1/entitlements?accountId=acme").await.json();
        assert_eq!(entitlements["usage"]["calls"], 10, "{entitlements}");
        hours.go_to(2 * DAY);
        let at = |hour| json!({"accountId": "acme", "feature": "calls", "at": hours.hour(hour).to_string()});
        for (hour, usage) in [(1, 10), (DAY, 10), (DAY + 1, 10)] {
            let then = hours.app.post("/api/v1/feature-check", &at(hour)).await.json();
            assert_eq!(then["usage"], usage, "at hour {hour}: {then}");
        }
        // The renewal is told of late: the period goes on by itself, and begins at 0 at its start.
        hours.go_to(paid.1);
        assert_eq!(hours.consume(10).await, (true, 10), "the next period");
        hours.go_to(paid.1 + 2);
        let next = (paid.1, paid.1 + 30 * DAY);
        for id in ["sub_b", "sub_c"] {
            hours.tell(paid.1, Subscribed { id, status: "active", period: next }).await;
        }
        assert_eq!(hours.consume(1).await, (false, 10), "late news of it");
        hours.go_to(next.1);
        assert_eq!(hours.consume(10).await, (true, 10));
        hours.app.stop().await;
    }

    async fn an_upgrade_that_begins_the_cycle_anew_keeps_the_count(database: &TestDatabase) {
        let hours = Hours::start(database).await;
        hours.tell(0, Subscribed { id: "sub_a", status: "active", period: (0, 30 * DAY) }).await;
        assert_eq!(hours.consume(6).await, (true, 6));
        hours.go_to(10 * DAY);
        let anew = (10 * DAY, 40 * DAY);
        hours.tell(10 * DAY, Subscribed { id: "sub_a", status: "active", period: anew }).await;
        let calls = (0..8).map(|_| hours.consume(1));
        let counted = futures_util::future::join_all(calls).await;
        assert_eq!(counted.iter().filter(|(counted, _)| *counted).count(), 4, "{counted:?}");
        hours.go_to(40 * DAY);
        assert_eq!(hours.consume(10).await, (true, 10));
        hours.app.stop().await;
    }

    async fn a_refused_batch_counts_nothing(database: &TestDatabase) {
        let app = start(database).await;
        for (second, status) in [
            (json!({"accountId": "b", "feature": "zz"}), 400),
            (json!({"accountId": "no good", "feature": "calls"}), 400),
            (json!({"accountId": "b", "feature": "calls", "at": "yesterday"}), 400),
            (json!({"accountId": "b", "feature": "export", "consume": true}), 400),
            (json!({"accountId": "b", "feature": "calls", "minRevision": 99}), 503),
            (json!({"accountId": "b", "feature": "calls", "consume": true, "minRevision": 99}), 503),
        ] {
            let checks = json!({"checks": [consume("b", 3), second]});
            let refused = app.post("/api/v1/feature-check/batch", &checks).await;
            assert_eq!(refused.status, status, "{second}: {}", refused.text);
            assert_eq!(used(&app, "b").await, 0, "{second}");
        }
        app.stop().await;
    }

    async fn a_batch_counts_in_the_order_of_its_checks(database: &TestDatabase) {
        let app = start(database).await;
        let look = json!({"accountId": "b", "feature": "calls"});
        let checks = json!({"checks": [look, consume("b", 8), look, consume("b", 3), consume("a", 1), consume("b", 2)]});
        let answer = app.post("/api/v1/feature-check/batch", &checks).await.json();
        let told: Vec<_> = answer["results"].as_array().unwrap().iter()
            .map(|one| (one["canAccess"].as_bool().unwrap(), one["usage"].as_u64().unwrap()))
            .collect();
        let expected = [(true, 0), (true, 8), (true, 8), (false, 8), (true, 1), (true, 10)];
        assert_eq!(told, expected, "{answer}");
        app.stop().await;
    }

    async fn a_batch_that_the_database_breaks_off_counts_nothing(database: &TestDatabase) {
        let app = start(database).await;
        let TestDatabase::Postgres { .. } = database else { return app.stop().await };
        let broken = "ALTER TABLE usage_counters ADD CHECK (account_id <> 'broken')";
        run_sql_on(&database.url(), broken).await;
        let checks = json!({"checks": [consume("b", 3), consume("broken", 1)]});
        let failed = app.post("/api/v1/feature-check/batch", &checks).await;
        assert!(failed.status >= 500, "{}", failed.text);
        assert_eq!(used(&app, "b").await, 0);
        app.stop().await;
    }

    async fn batches_at_once_in_any_order_pass_no_limit_and_all_answer(database: &TestDatabase) {
        let app = start(database).await;
        let forth = json!({"checks": [consume("a", 2), consume("b", 2), consume("c", 2)]});
        let back = json!({"checks": [consume("c", 2), consume("b", 2), consume("a", 2)]});
        let asks = (0..16).map(|nth| {
            app.post("/api/v1/feature-check/batch", if nth % 2 == 0 { &forth } else { &back })
        });
        let mut allowed = 0;
        for answer in futures_util::future::join_all(asks).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
            let results = answer.json()["results"].as_array().unwrap().clone();
            allowed += results.iter().filter(|one| one["canAccess"] == true).count();
        }
        assert_eq!(allowed, 15);
        app.stop().await;
    }
}
