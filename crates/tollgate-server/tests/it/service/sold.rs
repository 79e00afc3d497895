//! What was sold: by events alone, with and without a key for Stripe, and after the catalog changed.

use serde_json::{Value, json};
use tollgate_domain::FindingCode;
use tollgate_domain::catalog::builtin_text;
use tollgate_domain::ids::AccountId;
use tollgate_domain::regrade::Terms;
use tollgate_sandbox::sandbox::{ApiRequest, CheckoutOutcome, Method, Params};
use tollgate_sandbox::server::{self, RunningSandbox, ServerOptions};
use tollgate_server::regrade::{self, Order};
use tollgate_server::{findings, workers};

use crate::support::{NOW, Settings, TestApp, TestDatabase, on_both};

/// `levels` with another text, in a file of that name.
fn levels(folder: &tempfile::TempDir, changes: &[(&str, &str)]) -> String {
    let mut text = builtin_text("levels").expect("built in").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = folder.path().join("levels.toml");
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

async fn start(database: &TestDatabase, catalog: &str) -> TestApp {
    let settings = Settings { catalog: Some(catalog.to_owned()), ..Settings::default() };
    TestApp::start_with(database, settings).await
}

/// A paid session as the application made it, without the lines events never carry.
fn paid(metadata: &Value, more: &Value) -> String {
    let mut object = json!({
        "id": "cs_test_1", "object": "checkout.session", "mode": "payment", "status": "complete",
        "payment_status": "paid", "amount_subtotal": 19000, "amount_total": 19000,
        "currency": "usd", "customer": null, "payment_intent": "pi_1", "metadata": metadata,
    });
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "id": "evt_1", "object": "event", "type": "checkout.session.completed",
        "created": 1_795_255_200, "livemode": false, "data": {"object": object},
    })
    .to_string()
}

async fn tier(app: &TestApp, account: &str) -> String {
    let answer = app.get(&format!("/api/v1/entitlements?accountId={account}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.field("tier")
}

on_both! {
    async fn a_session_without_a_type_sells_the_level_it_names(database: &TestDatabase) {
        let app = start(database, "levels").await;
        let metadata = json!({"userId": "u1", "entitlementLevel": "PRO"});
        let answer = app.deliver(&paid(&metadata, &json!({}))).await;
        assert_eq!(answer.field("status"), "processed");
        assert_eq!(tier(&app, "u1").await, "pro");
        app.stop().await;
    }

    async fn a_purchase_in_another_currency_of_the_price_is_one(database: &TestDatabase) {
        let folder = tempfile::tempdir().unwrap();
        let euros = "one_time = 19000\ncurrency_options = { eur = { one_time = 17500 } }";
        let catalog = levels(&folder, &[("one_time = 19000", euros)]);
        let app = start(database, &catalog).await;
        let metadata = json!({"account_id": "acme", "type": "grant", "plan": "pro"});
        let taxed = json!({
            "currency": "eur", "amount_subtotal": 17500, "amount_total": 20825,
            "total_details": {"amount_tax": 3325, "amount_discount": 0, "amount_shipping": 0},
        });
        app.deliver(&paid(&metadata, &taxed)).await;
        assert_eq!(tier(&app, "acme").await, "pro");
        app.stop().await;
    }

    async fn a_changed_catalog_takes_nothing_back_until_an_operator_regrades(database: &TestDatabase) {
        let metadata = json!({"account_id": "acme", "type": "grant", "plan": "pro"});
        let app = start(database, "levels").await;
        app.deliver(&paid(&metadata, &json!({}))).await;
        let digest = app.digest().await;
        app.stop().await;
        let folder = tempfile::tempdir().unwrap();
        let dearer = ("one_time = 19000", "one_time = 24000");
        let shorter = ("grant_days = 365", "grant_days = 30");
        let renamed = ("id = \"pro\"", "id = \"plus\"");
        for (changes, expected) in
            [(vec![dearer], "pro"), (vec![dearer, shorter], "pro"), (vec![renamed], "plus")]
        {
            let app = start(database, &levels(&folder, &changes)).await;
            findings::review(app.app(), &stopped()).await.unwrap();
            app.clock.set(app.now().plus_days(40));
            assert_eq!(tier(&app, "acme").await, expected, "{changes:?}");
            assert_eq!(app.digest().await, digest, "{changes:?}");
            app.stop().await;
        }
        let app = start(database, &levels(&folder, &[shorter])).await;
        let account = AccountId::parse("acme").unwrap();
        let terms = Terms { by: "ann", reason: "the price list of 2026", take_back: false };
        let order = |dry| Order { account: Some(&account), dry, terms };
        let report = regrade::regrade(app.app(), order(true), |_| {}).await.unwrap();
        assert_eq!((report.changed, report.examples[0].to.as_str()), (1, "pro for 30 days"));
        assert_eq!(app.digest().await, digest, "a dry run changes nothing");
        let report = regrade::regrade(app.app(), order(false), |_| {}).await.unwrap();
        assert_eq!(report.changed, 1);
        app.clock.set(app.now().plus_days(40));
        assert_eq!(tier(&app, "acme").await, "free");
        let report = regrade::regrade(app.app(), order(false), |_| {}).await.unwrap();
        assert_eq!(report.changed, 0, "once");
        app.stop().await;
    }

    async fn a_purchase_nobody_could_confirm_is_recorded_once_its_price_is_mapped(database: &TestDatabase) {
        let line = json!({"id": "li_1", "price": {"id": "price_new", "product": "prod_new"},
            "quantity": 1, "amount_total": 12300, "currency": "usd"});
        let lines = json!({"line_items": {"object": "list", "data": [line], "has_more": false},
            "amount_subtotal": 12300, "amount_total": 12300});
        let app = start(database, "levels").await;
        app.deliver(&paid(&json!({"account_id": "acme"}), &lines)).await;
        assert_eq!(tier(&app, "acme").await, "free");
        assert_eq!(app.app().open_findings().await.unwrap().values().sum::<u64>(), 1);
        app.stop().await;
        let folder = tempfile::tempdir().unwrap();
        let by_product = "rank = 2\nstripe_products = [\"prod_new\"]";
        let app = start(database, &levels(&folder, &[("rank = 2", by_product)])).await;
        assert_eq!(tier(&app, "acme").await, "pro", "at once");
        findings::review(app.app(), &stopped()).await.unwrap();
        assert_eq!(app.app().open_findings().await.unwrap().values().sum::<u64>(), 0);
        app.stop().await;
        let app = start(database, "levels").await;
        assert_eq!(tier(&app, "acme").await, "pro", "sold by then, and so it stays");
        app.stop().await;
    }

    async fn lines_that_are_read_decide_whatever_was_claimed_before(database: &TestDatabase) {
        let stripe = standing().await;
        let app = start_at(database, &stripe, "levels").await;
        let product = call(&stripe, Method::Get, "/v1/products", &[]);
        let other = call(&stripe, Method::Post, "/v1/prices", &[
            ("product", product["data"][0]["id"].as_str().unwrap()),
            ("currency", "usd"),
            ("unit_amount", "19000"),
        ]);
        let other = other["id"].as_str().unwrap().to_owned();
        for (account, price) in [("ann", price(&stripe, "levels_pro")), ("bob", other)] {
            buy(&app, &stripe, account, &price).await;
            assert_eq!(tier(&app, account).await, "pro", "the claim and its amount, at first");
        }
        while workers::refetch::tick(app.app()).await.unwrap() > 0 {}
        assert_eq!((tier(&app, "ann").await, tier(&app, "bob").await), ("pro".into(), "free".into()));
        let open = app.app().open_findings().await.unwrap();
        assert_eq!(open[&FindingCode::PurchaseUnconfirmed], 1, "{open:?}");
        app.stop().await;
        // The lines say what ann bought when its amount is not that of the catalog any more.
        let folder = tempfile::tempdir().unwrap();
        let dearer = levels(&folder, &[("one_time = 19000", "one_time = 24000")]);
        let app = start_at(database, &stripe, &dearer).await;
        let terms = Terms { by: "ann", reason: "the price list of 2026", take_back: true };
        let order = Order { account: None, dry: false, terms };
        let report = regrade::regrade(app.app(), order, |_| {}).await.unwrap();
        assert_eq!((report.changed, report.kept), (0, 0), "{report:?}");
        assert_eq!((tier(&app, "ann").await, tier(&app, "bob").await), ("pro".into(), "free".into()));
        app.stop().await;
        stripe.shutdown().await;
    }

    async fn with_a_key_the_lines_of_a_session_are_read_and_each_sells(database: &TestDatabase) {
        let stripe = standing().await;
        let app = start_at(database, &stripe, "levels").await;
        let session = call(&stripe, Method::Post, "/v1/checkout/sessions", &[
            ("mode", "payment"),
            ("line_items[0][price]", &price(&stripe, "levels_trial")),
            ("line_items[0][quantity]", "1"),
            ("line_items[1][price]", &price(&stripe, "levels_pro")),
            ("line_items[1][quantity]", "2"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[userId]", "u1"),
        ]);
        let id = session["id"].as_str().unwrap().to_owned();
        stripe.with(|one| one.complete_checkout(&id, CheckoutOutcome::Pay)).unwrap();
        for event in stripe.with(|one| one.happenings().to_vec()) {
            if event.kind() == "checkout.session.completed" {
                app.deliver(&event.render(tollgate_sandbox::ApiVersion::default()).body).await;
            }
        }
        assert_eq!(tier(&app, "u1").await, "free", "the event carries no lines");
        while workers::refetch::tick(app.app()).await.unwrap() > 0 {}
        assert_eq!(tier(&app, "u1").await, "pro");
        let explained =
            app.get("/api/v1/entitlements?accountId=u1&explain=true").await.json();
        let bought: Vec<(&Value, &Value)> = explained["trace"]["sources"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|source| source["type"] == "grant")
            .map(|source| (&source["tier"], &source["units"]))
            .collect();
        assert_eq!(bought, [(&json!("pro"), &json!(2)), (&json!("trial"), &json!(1))]);
        app.stop().await;
        stripe.shutdown().await;
    }
}

/// A sandbox in which `levels` is for sale.
async fn standing() -> RunningSandbox {
    let sold = tollgate_domain::catalog::builtin("levels").expect("built in");
    let now = tollgate_domain::Timestamp::parse(NOW).unwrap();
    server::start(ServerOptions::standing(&sold, now, 7)).await.unwrap()
}

async fn start_at(database: &TestDatabase, stripe: &RunningSandbox, catalog: &str) -> TestApp {
    let environment = vec![
        ("STRIPE_SECRET_KEY".to_owned(), "sk_test_tollgate_sold".to_owned()),
        ("STRIPE_API_BASE".to_owned(), stripe.url().to_owned()),
    ];
    let catalog = Some(catalog.to_owned());
    let settings = Settings { environment, catalog, ..Settings::default() };
    TestApp::start_with(database, settings).await
}

fn price(stripe: &RunningSandbox, key: &str) -> String {
    let found = call(stripe, Method::Get, "/v1/prices", &[("lookup_keys[]", key)]);
    found["data"][0]["id"].as_str().unwrap().to_owned()
}

/// One of a price, paid by a session that claims `pro` for an account.
async fn buy(app: &TestApp, stripe: &RunningSandbox, account: &str, price: &str) {
    let session = call(
        stripe,
        Method::Post,
        "/v1/checkout/sessions",
        &[
            ("mode", "payment"),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[account_id]", account),
            ("metadata[type]", "grant"),
            ("metadata[plan]", "pro"),
        ],
    );
    let id = session["id"].as_str().unwrap().to_owned();
    stripe.with(|one| one.complete_checkout(&id, CheckoutOutcome::Pay)).unwrap();
    for event in stripe.with(|one| one.happenings().to_vec()) {
        if event.kind() == "checkout.session.completed" {
            app.deliver(&event.render(tollgate_sandbox::ApiVersion::default()).body).await;
        }
    }
}

fn call(stripe: &RunningSandbox, method: Method, path: &str, pairs: &[(&str, &str)]) -> Value {
    let params = Params::from_pairs(pairs.iter().copied()).unwrap();
    let reply = stripe.with(|one| one.call(&ApiRequest::new(method, path, params)));
    assert!(reply.status < 300, "{path}: {}", reply.body);
    reply.body
}

fn stopped() -> tokio::sync::watch::Receiver<bool> {
    tokio::sync::watch::channel(false).1
}
