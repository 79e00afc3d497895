//! Metadata that names another account than the one an object belongs to: found whatever came first,
//! closed by what settles it.

use serde_json::{Value, json};
use tollgate_server::relink::Order;

use super::owners::{event, invoice, price, status, subscription, tier};
use crate::support::{TestApp, TestDatabase, on_both};

fn named(id: &str, at: i64, account: Option<&str>) -> Value {
    let kind = "customer.subscription.updated";
    event(id, kind, at, subscription("sub_1", "cus_1", &price(), account))
}

async fn relink(app: &TestApp, to: &str) {
    let order = Order {
        object: tollgate_domain::ids::ObjectId::parse("sub_1").expect("an id"),
        to: tollgate_domain::ids::AccountId::parse(to).expect("an account"),
        reason: "the metadata was wrong".to_owned(),
        by: "ann".to_owned(),
    };
    app.app().intake.relink(&order).await.expect("a move");
}

const FOUND: &str = "claim_contradicts sub_1";

on_both! {
    async fn what_contradicts_is_found_in_every_order(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for (number, order) in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].iter().enumerate() {
            let (sub, customer) = (format!("sub_{number}"), format!("cus_{number}"));
            let of = |account: &str| subscription(&sub, &customer, &price(), Some(account));
            let owner = format!("org-{number}");
            let id = |what: &str| format!("evt_{what}_{number}");
            let kind = "customer.subscription.updated";
            let events = [
                event(&id("first"), kind, 1, of(&owner)),
                event(&id("edited"), kind, 100, of("other")),
                event(&id("paid"), "invoice.paid", 101, invoice(&format!("in_{number}"), &sub, &customer, &price(), None)),
            ];
            for place in order {
                assert_eq!(status(&app, &events[*place]).await, if *place == 2 && order[0] == 2 { "waiting" } else { "processed" }, "{order:?}");
            }
            app.run_workers().await;
            assert_eq!(tier(&app, &owner).await, "premium", "{order:?}");
            let found = app.open_findings().await;
            assert!(found.contains(&format!("claim_contradicts {sub}")), "{order:?}: {found:?}");
            // An older claim that comes late says nothing of what the metadata is now.
            let corrected = event(&id("corrected"), kind, 300, of(&owner));
            assert_eq!(status(&app, &corrected).await, "processed");
            let late = event(&id("late"), kind, 200, of("other"));
            assert_eq!(status(&app, &late).await, "processed");
            assert_eq!(app.open_findings().await, Vec::<String>::new(), "{order:?}");
        }
        app.stop().await;
    }

    async fn a_session_of_the_same_minute_contradicts_nothing_in_any_order(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for (number, order) in [[0, 1], [1, 0]].iter().enumerate() {
            let (sub, customer) = (format!("sub_{number}"), format!("cus_{number}"));
            let session = json!({
                "id": format!("cs_{number}"), "object": "checkout.session", "mode": "subscription",
                "status": "complete", "payment_status": "paid", "customer": customer,
                "subscription": sub, "metadata": {"account_id": "other"},
            });
            let events = [
                event(&format!("evt_cs_{number}"), "checkout.session.completed", 1, session),
                event(&format!("evt_sub_{number}"), "customer.subscription.created", 2,
                    subscription(&sub, &customer, &price(), Some(&format!("org-{number}")))),
            ];
            for place in order {
                assert_eq!(status(&app, &events[*place]).await, "processed", "{order:?}");
            }
            assert_eq!(tier(&app, &format!("org-{number}")).await, "premium", "{order:?}");
            assert_eq!(app.open_findings().await, Vec::<String>::new(), "{order:?}");
        }
        app.stop().await;
    }

    async fn a_subscription_that_runs_for_nobody_is_told_of(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let nobody = subscription("sub_2", "cus_2", &price(), None);
        let created = event("evt_1", "customer.subscription.created", 1, nobody.clone());
        assert_eq!(status(&app, &created).await, "waiting");
        let mut invalid = subscription("sub_3", "cus_3", &price(), Some("a b"));
        let garbled = event("evt_2", "customer.subscription.created", 2, invalid.clone());
        assert_eq!(status(&app, &garbled).await, "waiting");
        assert_eq!(app.open_findings().await, ["claim_invalid sub_3", "owner_unknown sub_2"]);
        // Once it is over nobody has to be found.
        let mut over = nobody;
        for (id, object) in [("evt_3", &mut over), ("evt_4", &mut invalid)] {
            object["status"] = json!("canceled");
            let ended = event(id, "customer.subscription.deleted", 100, object.clone());
            assert_eq!(status(&app, &ended).await, "waiting");
        }
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        app.stop().await;
    }

    async fn a_persons_word_settles_what_the_metadata_said_then(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for body in [named("evt_1", 1, Some("acme")), named("evt_2", 100, Some("other"))] {
            assert_eq!(status(&app, &body).await, "processed");
        }
        assert_eq!(app.open_findings().await, [FOUND]);
        // It is right where it is, and Stripe goes on naming the other one.
        relink(&app, "acme").await;
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        assert_eq!(status(&app, &named("evt_3", 200, Some("other"))).await, "processed");
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        // A third account is news, and is settled by moving it there.
        assert_eq!(status(&app, &named("evt_4", 300, Some("third"))).await, "processed");
        assert_eq!(app.open_findings().await, [FOUND]);
        relink(&app, "third").await;
        assert_eq!((tier(&app, "acme").await, tier(&app, "third").await), ("starter".into(), "premium".into()));
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        // Moved against the metadata: a person knows better, until the metadata names somebody else.
        relink(&app, "acme").await;
        assert_eq!(status(&app, &named("evt_5", 400, Some("third"))).await, "processed");
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        assert_eq!(status(&app, &named("evt_6", 500, Some("fourth"))).await, "processed");
        assert_eq!(app.open_findings().await, [FOUND]);
        // What was overruled once is news after another name.
        relink(&app, "fourth").await;
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        assert_eq!(status(&app, &named("evt_6b", 550, Some("third"))).await, "processed");
        assert_eq!(app.open_findings().await, [FOUND]);
        // Naming nobody contradicts nobody.
        assert_eq!(status(&app, &named("evt_7", 600, None)).await, "processed");
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        app.stop().await;
    }
}
