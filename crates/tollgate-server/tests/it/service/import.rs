//! An import: what was there before comes in, and a trial says what would.

use tollgate_domain::Timestamp;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_sandbox::sandbox::Method;
use tollgate_sandbox::{ApiVersion, sandbox_price_id};
use tollgate_server::reconcile::{Kind, Report};
use tollgate_server::trial;
use tollgate_store::{digest, facts, meta, reconciliation_runs as runs};

use super::reconcile::{Pair, is_sent};
use crate::support::{TestDatabase, catalog, on_both};

impl Pair {
    /// What an import would bring in.
    async fn try_import(&self) -> Report {
        let app = self.app.app();
        let (config, clock) = (app.config.clone(), app.clock.clone());
        trial::import(config, clock, Some(&app.engine.db), &|_, _| {}).await.unwrap()
    }

    /// A trial, which must write nothing, and then the import, which must find the same.
    async fn try_and_import(&self) -> Report {
        let before = standing(self).await;
        let tried = self.try_import().await;
        assert_eq!(standing(self).await, before, "a trial writes nothing");
        let done = self.run(Kind::Import, false).await.unwrap();
        assert_eq!(tried, done);
        done
    }

    /// Somebody subscribes; that it is `account` stands at the customer alone.
    fn subscribe_by_customer(&self, account: &str, plan: &str) -> String {
        let of = [("metadata[account_id]", account), ("email", "someone@example.org")];
        self.subscribe_to(&of, plan)
    }

    /// A new customer of whom this is said subscribes.
    fn subscribe_to(&self, of: &[(&str, &str)], plan: &str) -> String {
        let customer = self.id("/v1/customers", of);
        let price = sandbox_price_id(&catalog(), plan, Interval::Month);
        let card = self.id("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]);
        self.call(
            Method::Post,
            &format!("/v1/payment_methods/{card}/attach"),
            &[("customer", &customer)],
        );
        self.id(
            "/v1/subscriptions",
            &[
                ("customer", &customer),
                ("items[0][price]", &price),
                ("default_payment_method", &card),
            ],
        )
    }

    fn refund_all(&self) {
        let intents = self.call(Method::Get, "/v1/payment_intents", &[]);
        for intent in intents["data"].as_array().unwrap() {
            if intent["status"] == "succeeded" {
                self.id("/v1/refunds", &[("payment_intent", intent["id"].as_str().unwrap())]);
            }
        }
    }
}

/// What an import writes to.
async fn standing(pair: &Pair) -> (String, usize, Option<String>) {
    let db = &pair.app.app().engine.db;
    let runs = runs::list(db, Timestamp::MAX, 100).await.unwrap();
    (digest::state(db).await.unwrap(), runs.len(), meta::find(db, "events_whole").await.unwrap())
}

on_both! {
    async fn a_trial_finds_what_the_import_brings_in(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        pair.subscribe_by_customer("globex", "premium");
        // Nobody's here.
        pair.id("/v1/customers", &[("email", "stranger@example.org")]);
        // Of what happened at globex one event came; it names nobody, and waits.
        let paid = pair.happened(&["invoice.paid"]).pop().unwrap();
        pair.app.deliver(&paid.render(ApiVersion::default()).body).await;
        pair.pass(40 * 86_400);
        pair.try_and_import().await;
        pair.refund_all();
        pair.subscribe_by_customer("initech", "premium");
        let second = pair.try_and_import().await;
        let money = second.sums.money["usd"];
        assert!(money.paid_minor > 0 && money.refunded_minor > money.paid_minor, "{money:?}");
        for account in ["acme", "globex", "initech"] {
            assert_eq!(pair.app.check(account, "weekly_digest").await["canAccess"], true, "{account}");
        }
        pair.stop().await;
    }

    async fn what_runs_for_nobody_is_told_of_and_waits_for_its_owner(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        let id = pair.subscribe_to(&[("email", "someone@example.org")], "premium");
        pair.id("/v1/customers", &[("metadata[account_id]", "no id at all")]);
        // Somebody who has nothing here is nobody's matter.
        pair.id("/v1/customers", &[("email", "stranger@example.org")]);
        pair.pass(40 * 86_400);
        let done = pair.try_and_import().await;
        assert_eq!(done.foreign, 4 + 2, "{done:?}");
        let mut told = pair.app.open_findings().await;
        told.sort();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("claim_invalid cus_"), "{told:?}");
        assert_eq!(told[1], format!("owner_unknown {id}"));
        let order = tollgate_server::relink::Order {
            object: ObjectId::parse(&id).unwrap(),
            to: AccountId::parse("acme").unwrap(),
            reason: "they wrote to us".to_owned(),
            by: "ann".to_owned(),
        };
        pair.app.app().intake.relink(&order).await.unwrap();
        pair.app.run_workers().await;
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], true);
        pair.stop().await;
    }

    async fn an_account_that_existed_before_is_imported(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        // Nobody's here.
        pair.id("/v1/customers", &[("email", "stranger@example.org")]);
        pair.pass(40 * 86_400);
        let done = pair.run(Kind::Import, false).await.unwrap();
        assert!(done.imported >= 4, "{done:?}");
        let sums = &done.sums;
        assert_eq!((sums.objects["customer"], sums.objects["subscription"]), (1, 1), "{sums:?}");
        assert_eq!(sums.accounts_by_plan["premium"], 1, "{sums:?}");
        assert_eq!((done.drifted(), done.foreign), (0, 1), "{done:?}");
        assert_eq!(pair.status().await, "active");
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], true);
        let again = pair.run(Kind::Import, false).await.unwrap();
        assert_eq!(again.imported, 0, "{again:?}");
        // From then on events are looked for, and nothing before is called missed.
        let after = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!(after.drifted(), 0, "{after:?}");
        pair.stop().await;
    }

    async fn a_refund_of_an_imported_invoice_finds_it(database: &TestDatabase) {
        let pair = Pair::start(database).await;
        pair.subscribe("premium");
        pair.pass(40 * 86_400);
        pair.run(Kind::Import, false).await.unwrap();
        assert_eq!(pair.app.check("acme", "weekly_digest").await["canAccess"], true);
        let account = AccountId::parse("acme").unwrap();
        let window = tollgate_domain::facts::Window::ALL;
        let loaded = async || {
            facts::load(&pair.app.app().engine.db, &account, window).await.unwrap()
        };
        let imported = loaded().await;
        let paid = imported.invoices.values().filter(|one| one.state.amount_paid_minor > 0).count();
        let payments = imported.invoice_payments.len();
        assert!(paid > 0 && payments >= paid, "{payments} payments of {paid} invoices");
        // All that was paid is paid back, and the events of it are all that is ever told.
        let before = pair.stripe.with(|stripe| stripe.happenings().len());
        let intents = pair.call(Method::Get, "/v1/payment_intents", &[]);
        for intent in intents["data"].as_array().unwrap() {
            if intent["status"] == "succeeded" {
                pair.id("/v1/refunds", &[("payment_intent", intent["id"].as_str().unwrap())]);
            }
        }
        let told = pair.stripe.with(|stripe| stripe.happenings()[before..].to_vec());
        for event in told.iter().filter(|event| is_sent(event)) {
            pair.app.deliver(&event.render(ApiVersion::default()).body).await;
        }
        pair.app.run_workers().await;
        assert!(!loaded().await.adjustments.is_empty(), "the refunds found their account");
        // The comparison has nothing to add.
        pair.pass(120);
        let report = pair.run(Kind::Sweep, false).await.unwrap();
        assert_eq!((report.drifted(), report.settled), (0, 0), "{report:?}");
        pair.stop().await;
    }
}
