//! Answers: entitlements, explanations, time, freshness.

use crate::support::{Settings, TestApp, TestDatabase, on_both};
use serde_json::json;

on_both! {
    async fn entitlements_have_an_entity_tag(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        app.run_workers().await;
        let first = app.get("/api/v1/entitlements?accountId=acme").await;
        assert_eq!((first.status, first.field("tier").as_str()), (200, "premium"), "{}", first.text);
        assert_eq!(first.json()["maxMembers"], 1000);
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        let headers = [("x-api-key", app.key.as_str()), ("if-none-match", tag.as_str())];
        let path = "/api/v1/entitlements?communityId=acme";
        let second = app.request("GET", path, &headers, "").await;
        assert_eq!((second.status, second.text.as_str()), (304, ""));
        app.deliver_all(&app.scenario("cancel", "acme")).await;
        app.run_workers().await;
        let third = app.request("GET", path, &headers, "").await;
        assert_eq!((third.status, third.field("tier").as_str()), (200, "starter"), "{}", third.text);
        app.stop().await;
    }

    async fn explain_agrees_with_the_check_and_names_the_cause(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        app.run_workers().await;
        let ask = json!({"accountId": "acme", "feature": "naib_dynamics", "explain": true});
        let check = app.post("/api/v1/check", &ask).await.json();
        assert_eq!(check["canAccess"], false, "{check}");
        assert_eq!(check["requiredTier"], "exclusive");
        assert_eq!(check.get("upgradeUrl"), None, "a path alone would lead nowhere");
        let winner = &check["trace"]["sources"][0];
        assert_eq!((&winner["won"], &winner["tier"]), (&json!(true), &json!("premium")));
        assert!(winner["cause"].as_str().unwrap().starts_with("evt_"), "{check}");
        app.stop().await;
    }

    async fn a_denial_links_to_where_customers_reach_the_application(database: &TestDatabase) {
        let site = "TOLLGATE__SERVER__PUBLIC_URL".to_owned();
        let environment = vec![(site, "https://app.example.org".to_owned())];
        let app =
            TestApp::start_with(database, Settings { environment, ..Settings::default() }).await;
        let check = app.check("acme", "white_label").await;
        assert_eq!(
            check["upgradeUrl"], "https://app.example.org/upgrade?tier=enterprise&account=acme",
            "{check}"
        );
        app.stop().await;
    }

    async fn the_past_answers_from_what_was_in_force_then(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        app.run_workers().await;
        let at = |t: &str| json!({"accountId": "acme", "feature": "weekly_digest", "at": t});
        let long_ago = app.post("/api/check", &at("2020-01-01T00:00:00Z")).await.json();
        assert_eq!(long_ago["canAccess"], false, "{long_ago}");
        let now = app.post("/api/check", &at(&app.now().to_string())).await.json();
        assert_eq!(now["canAccess"], true, "{now}");
        app.stop().await;
    }

    async fn a_batch_answers_in_order_and_names_the_faulty_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ask = |feature: &str| json!({"tenantId": "acme", "feature": feature});
        let checks = json!({"checks": [ask("weekly_digest"), ask("basic_tgr")]});
        let results = app.post("/api/v1/feature-check/batch", &checks).await.json();
        assert_eq!(results["results"][0]["feature"], "weekly_digest", "{results}");
        assert_eq!(results["results"][1]["canAccess"], true, "{results}");
        let checks = json!({"checks": [ask("weekly_digest"), ask("teleport")]});
        let refused = app.post("/api/v1/feature-check/batch", &checks).await;
        assert_eq!((refused.status, refused.json()["errors"][0]["field"].as_str()), (400, Some("checks[1].feature")));
        app.stop().await;
    }

    async fn a_revision_not_reached_is_never_answered_with_an_older_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        app.run_workers().await;
        let revision = app.check("acme", "weekly_digest").await["revision"].as_u64().unwrap();
        let ask = |revision| json!({"accountId": "acme", "feature": "weekly_digest", "minRevision": revision});
        assert_eq!(app.post("/api/check", &ask(revision)).await.status, 200);
        let ahead = app.post("/api/check", &ask(revision + 1)).await;
        assert_eq!((ahead.status, ahead.field("code").as_str()), (503, "revision_not_reached"));
        app.stop().await;
    }

    async fn a_timeline_has_no_gaps_and_forecasts(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.deliver_all(&app.scenario("dunning", "acme")).await;
        app.run_workers().await;
        let timeline = app.get("/api/v1/accounts/acme/timeline").await.json();
        let spans = timeline["spans"].as_array().unwrap();
        assert!(spans.len() >= 3, "{timeline}");
        for pair in spans.windows(2) {
            assert_eq!(pair[0]["to"], pair[1]["from"], "{timeline}");
        }
        let last = spans.last().unwrap();
        assert_eq!((&last["forecast"], &last["tier"]), (&json!(true), &json!("starter")), "{timeline}");
        app.stop().await;
    }

    async fn a_timeline_that_is_too_long_says_where_it_goes_on(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for day in 0..510 {
            let plan = if day % 2 == 0 { "basic" } else { "premium" };
            let at = app.now().plus_days(day - 510).unix_seconds();
            let event = json!({
                "id": format!("evt_{day}"), "object": "event", "type": "customer.subscription.updated",
                "api_version": "2026-10-28.endive", "created": at, "livemode": false, "data": {"object": {
                    "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1",
                    "metadata": {"account_id": "acme"}, "created": at,
                    "items": {"object": "list", "has_more": false, "data": [
                        {"id": "si_1", "object": "subscription_item", "quantity": 1,
                         "price": {"id": format!("price_sietch_{plan}_monthly"), "object": "price"}}
                    ]},
                }},
            });
            assert_eq!(app.deliver(&event.to_string()).await.field("status"), "processed");
        }
        let (mut from, to) = (app.now().plus_days(-511).to_string(), app.now().to_string());
        let mut counts = Vec::new();
        loop {
            let path = format!("/api/v1/accounts/acme/timeline?from={from}&to={to}");
            let page = app.get(&path).await.json();
            let spans = page["spans"].as_array().unwrap();
            counts.push(spans.len());
            let next = page["nextFrom"].as_str();
            assert_eq!(page["truncated"], next.is_some());
            assert_eq!(spans.last().unwrap()["to"].as_str(), Some(next.unwrap_or(&to)));
            let Some(next) = next else { break };
            from = next.to_owned();
        }
        assert_eq!(counts, [500, 11]);
        app.stop().await;
    }

    async fn metered_features_never_pass_their_limit(database: &TestDatabase) {
        let settings = Settings { catalog: Some("propiq".into()), ..Settings::default() };
        let app = TestApp::start_with(database, settings).await;
        let ask = json!({"accountId": "u1", "feature": "analyses", "consume": true});
        let asks = (0..20).map(|_| app.post("/api/check", &ask));
        let answers = futures_util::future::join_all(asks).await;
        let allowed = answers.iter().filter(|answer| answer.json()["canAccess"] == true).count();
        assert_eq!(allowed, 5, "{:?}", answers.iter().map(|a| a.text.clone()).collect::<Vec<_>>());
        // Each one that was counted tells the count after itself.
        let granted = answers.iter().map(crate::support::Answer::json).filter(|answer| answer["canAccess"] == true);
        let mut told: Vec<(u64, u64)> = granted
            .map(|answer| (answer["usage"].as_u64().unwrap(), answer["remaining"].as_u64().unwrap()))
            .collect();
        told.sort_unstable();
        assert_eq!(told, [(1, 4), (2, 3), (3, 2), (4, 1), (5, 0)]);
        let after = app.check("u1", "analyses").await;
        assert_eq!((&after["canAccess"], &after["usage"], &after["remaining"]), (&json!(false), &json!(5), &json!(0)), "{after}");
        assert_eq!(after["reason"]["code"], "usage_limit_reached");
        app.stop().await;
    }

    async fn another_instances_commit_is_seen_within_a_second(database: &TestDatabase) {
        let settings = || Settings { background: true, ..Settings::default() };
        let one = TestApp::start_with(database, settings()).await;
        let two = TestApp::start_with(database, settings()).await;
        assert_eq!(two.check("acme", "weekly_digest").await["canAccess"], false);
        one.deliver_all(&one.scenario("checkout", "acme")).await;
        let begun = std::time::Instant::now();
        while two.check("acme", "weekly_digest").await["canAccess"] == false {
            assert!(begun.elapsed().as_millis() < 5_000, "not seen within five seconds");
            tokio::task::yield_now().await;
        }
        one.stop().await;
        two.stop().await;
    }
}

#[tokio::test]
async fn the_description_covers_what_is_served() {
    let database = TestDatabase::sqlite();
    // Without somebody to tell there is no security.txt.
    let contact = "mailto:security@example.org".to_owned();
    let environment = vec![("TOLLGATE__SERVER__SECURITY_CONTACT".to_owned(), contact)];
    let settings = Settings { environment, ..Settings::default() };
    let app = TestApp::start_with(&database, settings).await;
    let document = app.request("GET", "/openapi.json", &[], "").await.json();
    assert_eq!(document["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for verb in verbs.as_object().unwrap().keys() {
            let path = path.replace("{id}", "acme");
            let answer = app.request(&verb.to_uppercase(), &path, &[], "").await;
            assert_ne!(answer.status, 404, "{verb} {path}");
            assert_ne!(answer.status, 405, "{verb} {path}");
        }
    }
    for path in
        ["/docs", "/docs/errors", "/docs/docs.js", "/docs/docs.css", "/livez", "/readyz", "/health"]
    {
        assert_eq!(app.request("GET", path, &[], "").await.status, 200, "{path}");
    }
    let metrics = app.request("GET", "/metrics", &[], "").await.text;
    assert!(
        metrics.contains("tollgate_http_requests_total") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    app.stop().await;
}
