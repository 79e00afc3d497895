//! Tests of Stripe's own entitlements. Owns: nothing else. Must not know: how replies are made.

use super::*;

fn feature(sandbox: &mut Sandbox, key: &str) -> Value {
    ok(sandbox, "POST /v1/entitlements/features", &format!("lookup_key={key}&name=The {key}"))
}

#[test]
fn features_are_made_once_per_key_and_archived() {
    let mut sandbox = sandbox();
    let made = feature(&mut sandbox, "export");
    let form = "lookup_key=export&name=x";
    let twice = refused(&mut sandbox, "POST /v1/entitlements/features", form);
    assert_eq!(twice, (400, "resource_already_exists/lookup_key".to_owned()));
    let path = format!("/v1/entitlements/features/{}", text(&made, "id"));
    let changed = ok(&mut sandbox, &format!("POST {path}"), "active=false&name=y");
    assert_eq!((&changed["active"], &changed["name"]), (&false.into(), &"y".into()));
    assert_eq!(ok(&mut sandbox, &format!("GET {path}"), ""), changed);
    let line = "GET /v1/entitlements/features";
    assert_eq!(ids(&ok(&mut sandbox, line, "lookup_key=export")).len(), 0);
    assert_eq!(ids(&ok(&mut sandbox, line, "archived=true")).len(), 1);
}

#[test]
fn a_customer_has_the_features_of_the_products_of_living_subscriptions() {
    let mut sandbox = sandbox();
    let account = tollgate_domain::ids::AccountId::parse("acme").unwrap();
    let at = tollgate_domain::Timestamp::from_unix_seconds(START);
    let options = crate::ScenarioOptions::new(account, at);
    let story = crate::Scenario::find("checkout").unwrap();
    sandbox.adopt(story.happenings(&catalog(), &options).unwrap());
    let customer = text(&ok(&mut sandbox, "GET /v1/customers", ""), "data.0.id");
    let product = {
        let objects = &sandbox.world.objects;
        let mut all = objects.all::<crate::object::subscription::Subscription>();
        all.next().unwrap().items[0].price.product.id.clone()
    };
    let made = feature(&mut sandbox, "export");
    let from = sandbox.happenings().len();
    let form = format!("entitlement_feature={}", text(&made, "id"));
    let line = format!("POST /v1/products/{product}/features");
    let attached = ok(&mut sandbox, &line, &form);
    assert_eq!(attached["entitlement_feature"]["lookup_key"], "export");
    assert_eq!(kinds(&sandbox, from), ["entitlements.active_entitlement_summary.updated"]);
    assert_eq!(
        refused(&mut sandbox, &line, &form).1,
        "resource_already_exists/entitlement_feature"
    );

    let line = "GET /v1/entitlements/active_entitlements";
    let form = format!("customer={customer}");
    let active = ok(&mut sandbox, line, &form);
    assert_eq!(active["data"][0]["lookup_key"], "export");
    assert_eq!(active["data"][0]["feature"], made["id"]);
    let one = format!("{line}/{}", text(&active, "data.0.id"));
    assert_eq!(ok(&mut sandbox, &one, "expand[]=feature")["feature"], made);
    assert_eq!(refused(&mut sandbox, line, "").1, "parameter_missing/customer");

    let path = format!("/v1/products/{product}/features/{}", text(&attached, "id"));
    assert_eq!(ok(&mut sandbox, &format!("GET {path}"), ""), attached);
    assert_eq!(ok(&mut sandbox, &format!("DELETE {path}"), "")["deleted"], true);
    assert_eq!(ids(&ok(&mut sandbox, line, &form)).len(), 0);
    assert_eq!(refused(&mut sandbox, &format!("GET {path}"), "").0, 404);
    assert_eq!(kinds(&sandbox, from).len(), 2);
}
