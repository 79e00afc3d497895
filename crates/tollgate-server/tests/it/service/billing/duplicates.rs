//! An account that pays twice: shown, previewed, and ended down to one.

use serde_json::{Value, json};
use tollgate_sandbox::sandbox::{ApiRequest, Card, Method, Params};
use tollgate_sandbox::server::{Fault, FaultRule};
use tollgate_server::scope::Scope;

use super::shop::Shop;
use crate::support::{TestDatabase, on_both};

/// Somebody else's code begins another subscription of the account's customer.
fn begin_another(shop: &Shop, account: &str, price: &str) -> String {
    let customers = shop.customers(account);
    let customer = customers[0]["id"].as_str().expect("an id");
    let form = format!(
        "customer={customer}&items[0][price]={price}&default_payment_method=pm_card_visa\
         &metadata[account_id]={account}"
    );
    let params = Params::from_form(&form).expect("parameters");
    let request = ApiRequest::new(Method::Post, "/v1/subscriptions", params);
    let reply = shop.stripe.with(|stripe| stripe.call(&request));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body["id"].as_str().expect("an id").to_owned()
}

async fn ask(shop: &Shop, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let key = shop.app.make_key(&[Scope::Admin], None).await;
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    let body = if method == "GET" { String::new() } else { body.to_string() };
    let answer = shop.app.request(method, path, &headers, body).await;
    (answer.status, answer.json())
}

/// The customer's balance at Stripe: below zero is a credit.
fn balance(shop: &Shop) -> i64 {
    shop.customers("acme")[0]["balance"].as_i64().expect("an amount")
}

/// Ends `acme`'s duplicates with a credit, and asserts that what is credited is what was said before,
/// and this much.
async fn ends_with_credit(shop: &mut Shop, credit: i64) {
    shop.deliver_events().await;
    let path = "/admin/duplicates/acme/resolve";
    let (_, dry) = ask(shop, "POST", path, &json!({"dryRun": true, "refund": true})).await;
    let said = |answer: &Value| answer["subscriptions"][1]["credit"]["amount"].clone();
    assert_eq!(said(&dry), json!(credit), "{dry}");
    let before = balance(shop);
    let (status, done) = ask(shop, "POST", path, &json!({"refund": true})).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(said(&done), json!(credit), "{done}");
    assert_eq!(before - balance(shop), credit);
    let live = shop.list("/v1/subscriptions", "status=active");
    assert_eq!(live.len(), 1, "{live:?}");
    let (_, again) = ask(shop, "POST", path, &json!({"refund": true})).await;
    assert_eq!((&again["ended"], before - balance(shop)), (&json!([]), credit), "{again}");
}

/// The only subscription of `acme`, with the item it sells.
fn only(shop: &Shop) -> (String, String) {
    let all = shop.list("/v1/subscriptions", "status=active");
    let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    (id(&all[0]), id(&all[0]["items"]["data"][0]))
}

on_both! {
    async fn a_change_that_was_never_paid_is_not_credited(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "basic").await;
        let (id, item) = only(&shop);
        let customer = shop.customers("acme")[0]["id"].as_str().expect("an id").to_owned();
        shop.stripe.with(|one| one.set_card(&customer, Card::Declined)).expect("a card");
        // The application's own change takes effect although it is not paid.
        shop.at_stripe(Method::Post, &format!("/v1/subscriptions/{id}"), &[
            ("items[0][id]", &item), ("items[0][price]", "price_sietch_exclusive_monthly"),
            ("proration_behavior", "always_invoice"),
        ]);
        let changed = shop.list("/v1/subscriptions", "status=past_due");
        assert_eq!(changed.len(), 1, "{changed:?}");
        shop.stripe.with(|one| one.set_card(&customer, Card::Good)).expect("a card");
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        ends_with_credit(&mut shop, 1_500).await;
        shop.close().await;
    }

    async fn a_credit_or_an_end_whose_answer_was_lost_is_made_once(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "basic").await;
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        shop.deliver_events().await;
        let path = "/admin/duplicates/acme/resolve";
        let faults = [
            ("POST", "/v1/customers/*/balance_transactions", true),
            ("DELETE", "/v1/subscriptions/*", false),
        ];
        for (method, pattern, accepted) in faults {
            shop.stripe.add_fault(FaultRule {
                method: Some(method.to_owned()),
                ..FaultRule::new(pattern, 3, Fault::Cut { accepted })
            });
            let (status, answer) = ask(&shop, "POST", path, &json!({"refund": true})).await;
            assert_eq!((status, &answer["code"]), (503, &json!("stripe_unavailable")), "{answer}");
        }
        let (status, done) = ask(&shop, "POST", path, &json!({"refund": true})).await;
        assert_eq!((status, done["ended"].as_array().map(Vec::len)), (200, Some(1)), "{done}");
        assert_eq!(balance(&shop), -1_500);
        shop.close().await;
    }

    async fn what_was_refunded_is_not_credited_again(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "basic").await;
        let charge = shop.list("/v1/charges", "")[0]["id"].as_str().expect("an id").to_owned();
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        shop.at_stripe(Method::Post, "/v1/refunds", &[("charge", &charge)]);
        ends_with_credit(&mut shop, 0).await;
        shop.close().await;
    }

    async fn of_what_was_refunded_in_part_the_rest_is_credited(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "basic").await;
        let charge = shop.list("/v1/charges", "")[0]["id"].as_str().expect("an id").to_owned();
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        shop.at_stripe(Method::Post, "/v1/refunds", &[("charge", &charge), ("amount", "600")]);
        ends_with_credit(&mut shop, 900).await;
        shop.close().await;
    }

    async fn a_rise_that_was_paid_is_credited_too(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "basic").await;
        let body = json!({"accountId": "acme", "tier": "premium"});
        let answer = shop.app.post("/api/v1/billing/subscription/change", &body).await;
        assert_eq!((answer.status, answer.field("tier").as_str()), (200, "premium"));
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        ends_with_credit(&mut shop, 3_500).await;
        shop.close().await;
    }

    async fn a_fall_that_was_credited_is_not_credited_again(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        let (id, item) = only(&shop);
        shop.at_stripe(Method::Post, &format!("/v1/subscriptions/{id}"), &[
            ("items[0][id]", &item), ("items[0][price]", "price_sietch_basic_monthly"),
            ("proration_behavior", "always_invoice"),
        ]);
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        ends_with_credit(&mut shop, 1_500).await;
        shop.close().await;
    }

    async fn a_rise_that_awaits_its_payment_ends_with_its_subscription(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "basic").await;
        let customer = shop.customers("acme")[0]["id"].as_str().expect("an id").to_owned();
        shop.stripe.with(|one| one.set_card(&customer, Card::Declined)).expect("a card");
        let body = json!({"accountId": "acme", "tier": "premium"});
        let answer = shop.app.post("/api/v1/billing/subscription/change", &body).await;
        assert_eq!((answer.status, answer.field("tier").as_str()), (200, "basic"));
        shop.stripe.with(|one| one.set_card(&customer, Card::Good)).expect("a card");
        begin_another(&shop, "acme", "price_sietch_elite_monthly");
        ends_with_credit(&mut shop, 1_500).await;
        assert_eq!(shop.list("/v1/invoices", "status=open"), Vec::<Value>::new());
        shop.close().await;
    }

    async fn one_of_two_subscriptions_is_kept(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "premium").await;
        shop.deliver_events().await;
        let (_, none) = ask(&shop, "GET", "/admin/duplicates", &json!(null)).await;
        assert_eq!(none, json!({"data": []}));
        let elite = begin_another(&shop, "acme", "price_sietch_elite_monthly");
        shop.deliver_events().await;
        let (status, found) = ask(&shop, "GET", "/admin/duplicates", &json!(null)).await;
        assert_eq!(status, 200, "{found}");
        let both = found["data"][0]["subscriptions"].as_array().expect("a list").clone();
        assert_eq!(both.len(), 2, "{found}");
        assert_eq!((&both[0]["action"], &both[0]["subscriptionId"]), (&json!("keep"), &json!(elite)));
        assert_eq!(both[1]["action"], "end");
        assert_eq!(both[1]["unused"]["currency"], "usd", "{found}");
        let path = "/admin/duplicates/acme/resolve";
        let (_, dry) = ask(&shop, "POST", path, &json!({"dryRun": true})).await;
        assert_eq!(dry["ended"], json!([]), "{dry}");
        let (status, wrong) = ask(&shop, "POST", path, &json!({"keep": "sub_other"})).await;
        assert_eq!((status, &wrong["code"]), (404, &json!("subscription_not_found")));
        let (status, done) = ask(&shop, "POST", path, &json!({"refund": true})).await;
        assert_eq!(status, 200, "{done}");
        assert_eq!(done["ended"], json!([both[1]["subscriptionId"]]), "{done}");
        let (_, after) = ask(&shop, "GET", "/admin/duplicates", &json!(null)).await;
        assert_eq!(after, json!({"data": []}));
        assert_eq!(shop.subscription("acme").await["tier"], "elite");
        let live: Vec<Value> = shop.list("/v1/subscriptions", "status=active");
        assert_eq!(live.len(), 1, "{live:?}");
        // Asked again there is nothing to do.
        let (_, again) = ask(&shop, "POST", path, &json!({})).await;
        assert_eq!(again["ended"], json!([]), "{again}");
        shop.close().await;
    }

    async fn what_also_sells_another_product_is_left_and_told_of(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        shop.buy("acme", "elite").await;
        let elite = shop.list("/v1/subscriptions", "status=active")[0]["id"].clone();
        let basic = begin_another(&shop, "acme", "price_sietch_basic_monthly");
        let shared = begin_another(&shop, "acme", "price_sietch_premium_monthly");
        let letters = shop.made("/v1/prices", &[
            ("currency", "usd"), ("unit_amount", "700"), ("recurring[interval]", "month"),
            ("product_data[name]", "Newsletter"),
        ]);
        shop.made("/v1/subscription_items", &[("subscription", &shared), ("price", &letters)]);
        shop.deliver_events().await;
        let (_, findings) =
            ask(&shop, "GET", "/admin/findings?code=duplicate_subscription", &json!(null)).await;
        let finding = &findings["data"][0];
        assert_eq!(finding["objects"].as_array().map(Vec::len), Some(3), "{findings}");
        let path = "/admin/duplicates/acme/resolve";
        let (_, dry) = ask(&shop, "POST", path, &json!({"dryRun": true, "refund": true})).await;
        let shown: Vec<(&Value, &Value)> = dry["subscriptions"].as_array().expect("a list").iter()
            .map(|one| (&one["subscriptionId"], &one["action"])).collect();
        let (keep, by_hand, end) = (json!("keep"), json!("by_hand"), json!("end"));
        let (basic, shared) = (json!(basic), json!(shared));
        assert_eq!(shown, [(&elite, &keep), (&shared, &by_hand), (&basic, &end)]);
        assert!(dry["subscriptions"][1]["hint"].as_str().is_some_and(|hint| hint.contains("item")), "{dry}");
        assert!(dry["subscriptions"][1].get("credit").is_none(), "{dry}");
        assert_eq!(dry["subscriptions"][2]["credit"], json!({"amount": 1_500, "currency": "usd"}), "{dry}");
        let (status, done) = ask(&shop, "POST", path, &json!({})).await;
        assert_eq!(status, 200, "{done}");
        assert_eq!((&done["ended"], &done["left"]), (&json!([basic]), &json!([shared])), "{done}");
        let live = shop.list("/v1/subscriptions", "status=active");
        assert_eq!(live.len(), 2, "{live:?}");
        shop.close().await;
    }
}
