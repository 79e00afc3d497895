//! Whose events are: connected accounts, other products, customers of several accounts, ids of all
//! kinds, and moving what was claimed wrongly.

use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId};
use tollgate_server::scope::Scope;
use tollgate_store::inbox::{self, EventStatus};

use crate::cli::Place;
use crate::support::{NOW, Settings, TestApp, TestDatabase, on_both};

/// Seconds after the beginning of the test.
fn second(offset: i64) -> i64 {
    Timestamp::parse(NOW).unwrap().unix_seconds() - 1_000 + offset
}

#[expect(clippy::needless_pass_by_value, reason = "a literal object at every call")]
pub(super) fn event(id: &str, kind: &str, at: i64, object: Value) -> Value {
    json!({
        "id": id, "object": "event", "type": kind, "created": second(at), "livemode": false,
        "api_version": "2026-10-28.endive", "data": {"object": object},
    })
}

pub(super) fn price() -> String {
    let prices = serde_json::from_str::<Value>(&crate::support::price_map()).unwrap();
    prices["premium"][0].as_str().unwrap().to_owned()
}

fn metadata(account: Option<&str>) -> Value {
    account.map_or_else(|| json!({}), |account| json!({"account_id": account}))
}

pub(super) fn subscription(id: &str, customer: &str, price: &str, account: Option<&str>) -> Value {
    let (start, end) = (second(0), second(30 * 86_400));
    json!({
        "id": id, "object": "subscription", "status": "active", "customer": customer,
        "created": start, "cancel_at_period_end": false, "metadata": metadata(account),
        "items": {"object": "list", "data": [{
            "price": {"id": price}, "quantity": 1,
            "current_period_start": start, "current_period_end": end,
        }]},
    })
}

pub(super) fn invoice(
    id: &str,
    of: &str,
    customer: &str,
    price: &str,
    account: Option<&str>,
) -> Value {
    json!({
        "id": id, "object": "invoice", "status": "paid", "customer": customer, "currency": "usd",
        "amount_due": 3_500, "amount_paid": 3_500, "attempt_count": 1,
        "billing_reason": "subscription_cycle",
        "parent": {"subscription_details": {"subscription": of, "metadata": metadata(account)}},
        "lines": {"object": "list", "data": [{
            "id": "il_1", "pricing": {"price_details": {"price": price}}, "quantity": 1, "amount": 3_500,
            "period": {"start": second(0), "end": second(30 * 86_400)},
        }]},
    })
}

pub(super) fn customer(id: &str, account: Option<&str>) -> Value {
    json!({"id": id, "object": "customer", "email": "Ann@Example.com", "metadata": metadata(account)})
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |order: Vec<usize>| {
        (0..=order.len()).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    orders(last).into_iter().flat_map(insert).collect()
}

pub(super) async fn status(app: &TestApp, body: &Value) -> String {
    app.deliver(&body.to_string()).await.field("status")
}

async fn row(app: &TestApp, id: &str) -> inbox::EventRow {
    let id = EventId::parse(id).unwrap();
    inbox::find(&app.app().engine.db, &id).await.unwrap().remove(0)
}

pub(super) async fn tier(app: &TestApp, account: &str) -> String {
    app.check(account, "weekly_digest").await["tier"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_connected_accounts_event_is_not_ours_unless_the_account_is_named(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let mut forged = event(
            "evt_forged", "customer.subscription.created", 1,
            subscription("sub_x", "cus_x", "price_x", Some("victim")),
        );
        forged["account"] = json!("acct_stranger");
        forged["data"]["object"]["items"]["data"][0]["price"]["lookup_key"] =
            json!("sietch_elite_monthly");
        let answer = app.deliver(&forged.to_string()).await;
        assert_eq!((answer.status, answer.field("status").as_str()), (200, "ignored"), "{}", answer.text);
        assert_eq!(row(&app, "evt_forged").await.outcome.reason.as_deref(), Some("foreign_account"));
        assert_eq!(tier(&app, "victim").await, "starter");
        app.stop().await;
        let settings = Settings {
            environment: vec![("TOLLGATE__STRIPE__ACCOUNTS".into(), "acct_1, acct_named".into())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        let mut named = event(
            "evt_named", "customer.subscription.created", 1,
            subscription("sub_n", "cus_n", &price(), Some("org/7")),
        );
        named["account"] = json!("acct_named");
        assert_eq!(status(&app, &named).await, "processed");
        assert_eq!(tier(&app, "org/7").await, "premium");
        app.stop().await;
    }

    async fn a_deleted_customer_ends_what_it_pays_for_in_every_account(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let price = price();
        for (run, order) in orders(5).iter().enumerate() {
            let (a, b) = (format!("org-a{run}"), format!("org-b{run}"));
            let cus = format!("cus_{run}");
            let (one, two) = (format!("sub_{run}a"), format!("sub_{run}b"));
            let of_b = || subscription(&two, &cus, &price, Some(&b));
            let events = [
                ("customer.created", 1, customer(&cus, Some(&a))),
                ("customer.subscription.created", 2, subscription(&one, &cus, &price, Some(&a))),
                ("customer.subscription.created", 3, of_b()),
                ("customer.deleted", 8, customer(&cus, None)),
                ("customer.subscription.updated", 9, of_b()),
            ];
            for place in order {
                let (kind, at, object) = events[*place].clone();
                let answer = app.deliver(&event(&format!("evt_{run}_{place}"), kind, at, object).to_string()).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
            app.run_workers().await;
            assert_eq!((tier(&app, &a).await, tier(&app, &b).await), ("starter".into(), "starter".into()), "{order:?}");
            let reason = app.check(&b, "weekly_digest").await["reason"]["code"].clone();
            assert_eq!(reason, "subscription_canceled", "{order:?}");
            let filter = tollgate_store::journal::JournalFilter {
                account: Some(AccountId::parse(&b).unwrap()),
                subject: Some(cus),
                ..Default::default()
            };
            let told = tollgate_store::journal::list(&app.app().engine.db, &filter, None, 100).await.unwrap();
            // As the customer's own account, where it seemed to be that at first.
            let kinds = ["customer.gone", "customer.deleted"];
            assert!(told.0.iter().any(|entry| kinds.contains(&&*entry.kind)), "{order:?}");
        }
        app.stop().await;
    }

    async fn a_deletion_goes_along_with_what_is_known_by_its_invoices_alone(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let price = price();
        for (is_gone_first, from, to) in [(true, "org-a", "org-b"), (false, "org-c", "org-d")] {
            let (cus, sub) = (format!("cus_{from}"), format!("sub_{from}"));
            let paid = invoice(&format!("in_{from}"), &sub, &cus, &price, Some(from));
            let paid = event(&format!("evt_{from}"), "invoice.paid", 4, paid);
            let gone = event(&format!("evt_gone_{from}"), "customer.deleted", 8, customer(&cus, None));
            assert_eq!(status(&app, &paid).await, "processed");
            assert_eq!(tier(&app, from).await, "premium");
            if is_gone_first {
                app.deliver(&gone.to_string()).await;
                assert_eq!(tier(&app, from).await, "starter");
            }
            let order = tollgate_server::relink::Order {
                object: tollgate_domain::ids::ObjectId::parse(&sub).unwrap(),
                to: AccountId::parse(to).unwrap(),
                reason: "sold to another team".to_owned(),
                by: "ann".to_owned(),
            };
            app.app().intake.relink(&order).await.unwrap();
            if !is_gone_first {
                assert_eq!(tier(&app, to).await, "premium");
                app.deliver(&gone.to_string()).await;
            }
            assert_eq!((tier(&app, from).await, tier(&app, to).await), ("starter".into(), "starter".into()));
        }
        app.stop().await;
    }

    async fn one_customer_pays_for_two_accounts(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let price = price();
        let events = [
            event("evt_1", "customer.created", 1, customer("cus_1", Some("org-a"))),
            event("evt_2", "invoice.paid", 4, invoice("in_2", "sub_2", "cus_1", &price, None)),
            event("evt_3", "customer.subscription.created", 2, subscription("sub_1", "cus_1", &price, Some("org-a"))),
            event("evt_4", "customer.subscription.created", 3, subscription("sub_2", "cus_1", &price, Some("org-b"))),
        ];
        for body in &events {
            assert_eq!(status(&app, body).await, "processed", "{body}");
        }
        app.run_workers().await;
        assert_eq!((tier(&app, "org-a").await, tier(&app, "org-b").await), ("premium".into(), "premium".into()));
        // The invoice came first and followed the customer; it went along with its subscription.
        let ended = event("evt_5", "customer.subscription.deleted", 9, {
            let mut gone = subscription("sub_1", "cus_1", &price, Some("org-a"));
            gone["status"] = json!("canceled");
            gone
        });
        assert_eq!(status(&app, &ended).await, "processed");
        assert_eq!((tier(&app, "org-a").await, tier(&app, "org-b").await), ("starter".into(), "premium".into()));
        let db = &app.app().engine.db;
        let window = tollgate_domain::facts::Window::ALL;
        let of = async |id: &str| {
            let id = AccountId::parse(id).unwrap();
            tollgate_store::facts::load(db, &id, window).await.unwrap()
        };
        assert!(of("org-a").await.invoices.is_empty());
        assert!(of("org-b").await.invoices.contains_key("in_2"));
        let digest = app.digest().await;
        app.stop().await;
        // Any other order, and one that is taken together, ends the same.
        for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 1, 0, 3]] {
            let other = TestDatabase::sqlite();
            let app = TestApp::start(&other).await;
            let mut bodies: Vec<String> = order.iter().map(|n| events[*n].to_string()).collect();
            bodies.push(ended.to_string());
            futures_util::future::join_all(bodies.iter().map(|body| app.deliver(body))).await;
            app.run_workers().await;
            assert_eq!(app.digest().await, digest, "{order:?}");
            app.stop().await;
        }
    }

    async fn what_is_of_another_product_is_set_aside_until_it_is_linked(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let price = price();
        let strange = [
            event("evt_c", "customer.created", 1, customer("cus_1", None)),
            event("evt_n", "customer.subscription.created", 2, subscription("sub_n", "cus_1", "price_news", None)),
            event("evt_i", "invoice.paid", 3, invoice("in_n", "sub_n", "cus_1", "price_news", None)),
        ];
        for body in &strange {
            let answer = app.deliver(&body.to_string()).await;
            assert_eq!(answer.field("status"), "ignored", "{}", answer.text);
            assert!(answer.field("message").starts_with("foreign"), "{}", answer.text);
            assert_eq!(status(&app, body).await, "duplicate");
        }
        app.run_workers().await;
        assert_eq!(row(&app, "evt_n").await.outcome.status, EventStatus::Ignored);
        assert_eq!(row(&app, "evt_n").await.outcome.reason.as_deref(), Some("foreign"));
        // What sells something of ours waits, with no time of its own but its end.
        let ours = event("evt_o", "customer.subscription.created", 4, subscription("sub_o", "cus_2", &price, None));
        assert_eq!(status(&app, &ours).await, "waiting");
        let due = row(&app, "evt_o").await.outcome.next_attempt_at.unwrap();
        assert_eq!(due, app.now().plus_days(30));
        // The customer turns out to be ours: all that was set aside runs again.
        let named = event("evt_s", "customer.subscription.created", 5, subscription("sub_1", "cus_1", &price, Some("acme")));
        assert_eq!(status(&app, &named).await, "processed");
        app.run_workers().await;
        for id in ["evt_c", "evt_n", "evt_i"] {
            let row = row(&app, id).await;
            assert_eq!(row.outcome.status, EventStatus::Processed, "{id}");
            assert_eq!(row.outcome.account.unwrap().as_str(), "acme");
        }
        assert_eq!(row(&app, "evt_o").await.outcome.status, EventStatus::Waiting);
        app.clock.set(app.now().plus_days(30));
        app.run_workers().await;
        assert_eq!(row(&app, "evt_o").await.outcome.status, EventStatus::Ignored);
        app.stop().await;
    }

    async fn a_catalog_that_learns_a_price_wakes_what_was_set_aside(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let body = event("evt_n", "customer.subscription.created", 2, subscription("sub_n", "cus_1", "price_news", None));
        assert_eq!(status(&app, &body).await, "ignored");
        app.run_workers().await;
        app.stop().await;
        let mut prices: Value = serde_json::from_str(&crate::support::price_map()).unwrap();
        prices["premium"].as_array_mut().unwrap().push(json!("price_news"));
        let settings = Settings {
            environment: vec![("STRIPE_PRODUCT_PRICE_MAP".into(), prices.to_string())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        app.run_workers().await;
        assert_eq!(row(&app, "evt_n").await.outcome.status, EventStatus::Waiting);
        app.stop().await;
    }

    async fn a_claim_that_cannot_be_an_account_says_so(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for (number, claim) in ["null", "undefined", "a b"].into_iter().enumerate() {
            let id = format!("evt_{number}");
            let body = event(&id, "customer.subscription.created", 1, subscription(&format!("sub_{number}"), "cus_1", &price(), Some(claim)));
            let answer = app.deliver(&body.to_string()).await;
            assert_eq!(answer.field("status"), "waiting", "{claim}: {}", answer.text);
            assert!(answer.field("message").starts_with("claim_invalid"), "{}", answer.text);
            let reason = row(&app, &id).await.outcome.reason.unwrap();
            assert!(reason.starts_with("claim_invalid: account_id"), "{reason}");
        }
        for account in ["auth0|5f7c", "ann@example.com", "org/7"] {
            let sub = format!("sub_{}", account.len());
            let body = event(&format!("evt_{sub}"), "customer.subscription.created", 1, subscription(&sub, &format!("cus_{sub}"), &price(), Some(account)));
            assert_eq!(status(&app, &body).await, "processed");
            assert_eq!(tier(&app, account).await, "premium");
            let encoded = account.replace('|', "%7C").replace('@', "%40").replace('/', "%2F");
            let timeline = app.get(&format!("/api/v1/accounts/{encoded}/timeline")).await;
            assert_eq!((timeline.status, timeline.field("accountId").as_str()), (200, account), "{}", timeline.text);
        }
        app.stop().await;
    }

    async fn a_wrong_claim_stays_until_a_person_moves_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let price = price();
        let wrong = [
            event("evt_1", "customer.subscription.created", 1, subscription("sub_1", "cus_1", &price, Some("wrong"))),
            event("evt_2", "invoice.paid", 2, invoice("in_1", "sub_1", "cus_1", &price, Some("wrong"))),
        ];
        for body in &wrong {
            assert_eq!(status(&app, body).await, "processed");
        }
        let corrected = event("evt_3", "customer.subscription.updated", 5, subscription("sub_1", "cus_1", &price, Some("right")));
        assert_eq!(status(&app, &corrected).await, "processed");
        assert_eq!((tier(&app, "wrong").await, tier(&app, "right").await), ("premium".into(), "starter".into()));

        let admin = app.make_key(&[Scope::Admin], None).await;
        let headers = [("x-api-key", admin.as_str()), ("content-type", "application/json")];
        let relink = async |body: Value| app.request("POST", "/admin/relink", &headers, body.to_string()).await;
        let order = json!({"objectId": "in_1", "accountId": "right", "reason": "the metadata was wrong"});
        let done = relink(order.clone()).await;
        assert_eq!(done.status, 200, "{}", done.text);
        assert_eq!(done.json()["fromAccountId"], "wrong");
        assert_eq!(done.json()["objects"], json!(["in_1", "sub_1"]));
        assert_eq!((tier(&app, "wrong").await, tier(&app, "right").await), ("starter".into(), "premium".into()));
        // Neither old events nor new ones that repeat the wrong claim move it back.
        let all = inbox::EventFilter::default();
        inbox::set_for_replay(&app.app().engine.db, &all, app.now()).await.unwrap();
        app.run_workers().await;
        let late = event("evt_0", "customer.subscription.updated", 0, subscription("sub_1", "cus_1", &price, Some("wrong")));
        assert_eq!(status(&app, &late).await, "processed");
        assert_eq!((tier(&app, "wrong").await, tier(&app, "right").await), ("starter".into(), "premium".into()));
        // Both journals say it, and both chains are whole.
        for (account, kind) in [("wrong", "object.handed_over"), ("right", "object.taken_over")] {
            let filter = tollgate_store::journal::JournalFilter {
                account: Some(AccountId::parse(account).unwrap()),
                ..Default::default()
            };
            let (rows, _) = tollgate_store::journal::list(&app.app().engine.db, &filter, None, 100).await.unwrap();
            let entry = rows.iter().find(|row| row.kind == kind).unwrap_or_else(|| panic!("{account}"));
            assert!(format!("{entry:?}").contains("the metadata was wrong"));
            let id = AccountId::parse(account).unwrap();
            let verdict = tollgate_store::journal::verify(&app.app().engine.db, &id).await.unwrap();
            assert!(matches!(verdict, tollgate_store::journal::Verdict::Whole(_)), "{verdict:?}");
        }
        let again = relink(order).await;
        assert_eq!((again.status, again.json()["fromAccountId"].clone()), (200, json!("right")));
        for (body, code) in [
            (json!({"objectId": "sub_none", "accountId": "a", "reason": "for a good reason"}), "object_unknown"),
            (json!({"objectId": "sub_1", "accountId": "a b", "reason": "for a good reason"}), "invalid_request"),
            (json!({"objectId": "sub_1", "accountId": "a", "reason": "short"}), "invalid_request"),
        ] {
            assert_eq!(relink(body).await.field("code"), code);
        }
        app.stop().await;
    }

    async fn the_command_line_moves_what_was_claimed_wrongly(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let bought = event("evt_1", "customer.subscription.created", 1, subscription("sub_1", "cus_1", &price(), Some("wrong")));
        assert_eq!(status(&app, &bought).await, "processed");
        let place = Arc::new(Place::on(database));
        let relink = async |line: &'static str| {
            let place = Arc::clone(&place);
            tokio::task::spawn_blocking(move || place.run(line)).await.expect("a command")
        };
        let done = relink("relink sub_1 --to right --reason=the-metadata-was-wrong --json").await;
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!((&done.json()["fromAccountId"], &done.json()["accountId"]), (&json!("wrong"), &json!("right")));
        // A server that runs beside it answers so when it has read the change.
        let revision = done.json()["revision"].as_u64().expect("a revision");
        let path = format!("/api/v1/entitlements?accountId=right&minRevision={revision}");
        assert_eq!(app.get(&path).await.field("tier"), "premium");
        for (line, code, part) in [
            ("relink sub_1 --to right --reason=short", 2, "10 to 500"),
            ("relink sub_nobody --to right --reason=the-metadata-was-wrong", 1, "sub_nobody"),
            ("relink sub_1 --to null --reason=the-metadata-was-wrong", 2, "null"),
        ] {
            let refused = relink(line).await;
            assert_eq!(refused.code, code, "{line}: {refused:?}");
            assert!(refused.stderr.contains(part), "{line}: {refused:?}");
        }
        app.stop().await;
    }

    async fn a_person_can_give_what_waits_to_an_account(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let waits = event("evt_1", "customer.subscription.created", 1, subscription("sub_1", "cus_1", &price(), Some("null")));
        assert_eq!(status(&app, &waits).await, "waiting");
        let order = tollgate_server::relink::Order {
            object: tollgate_domain::ids::ObjectId::parse("cus_1").unwrap(),
            to: AccountId::parse("acme").unwrap(),
            reason: "they paid by an old form".to_owned(),
            by: "ann".to_owned(),
        };
        app.app().intake.relink(&order).await.unwrap();
        app.run_workers().await;
        assert_eq!(tier(&app, "acme").await, "premium");
        app.stop().await;
    }

    async fn the_first_mode_seen_is_kept(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let mut live = event("evt_live", "customer.subscription.created", 1, subscription("sub_1", "cus_1", &price(), Some("acme")));
        live["livemode"] = json!(true);
        assert_eq!(status(&app, &live).await, "processed");
        let test = event("evt_test", "customer.subscription.created", 2, subscription("sub_2", "cus_2", &price(), Some("thief")));
        assert_eq!(status(&app, &test).await, "ignored");
        app.stop().await;
        let app = TestApp::start(database).await;
        let again = event("evt_test2", "customer.subscription.created", 3, subscription("sub_3", "cus_3", &price(), Some("thief")));
        assert_eq!(status(&app, &again).await, "ignored");
        assert_eq!(row(&app, "evt_test2").await.outcome.reason.as_deref(), Some("other_mode"));
        assert_eq!(tier(&app, "thief").await, "starter");
        app.stop().await;
    }

    async fn a_signed_body_that_cannot_be_read_is_a_dead_letter(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        for body in ["[1, 2]", "not json at all", ""] {
            let answer = app.deliver(body).await;
            assert_eq!((answer.status, answer.field("status").as_str()), (200, "failed"), "{}", answer.text);
            let id = answer.field("eventId");
            let row = row(&app, &id).await;
            assert_eq!(row.outcome.status, EventStatus::Dead, "{row:?}");
            assert!(row.outcome.reason.unwrap().starts_with("no event"), "{id}");
        }
        app.stop().await;
    }
}
