//! The pages, as a browser without scripts uses them.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate_sandbox::server::RunningSandbox;

use super::support::{form, get, page, press, send, start};

/// A session that sells a badge; its id.
async fn session(sandbox: &RunningSandbox) -> String {
    let customer = form(sandbox, "/v1/customers", "name=Duke&email=duke@example.com").await.body;
    let body = format!(
        "mode=payment&customer={}&line_items[0][price]=price_sietch_badge_once&line_items[0][quantity]=2\
         &success_url=http://127.0.0.1:9/done?s={{CHECKOUT_SESSION_ID}}&cancel_url=http://127.0.0.1:9/back",
        customer["id"].as_str().unwrap()
    );
    let made = form(sandbox, "/v1/checkout/sessions", &body).await;
    assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.body["url"], format!("{}/c/pay/{id}", sandbox.url()));
    id
}

async fn state(sandbox: &RunningSandbox, id: &str) -> (Value, Value) {
    let shown = get(sandbox, &format!("/v1/checkout/sessions/{id}")).await.body;
    (shown["status"].clone(), shown["payment_status"].clone())
}

#[tokio::test]
async fn the_hosted_page_says_what_is_to_pay_and_pay_leads_back_to_the_application() {
    let sandbox = start().await;
    let id = session(&sandbox).await;
    let path = format!("/c/pay/{id}");
    let shown = page(&sandbox, &path).await;
    for text in
        ["Score badge", "quantity 2", "$9.98", "duke@example.com", "http://127.0.0.1:9/back"]
    {
        assert!(shown.contains(text), "{text} is missing in {shown}");
    }
    let declined = press(&sandbox, &path, "outcome=fail").await;
    assert_eq!(declined.0, StatusCode::OK);
    assert!(declined.1.contains(r#"role="alert""#), "{}", declined.1);
    assert_eq!(state(&sandbox, &id).await, (json!("open"), json!("unpaid")));

    let paid = press(&sandbox, &path, "outcome=pay").await;
    assert_eq!(paid, (StatusCode::SEE_OTHER, format!("http://127.0.0.1:9/done?s={id}")));
    assert_eq!(state(&sandbox, &id).await, (json!("complete"), json!("paid")));
    let shown = page(&sandbox, &path).await;
    assert!(!shown.contains("<button"), "{shown}");
    let again = press(&sandbox, &path, "outcome=pay").await;
    assert_eq!(again.0, StatusCode::CONFLICT);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn who_pays_later_has_paid_when_the_money_arrives() {
    let sandbox = start().await;
    let id = session(&sandbox).await;
    press(&sandbox, &format!("/c/pay/{id}"), "outcome=later").await;
    assert_eq!(state(&sandbox, &id).await, (json!("complete"), json!("unpaid")));
    let front = page(&sandbox, "/").await;
    assert!(front.contains("Let the payment arrive"), "{front}");
    let settled =
        press(&sandbox, "/_sandbox/pages/settle", &format!("session={id}&succeeds=true")).await;
    assert_eq!(settled.0, StatusCode::SEE_OTHER);
    assert_eq!(state(&sandbox, &id).await, (json!("complete"), json!("paid")));
    let again =
        press(&sandbox, "/_sandbox/pages/settle", &format!("session={id}&succeeds=true")).await;
    assert_eq!(again.0, StatusCode::CONFLICT);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_front_page_shows_the_account_and_moves_its_clock() {
    let sandbox = start().await;
    let story = json!({"scenario": "checkout", "account": "acme"}).to_string();
    let json = [("content-type", "application/json")];
    send(&sandbox, Method::POST, "/_sandbox/scenario", (&story, &json)).await.unwrap();
    let before = sandbox.clock().now();
    let moved = press(&sandbox, "/_sandbox/pages/clock", "advance=3600").await;
    assert_eq!(moved, (StatusCode::SEE_OTHER, "/?done=clock".to_owned()));
    assert_eq!(sandbox.clock().now(), before.plus_ms(3_600_000));
    let front = page(&sandbox, "/?done=clock").await;
    for text in [
        "Acme",
        "Premium",
        "active",
        "checkout.session.completed",
        "nobody asked",
        "The clock was moved",
    ] {
        assert!(front.contains(text), "{text} is missing in {front}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn pages_want_nothing_from_elsewhere_and_escape_what_they_show() {
    let sandbox = start().await;
    form(&sandbox, "/v1/customers", "name=<script>alert(1)</script>&metadata[account_id]=acme")
        .await;
    let story = json!({"scenario": "checkout", "account": "a_b"}).to_string();
    let json = [("content-type", "application/json")];
    send(&sandbox, Method::POST, "/_sandbox/scenario", (&story, &json)).await.unwrap();
    let front = send(&sandbox, Method::GET, "/", ("", &[])).await.unwrap();
    let policy = front.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    assert!(!page(&sandbox, "/").await.contains("<script"));
    assert!(page(&sandbox, "/_sandbox/style.css").await.contains("prefers-color-scheme: dark"));
    let missing = send(&sandbox, Method::GET, "/c/pay/cs_test_nothing", ("", &[])).await.unwrap();
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let foreign =
        [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")];
    let refused =
        send(&sandbox, Method::POST, "/_sandbox/pages/clock", ("advance=60", &foreign)).await;
    assert_eq!(refused.unwrap().status, StatusCode::FORBIDDEN);
    sandbox.shutdown().await;
}

/// A portal session of a customer who pays for Premium; its path and the subscription.
async fn portal(sandbox: &RunningSandbox) -> (String, String) {
    let customer = form(sandbox, "/v1/customers", "name=Duke&email=duke@example.com").await.body;
    let customer = customer["id"].as_str().unwrap().to_owned();
    let method = "/v1/payment_methods/pm_card_visa/attach";
    let method = form(sandbox, method, &format!("customer={customer}")).await.body;
    let subscription = format!(
        "customer={customer}&items[0][price]=price_sietch_premium_monthly&default_payment_method={}",
        method["id"].as_str().unwrap()
    );
    let made = form(sandbox, "/v1/subscriptions", &subscription).await;
    assert_eq!(made.body["status"], "active", "{:?}", made.body);
    let products =
        ["basic", "premium", "exclusive"].map(|plan| format!("price_sietch_{plan}_monthly"));
    let mut configuration = "features[subscription_update][enabled]=true\
         &features[subscription_update][default_allowed_updates][]=price\
         &features[subscription_update][schedule_at_period_end][conditions][0][type]=decreasing_item_amount\
         &features[subscription_cancel][enabled]=true&features[subscription_cancel][mode]=at_period_end\
         &features[payment_method_update][enabled]=true&features[invoice_history][enabled]=true"
        .to_owned();
    for (place, price) in products.iter().enumerate() {
        let product = get(sandbox, &format!("/v1/prices/{price}")).await.body["product"].clone();
        let start = format!("&features[subscription_update][products][{place}]");
        configuration = format!(
            "{configuration}{start}[product]={}{start}[prices][]={price}",
            product.as_str().unwrap()
        );
    }
    let made_configuration =
        form(sandbox, "/v1/billing_portal/configurations", &configuration).await.body;
    let visit = format!(
        "customer={customer}&return_url=http://127.0.0.1:9/back&configuration={}",
        made_configuration["id"].as_str().unwrap_or_else(|| panic!("{made_configuration}"))
    );
    let visit = form(sandbox, "/v1/billing_portal/sessions", &visit).await.body;
    let url = visit["url"].as_str().unwrap_or_else(|| panic!("{visit}"));
    let path = url.strip_prefix(sandbox.url()).unwrap().to_owned();
    (path, made.body["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_portal_changes_cancels_and_pays_by_its_configuration() {
    let sandbox = start().await;
    let (path, subscription) = portal(&sandbox).await;
    let state = async || get(&sandbox, &format!("/v1/subscriptions/{subscription}")).await.body;
    let shown = page(&sandbox, &path).await;
    for text in [
        "Billing of Duke",
        "Premium",
        "$35.00",
        "visa ending in 4242",
        "from the next period",
        "http://127.0.0.1:9/back",
        "paid",
    ] {
        assert!(shown.contains(text), "{text} is missing in {shown}");
    }

    let cancel = press(&sandbox, &path, &format!("act=cancel&subscription={subscription}")).await;
    assert_eq!(cancel, (StatusCode::SEE_OTHER, format!("{path}?done=cancel")));
    assert_eq!(state().await["cancel_at_period_end"], true);
    assert!(page(&sandbox, &path).await.contains("Ends on"));
    press(&sandbox, &path, &format!("act=resume&subscription={subscription}")).await;
    assert_eq!(state().await["cancel_at_period_end"], false);

    let change = format!("act=change&subscription={subscription}&price=price_sietch_basic_monthly");
    press(&sandbox, &path, &change).await;
    assert_eq!(state().await["items"]["data"][0]["price"]["id"], "price_sietch_premium_monthly");
    assert!(page(&sandbox, &path).await.contains("Changes to Basic on"));
    sandbox.advance(std::time::Duration::from_hours(32 * 24));
    assert_eq!(state().await["items"]["data"][0]["price"]["id"], "price_sietch_basic_monthly");

    press(&sandbox, &path, "act=card&card=declined").await;
    let shown = page(&sandbox, &path).await;
    assert!(shown.contains("ending in 0341"), "{shown}");
    let refused = press(&sandbox, &path, "act=change&subscription=sub_other&price=price_x").await;
    assert_eq!(refused.0, StatusCode::NOT_FOUND);
    let refused = press(&sandbox, &path, "act=card&card=none").await;
    assert!(refused.1.contains("role=\"alert\""), "{}", refused.1);
    sandbox.shutdown().await;
}
