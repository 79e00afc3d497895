//! Verified e-mails: events of a customer whose e-mail is one account's alone reach that account.

use serde_json::{Value, json};
use tollgate_domain::ids::AccountId;
use tollgate_server::scope::Scope;
use tollgate_store::inbox;

use super::owners::{customer, event, price, status, subscription, tier};

use crate::support::{Answer, Settings, TestApp, TestDatabase, on_both};

/// Tells that an account's e-mail was verified.
async fn verify(app: &TestApp, account: &str, body: &Value) -> Answer {
    let key = app.make_key(&[Scope::Admin], None).await;
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    let path = format!("/admin/accounts/{}/email", account.replace('|', "%7C"));
    app.request("PUT", &path, &headers, body.to_string()).await
}

on_both! {
    async fn a_verified_e_mail_leads_to_its_account_where_that_is_switched_on(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let price = price();
        // The account is known by something else, and the application has verified its e-mail.
        let known = event("evt_0", "customer.subscription.created", 1, subscription("sub_0", "cus_0", "price_none", Some("ann")));
        assert_eq!(status(&app, &known).await, "processed");
        let before = verify(&app, "ann", &json!({"email": "ann@example.com"})).await;
        assert_eq!((before.status, before.field("email").as_str()), (200, "ann@example.com"));
        let again = verify(&app, "ann", &json!({"email": "ann@example.com"})).await;
        assert_eq!(again.field("revision"), before.field("revision"), "nothing changed");
        let bought = event("evt_1", "customer.subscription.created", 2, subscription("sub_1", "cus_1", &price, None));
        let customer = event("evt_2", "customer.created", 1, customer("cus_1", None));
        assert_eq!(status(&app, &bought).await, "waiting");
        assert_eq!(status(&app, &customer).await, "ignored", "off unless switched on");
        app.stop().await;
        let settings = Settings {
            environment: vec![("TOLLGATE__IDENTITY__MATCH_EMAIL".into(), "true".into())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        let updated = event("evt_3", "customer.updated", 3, self::customer("cus_1", None));
        assert_eq!(status(&app, &updated).await, "processed");
        app.run_workers().await;
        assert_eq!(tier(&app, "ann").await, "premium");
        app.stop().await;
    }

    async fn an_e_mail_that_is_verified_later_wakes_what_waits_for_it(database: &TestDatabase) {
        let settings = Settings {
            environment: vec![("TOLLGATE__IDENTITY__MATCH_EMAIL".into(), "true".into())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        let bought = event("evt_1", "customer.subscription.created", 2, subscription("sub_1", "cus_1", &price(), None));
        let customer = event("evt_2", "customer.created", 1, customer("cus_1", None));
        assert_eq!(status(&app, &bought).await, "waiting");
        assert_eq!(status(&app, &customer).await, "ignored");
        // The application verifies the address of somebody of whom nothing is known yet.
        let told = verify(&app, "auth0|5f", &json!({"email": "Ann@Example.com"})).await;
        assert_eq!((told.status, told.field("accountId").as_str()), (200, "auth0|5f"), "{}", told.text);
        app.run_workers().await;
        assert_eq!(tier(&app, "auth0|5f").await, "premium");
        // Removed, it leads nowhere; what belongs to the account stays.
        assert_eq!(verify(&app, "auth0|5f", &json!({"email": null})).await.json()["email"], json!(null));
        assert_eq!(tier(&app, "auth0|5f").await, "premium");
        for (body, field) in [
            (json!({"email": "no address"}), "email"),
            (json!({"email": "a@b@c"}), "email"),
        ] {
            let refused = verify(&app, "ann", &body).await;
            assert_eq!((refused.status, refused.field("code").as_str()), (400, "invalid_request"));
            assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
        }
        assert_eq!(verify(&app, "ann", &json!({})).await.status, 400, "nothing is no address");
        app.stop().await;
    }

    async fn an_e_mail_that_becomes_one_accounts_alone_wakes_what_waits_for_it(database: &TestDatabase) {
        let settings = Settings {
            environment: vec![("TOLLGATE__IDENTITY__MATCH_EMAIL".into(), "true".into())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        for account in ["ann", "bob", "cay"] {
            verify(&app, account, &json!({"email": "ann@example.com"})).await;
        }
        let bought = event("evt_1", "customer.subscription.created", 2, subscription("sub_1", "cus_1", &price(), None));
        let customer = event("evt_2", "customer.created", 1, customer("cus_1", None));
        assert_eq!(status(&app, &bought).await, "waiting");
        assert_eq!(status(&app, &customer).await, "ignored", "three have it, so it leads nowhere");
        // One gives it up, one changes it.
        verify(&app, "bob", &json!({"email": null})).await;
        app.run_workers().await;
        assert_eq!(tier(&app, "ann").await, "starter");
        verify(&app, "cay", &json!({"email": "cay@example.com"})).await;
        app.run_workers().await;
        assert_eq!(tier(&app, "ann").await, "premium");
        app.stop().await;
    }

    async fn an_e_mail_verified_while_an_event_began_to_wait_is_found_by_the_net(database: &TestDatabase) {
        let settings = Settings {
            environment: vec![("TOLLGATE__IDENTITY__MATCH_EMAIL".into(), "true".into())],
            ..Settings::default()
        };
        let app = TestApp::start_with(database, settings).await;
        verify(&app, "ann", &json!({"email": null})).await;
        let known = event("evt_0", "customer.subscription.created", 1, subscription("sub_0", "cus_0", "price_none", Some("ann")));
        assert_eq!(status(&app, &known).await, "processed");
        let bought = event("evt_1", "customer.subscription.created", 2, subscription("sub_1", "cus_1", &price(), None));
        let customer = event("evt_2", "customer.created", 1, customer("cus_1", None));
        assert_eq!(status(&app, &bought).await, "waiting");
        assert_eq!(status(&app, &customer).await, "ignored");
        // What a transaction leaves behind that did not see the event begin to wait.
        let db = &app.app().engine.db;
        let mut tx = db.begin().await.unwrap();
        let ann = AccountId::parse("ann").unwrap();
        assert!(tollgate_store::accounts::set_email(&mut tx, &ann, Some("Ann@example.com")).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(inbox::look_back_at_all(db).await.unwrap(), 1);
        app.run_workers().await;
        assert_eq!(tier(&app, "ann").await, "premium");
        assert_eq!(inbox::look_back_at_all(db).await.unwrap(), 0, "and once");
        app.stop().await;
    }
}
