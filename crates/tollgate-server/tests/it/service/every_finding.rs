//! One of each finding, each by what really causes it, and that `doctor` names them all.

use serde_json::{Value, json};
use tollgate_domain::FindingCode;
use tollgate_domain::catalog::builtin_text;
use tollgate_server::findings;
use tollgate_server::workers::journals;

use crate::cli::Place;
use crate::support::{NOW, Settings, TestApp, TestDatabase, on_both, run_sql_on};

/// Seconds since 1970 of a day before or after the beginning of the test.
fn day(days: i64) -> i64 {
    let start = tollgate_domain::Timestamp::parse(NOW).expect("an instant").unix_seconds();
    start + days * 86_400
}

#[expect(clippy::needless_pass_by_value, reason = "a literal object at every call")]
fn event(id: &str, kind: &str, created: i64, object: Value) -> String {
    json!({
        "id": id, "object": "event", "type": kind, "created": created, "livemode": false,
        "api_version": "2026-10-28.endive", "data": {"object": object},
    })
    .to_string()
}

/// An active subscription of a customer of its own, paid from one day to another.
fn active(id: &str, price: &str, account: &str, (from, to): (i64, i64)) -> Value {
    json!({
        "id": id, "object": "subscription", "status": "active", "customer": format!("cus_{id}"),
        "created": day(from), "metadata": {"account_id": account},
        "items": {"object": "list", "has_more": false, "data": [{
            "id": format!("si_{id}"), "object": "subscription_item", "quantity": 1,
            "current_period_start": day(from), "current_period_end": day(to),
            "price": {"id": price, "object": "price"},
        }]},
    })
}

fn session(id: &str, amount: i64, metadata: &Value) -> Value {
    json!({
        "id": id, "object": "checkout.session", "mode": "payment", "status": "complete",
        "payment_status": "paid", "amount_subtotal": amount, "amount_total": amount,
        "currency": "usd", "customer": null, "payment_intent": format!("pi_{id}"),
        "metadata": metadata,
    })
}

/// What the two catalogs have in common, and `extra`.
fn catalog(folder: &tempfile::TempDir, change: impl Fn(String) -> String) -> String {
    let text = change(builtin_text("levels").expect("built in").to_owned());
    let path = folder.path().join("levels.toml");
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn settings(catalog: &str) -> Settings {
    let map = json!({"pro": ["price_pro"]}).to_string();
    let environment = vec![
        ("STRIPE_PRODUCT_PRICE_MAP".to_owned(), map),
        ("TOLLGATE__STRIPE__ACCOUNTS".to_owned(), "acct_connected".to_owned()),
    ];
    Settings { environment, catalog: Some(catalog.to_owned()), ..Settings::default() }
}

/// Everything that leads to a finding and comes as a webhook.
fn deliveries() -> Vec<String> {
    let updated = "customer.subscription.updated";
    let completed = "checkout.session.completed";
    let subscription = |id: &str, price: &str, account: &str, span: (i64, i64)| {
        event(&format!("evt_{id}"), updated, day(span.0), active(id, price, account, span))
    };
    let now = (-1, 29);
    let mut live: Value =
        serde_json::from_str(&subscription("sub_live", "price_pro", "acme", now)).expect("JSON");
    live["livemode"] = json!(true);
    let claim = |account: &str| json!({"account_id": account});
    vec![
        subscription("sub_unknown", "price_nobody_knows", "unmapped", now),
        event("evt_1", completed, day(-1), session("cs_1", 5, &json!({"userId": "unconfirmed", "entitlementLevel": "PRO"}))),
        subscription("sub_2", "price_pro", "no id at all", now),
        subscription("sub_3", "price_pro", "first", now),
        event("evt_3b", updated, day(0), {
            let mut other = active("sub_3", "price_pro", "first", now);
            other["metadata"] = claim("second");
            other
        }),
        event("evt_4", "invoice.paid", day(-1), json!({
            "id": "in_4", "object": "invoice", "status": "paid", "customer": "cus_other",
            "amount_due": 700, "amount_paid": 700, "currency": "usd", "attempt_count": 1,
            "created": day(-1), "lines": {"object": "list", "has_more": false, "data": [{
                "id": "il_4", "object": "line_item", "amount": 700, "currency": "usd", "quantity": 1,
                "period": {"start": day(-1), "end": day(29)},
                "pricing": {"type": "price_details", "price_details": {"price": "price_letters"}},
            }]},
        })),
        event("evt_4b", "invoice.paid", day(-1), json!({
            "id": "in_4b", "object": "invoice", "status": "paid", "customer": "cus_nobody",
            "amount_due": 19_000, "amount_paid": 19_000, "currency": "usd", "attempt_count": 1,
            "created": day(-1), "lines": {"object": "list", "has_more": false, "data": [{
                "id": "il_4b", "object": "line_item", "amount": 19_000, "currency": "usd", "quantity": 1,
                "period": {"start": day(-1), "end": day(29)},
                "pricing": {"type": "price_details", "price_details": {"price": "price_pro"}},
            }]},
        })),
        subscription("sub_5", "price_pro", "stale", (-40, -10)),
        event("evt_5b", updated, day(-1), {
            let mut part = active("sub_5b", "price_pro", "unclear", now);
            part["items"]["has_more"] = json!(true);
            part
        }),
        subscription("sub_6", "price_pro", "twice", now),
        subscription("sub_7", "price_pro", "twice", now),
        live.to_string(),
        json!({
            "id": "evt_9", "object": "v2.core.event", "type": "v1.customer.subscription.updated",
            "created": NOW, "livemode": false, "context": null,
            "related_object": {"id": "sub_9", "type": "subscription", "url": "/v1/subscriptions/sub_9"},
        })
        .to_string(),
        json!({
            "id": "evt_10", "object": "v2.core.event",
            "type": "v2.billing.pricing_plan_subscription.servicing_activated",
            "created": NOW, "livemode": false, "context": null,
            "related_object": {"id": "bpps_1", "type": "v2.billing.pricing_plan_subscription", "url": "/v2/billing/pricing_plan_subscriptions/bpps_1"},
        })
        .to_string(),
        json!({
            "id": "evt_13", "object": "v2.core.event", "type": "v1.customer.subscription.updated",
            "created": NOW, "livemode": false, "context": "acct_connected",
            "related_object": {"id": "sub_13", "type": "subscription", "url": "/v1/subscriptions/sub_13"},
        })
        .to_string(),
        event("evt_11", "invoice.paid", day(-1), json!({"object": "invoice"})),
        event("evt_11b", updated, day(-1), json!({"object": "subscription", "id": "sub_6"})),
        event("evt_12", completed, day(-1), session("cs_12", 19_000, &json!({"userId": "lost", "entitlementLevel": "PRO"}))),
    ]
}

/// The open findings about accounts that `why` does not tell of.
fn unsaid_by_why(place: &Place) -> Vec<String> {
    let listed = place.run("findings --json").json();
    let listed = listed["data"].as_array().expect("a list").clone();
    let of_accounts =
        listed.iter().filter_map(|one| Some((one["accountId"].as_str()?, &one["code"])));
    let dead = json!("event_dead");
    let all: Vec<(&str, &Value)> = of_accounts.chain([("twice", &dead)]).collect();
    assert!(all.len() > 6, "{listed:?}");
    let untold = |(account, code): &(&str, &Value)| {
        let told = place.run(&format!("why {account} --json")).json();
        let told = told["findings"].as_array().expect("a list").clone();
        !told.iter().any(|one| one["code"] == **code)
    };
    all.into_iter().filter(untold).map(|(account, code)| format!("{account}: {code}")).collect()
}

on_both! {
    async fn doctor_names_one_of_each(database: &TestDatabase) {
        let folder = tempfile::tempdir().expect("a folder");
        let full = catalog(&folder, |text| text);
        let app = TestApp::start_with(database, settings(&full)).await;
        for body in deliveries() {
            let answer = app.deliver(&body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        // What cannot be processed is tried until it is given up.
        for _ in 0..11 {
            app.clock.set(app.now().plus_ms(600_001));
            app.run_workers().await;
        }
        app.stop().await;

        // A journal is altered by hand, and the plan that was sold is taken out of the catalog.
        let postgres = database.url().starts_with("postgres");
        if postgres {
            let alter = "UPDATE journal_entries SET subject = 'altered' \
                         WHERE account_id = 'twice' AND sequence = 2";
            run_sql_on(&database.url(), alter).await;
        }
        let without = catalog(&folder, |text| text.replace("\"pro\"", "\"gold\"").replace("rank = 2", "rank = 9"));
        let map = json!({"gold": ["price_pro"]}).to_string();
        let environment = vec![("STRIPE_PRODUCT_PRICE_MAP".to_owned(), map)];
        let settings = Settings { environment, catalog: Some(without), ..Settings::default() };
        let app = TestApp::start_with(database, settings).await;
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        findings::review(app.app(), &stopped).await.expect("a review");
        while journals::tick(app.app()).await.expect("journals are checked") > 0 {}
        app.stop().await;

        let place = Place::on(database);
        let ended = tokio::task::spawn_blocking(move || place.run("doctor --json")).await.expect("doctor");
        assert_eq!(ended.code, 3, "{ended:?}");
        let said = ended.json().to_string();
        let missing: Vec<&str> = FindingCode::ALL
            .into_iter()
            .filter(|code| postgres || *code != FindingCode::JournalBroken)
            .map(FindingCode::as_str)
            .filter(|code| !said.contains(code))
            .collect();
        assert_eq!(missing, Vec::<&str>::new(), "{said}");

        // Whatever concerns an account is told to whoever asks why.
        let place = Place::on(database);
        let unsaid = tokio::task::spawn_blocking(move || unsaid_by_why(&place)).await.expect("why");
        assert_eq!(unsaid, Vec::<String>::new());
    }
}
