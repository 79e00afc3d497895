//! What the payment page asks for and offers: from the catalog, and from one purchase.

use serde_json::{Value, json};

use super::shop::Shop;
use crate::support::{TestDatabase, on_both};

const CHECKOUT: &str = "/api/v1/billing/checkout";

/// A purchase with more fields; the session as Stripe has it.
async fn session(shop: &Shop, tier: &str, more: &Value) -> Value {
    let answer = shop.app.post(CHECKOUT, &asking(tier, more)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sessions = shop.open_sessions("acme");
    assert_eq!(sessions.len(), 1, "one is open: {sessions:?}");
    assert_eq!(sessions[0]["id"], answer.json()["sessionId"]);
    sessions[0].clone()
}

fn asking(tier: &str, more: &Value) -> Value {
    let mut asked = Shop::asking("acme", tier);
    for (name, value) in more.as_object().expect("fields") {
        asked[name] = value.clone();
    }
    asked
}

/// The built-in catalog with a section more, in a file.
fn catalog_file(folder: &tempfile::TempDir, name: &str, more: &str) -> String {
    let text = tollgate_domain::catalog::builtin_text(name).expect("built in");
    let path = folder.path().join(format!("{name}.toml"));
    std::fs::write(&path, format!("{text}\n{more}\n")).expect("the file is written");
    path.display().to_string()
}

on_both! {
    async fn nothing_is_asked_for_that_nobody_wants(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        let plain = session(&shop, "premium", &json!({})).await;
        assert_eq!(plain["automatic_tax"]["enabled"], false);
        assert_eq!(plain["consent_collection"], Value::Null);
        assert_eq!(plain["billing_address_collection"], "auto");
        assert_eq!(plain.get("tax_id_collection"), None);
        assert_eq!(plain["locale"], Value::Null);
        shop.close().await;
    }

    async fn every_wish_of_a_purchase_is_on_its_page(database: &TestDatabase) {
        let shop = Shop::open(database).await;
        for (wish, pointer, expected) in [
            (json!({"promotionCodes": true}), "/allow_promotion_codes", json!(true)),
            (json!({"automaticTax": true}), "/automatic_tax/enabled", json!(true)),
            (json!({"taxIds": true}), "/tax_id_collection/enabled", json!(true)),
            (json!({"billingAddress": true}), "/billing_address_collection", json!("required")),
            (
                json!({"termsOfService": true}),
                "/consent_collection/terms_of_service",
                json!("required"),
            ),
            (json!({"promotions": true}), "/consent_collection/promotions", json!("auto")),
            (json!({"locale": "pt-BR"}), "/locale", json!("pt-BR")),
        ] {
            let made = session(&shop, "premium", &wish).await;
            assert_eq!(made.pointer(pointer), Some(&expected), "{wish}");
            // The same wish is the same page; another one took the place of the one before.
            let again = session(&shop, "premium", &wish).await;
            assert_eq!(again["id"], made["id"], "{wish}");
        }
        for (wish, field) in [
            (json!({"locale": "xx"}), "locale"),
            (json!({"addOns": [{"addOn": "badge"}]}), "addOns[0].addOn"),
            (json!({"addOns": [{"addOn": "boost"}, {"addOn": "boost"}]}), "addOns[1].addOn"),
            (json!({"addOns": [{"addOn": "boost", "quantity": 0}]}), "addOns[0].quantity"),
        ] {
            let answer = shop.app.post(CHECKOUT, &asking("premium", &wish)).await;
            assert_eq!((answer.status, answer.field("code").as_str()), (400, "invalid_request"));
            assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
        }
        shop.close().await;
    }

    async fn the_catalogs_terms_hold_unless_a_purchase_says_otherwise(database: &TestDatabase) {
        let folder = tempfile::tempdir().expect("a folder");
        let terms = "[checkout]\npromotion_codes = true\ntax_ids = true\nlocale = \"de\"\n\
                     adjustable_quantity = true";
        let file = catalog_file(&folder, "saas", terms);
        let shop = Shop::open_with_file(database, "saas", file).await;
        let made = session(&shop, "pro", &json!({"quantity": 3, "taxIds": false})).await;
        assert_eq!(made["allow_promotion_codes"], true);
        assert_eq!(made.get("tax_id_collection"), None);
        assert_eq!(made["locale"], "de");
        let id = made["id"].as_str().expect("an id").to_owned();
        let page = shop.stripe.with(|stripe| stripe.checkout_page(&id)).expect("a page");
        let (least, most) = page.lines[0].adjustable.expect("units can be changed");
        assert!(least == 1 && most >= 3, "{page:?}");
        // A plan that is not sold by the unit has no units to change.
        let made = session(&shop, "starter", &json!({})).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        let page = shop.stripe.with(|stripe| stripe.checkout_page(&id)).expect("a page");
        assert_eq!(page.lines[0].adjustable, None);
        shop.close().await;
    }

    async fn add_ons_are_bought_in_the_same_subscription(database: &TestDatabase) {
        let mut shop = Shop::open(database).await;
        let more = json!({"addOns": [{"addOn": "boost", "quantity": 14}]});
        let made = session(&shop, "basic", &more).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        let page = shop.stripe.with(|stripe| stripe.checkout_page(&id)).expect("a page");
        let lines: Vec<u32> = page.lines.iter().map(|line| line.quantity).collect();
        assert_eq!(lines, [1, 14]);
        shop.pay(&id);
        shop.deliver_events().await;
        let shown = shop.subscription("acme").await;
        assert_eq!(shown["subscription"]["items"].as_array().map(Vec::len), Some(2), "{shown}");
        assert_eq!((&shown["tier"], &shown["source"]["type"]), (&json!("exclusive"), &json!("boost")));
        // All of it is ours, so it can be ended as a whole.
        let ended = shop.subscription_route("cancel", json!({"atPeriodEnd": false})).await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        // Boosts are paid by the month, and so is what they are bought with.
        let mut yearly = asking("basic", &more);
        yearly["interval"] = "year".into();
        let answer = shop.app.post(CHECKOUT, &yearly).await;
        assert_eq!((answer.status, answer.field("code").as_str()), (400, "interval_not_offered"));
        shop.close().await;
    }
}
