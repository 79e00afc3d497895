//! Checkouts of subscriptions that name no account: what they sold is told by the subscription, and so
//! they wait or are another product's as it is.

use serde_json::{Value, json};
use tollgate_server::scope::Scope;

use crate::support::{TestApp, TestDatabase, on_both};

const PREMIUM: (&str, i64) = ("price_sietch_premium_monthly", 3_500);
const LETTERS: (&str, i64) = ("price_of_letters", 700);

fn event(id: &str, kind: &str, object: &Value) -> String {
    json!({
        "id": id, "object": "event", "type": kind, "created": 1_795_000_000, "livemode": false,
        "api_version": "2026-10-28.endive", "data": {"object": object},
    })
    .to_string()
}

/// The completed checkout and the subscription it began.
fn bought((price, amount): (&str, i64)) -> [String; 2] {
    let session = json!({
        "id": "cs_1", "object": "checkout.session", "mode": "subscription", "status": "complete",
        "payment_status": "paid", "amount_subtotal": amount, "amount_total": amount,
        "currency": "usd", "customer": "cus_1", "subscription": "sub_1", "metadata": {},
    });
    let subscription = json!({
        "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1",
        "created": 1_795_000_000, "metadata": {},
        "items": {"object": "list", "has_more": false, "data": [
            {"id": "si_1", "object": "subscription_item", "quantity": 1,
             "price": {"id": price, "object": "price"}}
        ]},
    });
    [
        event("evt_session", "checkout.session.completed", &session),
        event("evt_subscription", "customer.subscription.created", &subscription),
    ]
}

async fn status(app: &TestApp, event: &str) -> String {
    let id = tollgate_domain::ids::EventId::parse(event).expect("an id");
    let rows = tollgate_store::inbox::find(&app.app().engine.db, &id).await.expect("the inbox");
    rows[0].outcome.status.as_str().to_owned()
}

on_both! {
    async fn a_checkout_of_ours_waits_for_its_owner_as_its_subscription_does(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let [session, subscription] = bought(PREMIUM);
        // Its price is no plan's: a discount, or another currency.
        let odd = session.replace("3500", "3333");
        assert_eq!(app.deliver(&odd).await.field("status"), "ignored");
        assert_eq!(app.open_findings().await, Vec::<String>::new(), "nothing is known of what it sold");
        assert_eq!(app.deliver(&subscription).await.field("status"), "waiting");
        app.run_workers().await;
        assert_eq!(status(&app, "evt_session").await, "waiting");
        assert_eq!(app.open_findings().await, ["owner_unknown sub_1"]);
        let key = app.make_key(&[Scope::Admin], None).await;
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
        let order = json!({"objectId": "sub_1", "accountId": "acme", "reason": "she wrote to us"});
        let done = app.request("POST", "/admin/relink", &headers, order.to_string()).await;
        assert_eq!(done.status, 200, "{}", done.text);
        app.run_workers().await;
        for event in ["evt_session", "evt_subscription"] {
            assert_eq!(status(&app, event).await, "processed");
        }
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        assert_eq!(app.check("acme", "weekly_digest").await["tier"], "premium");
        app.stop().await;
    }

    async fn one_at_the_price_of_a_plan_waits_until_its_subscription_says_otherwise(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let [session, _] = bought(PREMIUM);
        assert_eq!(app.deliver(&session).await.field("status"), "waiting");
        assert_eq!(app.open_findings().await, ["owner_unknown sub_1"]);
        // The letters cost the same.
        let [_, subscription] = bought((LETTERS.0, PREMIUM.1));
        assert_eq!(app.deliver(&subscription).await.field("status"), "ignored");
        app.run_workers().await;
        assert_eq!(status(&app, "evt_session").await, "ignored");
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        app.stop().await;
    }

    async fn after_its_subscription_a_checkout_is_what_that_is(database: &TestDatabase) {
        for (sold, expected) in [(PREMIUM, "waiting"), (LETTERS, "ignored")] {
            let app = TestApp::start(database).await;
            let [session, subscription] = bought(sold).map(|body| {
                body.replace("_1\"", &format!("_{}\"", sold.1))
                    .replace("evt_session", &format!("evt_session_{}", sold.1))
                    .replace("evt_subscription", &format!("evt_subscription_{}", sold.1))
                    .replace("3500", "3333")
            });
            assert_eq!(app.deliver(&subscription).await.field("status"), expected);
            assert_eq!(app.deliver(&session).await.field("status"), expected);
            app.stop().await;
        }
    }
}
