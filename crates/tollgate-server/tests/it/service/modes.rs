//! Test and live mode: a database holds data of one, and says so to whoever sets the other.

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_server::clock::Clock;
use tollgate_server::run::{self, Background, RunOptions};
use tollgate_server::scope::Scope;
use tollgate_server::workers::retry;

use crate::cli::Place;
use crate::support::{NOW, SECRET, Settings, TestApp, TestDatabase, config, on_both};

fn set(mode: &str) -> Settings {
    let environment = vec![("TOLLGATE__STRIPE__MODE".to_owned(), mode.to_owned())];
    Settings { environment, ..Settings::default() }
}

/// What a start with a mode is refused with.
async fn refusal(database: &TestDatabase, mode: &str) -> String {
    let clock = Clock::fixed(Timestamp::parse(NOW).expect("an instant"));
    let options = RunOptions { background: Background::Off, ..RunOptions::default() };
    let started = run::start_with(config(&database.url(), &set(mode)), clock, options).await;
    started.expect_err("it is refused").to_string()
}

async fn other_mode(app: &TestApp) -> Vec<Value> {
    let key = app.make_key(&[Scope::AdminRead], None).await;
    let headers = [("x-api-key", key.as_str())];
    let found = app.request("GET", "/admin/findings?code=other_mode", &headers, "").await;
    found.json()["data"].as_array().expect("a list").clone()
}

on_both! {
    async fn a_mode_contrary_to_the_one_of_the_data_is_refused_at_the_start(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let events = app.scenario("checkout", "acme");
        app.deliver_all(&events).await;
        let live = events[0].body.replace("\"livemode\": false", "\"livemode\": true");
        let live = live.replace("\"livemode\":false", "\"livemode\":true").replacen("evt_", "evt_live_", 1);
        assert_eq!(app.deliver(&live).await.field("status"), "ignored");
        assert_eq!(other_mode(&app).await.len(), 1);
        app.stop().await;

        let refused = refusal(database, "live").await;
        for part in ["stripe.mode is live", "test mode data", "first event", "first_event_mode", "rebind"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        let app = TestApp::start_with(database, set("test")).await;
        retry::close_other_mode(app.app()).await.expect("a look");
        assert_eq!(other_mode(&app).await.len(), 1, "it is the other mode's still");
        app.stop().await;

        // It is meant.
        let url = database.url();
        let rebind = move |line: &'static str| {
            let place = Place::with(&[
                ("STRIPE_WEBHOOK_SECRET", SECRET), ("DATABASE_URL", &url), ("TOLLGATE__STRIPE__MODE", "live"),
            ]);
            tokio::task::spawn_blocking(move || place.run(line))
        };
        let asked = rebind("setup rebind").await.expect("it runs");
        assert_eq!(asked.code, 2, "{asked:?}");
        let done = rebind("setup rebind --yes").await.expect("it runs");
        assert_eq!(done.code, 0, "{done:?}");
        assert!(refusal(database, "test").await.contains("live mode data"));
        let app = TestApp::start_with(database, set("live")).await;
        retry::close_other_mode(app.app()).await.expect("a look");
        assert_eq!(other_mode(&app).await, Vec::<Value>::new(), "live events are its own now");
        app.stop().await;
    }

    async fn a_mode_that_is_set_is_kept_by_its_first_event(database: &TestDatabase) {
        let app = TestApp::start_with(database, set("test")).await;
        app.stop().await;
        let app = TestApp::start_with(database, set("live")).await;
        app.stop().await;
        let app = TestApp::start_with(database, set("test")).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        app.stop().await;
        assert!(refusal(database, "live").await.contains("test mode data"));
        let kept = json!({"accountId": "acme", "feature": "weekly_digest"});
        let app = TestApp::start(database).await;
        assert_eq!(app.post("/api/check", &kept).await.status, 200);
        app.stop().await;
    }
}
