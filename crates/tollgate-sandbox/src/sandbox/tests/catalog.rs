//! Tests of products and prices. Owns: nothing else. Must not know: how replies are made.

use super::super::CheckoutOutcome;
use super::*;

fn monthly(sandbox: &mut Sandbox, extra: &str) -> Value {
    let form = format!(
        "currency=USD&unit_amount=1500&product_data[name]=Spice&recurring[interval]=month{extra}"
    );
    ok(sandbox, "POST /v1/prices", &form)
}

#[test]
fn the_catalog_is_in_stock_without_events() {
    let mut sandbox = sandbox();
    assert_eq!(sandbox.happenings().len(), 0);
    let prices = ok(&mut sandbox, "GET /v1/prices", "limit=100");
    let known = crate::sandbox_price_map(&catalog());
    let expected: std::collections::BTreeSet<String> =
        known.into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(ids(&prices).into_iter().collect::<std::collections::BTreeSet<_>>(), expected);
    let price = text(&prices, "data.0.id");
    let price = ok(&mut sandbox, &format!("GET /v1/prices/{price}"), "expand[]=product");
    assert_eq!(price["product"]["object"], "product");
}

#[test]
fn amounts_in_further_currencies_are_in_stock_and_can_be_paid() {
    let text = tollgate_domain::catalog::builtin_text("levels").unwrap();
    let priced = "one_time = 19000\ncurrency_options = { eur = { one_time = 17500 } }";
    let text = text.replacen("one_time = 19000", priced, 1);
    let catalog = tollgate_domain::catalog::parse::parse("levels", "test.toml", &text).unwrap();
    let prices = crate::sandbox_price_map(&catalog);
    let catalog = catalog.with_prices(&prices).unwrap();
    let mut sandbox = Sandbox::new(SandboxOptions { now: START, ..SandboxOptions::default() });
    sandbox.stock(&catalog);
    let all = ok(
        &mut sandbox,
        "GET /v1/prices",
        "limit=100&type=one_time&expand[]=data.currency_options",
    );
    let found = all["data"].as_array().unwrap().iter().find(|one| one["unit_amount"] == 19_000);
    let price = found.unwrap();
    assert_eq!(price["currency_options"]["eur"]["unit_amount"], 17_500, "{price}");
    let id = text_of(price);
    let session = |sandbox: &mut Sandbox, currency: &str| {
        let form = format!(
            "mode=payment&success_url=https://app.example/done&line_items[0][price]={id}\
             &line_items[0][quantity]=2&currency={currency}"
        );
        sandbox.call(&request("POST /v1/checkout/sessions", &form))
    };
    let euro = session(&mut sandbox, "eur").body;
    assert_eq!(
        (&euro["currency"], &euro["amount_total"]),
        (&"eur".into(), &35_000.into()),
        "{euro}"
    );
    let paid = sandbox.complete_checkout(&text_of(&euro), CheckoutOutcome::Pay);
    assert!(paid.is_ok(), "{paid:?}");
    let intent = ok(&mut sandbox, "GET /v1/payment_intents", "");
    assert_eq!(intent["data"][0]["currency"], "eur", "{intent}");
    assert_eq!(session(&mut sandbox, "gbp").status, 400);
}

fn text_of(object: &Value) -> String {
    text(object, "id")
}

#[test]
fn a_product_is_made_with_a_default_price_changed_and_deleted() {
    let mut sandbox = sandbox();
    let form = "name=Spice&default_price_data[currency]=eur&default_price_data[unit_amount]=900\
                &default_price_data[recurring][interval]=year&marketing_features[0][name]=Sand";
    let made = ok(&mut sandbox, "POST /v1/products", form);
    let path = format!("/v1/products/{}", text(&made, "id"));
    let shown = ok(&mut sandbox, &format!("GET {path}"), "expand[]=default_price");
    assert_eq!(shown["default_price"]["unit_amount"], 900);
    assert_eq!(shown["default_price"]["recurring"]["interval"], "year");
    assert_eq!(shown["marketing_features"][0]["name"], "Sand");
    assert_eq!(
        kinds(&sandbox, 0),
        ["product.created", "price.created", "plan.created", "product.updated"]
    );
    sandbox.advance_to(START + 5);
    let changed = ok(&mut sandbox, &format!("POST {path}"), "name=Melange&default_price=");
    assert_eq!((&changed["name"], &changed["default_price"]), (&"Melange".into(), &Value::Null));
    assert_eq!(changed["updated"], START + 5);
    let fault = refused(&mut sandbox, &format!("DELETE {path}"), "");
    assert_eq!(fault, (400, "invalid_request_error/".to_owned()));

    let plain = ok(&mut sandbox, "POST /v1/products", "name=Water&id=prod_water");
    assert_eq!(plain["id"], "prod_water");
    let twice = refused(&mut sandbox, "POST /v1/products", "name=Water&id=prod_water");
    assert_eq!(twice, (400, "resource_already_exists/id".to_owned()));
    assert_eq!(ok(&mut sandbox, "DELETE /v1/products/prod_water", "")["deleted"], true);
    assert_eq!(refused(&mut sandbox, "GET /v1/products/prod_water", "").0, 404);
}

#[test]
fn a_price_has_amounts_in_further_currencies_which_are_shown_when_asked_for() {
    let mut sandbox = sandbox();
    let price = monthly(&mut sandbox, "&currency_options[eur][unit_amount]=1400");
    assert!(price.get("currency_options").is_none());
    let path = format!("/v1/prices/{}", text(&price, "id"));
    let more = "currency_options[gbp][unit_amount]=1200&expand[]=currency_options";
    let changed = ok(&mut sandbox, &format!("POST {path}"), more);
    let amount = |code: &str| changed["currency_options"][code]["unit_amount"].clone();
    assert_eq!([amount("usd"), amount("eur"), amount("gbp")], [1500, 1400, 1200]);
    let listed = ok(&mut sandbox, "GET /v1/prices", "limit=1&expand[]=data.currency_options");
    assert_eq!(listed["data"][0]["currency_options"]["eur"]["unit_amount"], 1400);
    let own =
        refused(&mut sandbox, &format!("POST {path}"), "currency_options[usd][unit_amount]=1");
    assert_eq!(own, (400, "invalid_request_error/currency_options[usd]".to_owned()));
}

#[test]
fn a_price_is_made_with_its_product_and_only_its_name_can_change() {
    let mut sandbox = sandbox();
    let price = monthly(&mut sandbox, "&nickname=a&recurring[interval_count]=3&metadata[k]=v");
    assert_eq!((&price["currency"], &price["type"]), (&"usd".into(), &"recurring".into()));
    assert_eq!(price["recurring"]["interval_count"], 3);
    assert_eq!(kinds(&sandbox, 0), ["product.created", "price.created", "plan.created"]);
    let path = format!("/v1/prices/{}", text(&price, "id"));
    let changed = ok(&mut sandbox, &format!("POST {path}"), "nickname=b&active=false&metadata=");
    assert_eq!((&changed["nickname"], &changed["active"]), (&"b".into(), &false.into()));
    assert_eq!(changed["metadata"], serde_json::json!({}));
    assert_eq!(kinds(&sandbox, 3), ["price.updated", "plan.updated"]);
    let fault = refused(&mut sandbox, &format!("POST {path}"), "unit_amount=1");
    assert_eq!(fault, (400, "parameter_unknown/unit_amount".to_owned()));
    let plan = ok(&mut sandbox, &format!("GET /v1/plans/{}", text(&price, "id")), "");
    assert_eq!((&plan["object"], &plan["interval_count"]), (&"plan".into(), &3.into()));
}

#[test]
fn a_lookup_key_belongs_to_one_price_and_can_be_taken_over() {
    let mut sandbox = sandbox();
    let first = monthly(&mut sandbox, "&lookup_key=spice");
    let form = "currency=usd&unit_amount=2&product_data[name]=x&lookup_key=spice";
    let fault = refused(&mut sandbox, "POST /v1/prices", form);
    assert_eq!(fault, (400, "resource_already_exists/lookup_key".to_owned()));
    let second = ok(&mut sandbox, "POST /v1/prices", &format!("{form}&transfer_lookup_key=true"));
    let found = ok(&mut sandbox, "GET /v1/prices", "lookup_keys[]=spice&lookup_keys[]=other");
    assert_eq!(ids(&found), [text(&second, "id")]);
    let first = ok(&mut sandbox, &format!("GET /v1/prices/{}", text(&first, "id")), "");
    assert_eq!(first["lookup_key"], Value::Null);
}

#[test]
fn prices_are_listed_by_what_they_are() {
    let mut sandbox = sandbox();
    let price = monthly(&mut sandbox, "");
    let (id, product) = (text(&price, "id"), text(&price, "product"));
    let once = format!("currency=eur&unit_amount_decimal=700.0&product={product}&active=false");
    let once = text(&ok(&mut sandbox, "POST /v1/prices", &once), "id");
    let mut list = |filter: &str| {
        ids(&ok(&mut sandbox, "GET /v1/prices", &format!("product={product}{filter}")))
    };
    assert_eq!(list(""), [once.clone(), id.clone()]);
    assert_eq!(list("&active=true"), std::slice::from_ref(&id));
    assert_eq!(list("&type=one_time"), std::slice::from_ref(&once));
    assert_eq!(list("&recurring[interval]=month"), [id]);
    assert_eq!(list("&currency=eur"), [once]);
    let products = ok(&mut sandbox, "GET /v1/products", &format!("ids[]={product}"));
    assert_eq!(ids(&products), [product]);
}

#[test]
fn what_cannot_be_sold_is_refused() {
    let mut sandbox = sandbox();
    let product = text(&ok(&mut sandbox, "POST /v1/products", "name=x"), "id");
    let other = text(&monthly(&mut sandbox, ""), "id");
    for (line, form, fault) in [
        ("POST /v1/products", "", "parameter_missing/name"),
        ("POST /v1/prices", "unit_amount=1", "parameter_missing/currency"),
        ("POST /v1/prices", "currency=usd&unit_amount=1", "parameter_missing/product"),
        (
            "POST /v1/prices",
            "currency=usd&unit_amount=1&product=prod_x",
            "resource_missing/product",
        ),
        ("POST /v1/prices", "currency=usd&product_data[name]=x", "parameter_missing/unit_amount"),
        (
            "POST /v1/prices",
            "currency=dollar&unit_amount=1&product_data[name]=x",
            "invalid_request_error/currency",
        ),
        (
            "POST /v1/prices",
            "currency=usd&unit_amount=-1&product_data[name]=x",
            "parameter_invalid_integer/unit_amount",
        ),
        (
            "POST /v1/prices",
            "currency=usd&unit_amount_decimal=1.5&product_data[name]=x",
            "parameter_invalid_integer/unit_amount_decimal",
        ),
        (
            "POST /v1/prices",
            "currency=usd&unit_amount=1&product_data[name]=x&recurring[interval]=hour",
            "invalid_request_error/recurring[interval]",
        ),
        (
            "POST /v1/prices",
            "currency=usd&unit_amount=1&product_data[name]=x&recurring[interval_count]=2",
            "parameter_missing/recurring[interval]",
        ),
    ] {
        assert_eq!(refused(&mut sandbox, line, form), (400, fault.to_owned()), "{form}");
    }
    let form = format!("default_price={other}");
    let fault = refused(&mut sandbox, &format!("POST /v1/products/{product}"), &form);
    assert_eq!(fault.1, "invalid_request_error/default_price");
    assert_eq!(refused(&mut sandbox, "GET /v1/plans/plan_none", "").0, 404);
}
