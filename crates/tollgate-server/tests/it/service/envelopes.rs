//! The envelope of a billing event: the state it tells of, whatever came with it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_domain::ids::AccountId;
use tollgate_domain::operator_fact;
use tollgate_sandbox::StripeEvent;
use tollgate_server::envelope;
use tollgate_server::intake::{Delivery, read};
use tollgate_server::scope::Scope;

use crate::support::{Settings, TestApp, TestDatabase, on_both, waiver};

fn delivery(app: &TestApp, event: &StripeEvent) -> Delivery {
    let reading = read::read(event.body.as_bytes(), &app.app().config.stripe);
    reading.delivered(event.body.as_bytes(), app.now())
}

/// What the envelopes of an account show of the objects, by sequence.
async fn shown(app: &TestApp, account: &str) -> BTreeMap<u64, Value> {
    let account = AccountId::parse(account).expect("an id");
    let db = &app.app().engine.db;
    let rows = tollgate_store::journal::after(db, &account, 0, 1_000).await.expect("a journal");
    let read = |payload: &str| {
        let mut envelope: Value = serde_json::from_str(payload).expect("an envelope");
        let fields = envelope.as_object_mut().expect("an object");
        for own in ["accountId", "id"] {
            fields.remove(own);
        }
        envelope
    };
    let told = rows.iter().filter_map(|row| Some((row.sequence, envelope::render(row)?)));
    told.map(|(sequence, payload)| (sequence, read(&payload))).collect()
}

/// A line that bills uses of a metered price in November.
fn metered(id: &str, quantity: u64, amount: i64) -> Value {
    json!({
        "id": id, "object": "line_item", "amount": amount, "currency": "usd", "quantity": quantity,
        "period": {"start": 1_793_491_200, "end": 1_796_083_200},
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_2"},
        },
        "pricing": {"type": "price_details", "price_details": {"price": "price_calls"}},
    })
}

/// A paid invoice with these lines.
fn invoice_paid(lines: &[Value]) -> String {
    let details = json!({"subscription": "sub_1", "metadata": {"account_id": "acme"}});
    let object = json!({
        "id": "in_1", "object": "invoice", "status": "paid", "customer": "cus_1",
        "amount_due": 700, "amount_paid": 700, "currency": "usd", "attempt_count": 1,
        "billing_reason": "subscription_cycle", "created": 1_795_255_200,
        "parent": {"type": "subscription_details", "subscription_details": details},
        "lines": {"object": "list", "has_more": false, "data": lines},
    });
    json!({
        "id": "evt_1", "object": "event", "type": "invoice.paid", "api_version": "2026-10-28.endive",
        "created": 1_795_255_200, "livemode": false, "data": {"object": object},
    })
    .to_string()
}

on_both! {
    async fn an_invoice_tells_the_uses_it_bills_line_by_line(database: &TestDatabase) {
        let map = json!({"api_calls": ["price_calls"]}).to_string();
        let environment = vec![("STRIPE_PRODUCT_PRICE_MAP".to_owned(), map)];
        let catalog = Some("saas".to_owned());
        let app =
            TestApp::start_with(database, Settings { environment, catalog, ..Settings::default() })
                .await;
        // Two tiers of one price bill one span.
        let lines = [metered("il_1", 1_000, 500), metered("il_2", 40, 200)];
        assert_eq!(app.deliver(&invoice_paid(&lines)).await.field("status"), "processed");

        let (from, to) = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        let told = |quantity: u64, amount: i64| {
            json!({"featureKey": "api_calls", "quantity": quantity, "periodStart": from,
                   "periodEnd": to, "amountCents": amount})
        };
        let envelopes = shown(&app, "acme").await;
        let paid = envelopes.values().find(|one| one["type"] == "payment.succeeded");
        let paid = paid.unwrap_or_else(|| panic!("{envelopes:?}"));
        assert_eq!(paid["usage"], json!([told(1_000, 500), told(40, 200)]));

        let key = app.make_key(&[Scope::Billing], None).await;
        let path = "/api/v1/billing/invoices?accountId=acme";
        let list = app.request("GET", path, &[("x-api-key", &key)], "").await.json();
        let listed = |quantity: u64, amount: i64| {
            json!({"feature": "api_calls", "quantity": quantity, "periodStart": from,
                   "periodEnd": to, "amount": amount})
        };
        assert_eq!(list["data"][0]["usage"], json!([listed(1_000, 500), listed(40, 200)]));
        // Uses that were billed give nothing, and nothing is wrong with that.
        assert_eq!(app.check("acme", "api_calls").await["canAccess"], false);
        let open = tollgate_store::findings::count_open(&app.app().engine.db).await;
        assert_eq!(open.expect("findings").values().sum::<u64>(), 0);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_shows_the_plan_and_what_the_account_has_with_its_other_sources() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let account = AccountId::parse("acme").expect("an id");
    let events = app.scenario("checkout", "acme");
    let deliveries: Vec<_> = events.iter().map(|event| delivery(&app, event)).collect();
    app.app().intake.process(&deliveries).await;
    let envelopes = shown(&app, "acme").await;
    let bought = envelopes.values().find(|one| one["type"] == "subscription.created").unwrap();
    assert_eq!(bought["subscription"]["planCode"], "premium", "{bought}");
    let entitlements = &bought["entitlements"];
    assert_eq!(entitlements["tier"], "premium", "{bought}");
    assert_eq!(entitlements["source"]["type"], "subscription", "{bought}");
    assert_eq!(entitlements["inGracePeriod"], false, "{bought}");

    // A waiver is none of what the next event touches, and decides all the same.
    let given = app.app().intake.change(&account, |facts, catalog, now| {
        operator_fact::grant(facts, waiver("wv_1", catalog), catalog, now)
    });
    given.await.expect("a waiver is given");
    app.deliver_all(&app.scenario("cancel", "acme")).await;
    let envelopes = shown(&app, "acme").await;
    let canceled = envelopes.values().find(|one| one["type"] == "subscription.canceled").unwrap();
    assert_eq!(canceled["entitlements"]["source"]["type"], "waiver", "{canceled}");
    assert_eq!(canceled["entitlements"]["source"]["id"], "wv_1", "{canceled}");
    app.stop().await;
}

on_both! {
    async fn events_in_one_batch_show_the_state_each_of_them_tells_of(database: &TestDatabase) {
        for scenario in ["checkout", "dunning", "upgrade", "trial", "refund"] {
            let together = TestApp::start(database).await;
            let account = format!("together_{scenario}");
            let events = together.scenario(scenario, &account);
            let deliveries: Vec<_> = events.iter().map(|event| delivery(&together, event)).collect();
            let replies = together.app().intake.process(&deliveries).await;
            assert!(replies.iter().all(Option::is_some), "{replies:?}");
            let of_batch = shown(&together, &account).await;
            together.stop().await;

            let alone_database = TestDatabase::sqlite();
            let alone = TestApp::start(&alone_database).await;
            for event in &events {
                alone.app().intake.process(&[delivery(&alone, event)]).await;
            }
            assert_eq!(of_batch, shown(&alone, &account).await, "{scenario}");
            assert!(!of_batch.is_empty(), "{scenario}");
            // A summary ends in the state it tells of, and the state shown is that one.
            for envelope in of_batch.values() {
                let (status, kind) = (&envelope["subscription"]["status"], &envelope["type"]);
                let canceled = kind == "subscription.canceled";
                assert!(!canceled || status == "canceled", "{scenario}: {envelope}");
                assert!(envelope["entitlements"]["tier"].is_string(), "{scenario}: {envelope}");
            }
            alone.stop().await;
        }
    }
}
