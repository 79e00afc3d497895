//! Thin events: they name objects, which are read once for all that name them. Thin, snapshot and
//! both together end in the same facts, and a happening counts once.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_domain::Facts;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_sandbox::sandbox::{Card, Method};
use tollgate_sandbox::{ApiVersion, Happening};
use tollgate_server::reconcile::named;
use tollgate_server::workers;
use tollgate_store::inbox::{self, EventFilter, EventStatus};
use tollgate_store::thin_events::{self, End, Ending};

use super::reconcile::{Pair, is_sent};
use crate::support::{Settings, TestApp, TestDatabase, on_both};

mod foreign;
mod missed;

/// What a destination of ours is sent of a happening.
fn thin(event: &Happening) -> String {
    event.show_thin().to_string()
}

impl Pair {
    /// Everything that happened from a place on and that we are sent.
    fn sent(&self, from: usize) -> Vec<Happening> {
        let all = self.stripe.with(|stripe| stripe.happenings()[from..].to_vec());
        all.into_iter().filter(is_sent).collect()
    }

    fn count(&self) -> usize {
        self.stripe.with(|stripe| stripe.happenings().len())
    }

    /// Delivers happenings as thin events; returns how often each status was answered.
    async fn deliver_thin(&self, events: &[Happening]) -> BTreeMap<String, usize> {
        let mut statuses = BTreeMap::new();
        for event in events {
            let answer = self.app.deliver(&thin(event)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            *statuses.entry(answer.field("status")).or_default() += 1;
        }
        statuses
    }

    /// The second is over, what is due is asked for, and what waited goes on.
    async fn read_all(&self) {
        self.pass(1);
        self.ask().await;
        self.app.run_workers().await;
    }

    /// Calls of the engine to Stripe so far, by operation.
    async fn calls(&self) -> BTreeMap<String, u64> {
        let shown = self.app.get("/metrics").await.text;
        let mut calls = BTreeMap::new();
        for line in shown.lines().filter(|line| line.starts_with("tollgate_stripe_requests_total{"))
        {
            let (_, rest) = line.split_once("operation=\"").expect("an operation");
            let (operation, rest) = rest.split_once('"').expect("its end");
            let (_, count) = rest.rsplit_once(' ').expect("a count");
            *calls.entry(operation.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
        calls
    }

    /// How often each kind of billing event was told to `acme`'s consumers.
    async fn told(&self) -> BTreeMap<String, usize> {
        let account = AccountId::parse("acme").unwrap();
        let db = &self.app.app().engine.db;
        let mut told = BTreeMap::new();
        for entry in tollgate_store::journal::after(db, &account, 0, 1_000).await.unwrap() {
            if let Some(event) = entry.billing {
                *told.entry(event.kind.into_owned()).or_default() += 1;
            }
        }
        told
    }

    async fn journalled(&self) -> BTreeMap<String, usize> {
        let db = &self.app.app().engine.db;
        let account = Some(AccountId::parse("acme").unwrap());
        let filter = tollgate_store::journal::JournalFilter { account, ..Default::default() };
        let (rows, _) = tollgate_store::journal::list(db, &filter, None, 1_000).await.unwrap();
        let mut kinds = BTreeMap::new();
        for row in rows {
            *kinds.entry(row.kind.into_owned()).or_default() += 1;
        }
        kinds
    }

    /// Every row of the inbox by status, and thin ones with the account they were found to have.
    async fn inbox(&self, status: EventStatus) -> Vec<inbox::EventRow> {
        let filter = EventFilter { status: Some(status), ..EventFilter::default() };
        let db = &self.app.app().engine.db;
        inbox::list(db, &filter, None, 100).await.unwrap().0
    }

    async fn facts(&self) -> Facts {
        let account = AccountId::parse("acme").unwrap();
        let db = &self.app.app().engine.db;
        tollgate_store::facts::load(db, &account, Window::ALL).await.unwrap()
    }

    async fn can(&self, feature: &str) -> bool {
        self.app.check("acme", feature).await["canAccess"] == true
    }
}

/// The open findings of all accounts and of none.
async fn findings(db: &tollgate_store::Db) -> Vec<String> {
    let filter = tollgate_store::findings::FindingFilter { open: true, ..Default::default() };
    let all = tollgate_store::findings::list(db, &filter, 100).await.unwrap();
    all.iter().map(|one| format!("{} {}", one.finding.code.as_str(), one.finding.subject)).collect()
}

/// A thin event of our own making, made now.
fn made(
    pair: &Pair,
    id: &str,
    kind: &str,
    related: (&str, &str),
    snapshot: Option<&str>,
) -> String {
    let (object_type, object) = related;
    json!({
        "id": id, "object": "v2.core.event", "type": kind, "livemode": false,
        "created": pair.app.now().to_string(), "snapshot_event": snapshot,
        "related_object": {"id": object, "type": object_type, "url": "/v1/x"},
    })
    .to_string()
}

impl Pair {
    async fn row(&self, id: &str) -> inbox::EventRow {
        let id = EventId::parse(id).unwrap();
        inbox::find(&self.app.app().engine.db, &id).await.unwrap().remove(0)
    }

    async fn doubts(&self) -> u64 {
        tollgate_store::doubts::count(&self.app.app().engine.db).await.unwrap()
    }

    async fn open(&self) -> u64 {
        thin_events::count_open(&self.app.app().engine.db).await.unwrap().0
    }
}

/// What a subscription looks like whatever form its news had.
async fn facts_in_short(pair: &Pair) -> String {
    let facts = pair.facts().await;
    let subscriptions = facts.subscriptions.values().map(|one| {
        let state = one.state().unwrap();
        format!("{} {:?} {:?} {:?}", one.id, state.status, state.items, state.latest_invoice)
    });
    let invoices = facts.invoices.values().map(|one| {
        let state = &one.state;
        format!("{} {:?} {} {:?}", one.id, state.status, state.amount_paid_minor, one.subscription)
    });
    let purchases =
        facts.purchases.values().map(|one| format!("{} {:?} {:?}", one.id, one.status, one.mode));
    let adjustments =
        facts.adjustments.values().map(|one| format!("{} {} {:?}", one.id, one.status, one.amount));
    subscriptions.chain(invoices).chain(purchases).chain(adjustments).collect::<Vec<_>>().join("\n")
}

on_both! {
    async fn thin_events_give_access_by_one_call_for_each_object(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let events = pair.sent(0);
        let statuses = pair.deliver_thin(&events).await;
        assert_eq!(statuses.keys().collect::<Vec<_>>(), ["waiting"], "{statuses:?}");
        assert!(!pair.can("weekly_digest").await);
        pair.read_all().await;
        assert!(pair.can("weekly_digest").await);
        // Every object once, and the happenings whose names say more than their objects.
        let calls = pair.calls().await;
        let expected = [
            ("checkout.sessions.retrieve", 1),
            ("events.retrieve", 2),
            ("invoice_payments.retrieve", 1),
            ("invoices.retrieve", 1),
        ];
        for (operation, count) in expected {
            assert_eq!(calls.get(operation), Some(&count), "{operation} of {calls:?}");
        }
        assert!(calls.get("subscriptions.retrieve").is_none_or(|count| *count == 1), "{calls:?}");
        for row in pair.inbox(EventStatus::Processed).await {
            let account = row.outcome.account.as_ref().map(AccountId::as_str);
            assert_eq!(account, Some("acme"), "{row:?}");
        }
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 0);
        // Again, or later by a destination that was slow: known, and nothing is asked.
        let again = pair.deliver_thin(&events).await;
        assert_eq!(again.keys().collect::<Vec<_>>(), ["duplicate"], "{again:?}");
        let mut late = events.last().unwrap().show_thin();
        late["id"] = json!("evt_test_late");
        late["snapshot_event"] = json!("evt_none");
        assert_eq!(pair.app.deliver(&late.to_string()).await.field("status"), "processed");
        pair.read_all().await;
        assert_eq!(pair.calls().await, calls);
        pair.stop().await;
    }

    async fn a_happening_told_in_both_forms_counts_once(database: &TestDatabase) {
        let (alone, both) = (TestDatabase::sqlite(), database);
        let alone = Pair::start(&alone).await;
        alone.subscribe("premium");
        alone.deliver_all().await;
        let pair = Pair::start(both).await;
        pair.subscribe("premium");
        // In any order within the second.
        for (place, event) in pair.sent(0).iter().enumerate() {
            let mut bodies = [thin(event), event.render(ApiVersion::default()).body];
            if place % 2 == 1 {
                bodies.reverse();
            }
            for body in bodies {
                assert_eq!(pair.app.deliver(&body).await.status, 200);
            }
        }
        pair.app.run_workers().await;
        pair.pass(1);
        pair.ask().await;
        assert_eq!(pair.app.digest().await, alone.app.digest().await);
        assert_eq!(pair.journalled().await, alone.journalled().await);
        assert_eq!(pair.told().await, alone.told().await);
        assert_eq!(pair.calls().await.into_keys().filter(|one| one.ends_with("retrieve")).count(), 0);
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 0);
        pair.stop().await;
        alone.stop().await;
    }

    async fn a_snapshot_after_its_object_was_read_tells_nothing_twice(database: &TestDatabase) {
        let alone = TestDatabase::sqlite();
        let alone = Pair::start(&alone).await;
        alone.subscribe("premium");
        alone.deliver_all().await;
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        let told = pair.told().await;
        assert_eq!(told, alone.told().await, "the same is told");
        assert_eq!(facts_in_short(&pair).await, facts_in_short(&alone).await);
        pair.deliver_all().await;
        assert_eq!(pair.told().await, told, "and once");
        assert_eq!(facts_in_short(&pair).await, facts_in_short(&alone).await);
        pair.stop().await;
        alone.stop().await;
    }

    async fn a_failed_payment_is_told_of_though_no_object_shows_it(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        let customer = pair.call(Method::Get, &format!("/v1/subscriptions/{id}"), &[]);
        let customer = customer["customer"].as_str().unwrap().to_owned();
        pair.stripe.with(|stripe| stripe.set_card(&customer, Card::Declined)).unwrap();
        let before = pair.count();
        pair.pass(31 * 86_400 + 2 * 3_600);
        pair.deliver_thin(&pair.sent(before)).await;
        pair.read_all().await;
        assert_eq!(pair.status().await, "past_due");
        let told = pair.told().await;
        for kind in ["payment.failed", "grace_period.started"] {
            assert_eq!(told.get(kind), Some(&1), "{kind} in {told:?}");
        }
        let failed = pair.happened(&["invoice.payment_failed"]);
        let facts = pair.facts().await;
        let at: Vec<i64> = facts
            .invoices
            .values()
            .flat_map(|one| &one.failed_attempts)
            .map(|failed| failed.at.unix_seconds())
            .collect();
        assert_eq!(at, [failed[0].created()], "by Stripe's time of the failure");
        pair.stop().await;
    }

    async fn refunds_and_disputes_are_read_whatever_names_them(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        let before = pair.count();
        let intents = pair.call(Method::Get, "/v1/payment_intents", &[]);
        let intent = intents["data"][0]["id"].as_str().unwrap();
        pair.id("/v1/refunds", &[("payment_intent", intent), ("amount", "100")]);
        let statuses = pair.deliver_thin(&pair.sent(before)).await;
        assert!(statuses["waiting"] >= 2, "the refund and the charge: {statuses:?}");
        pair.read_all().await;
        let calls = pair.calls().await;
        for operation in ["refunds.retrieve", "charges.retrieve"] {
            assert_eq!(calls.get(operation), Some(&1), "{operation} of {calls:?}");
        }
        let facts = pair.facts().await;
        assert_eq!(facts.adjustments.len(), 2, "{:?}", facts.adjustments);
        assert_eq!(pair.told().await.get("payment.refunded"), Some(&1));
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 0);
        pair.stop().await;
    }

    async fn without_a_key_thin_events_wait_for_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let other = TestDatabase::sqlite();
        let stripe = Pair::start(&other).await;
        stripe.subscribe("premium");
        for event in stripe.sent(0) {
            let answer = app.deliver(&thin(&event)).await;
            assert_eq!(answer.field("status"), "waiting", "never ignored: {}", answer.text);
        }
        app.clock.set(app.now().plus_days(40));
        app.run_workers().await;
        let db = &app.app().engine.db;
        assert_eq!(findings(db).await, ["thin_without_key thin_events"]);
        let (waiting, _) = thin_events::count_open(db).await.unwrap();
        assert!(waiting > 0, "they wait for a key as long as it takes");
        let filter = EventFilter { status: Some(EventStatus::Dead), ..EventFilter::default() };
        assert_eq!(inbox::list(db, &filter, None, 10).await.unwrap().0.len(), 0);
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], false);
        app.stop().await;

        let environment = vec![
            ("STRIPE_SECRET_KEY".to_owned(), "sk_test_tollgate_thin".to_owned()),
            ("STRIPE_API_BASE".to_owned(), stripe.stripe.url().to_owned()),
        ];
        let settings = Settings { environment, ..Settings::default() };
        let app = TestApp::start_with(database, settings).await;
        assert!(named::ask_for_all(app.app()).await.unwrap() > 0);
        while workers::refetch::tick(app.app()).await.unwrap() > 0 {}
        app.run_workers().await;
        assert_eq!(app.check("acme", "weekly_digest").await["canAccess"], true);
        assert_eq!(thin_events::count_open(&app.app().engine.db).await.unwrap().0, 0);
        assert_eq!(findings(&app.app().engine.db).await.len(), 0, "a key is there");
        app.stop().await;
        stripe.stop().await;
    }

    async fn events_whose_object_was_read_go_on_though_the_reader_was_killed(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(60);
        let kind = "v1.customer.subscription.updated";
        let body = made(&pair, "evt_killed", kind, ("subscription", &id), None);
        assert_eq!(pair.app.deliver(&body).await.field("status"), "waiting");
        pair.pass(5);
        // All that the reader does before it hands the event to the intake again.
        let end = End { how: Ending::Read, at: pair.app.now(), account: None };
        let (db, asks) = (&pair.app.app().engine.db, ObjectId::parse(&id).unwrap());
        thin_events::settle(db, &asks, &[], &end, pair.app.now()).await.unwrap();
        pair.app.run_workers().await;
        assert_eq!(pair.row("evt_killed").await.outcome.status, EventStatus::Processed);
        pair.stop().await;
    }

    async fn a_snapshot_that_could_not_be_processed_tells_nothing(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(60);
        let before = pair.count();
        let path = format!("/v1/subscriptions/{id}");
        pair.call(Method::Post, &path, &[("cancel_at_period_end", "true")]);
        let updated = pair.sent(before).remove(0);
        assert_eq!(updated.kind(), "customer.subscription.updated");
        // Its snapshot comes in a form that cannot be read.
        let snapshot = updated.render(ApiVersion::default()).body;
        let mut snapshot: serde_json::Value = serde_json::from_str(&snapshot).unwrap();
        snapshot["data"]["object"]["status"] = json!(7);
        let answer = pair.app.deliver(&snapshot.to_string()).await;
        assert_eq!(answer.field("status"), "failed", "{snapshot}");
        assert_eq!(pair.app.deliver(&thin(&updated)).await.field("status"), "waiting");
        pair.read_all().await;
        let facts = pair.facts().await;
        let state = facts.subscriptions.values().next().unwrap().state().unwrap();
        assert!(state.cancel_at_period_end, "the object was read: {state:?}");
        pair.stop().await;
    }

    async fn a_happening_that_was_told_is_no_look_at_its_object(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(60);
        let kind = "v1.customer.subscription.updated";
        let older = made(&pair, "evt_older", kind, ("subscription", &id), None);
        pair.pass(60);
        let before = pair.count();
        pair.call(Method::Post, &format!("/v1/subscriptions/{id}"), &[("metadata[note]", "1")]);
        let updated = pair.sent(before).remove(0);
        let snapshot = updated.render(ApiVersion::default()).body;
        assert_eq!(pair.app.deliver(&snapshot).await.field("status"), "processed");
        assert_eq!(pair.app.deliver(&thin(&updated)).await.field("status"), "processed");
        assert_eq!(pair.app.deliver(&older).await.field("status"), "waiting", "nobody asked");
        pair.read_all().await;
        assert_eq!(pair.row("evt_older").await.outcome.status, EventStatus::Processed);
        pair.stop().await;
    }

    async fn a_snapshot_event_of_nobody_is_fetched_once(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let before = pair.count();
        pair.id("/v1/customers", &[("email", "stranger@example.org")]);
        let created = pair.sent(before).remove(0);
        assert_eq!(created.kind(), "customer.created");
        // Set aside in the one form, it has told nothing; the other one reads it and goes on.
        let snapshot = created.render(ApiVersion::default()).body;
        assert_eq!(pair.app.deliver(&snapshot).await.field("status"), "ignored");
        assert_eq!(pair.app.deliver(&thin(&created)).await.field("status"), "waiting");
        pair.read_all().await;
        assert_eq!((pair.doubts().await, pair.open().await), (0, 0));
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 0);
        pair.stop().await;
    }
}
