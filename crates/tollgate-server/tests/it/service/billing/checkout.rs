//! One customer and one pending purchase: under concurrency, after a death at any step, and with a
//! Stripe that is busy, broken or silent.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tollgate_domain::catalog::CheckoutWish;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::server::{Fault, FaultRule};
use tollgate_server::billing::checkout::PlanPurchase;
use tollgate_server::billing::customer::Buyer;

use super::shop::{CANCEL, SUCCESS, Shop};
use crate::support::{TestDatabase, on_both};

/// Runs a future until it has been polled so often, and drops it then: a death at that step.
/// `None` when it died, `Some` when it was done before.
async fn until_poll<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut count = 0;
    poll_fn(|context| {
        count += 1;
        if count > polls {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

fn rule(path: &str, times: u32, fault: Fault) -> FaultRule {
    FaultRule { method: Some("POST".to_owned()), ..FaultRule::new(path, times, fault) }
}

/// Lets a purchase fail by a fault, then asks again without it.
async fn goes_on_after(shop: &Shop, account: &str, path: &str, fault: Fault) {
    assert!(shop.stripe.add_fault(rule(path, 3, fault.clone())));
    let answer = shop.checkout(account, "premium").await;
    let found = (answer.status, answer.field("code"));
    assert_eq!(found, (503, "stripe_unavailable".to_owned()), "{fault:?}: {}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    shop.stripe.clear_faults();
}

fn one_of_each(shop: &Shop, account: &str, session: &str) {
    let sessions = shop.sessions(account);
    assert_eq!(sessions.len(), 1, "{account}: {sessions:?}");
    assert_eq!(sessions[0]["id"], session);
    assert_eq!(sessions[0]["metadata"]["account_id"], account);
}

on_both! {
    async fn a_plan_is_bought_at_every_path_there_is_for_it(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let session = shop.session("acme", "premium").await;
        for path in [
            "/api/checkout/session",
            "/api/v1/checkout/session",
            "/api/billing/checkout",
            "/api/billing/checkout/session",
            "/api/v1/billing/checkout/session",
        ] {
            let answer = shop.app.post(path, &Shop::asking("acme", "premium")).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(answer.field("sessionId"), session, "{path}: the pending one");
            let other = shop.app.get(path).await;
            assert_eq!((other.status, other.field("code").as_str()), (405, "method_not_allowed"));
        }
        shop.close().await;
    }

    async fn twenty_at_once_get_one_customer_and_one_session(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let all = (0..20).map(|_| shop.checkout("acme", "premium"));
        let mut sessions: Vec<String> = Vec::new();
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
            sessions.push(answer.field("sessionId"));
        }
        sessions.dedup();
        assert_eq!(sessions.len(), 1);
        one_of_each(&shop, "acme", &sessions[0]);
        assert_eq!(shop.session("acme", "premium").await, sessions[0], "and later too");
        shop.close().await;
    }

    async fn twenty_at_once_on_two_instances_get_one_customer_and_one_session(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let other = shop.second_instance(database).await;
        let asking = Shop::asking("acme", "premium");
        let all = (0..20).map(|number| {
            let app = if number % 2 == 0 { &shop.app } else { &other };
            app.post("/api/v1/billing/checkout", &asking)
        });
        let mut sessions: Vec<String> = Vec::new();
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
            sessions.push(answer.field("sessionId"));
        }
        sessions.dedup();
        assert_eq!(sessions.len(), 1);
        one_of_each(&shop, "acme", &sessions[0]);
        other.stop().await;
        shop.close().await;
    }

    async fn two_plans_asked_for_at_once_on_two_instances_leave_one_that_can_be_paid(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let other = shop.second_instance(database).await;
        for round in 0..8 {
            let account = format!("acme-{round}");
            let all = (0..12).map(|number: usize| {
                let app = if number.is_multiple_of(2) { &shop.app } else { &other };
                let tier = if number % 4 < 2 { "premium" } else { "elite" };
                let asking = Shop::asking(&account, tier);
                async move { app.post("/api/v1/billing/checkout", &asking).await }
            });
            for answer in futures_util::future::join_all(all).await {
                let told = answer.status == 200 || answer.field("code") == "billing_contended";
                assert!(told, "{}: {}", answer.status, answer.text);
            }
            let open = shop.open_sessions(&account);
            assert!(open.len() <= 1, "{account}: {open:?}");
            let last = shop.session(&account, "premium").await;
            let open = shop.open_sessions(&account);
            assert_eq!(open.len(), 1, "{account}: {open:?}");
            assert_eq!(open[0]["id"], last.as_str());
        }
        other.stop().await;
        shop.close().await;
    }

    async fn a_death_at_any_step_leaves_one_of_each_after_another_try(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls < 2000, "a purchase takes fewer steps");
            let name = format!("acme{polls}");
            let account = AccountId::parse(&name).expect("an id");
            let email = format!("{name}@example.com");
            let purchase = PlanPurchase {
                buyer: Buyer { account: &account, member: None, email: Some(&email) },
                plan: "premium",
                interval: None,
                quantity: None,
                add_ons: &[],
                terms: &CheckoutWish::default(),
                success_url: SUCCESS,
                cancel_url: CANCEL,
            };
            let done = until_poll(polls, shop.app.app().checkout(purchase)).await;
            let session = shop.session(&name, "premium").await;
            one_of_each(&shop, &name, &session);
            if let Some(done) = done {
                assert_eq!(done.expect("it succeeds").id.as_str(), session);
                break;
            }
        }
        // At least one for each call to Stripe and each transaction; more where answers come slowly.
        assert!(polls > 4, "there were steps to die at: {polls}");
        shop.close().await;
    }

    async fn lost_answers_make_nothing_twice(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let faults = [
            Fault::Cut { accepted: true },
            Fault::Cut { accepted: false },
            Fault::Status { status: 500, code: None, should_retry: Some(false), accepted: true },
            Fault::Status { status: 429, code: None, should_retry: None, accepted: false },
            Fault::Status { status: 503, code: None, should_retry: None, accepted: false },
        ];
        for (number, fault) in faults.into_iter().enumerate() {
            for path in ["/v1/customers", "/v1/checkout/sessions"] {
                let account = format!("acme{number}{}", path.len());
                goes_on_after(&shop, &account, path, fault.clone()).await;
                let session = shop.session(&account, "premium").await;
                one_of_each(&shop, &account, &session);
            }
        }
        shop.close().await;
    }

    async fn passing_trouble_is_not_noticed(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let status = |status| Fault::Status { status, code: None, should_retry: None, accepted: false };
        for (number, fault) in
            [status(409), status(429), status(500), Fault::Cut { accepted: true }].into_iter().enumerate()
        {
            for path in ["/v1/customers", "/v1/checkout/sessions", "/v1/prices"] {
                shop.stripe.add_fault(FaultRule::new(path, 1, fault.clone()));
            }
            let account = format!("acme{number}");
            let session = shop.session(&account, "premium").await;
            one_of_each(&shop, &account, &session);
        }
        shop.close().await;
    }

    async fn what_was_made_is_found_again_when_its_key_is_forgotten(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let lost = Fault::Cut { accepted: true };
        goes_on_after(&shop, "acme", "/v1/customers", lost.clone()).await;
        goes_on_after(&shop, "other", "/v1/checkout/sessions", lost).await;
        let before = shop.sessions("other");
        shop.advance(Duration::from_hours(25));
        let session = shop.session("acme", "premium").await;
        one_of_each(&shop, "acme", &session);
        // The session has run out by now; the customer is the same, and one can be paid.
        let session = shop.session("other", "premium").await;
        assert_ne!(before[0]["id"], session.as_str());
        assert_eq!(shop.open_sessions("other").len(), 1);
        shop.close().await;
    }

    async fn another_purchase_takes_the_place_of_the_pending_one(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let first = shop.session("acme", "premium").await;
        let second = shop.session("acme", "elite").await;
        assert_ne!(first, second);
        let open = shop.open_sessions("acme");
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0]["id"], second.as_str());
        // Also when the answer to the first was lost.
        goes_on_after(&shop, "other", "/v1/checkout/sessions", Fault::Cut { accepted: true }).await;
        let second = shop.session("other", "elite").await;
        let open = shop.open_sessions("other");
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0]["id"], second.as_str());
        shop.close().await;
    }

    async fn what_was_paid_is_not_sold_again_before_its_subscription_is_known(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        let session = shop.session("acme", "premium").await;
        shop.pay(&session);
        shop.deliver_only("checkout.session.completed").await;
        for tier in ["premium", "elite"] {
            let answer = shop.checkout("acme", tier).await;
            let found = (answer.status, answer.field("code"));
            assert_eq!(found, (409, "already_subscribed".to_owned()), "{}", answer.text);
            assert_ne!(answer.json()["subscription"], serde_json::Value::Null, "{}", answer.text);
            assert_ne!(answer.json()["actions"], serde_json::Value::Null, "{}", answer.text);
        }
        // Also where no news came at all.
        let session = shop.session("other", "premium").await;
        shop.pay(&session);
        let answer = shop.checkout("other", "elite").await;
        assert_eq!(answer.status, 409, "{}", answer.text);
        assert_ne!(answer.json()["actions"], serde_json::Value::Null, "{}", answer.text);
        assert!(shop.open_sessions("acme").is_empty());
        shop.close().await;
    }

    async fn what_is_bought_once_can_be_had_beside_what_was_just_subscribed_to(database: &TestDatabase) {
        for is_told in [true, false] {
            let mut shop = Shop::open_with_catalog(database, "levels").await;
            let account = format!("acme-{is_told}");
            let monthly = shop.session(&account, "PRO").await;
            shop.pay(&monthly);
            if is_told {
                shop.deliver_only("checkout.session.completed").await;
            }
            let mut once = Shop::asking(&account, "PRO");
            once["interval"] = serde_json::json!("once");
            let answer = shop.app.post("/api/v1/billing/checkout", &once).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            // And the other way round: a purchase that was paid is no subscription.
            let other = format!("other-{is_told}");
            let mut once = Shop::asking(&other, "PRO");
            once["interval"] = serde_json::json!("once");
            let answer = shop.app.post("/api/v1/billing/checkout", &once).await;
            shop.pay(&answer.field("sessionId"));
            assert_eq!(shop.checkout(&other, "PRO").await.status, 200);
            shop.close().await;
        }
    }

    async fn a_customer_deleted_at_stripe_is_made_anew(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        shop.session("acme", "premium").await;
        let gone = shop.customers("acme")[0]["id"].as_str().expect("an id").to_owned();
        shop.delete_customer(&gone);
        let answer = shop.checkout("acme", "elite").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let now = shop.customers("acme");
        assert_eq!(now.len(), 1);
        assert_ne!(now[0]["id"], gone.as_str());
        shop.close().await;
    }
}
