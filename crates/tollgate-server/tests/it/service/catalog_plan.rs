//! What a proposed catalog would do, asked over HTTP.

use crate::support::{Answer, Settings, TestApp, TestDatabase, on_both};
use serde_json::{Value, json};
use tollgate_domain::catalog::builtin_text;
use tollgate_domain::ids::AccountId;
use tollgate_server::scope::Scope;
use tollgate_store::accounts::{self, AccountHead};

const PATH: &str = "/admin/catalog/plan";

async fn propose(app: &TestApp, key: &str, body: &Value) -> Answer {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    app.request("POST", PATH, &headers, body.to_string()).await
}

fn propiq(from: &str, to: &str) -> String {
    let text = builtin_text("propiq").expect("built in");
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

/// `acme` and `beta` pay for the plan `pro`, and `acme` has used 60 of its 100 analyses.
async fn two_customers(database: &TestDatabase) -> (TestApp, String) {
    let settings = Settings { catalog: Some("propiq".to_owned()), ..Settings::default() };
    let app = TestApp::start_with(database, settings).await;
    for account in ["acme", "beta"] {
        app.deliver_all(&app.scenario("checkout", account)).await;
    }
    app.run_workers().await;
    let ask =
        json!({"accountId": "acme", "feature": "analyses", "requestedUsage": 60, "consume": true});
    let used = app.post("/api/v1/check", &ask).await.json();
    assert_eq!((&used["tier"], &used["canAccess"]), (&json!("pro"), &json!(true)), "{used}");
    let key = app.make_key(&[Scope::AdminRead], None).await;
    (app, key)
}

on_both! {
    async fn a_proposed_catalog_tells_who_loses_and_who_goes_over(database: &TestDatabase) {
        let (app, key) = two_customers(database).await;
        let digest = app.digest().await;
        let text = propiq("analyses = 100", "analyses = 50");
        let out = propose(&app, &key, &json!({"catalog": text, "samples": 1})).await;
        assert_eq!(out.status, 200, "{}", out.text);
        let out = out.json();
        assert_eq!((&out["accounts"], &out["changed"]), (&json!(2), &json!(2)), "{out}");
        assert_eq!(out["gaining"], json!({"accounts": 0, "samples": []}));
        let lowered = json!([{"feature": "analyses", "from": 100, "to": 50}]);
        let over = json!([{"feature": "analyses", "used": 60, "limit": 50}]);
        let acme = json!({"accountId": "acme", "lowered": lowered, "exceeded": over});
        assert_eq!(out["losing"], json!({"accounts": 2, "samples": [acme]}), "one sample was asked for");
        assert_eq!(out["exceeding"], json!({"accounts": 1, "samples": [acme]}));
        let touched = json!([{"feature": "analyses", "gained": 0, "lost": 0, "raised": 0, "lowered": 2, "exceeded": 1}]);
        assert_eq!(out["features"], touched);
        assert_eq!(out["complete"], true);
        assert_ne!(out["proposedVersion"], out["catalogVersion"]);
        assert_eq!(app.digest().await, digest, "asking changes nothing");
        app.stop().await;
    }

    async fn a_plan_that_goes_away_names_its_prices(database: &TestDatabase) {
        let (app, key) = two_customers(database).await;
        let text = propiq("\"propiq_pro_monthly\"", "\"propiq_pro_other\"");
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/toml")];
        let out = app.request("POST", &format!("{PATH}?samples=0"), &headers, text.clone()).await;
        assert_eq!(out.status, 200, "{}", out.text);
        let out = out.json();
        assert_eq!(out["moves"], json!([{"from": "pro", "to": "free", "accounts": 2}]), "{out}");
        assert_eq!(out["losing"], json!({"accounts": 2, "samples": []}));
        assert_eq!(out["unpriced"][0]["accounts"], 2, "{out}");
        // Before anyone paid there was nothing to lose.
        let early = json!({"catalog": text, "at": "2020-01-01T00:00:00Z"});
        assert_eq!(propose(&app, &key, &early).await.json()["changed"], 0);
        app.stop().await;
    }

    async fn every_page_of_accounts_is_counted_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let key = app.make_key(&[Scope::Admin], None).await;
        let heads: Vec<AccountHead> = (0..250)
            .map(|number| AccountId::parse(&format!("a{number:03}")).expect("an id"))
            .map(AccountHead::unknown)
            .collect();
        let mut tx = app.app().engine.db.begin().await.expect("a transaction");
        accounts::save(&mut tx, &heads, app.now()).await.expect("accounts");
        tx.commit().await.expect("a commit");
        let text = builtin_text("sietch").expect("built in").replacen("max_members = 25", "max_members = 30", 1);
        let all = propose(&app, &key, &json!({"catalog": text})).await.json();
        assert_eq!((&all["accounts"], &all["gaining"]["accounts"]), (&json!(250), &json!(250)), "{all}");
        assert_eq!(all["gaining"]["samples"].as_array().expect("a list").len(), 20);
        let cursor = hex::encode("a199");
        let rest = propose(&app, &key, &json!({"catalog": text, "cursor": cursor})).await.json();
        assert_eq!(rest["accounts"], 50, "{rest}");
        assert_eq!(rest["gaining"]["samples"][0]["accountId"], "a200");
        app.stop().await;
    }

    async fn what_is_no_catalog_is_refused_with_every_fault(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let key = app.make_key(&[Scope::AdminRead], None).await;
        let text = propiq("rank = 1", "rnk = 1");
        let refused = propose(&app, &key, &json!({"catalog": text})).await;
        assert_eq!((refused.status, refused.field("code").as_str()), (400, "invalid_catalog"), "{}", refused.text);
        let fields: Vec<String> = refused.json()["errors"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| format!("{} {}", one["field"].as_str().unwrap(), one["message"].as_str().unwrap()))
            .collect();
        assert!(fields.iter().any(|one| one.starts_with("catalog:") && one.contains("`rnk`")), "{fields:?}");
        // This engine's price map names plans of `sietch`: with this catalog it would not start.
        let other = propose(&app, &key, &json!({"catalog": builtin_text("propiq")})).await;
        assert_eq!(other.field("code"), "invalid_catalog", "{}", other.text);
        assert!(other.text.contains("stripe.price_map"), "{}", other.text);
        for (body, code) in [
            (json!({"catalog": "x", "colour": 1}), "invalid_request"),
            (json!({"catalog": "x", "samples": 101, "at": "now", "cursor": "zz"}), "invalid_request"),
            (json!({}), "invalid_request"),
        ] {
            let refused = propose(&app, &key, &body).await;
            assert_eq!((refused.status, refused.field("code").as_str()), (400, code), "{body}");
        }
        let unscoped = propose(&app, &app.key, &json!({"catalog": text})).await;
        assert_eq!((unscoped.status, unscoped.field("code").as_str()), (403, "scope_missing"));
        let nobody = app.request("POST", PATH, &[], "").await;
        assert_eq!(nobody.status, 401);
        app.stop().await;
    }
}
