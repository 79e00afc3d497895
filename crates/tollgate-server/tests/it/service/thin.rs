//! Thin events: they name objects, which are read once for all that name them. Thin, snapshot and
//! both together end in the same facts, and a happening counts once.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_domain::Facts;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_sandbox::sandbox::{Card, Method, Sandbox, SandboxOptions};
use tollgate_sandbox::server::{Fault, FaultRule};
use tollgate_sandbox::{ApiVersion, Happening};
use tollgate_server::reconcile::{self, Kind, Order, named};
use tollgate_server::workers;
use tollgate_store::inbox::{self, EventFilter, EventStatus};
use tollgate_store::thin_events::{self, End, Ending};

use super::reconcile::{Pair, is_sent};
use crate::support::{Settings, TestApp, TestDatabase, on_both};

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
        for event in tollgate_store::outbox::list(db, &account, 0, 1_000).await.unwrap() {
            *told.entry(event.kind.into_owned()).or_default() += 1;
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

    async fn an_object_that_stripe_does_not_show_ends_nothing(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        pair.deliver_all().await;
        assert!(pair.can("weekly_digest").await);
        pair.pass(5);
        pair.run(Kind::Sweep, false).await.unwrap();
        // One that is alive here and that Stripe does not know, nor its customer.
        let id = pair.facts().await.subscriptions.keys().next().unwrap().to_string();
        let missing = || Fault::Status {
            status: 404,
            code: Some("resource_missing".to_owned()),
            should_retry: None,
            accepted: false,
        };
        for path in ["/v1/subscriptions/*", "/v1/customers/*"] {
            pair.stripe.add_fault(FaultRule::new(path, 1_000, missing()));
        }
        let body = |pair: &Pair, event: &str| {
            made(pair, event, "v1.customer.subscription.updated", ("subscription", &id), None)
        };
        let answer = pair.app.deliver(&body(&pair, "evt_test_1")).await;
        assert_eq!(answer.field("status"), "waiting");
        pair.read_all().await;
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 1);
        assert_eq!(pair.doubts().await, 1);
        assert!(pair.can("weekly_digest").await);
        // It is given up in the end, visibly, and asked for no more.
        pair.pass(31 * 86_400);
        pair.app.run_workers().await;
        assert_eq!(pair.inbox(EventStatus::Dead).await.len(), 1);
        assert_eq!(pair.open().await, 0);
        pair.read_all().await;
        assert_eq!(pair.doubts().await, 0);
        // Nor are others that come later asked for because of it, and a replay begins anew.
        pair.stripe.clear_faults();
        let db = &pair.app.app().engine.db;
        let event = EventId::parse("evt_test_1").unwrap();
        inbox::set_ids_for_replay(db, &[event], pair.app.now()).await.unwrap();
        pair.app.run_workers().await;
        assert_eq!(pair.row("evt_test_1").await.outcome.status, EventStatus::Waiting);
        pair.read_all().await;
        assert_eq!(pair.row("evt_test_1").await.outcome.status, EventStatus::Processed);
        pair.stop().await;
    }

    async fn what_stripe_does_not_know_and_we_never_did_is_asked_for_once(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        // A draft that was changed and then deleted.
        let draft = made(&pair, "evt_draft", "v1.invoice.updated", ("invoice", "in_gone"), None);
        // A happening that is listed no more and names no object that is read.
        let summary = "v1.entitlements.active_entitlement_summary.updated";
        let related = ("entitlements.active_entitlement_summary", "none");
        let old = made(&pair, "evt_old", summary, related, Some("evt_none"));
        for body in [&draft, &old] {
            assert_eq!(pair.app.deliver(body).await.field("status"), "waiting");
        }
        pair.read_all().await;
        for (id, reason) in [("evt_draft", "object_gone"), ("evt_old", "not_shown")] {
            let outcome = pair.row(id).await.outcome;
            assert_eq!(outcome.status, EventStatus::Ignored, "{id}: {outcome:?}");
            assert_eq!(outcome.reason.as_deref(), Some(reason), "{id}");
        }
        assert_eq!((pair.doubts().await, pair.open().await), (0, 0));
        let calls = pair.calls().await;
        assert_eq!((calls["invoices.retrieve"], calls["events.retrieve"]), (1, 1), "{calls:?}");
        pair.pass(31 * 86_400);
        pair.app.run_workers().await;
        assert_eq!(findings(&pair.app.app().engine.db).await.len(), 0);
        assert_eq!(pair.app.deliver(&draft).await.field("status"), "duplicate");
        // A key that may read more by then is asked with again.
        let (db, old) = (&pair.app.app().engine.db, EventId::parse("evt_old").unwrap());
        inbox::set_ids_for_replay(db, &[old], pair.app.now()).await.unwrap();
        pair.app.run_workers().await;
        assert_eq!(pair.row("evt_old").await.outcome.status, EventStatus::Waiting);
        pair.stop().await;
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

    async fn a_wrong_key_makes_no_object_of_a_happening(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_all().await;
        pair.pass(60);
        let created = pair.happened(&["customer.subscription.created"]).remove(0);
        let mut event = created.show_thin();
        event["snapshot_event"] = json!("evt_test_soon");
        event["id"] = json!("evt_test_thin");
        event["type"] = json!("v1.customer.subscription.trial_will_end");
        event["related_object"]["id"] = json!(id);
        assert_eq!(pair.app.deliver(&event.to_string()).await.field("status"), "waiting");
        let revoked = Fault::Status { status: 401, code: None, should_retry: None, accepted: false };
        pair.stripe.add_fault(FaultRule::new("/v1/events/*", 1_000, revoked));
        pair.pass(1);
        assert!(workers::refetch::tick(pair.app.app()).await.is_err());
        let db = &pair.app.app().engine.db;
        let asked = async |asks: &str| {
            thin_events::open(db, &ObjectId::parse(asks).unwrap()).await.unwrap().len()
        };
        assert_eq!((asked("evt_test_soon").await, asked(&id).await), (1, 0));
        assert_eq!(pair.doubts().await, 1);
        // With the right key Stripe says that it is listed no more: now the object is read.
        pair.stripe.clear_faults();
        pair.pass(600);
        pair.read_all().await;
        assert_eq!(pair.row("evt_test_thin").await.outcome.status, EventStatus::Processed);
        pair.stop().await;
    }

    async fn our_own_account_as_context_changes_nothing(database: &TestDatabase) {
        let own = Sandbox::new(SandboxOptions { seed: 7, ..SandboxOptions::default() });
        let context = own.account();
        let environment = [("TOLLGATE__STRIPE__ACCOUNT", context)];
        let pair = Pair::start_with(database, &environment).await;
        pair.subscribe("premium");
        let with_context = |event: &Happening| {
            let mut event = event.show_thin();
            event["context"] = json!(context);
            event.to_string()
        };
        let events = pair.sent(0);
        for event in &events {
            let status = pair.app.deliver(&with_context(event)).await.field("status");
            assert_eq!(status, "waiting", "{event:?}");
        }
        pair.read_all().await;
        assert!(pair.can("weekly_digest").await);
        assert_eq!(pair.inbox(EventStatus::Waiting).await.len(), 0);
        assert_eq!((pair.doubts().await, pair.open().await), (0, 0));
        // And the snapshot tells of the same happening.
        let before = pair.count();
        pair.pass(60);
        let customer = pair.happened(&["customer.created"]).remove(0);
        let path = format!("/v1/customers/{}", customer.show_thin()["related_object"]["id"].as_str().unwrap());
        pair.call(Method::Post, &path, &[("name", "Ann")]);
        for event in pair.sent(before) {
            pair.app.deliver(&event.render(ApiVersion::default()).body).await;
            let status = pair.app.deliver(&with_context(&event)).await.field("status");
            assert_eq!(status, "processed", "{event:?}");
        }
        pair.stop().await;
    }

    async fn a_run_that_goes_on_answers_no_event_that_came_after_it_began(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let order = Order { kind: Kind::Sweep, account: None, dry: false, allow_ends: false };
        // Its process is killed; later Stripe tells that it could not make some events.
        drop(reconcile::begin(pair.app.app(), order).await.unwrap());
        pair.pass(10 * 60);
        let body = json!({
            "id": "evt_test_health", "object": "v2.core.event",
            "type": "v2.core.health.event_generation_failure.resolved",
            "created": pair.app.now().to_string(), "livemode": false,
        });
        assert_eq!(pair.app.deliver(&body.to_string()).await.field("status"), "waiting");
        pair.pass(5);
        for expected in [EventStatus::Waiting, EventStatus::Processed] {
            let done = workers::reconcile::tick(pair.app.app(), false).await.unwrap();
            assert!(done.is_some());
            assert_eq!(pair.row("evt_test_health").await.outcome.status, expected);
        }
        assert!(workers::reconcile::tick(pair.app.app(), false).await.unwrap().is_none());
        let runs = tollgate_store::reconciliation_runs::list(
            &pair.app.app().engine.db, tollgate_domain::Timestamp::MAX, 10,
        ).await.unwrap();
        assert_eq!(runs.len(), 2, "the one that went on, and one for the event");
        pair.stop().await;
    }

    async fn what_nobody_owns_yet_is_kept_and_found_later(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let customer = pair.id("/v1/customers", &[]);
        let price = tollgate_sandbox::sandbox_price_id(
            &crate::support::catalog(),
            "premium",
            tollgate_domain::catalog::Interval::Month,
        );
        pair.stripe.with(|stripe| stripe.set_card(&customer, Card::Good)).unwrap();
        pair.id(
            "/v1/subscriptions",
            &[("customer", customer.as_str()), ("items[0][price]", price.as_str())],
        );
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        assert!(!pair.can("weekly_digest").await);
        let before = pair.count();
        let path = format!("/v1/customers/{customer}");
        pair.call(Method::Post, &path, &[("metadata[account_id]", "acme")]);
        pair.deliver_thin(&pair.sent(before)).await;
        pair.read_all().await;
        pair.app.run_workers().await;
        assert!(pair.can("weekly_digest").await);
        pair.stop().await;
    }

    async fn events_told_by_thin_ones_were_not_missed(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let events = pair.sent(0);
        // The last two are lost in both forms.
        let (told, lost) = events.split_at(events.len() - 2);
        pair.deliver_thin(told).await;
        pair.read_all().await;
        pair.pass(120);
        let report = pair.run(Kind::Events, false).await.unwrap();
        assert_eq!(report.drift.get("missed_event"), Some(&(lost.len() as u64)), "{report:?}");
        let report = pair.run(Kind::Sweep, true).await.unwrap();
        assert_eq!((report.drifted(), report.settled), (0, 0), "{report:?}");
        pair.stop().await;
    }

    async fn a_change_of_stripes_catalog_told_by_a_thin_event_was_not_missed(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let before = pair.count();
        let price = [
            ("currency", "usd"),
            ("unit_amount", "700"),
            ("recurring[interval]", "month"),
            ("product_data[name]", "Newsletter"),
        ];
        pair.id("/v1/prices", &price);
        let events = pair.sent(before);
        let statuses = pair.deliver_thin(&events).await;
        assert_eq!(statuses.keys().collect::<Vec<_>>(), ["ignored"], "{statuses:?}");
        pair.pass(120);
        let report = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((events.len(), report.drifted()), (3, 0), "{report:?}");
        assert_eq!(pair.inbox(EventStatus::Ignored).await.len(), events.len(), "each is there once");
        pair.stop().await;
    }

    async fn more_events_than_are_looked_at_together_go_on(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        let events = pair.sent(0);
        let of = |event: &&Happening| event.kind() == "customer.subscription.created";
        let shown = events.iter().find(of).unwrap().show_thin();
        let at = pair.app.now().plus_ms(5_000);
        let event = |place: usize, seconds: i64, snapshot: &str| {
            let mut event = shown.clone();
            event["id"] = json!(format!("evt_test_{place}"));
            event["type"] = json!("v1.customer.subscription.updated");
            event["created"] = json!(at.plus_ms(seconds * 1_000).to_string());
            event["snapshot_event"] = json!(snapshot);
            event["related_object"]["id"] = json!(id);
            event.to_string()
        };
        // All but the last are told of by a snapshot event, which comes after them.
        let known = events.iter().find(|one| one.kind() == "checkout.session.completed").unwrap();
        for place in 0..300 {
            let body = event(place, 0, known.id());
            assert_eq!(pair.app.deliver(&body).await.field("status"), "waiting");
        }
        pair.app.deliver(&event(300, 1, "evt_none")).await;
        pair.app.deliver(&known.render(ApiVersion::default()).body).await;
        pair.pass(2);
        pair.ask().await;
        let (waiting, _) = thin_events::count_open(&pair.app.app().engine.db).await.unwrap();
        assert_eq!(waiting, 0);
        assert!(pair.can("weekly_digest").await);
        pair.stop().await;
    }

    async fn a_reading_that_tells_nothing_new_still_outranks_what_was_lost(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe("premium");
        pair.deliver_thin(&pair.sent(0)).await;
        pair.read_all().await;
        let change = |plan: &str| {
            let path = format!("/v1/subscriptions/{id}");
            let now = pair.call(Method::Get, &path, &[]);
            let item = now["items"]["data"][0]["id"].as_str().unwrap().to_owned();
            let price = tollgate_sandbox::sandbox_price_id(
                &crate::support::catalog(),
                plan,
                tollgate_domain::catalog::Interval::Month,
            );
            let pairs = [
                ("items[0][id]", item.as_str()),
                ("items[0][price]", price.as_str()),
                ("proration_behavior", "none"),
            ];
            pair.call(Method::Post, &path, &pairs);
        };
        // There and back; nobody is told of the first step.
        pair.pass(3_600);
        change("elite");
        pair.pass(3_600);
        let before = pair.count();
        change("premium");
        pair.deliver_thin(&pair.sent(before)).await;
        pair.read_all().await;
        pair.pass(120);
        let report = pair.run(Kind::Sweep, false).await.unwrap();
        let missed = report.drift.get("missed_event").copied();
        assert_eq!(Some(report.drifted()), missed, "{report:?}");
        let facts = facts_in_short(&pair).await;
        assert!(!facts.contains("elite"), "{facts}");
        pair.stop().await;
    }

    async fn events_that_stripe_could_not_make_start_a_comparison(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        let sweep = workers::reconcile::tick(pair.app.app(), false).await.unwrap();
        assert!(sweep.is_some() && pair.can("weekly_digest").await);
        pair.pass(1);
        let quiet = workers::reconcile::tick(pair.app.app(), false).await.unwrap();
        assert!(quiet.is_none(), "nothing is due: {quiet:?}");
        let body = json!({
            "id": "evt_test_health", "object": "v2.core.event",
            "type": "v2.core.health.event_generation_failure.resolved",
            "created": pair.app.now().to_string(), "livemode": false,
        });
        assert_eq!(pair.app.deliver(&body.to_string()).await.field("status"), "waiting");
        assert!(workers::reconcile::tick(pair.app.app(), false).await.unwrap().is_some());
        let id = EventId::parse("evt_test_health").unwrap();
        let rows = inbox::find(&pair.app.app().engine.db, &id).await.unwrap();
        assert_eq!(rows[0].outcome.status, EventStatus::Processed);
        assert!(workers::reconcile::tick(pair.app.app(), false).await.unwrap().is_none());
        pair.stop().await;
    }

    async fn what_is_none_of_ours_asks_for_nothing(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let event = |kind: &str, related: serde_json::Value| {
            json!({
                "id": format!("evt_test_{}", kind.len()), "object": "v2.core.event", "type": kind,
                "created": pair.app.now().to_string(), "livemode": false,
                "related_object": related,
            })
        };
        let plan = json!({"id": "bpps_1", "type": "v2.billing.pricing_plan_subscription", "url": "/v2/x"});
        let charge = json!({"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"});
        for (kind, related, reason) in [
            ("v2.billing.pricing_plan_subscription.servicing_activated", plan, "billing_v2"),
            ("v1.charge.succeeded", charge, "type_without_effects"),
            ("v2.core.event_destination.ping", json!(null), "type_without_effects"),
            ("v1.price.updated", json!({"id": "price_1", "type": "price", "url": "/x"}), "catalog_notice"),
        ] {
            let answer = pair.app.deliver(&event(kind, related).to_string()).await;
            let told = (answer.field("status"), answer.field("message"));
            assert_eq!(told, ("ignored".to_owned(), reason.to_owned()), "{kind}");
        }
        let db = &pair.app.app().engine.db;
        assert_eq!(tollgate_store::doubts::count(db).await.unwrap(), 0);
        // What was bought and is not read is never silent, until it is over.
        assert_eq!(findings(db).await, ["billing_v2 bpps_1"]);
        let over = "v2.billing.pricing_plan_subscription.servicing_canceled";
        let plan = json!({"id": "bpps_1", "type": "v2.billing.pricing_plan_subscription"});
        pair.app.deliver(&event(over, plan).to_string()).await;
        assert_eq!(findings(db).await.len(), 0);
        pair.stop().await;
    }

    async fn one_that_names_no_object_is_malformed_and_one_with_an_id_of_ours_is_none(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let event = |id: &str, related: serde_json::Value| {
            let body = json!({
                "id": id, "object": "v2.core.event", "type": "v1.customer.subscription.updated",
                "created": pair.app.now().to_string(), "livemode": false, "related_object": related,
            });
            body.to_string()
        };
        for (place, related) in [
            json!("sub_1"), json!(["sub_1"]), json!({}), json!(null), json!({"type": "subscription"}),
            json!({"id": 7, "type": "subscription"}), json!({"id": "sub_1", "type": {}}),
        ].into_iter().enumerate() {
            let answer = pair.app.deliver(&event(&format!("evt_test_odd_{place}"), related.clone())).await;
            let told = (answer.field("status"), answer.field("message"));
            assert_eq!(told.0, "failed", "{related}: {told:?}");
            assert!(told.1.contains("related_object names no object"), "{related}: {told:?}");
        }
        let whole = json!({"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"});
        let refused = pair.app.deliver(&event("obs_1", whole)).await;
        assert_eq!(refused.field("status"), "failed", "{}", refused.text);
        assert!(refused.text.contains("reserved_id"), "{}", refused.text);
        let db = &pair.app.app().engine.db;
        assert!(inbox::find(db, &EventId::parse("obs_1").unwrap()).await.unwrap().is_empty());
        pair.stop().await;
    }
}
