//! Tests of customers. Owns: nothing else. Must not know: how replies are made.

use super::*;

#[test]
fn a_customer_is_made_changed_and_deleted_and_each_is_told() {
    let mut sandbox = sandbox();
    let form = "email=a@arrakis.example&name=Stilgar&metadata[account_id]=acme&address[country]=FR";
    let made = ok(&mut sandbox, "POST /v1/customers", form);
    let path = format!("/v1/customers/{}", text(&made, "id"));
    assert_eq!(made["address"]["country"], "FR");
    assert_eq!(made["created"], START);
    assert_eq!(ok(&mut sandbox, &format!("GET {path}"), ""), made);

    let form = "name=&description=naib&metadata[account_id]=&metadata[tier]=1&balance=-500";
    let changed = ok(&mut sandbox, &format!("POST {path}"), form);
    assert_eq!(changed["name"], Value::Null);
    assert_eq!(changed["metadata"], serde_json::json!({"tier": "1"}));
    assert_eq!((&changed["balance"], &changed["email"]), (&(-500).into(), &made["email"]));

    let gone = ok(&mut sandbox, &format!("DELETE {path}"), "");
    assert_eq!(gone, serde_json::json!({"id": made["id"], "object": "customer", "deleted": true}));
    assert_eq!(ok(&mut sandbox, &format!("GET {path}"), ""), gone);
    assert_eq!(kinds(&sandbox, 0), ["customer.created", "customer.updated", "customer.deleted"]);
    assert_eq!(refused(&mut sandbox, &format!("POST {path}"), "name=x"), missing());
    assert_eq!(refused(&mut sandbox, &format!("DELETE {path}"), ""), missing());
}

fn missing() -> (u16, String) {
    (404, "resource_missing/id".to_owned())
}

#[test]
fn a_change_that_changes_nothing_is_not_told() {
    let mut sandbox = sandbox();
    let made = ok(&mut sandbox, "POST /v1/customers", "name=Chani");
    ok(&mut sandbox, &format!("POST /v1/customers/{}", text(&made, "id")), "name=Chani");
    assert_eq!(kinds(&sandbox, 0), ["customer.created"]);
}

#[test]
fn customers_are_refused_with_reasons() {
    let mut sandbox = sandbox();
    for (line, form, status, fault) in [
        ("GET /v1/customers/cus_none", "", 404, "resource_missing/id"),
        ("POST /v1/customers", "emial=x", 400, "parameter_unknown/emial"),
        ("POST /v1/customers", "email=nobody", 400, "email_invalid/email"),
        ("POST /v1/customers", "tax_exempt=maybe", 400, "invalid_request_error/tax_exempt"),
        ("POST /v1/customers", "balance=much", 400, "parameter_invalid_integer/balance"),
        ("GET /v1/customers", "limit=0", 400, "parameter_invalid_integer/limit"),
    ] {
        assert_eq!(refused(&mut sandbox, line, form), (status, fault.to_owned()), "{line} {form}");
    }
}

#[test]
fn customers_are_listed_newest_first_by_mail_and_time_and_without_deleted_ones() {
    let mut sandbox = sandbox();
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let form = format!("email={name}@arrakis.example");
        made.push(text(&ok(&mut sandbox, "POST /v1/customers", &form), "id"));
        sandbox.advance_to(sandbox.now() + 10);
    }
    let mut list = |form: &str| ids(&ok(&mut sandbox, "GET /v1/customers", form));
    assert_eq!(list(""), [made[2].clone(), made[1].clone(), made[0].clone()]);
    assert_eq!(list("email=b@arrakis.example"), [made[1].clone()]);
    assert_eq!(
        list(&format!("created[gt]={START}&created[lte]={}", START + 10)),
        [made[1].clone()]
    );
    assert_eq!(list(&format!("created={START}")), [made[0].clone()]);
    ok(&mut sandbox, &format!("DELETE /v1/customers/{}", made[2]), "");
    assert_eq!(ids(&ok(&mut sandbox, "GET /v1/customers", "")).len(), 2);
}

#[test]
fn a_customer_is_shown_in_the_version_asked_for() {
    let mut sandbox = sandbox();
    let made = ok(&mut sandbox, "POST /v1/customers", "name=Liet");
    let line = format!("GET /v1/customers/{}", text(&made, "id"));
    let old = ok_in(&mut sandbox, ApiVersion::V2017, &line, "");
    assert!(old.get("account_balance").is_some() && old.get("name").is_none());
    let new = ok_in(&mut sandbox, ApiVersion::Endive, &line, "");
    assert!(new.get("customer_account").is_some() && new.get("account_balance").is_none());
}

#[test]
fn a_balance_is_added_to_by_hand() {
    let mut sandbox = sandbox();
    let customer = text(&ok(&mut sandbox, "POST /v1/customers", "balance=-500"), "id");
    let path = format!("/v1/customers/{customer}/balance_transactions");
    let form = "amount=-1500&currency=usd&metadata[why]=unused";
    let made = ok(&mut sandbox, &format!("POST {path}"), form);
    assert_eq!((&made["amount"], &made["ending_balance"]), (&(-1_500).into(), &(-2_000).into()));
    let list = ok(&mut sandbox, &format!("GET {path}"), "");
    assert_eq!(list["data"], serde_json::json!([made]));
    let now = ok(&mut sandbox, &format!("GET /v1/customers/{customer}"), "");
    assert_eq!(now["balance"], -2_000);
    let refusal = refused(&mut sandbox, &format!("POST {path}"), "currency=usd");
    assert_eq!(refusal, (400, "parameter_missing/amount".to_owned()));
}
