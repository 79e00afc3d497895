//! Counting the uses of metered features.

use serde_json::{Value, json};

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

on_both! {
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
