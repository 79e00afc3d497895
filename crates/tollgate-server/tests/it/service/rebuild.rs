//! The proof that facts, journals and the inbox agree: it says so of what the engine wrote, and names the
//! account of whatever was altered.

use serde_json::json;
use tollgate_domain::change::{Actor, Change, JournalEntry};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, EventId, FactId, FeatureKey, ObjectId, PlanId};
use tollgate_domain::operator_fact::{self, Effect, NewOperatorFact, OverrideEffect};
use tollgate_domain::{Facts, Timestamp};
use tollgate_sandbox::{Scenario, ScenarioOptions, StripeEvent};
use tollgate_server::rebuild::{self, RebuildError, Report};
use tollgate_server::relink::Order;
use tollgate_store::journal::{self, JournalRow};
use tollgate_store::{accounts, facts, retention};

use super::owners::{customer, event, price, subscription, tier};
use crate::support::{Settings, TestApp, TestDatabase, on_both, run_sql_on};

const MINUTE_MS: i64 = 60_000;

fn id(text: &str) -> AccountId {
    AccountId::parse(text).expect("an id")
}

async fn start(database: &TestDatabase) -> TestApp {
    let environment = vec![("TOLLGATE__IDENTITY__MATCH_EMAIL".into(), "true".into())];
    TestApp::start_with(database, Settings { environment, ..Settings::default() }).await
}

fn pass(app: &TestApp, ms: i64) {
    app.clock.set(app.now().plus_ms(ms));
}

async fn verify(app: &TestApp) -> Report {
    try_to_verify(app).await.expect("it is rebuilt")
}

async fn try_to_verify(app: &TestApp) -> Result<Report, RebuildError> {
    let app = app.app();
    rebuild::verify(app.config.clone(), &app.clock, &app.engine.db).await
}

/// What differs, as `account: line`.
fn told(report: &Report) -> Vec<String> {
    let lines = |one: &rebuild::Difference| {
        let account = one.account_id.clone();
        one.what.iter().map(move |line| format!("{account}: {line}")).collect::<Vec<_>>()
    };
    report.differences.iter().flat_map(lines).collect()
}

async fn give(app: &TestApp, account: &str, fact: &str, effect: Effect, until: Option<Timestamp>) {
    let new = NewOperatorFact {
        id: FactId::parse(fact).expect("an id"),
        effect,
        reason: "a partner of ours".to_owned(),
        granted_by: "ann".to_owned(),
        expires_at: until,
        internal_notes: Some("met at the fair".to_owned()),
    };
    let account = id(account);
    let given = app.app().intake.change(&account, |facts, catalog, now| {
        operator_fact::grant(facts, new.clone(), catalog, now)
    });
    given.await.unwrap_or_else(|error| panic!("{fact}: {error}"));
    pass(app, MINUTE_MS);
}

async fn take_back(app: &TestApp, account: &str, fact: &str) {
    let fact = FactId::parse(fact).expect("an id");
    let account = id(account);
    let done = app.app().intake.change(&account, |facts, _, now| {
        operator_fact::revoke(facts, &fact, "bob", Some("given by mistake"), now)
    });
    done.await.unwrap_or_else(|error| panic!("{fact}: {error}"));
    pass(app, MINUTE_MS);
}

async fn relink(app: &TestApp, object: &str, to: &str) {
    let order = Order {
        object: ObjectId::parse(object).expect("an id"),
        to: id(to),
        reason: "sold to another team".to_owned(),
        by: "ann".to_owned(),
    };
    app.app().intake.relink(&order).await.unwrap_or_else(|error| panic!("{object}: {error}"));
    app.run_workers().await;
    pass(app, MINUTE_MS);
}

async fn set_email(app: &TestApp, account: &str, email: Option<&str>) {
    app.app().intake.set_email(&id(account), email, "ann").await.expect("an e-mail");
    app.run_workers().await;
    pass(app, MINUTE_MS);
}

fn account_of(story: &Scenario) -> String {
    format!("of-{}", story.name.replace('_', "-"))
}

/// Every story for an account of its own, each event twice, in no order; acts of people in between.
async fn live(app: &TestApp) {
    let mut events: Vec<StripeEvent> = Vec::new();
    for story in Scenario::list() {
        let account = account_of(story);
        let options = ScenarioOptions::new(id(&account), app.now());
        // The catalog does not sell all that stories are told of.
        let told = Scenario::build(story.name, &app.app().config.catalog, &options);
        let Ok(told) = told else { continue };
        events.extend(told.iter().chain(&told).cloned());
    }
    fastrand::Rng::with_seed(9).shuffle(&mut events);
    for (number, event) in events.iter().enumerate() {
        let answer = app.deliver(&event.body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        pass(app, 7_000);
        match number {
            40 => give_and_take_back(app).await,
            80 => relink(app, &a_subscription(app).await, "team").await,
            120 => app.run_workers().await,
            _ => {}
        }
    }
    app.run_workers().await;
    people(app).await;
    app.run_workers().await;
}

async fn give_and_take_back(app: &TestApp) {
    let catalog = &app.app().config.catalog;
    let highest = || Effect::waiver(None, catalog).expect("a plan");
    give(app, "of-checkout", "wv_1", highest(), None).await;
    take_back(app, "of-checkout", "wv_1").await;
    give(app, "of-checkout", "wv_2", highest(), Some(app.now().plus_ms(10 * MINUTE_MS))).await;
    let plan = catalog.plans.last().map(|plan| plan.id.clone()).expect("a plan");
    give(app, "given", "gr_1", Effect::Grant { plan }, None).await;
    give(app, "given", "bo_1", Effect::Boost { member: None, count: 3 }, None).await;
    let feature = FeatureKey::parse("weekly_digest").expect("a feature");
    let by_hand = |what| Effect::Override { feature: feature.clone(), what };
    give(app, "given", "ov_1", by_hand(OverrideEffect::On), None).await;
    give(app, "given", "ov_2", by_hand(OverrideEffect::Off), None).await;
    take_back(app, "given", "ov_2").await;
}

/// Objects that go from hand to hand, and an e-mail that leads to an account.
async fn people(app: &TestApp) {
    let of = |sub: &str, cus: &str, account| subscription(sub, cus, &price(), account);
    let kind = "customer.subscription.created";
    for event in [
        event("evt_a", kind, 1, of("sub_a", "cus_a", Some("org-a"))),
        event("evt_w", kind, 2, of("sub_w", "cus_w", None)),
        event("evt_e", kind, 2, of("sub_e", "cus_e", None)),
        event("evt_c", "customer.created", 1, customer("cus_e", None)),
    ] {
        assert_eq!(app.deliver(&event.to_string()).await.status, 200);
        pass(app, 1_000);
    }
    relink(app, "sub_a", "org-b").await;
    relink(app, "sub_a", "org-c").await;
    // Said again: nothing changes, and it is the last word.
    relink(app, "sub_a", "org-c").await;
    relink(app, "sub_w", "org-w").await;
    set_email(app, "mailed", Some("earlier@example.com")).await;
    set_email(app, "mailed", Some("ann@example.com")).await;
    let updated = event("evt_u", "customer.updated", 5, customer("cus_e", None));
    assert_eq!(app.deliver(&updated.to_string()).await.status, 200);
    app.run_workers().await;
    set_email(app, "gone", Some("gone@example.com")).await;
    set_email(app, "gone", None).await;
    for (account, plan) in [("org-b", "starter"), ("org-c", "premium"), ("org-w", "premium")] {
        assert_eq!(tier(app, account).await, plan, "{account}");
    }
    assert_eq!(tier(app, "mailed").await, "premium");
}

async fn all_of(app: &TestApp, account: &str) -> Facts {
    facts::load(&app.app().engine.db, &id(account), Window::ALL).await.expect("facts")
}

/// A subscription that is known already, whatever came so far.
async fn a_subscription(app: &TestApp) -> String {
    for story in Scenario::list() {
        let facts = all_of(app, &account_of(story)).await;
        if let Some(id) = facts.subscriptions.keys().next() {
            return id.to_string();
        }
    }
    panic!("nobody has a subscription")
}

/// Alters facts behind the engine's back.
async fn alter(app: &TestApp, account: &str, change: Change) {
    let mut tx = app.app().engine.db.begin().await.expect("a transaction");
    facts::save(&mut tx, &[(&id(account), &[change])]).await.expect("it is written");
    tx.commit().await.expect("a commit");
}

on_both! {
    async fn what_the_engine_wrote_agrees_with_the_inbox(database: &TestDatabase) {
        let app = start(database).await;
        let nothing = verify(&app).await;
        assert!(nothing.equal && nothing.digest == nothing.rebuilt_digest, "{nothing:?}");
        live(&app).await;
        let before = app.digest().await;
        let report = verify(&app).await;
        assert_eq!(told(&report), Vec::<String>::new());
        assert!(report.equal, "{report:?}");
        assert_eq!((&report.digest, &report.rebuilt_digest), (&before, &before));
        assert_eq!(report.open_events, 0);
        assert!(report.events > 150 && report.acts >= 16, "{report:?}");
        assert_eq!((report.earlier_emails, report.taken_as_they_are), (2, 0));
        assert_eq!(app.digest().await, before, "nothing is written");
        app.stop().await;
    }

    async fn what_was_altered_is_named(database: &TestDatabase) {
        let app = start(database).await;
        live(&app).await;
        let facts = all_of(&app, "of-refund").await;
        let mut purchase = facts.purchases.values().next().expect("a purchase").clone();
        purchase.paid_at = None;
        let session = purchase.id.clone();
        alter(&app, "of-refund", Change::SavePurchase(purchase)).await;
        let facts = all_of(&app, "given").await;
        let mut given = facts.operator_facts.values().find(|one| one.id.as_str() == "gr_1").expect("a grant").clone();
        given.effect = Effect::Grant { plan: PlanId::parse("starter").expect("a plan") };
        alter(&app, "given", Change::SaveOperatorFact(given)).await;
        let report = verify(&app).await;
        let lines = told(&report).join("\n");
        assert!(!report.equal && report.differing == 2, "{lines}");
        assert!(lines.contains(&format!("of-refund: purchase {session}: ")), "{lines}");
        assert!(lines.contains("given: journal: only in the database: grant.created gr_1"), "{lines}");
        assert_ne!(report.digest, report.rebuilt_digest);
        app.stop().await;
    }

    async fn what_the_inbox_does_not_have_is_named(database: &TestDatabase) {
        let app = start(database).await;
        app.deliver_all(&app.scenario("checkout", "acme")).await;
        let db = &app.app().engine.db;
        let account = id("acme");
        let mut head = accounts::find_head(db, &account).await.expect("a head").expect("an account");
        let entry = JournalEntry {
            kind: "subscription.updated",
            subject: "sub_1".to_owned(),
            actor: Actor::Stripe(EventId::parse("evt_nowhere").expect("an id")),
            occurred_at: app.now(),
            details: Vec::new(),
            billing: None,
        };
        let row = JournalRow::next(&mut head, &entry, None, app.now());
        let mut tx = db.begin().await.expect("a transaction");
        journal::append(&mut tx, &[row]).await.expect("it is written");
        accounts::save(&mut tx, &[head], app.now()).await.expect("it is written");
        tx.commit().await.expect("a commit");
        let report = verify(&app).await;
        let lines = told(&report);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("acme: journal entry "), "{lines:?}");
        assert!(lines[0].ends_with(" names evt_nowhere, which is not in the inbox"), "{lines:?}");
        assert_eq!(report.digest, report.rebuilt_digest, "the facts agree");
        app.stop().await;
    }

    async fn nothing_is_proved_without_bodies(database: &TestDatabase) {
        let app = start(database).await;
        let events = app.scenario("checkout", "acme");
        app.deliver_all(&events).await;
        let db = &app.app().engine.db;
        let later = app.now().plus_days(500);
        retention::empty_bodies(db, Timestamp::MIN, later, later, 10_000).await.expect("removed");
        let refused = try_to_verify(&app).await.expect_err("there is nothing to read").to_string();
        assert!(refused.starts_with(&format!("{} events", events.len())), "{refused}");
        assert!(refused.contains("retention.event_bodies_days"), "{refused}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_the_inbox_has_lost_and_a_journal_that_was_altered_are_named() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = start(&database).await;
    let events = app.scenario("checkout", "acme");
    app.deliver_all(&events).await;
    app.deliver_all(&app.scenario("checkout", "other")).await;
    app.deliver_all(&app.scenario("checkout", "third")).await;
    let url = database.url();
    run_sql_on(&url, &format!("DELETE FROM webhook_events WHERE event_id = '{}'", events[0].id))
        .await;
    let forged =
        "UPDATE journal_entries SET subject = 'x' WHERE account_id = 'other' AND sequence = 2";
    run_sql_on(&url, forged).await;
    let report = verify(&app).await;
    let lines = told(&report).join("\n");
    assert_eq!(report.differing, 2, "{lines}");
    assert!(
        lines.contains(&format!("names {}, which is not in the inbox", events[0].id)),
        "{lines}"
    );
    let broken = "other: journal entry 2: the entry or the one before it was altered";
    assert!(lines.contains(broken), "{lines}");
    let shown = json!(report);
    assert_eq!((shown["equal"].as_bool(), shown["differing"].as_u64()), (Some(false), Some(2)));
    app.stop().await;
}
