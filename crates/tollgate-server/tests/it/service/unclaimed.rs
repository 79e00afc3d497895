//! Events of objects that nobody here owns: they are ignored in the end, never a dead letter, and run
//! again when an owner turns up.

use serde_json::Value;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_sandbox::sandbox::Method;
use tollgate_sandbox::sandbox_price_id;
use tollgate_server::reconcile::Kind;
use tollgate_server::workers::retention;
use tollgate_store::inbox::{self, EventFilter, EventRow, EventStatus};

use super::owners::{event, invoice, price, status, subscription, tier};
use super::reconcile::Pair;
use crate::support::{Settings, TestApp, TestDatabase, catalog, on_both};

const EXPIRED: &str = "owner_unknown_expired";

async fn rows(app: &TestApp) -> Vec<EventRow> {
    inbox::list(&app.app().engine.db, &EventFilter::default(), None, 100).await.unwrap().0
}

/// Each event with where it stands and why.
async fn standing(app: &TestApp) -> Vec<(String, EventStatus, String)> {
    let rows = rows(app).await.into_iter();
    let mut all: Vec<_> = rows
        .map(|row| {
            let reason = row.outcome.reason.unwrap_or_default();
            (row.key.event.to_string(), row.outcome.status, reason)
        })
        .collect();
    all.sort_unstable();
    all
}

async fn relink(app: &TestApp, object: &str) {
    let order = tollgate_server::relink::Order {
        object: ObjectId::parse(object).unwrap(),
        to: AccountId::parse("acme").unwrap(),
        reason: "they wrote to us".to_owned(),
        by: "ann".to_owned(),
    };
    app.app().intake.relink(&order).await.unwrap();
    app.run_workers().await;
}

/// A subscription to a plan of ours that was paid, which nothing gives an owner.
fn nobodys() -> [Value; 2] {
    [
        event(
            "evt_s",
            "customer.subscription.created",
            1,
            subscription("sub_1", "cus_1", &price(), None),
        ),
        event("evt_i", "invoice.paid", 2, invoice("in_1", "sub_1", "cus_1", &price(), None)),
    ]
}

async fn deliver_and_wait(app: &TestApp) {
    for body in nobodys() {
        assert_eq!(status(app, &body).await, "waiting");
    }
    app.clock.set(app.now().plus_days(30));
    app.run_workers().await;
}

fn all_are(standing: &[(String, EventStatus, String)], status: EventStatus, reason: &str) -> bool {
    !standing.is_empty() && standing.iter().all(|one| one.1 == status && one.2 == reason)
}

on_both! {
    async fn what_nobody_claimed_in_its_days_is_ignored_and_no_dead_letter(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let claims_in_vain = event("evt_v", "customer.subscription.created", 3, subscription("sub_2", "cus_2", &price(), Some("a b")));
        assert_eq!(status(&app, &claims_in_vain).await, "waiting");
        deliver_and_wait(&app).await;
        let stands = standing(&app).await;
        assert!(stands.len() == 3 && all_are(&stands, EventStatus::Ignored, EXPIRED), "{stands:?}");
        // Money is still told of, and only by the findings that tell of it.
        assert_eq!(app.open_findings().await, ["claim_invalid sub_2", "owner_unknown sub_1"]);
        let open = inbox::count_open(&app.app().engine.db).await.unwrap();
        assert!(open.is_empty(), "{open:?}");
        assert_eq!(status(&app, &nobodys()[0]).await, "duplicate");
        app.stop().await;
    }

    async fn what_nobody_claimed_runs_when_it_gets_an_owner(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        deliver_and_wait(&app).await;
        relink(&app, "cus_1").await;
        let stands = standing(&app).await;
        assert!(all_are(&stands, EventStatus::Processed, ""), "{stands:?}");
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        app.clock.set(app.now().plus_days(-30));
        assert_eq!(tier(&app, "acme").await, "premium");
        app.stop().await;
    }

    async fn what_nobody_claimed_waits_anew_when_it_is_replayed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        deliver_and_wait(&app).await;
        let ids = ["evt_s", "evt_i"].map(|id| EventId::parse(id).unwrap());
        let set = inbox::set_ids_for_replay(&app.app().engine.db, &ids, app.now()).await.unwrap();
        assert_eq!(set, 2);
        app.run_workers().await;
        assert!(rows(&app).await.iter().all(|row| row.outcome.status == EventStatus::Waiting));
        app.clock.set(app.now().plus_days(30));
        app.run_workers().await;
        let stands = standing(&app).await;
        assert!(all_are(&stands, EventStatus::Ignored, EXPIRED), "{stands:?}");
        app.stop().await;
    }

    async fn a_checkout_after_its_subscription_was_let_go_is_still_ours(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        deliver_and_wait(&app).await;
        let session = serde_json::json!({
            "id": "cs_1", "object": "checkout.session", "mode": "subscription", "status": "complete",
            "payment_status": "paid", "amount_total": 1, "currency": "usd", "customer": "cus_1",
            "subscription": "sub_1", "metadata": {},
        });
        let late = event("evt_c", "checkout.session.completed", 3, session);
        assert_eq!(status(&app, &late).await, "waiting", "its subscription sells a plan of ours");
        app.stop().await;
    }

    async fn an_owner_named_at_stripe_later_is_found_by_import_and_by_reconciliation(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let card = || pair.id("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]);
        let price = sandbox_price_id(&catalog(), "premium", Interval::Month);
        let subscribe = || {
            let (customer, card) = (pair.id("/v1/customers", &[("email", "someone@example.org")]), card());
            let attach = format!("/v1/payment_methods/{card}/attach");
            pair.call(Method::Post, &attach, &[("customer", &customer)]);
            let terms = [("customer", &*customer), ("items[0][price]", &price), ("default_payment_method", &card)];
            pair.id("/v1/subscriptions", &terms);
            customer
        };
        for (kind, account) in [(Kind::Import, "acme"), (Kind::Sweep, "bravo")] {
            let customer = subscribe();
            pair.deliver_all().await;
            pair.pass(31 * 86_400);
            pair.app.run_workers().await;
            let of_it = |row: &EventRow| row.outcome.reason.as_deref() == Some(EXPIRED);
            assert!(rows(&pair.app).await.iter().any(of_it), "{kind:?}");
            // Told by no event.
            pair.call(Method::Post, &format!("/v1/customers/{customer}"), &[("metadata[account_id]", account)]);
            pair.run(kind, false).await.unwrap();
            pair.app.run_workers().await;
            assert_eq!(tier(&pair.app, account).await, "premium", "{kind:?}");
            assert!(!rows(&pair.app).await.iter().any(of_it), "{kind:?}: its events ran");
        }
        let open = inbox::count_open(&pair.app.app().engine.db).await.unwrap();
        assert!(!open.iter().any(|(status, _)| *status == EventStatus::Dead), "{open:?}");
        pair.stop().await;
    }

    async fn an_invoice_that_names_its_price_by_id_alone_is_no_foreign_payment(database: &TestDatabase) {
        // The catalog knows the price by its lookup key, which the subscription shows and the newer
        // invoice does not.
        let settings = || Settings { catalog: Some("propiq".to_owned()), ..Settings::default() };
        let app = TestApp::start_with(database, settings()).await;
        for (round, first) in ["subscription", "invoice"].into_iter().enumerate() {
            let (sub, cus, bill) = (format!("sub_{round}"), format!("cus_{round}"), format!("in_{round}"));
            let mut told = subscription(&sub, &cus, "price_unmapped", None);
            told["items"]["data"][0]["price"]["lookup_key"] = "propiq_pro_monthly".into();
            let told = event(&format!("evt_s{round}"), "customer.subscription.created", 1, told);
            let paid = event(&format!("evt_i{round}"), "invoice.paid", 2, invoice(&bill, &sub, &cus, "price_unmapped", None));
            let both = if first == "invoice" { [&paid, &told] } else { [&told, &paid] };
            for body in both {
                status(&app, body).await;
            }
            app.run_workers().await;
            let open = app.open_findings().await;
            assert!(open.iter().all(|one| one.starts_with("owner_unknown ")), "{first} first: {open:?}");
            assert!(standing(&app).await.iter().all(|one| one.1 == EventStatus::Waiting), "{first} first");
        }
        assert_eq!(app.open_findings().await.len(), 2);
        // What sells nothing of ours stays told of.
        let other = event("evt_o", "invoice.paid", 3, invoice("in_o", "sub_o", "cus_o", "price_of_others", None));
        assert_eq!(status(&app, &other).await, "ignored");
        assert!(app.open_findings().await.contains(&"foreign_paid price_of_others".to_owned()));
        app.stop().await;
    }

    async fn what_was_set_aside_keeps_its_body_and_runs_when_it_gets_an_owner(database: &TestDatabase) {
        let days = ("TOLLGATE__RETENTION__EVENT_BODIES_DAYS".to_owned(), "40".to_owned());
        let app = TestApp::start_with(database, Settings { environment: vec![days], ..Settings::default() }).await;
        let news = event("evt_n", "customer.subscription.created", 1, subscription("sub_n", "cus_1", "price_news", None));
        assert_eq!(status(&app, &news).await, "ignored");
        deliver_and_wait(&app).await;
        app.clock.set(app.now().plus_days(20));
        while retention::tick(app.app()).await.unwrap() {}
        let gone = |row: &EventRow| row.body_removed;
        assert!(!rows(&app).await.iter().any(gone), "any of them may get an owner yet");
        relink(&app, "cus_1").await;
        app.clock.set(app.now().plus_days(1));
        app.run_workers().await;
        let stands = standing(&app).await;
        let shown: Vec<_> = stands.iter().map(|(id, status, _)| (id.as_str(), *status)).collect();
        let done = EventStatus::Processed;
        assert_eq!(shown, [("evt_i", done), ("evt_n", done), ("evt_s", done)], "{stands:?}");
        app.stop().await;
    }
}
