//! Whom metadata names.

use super::{SESSION, SUBSCRIPTION, claim, told};

#[test]
fn the_first_name_with_a_usable_account_is_the_claim() {
    for (metadata, account, member) in [
        (
            r#"{"userId":"h","user_id":"g","tenantId":"f","tenant_id":"e","communityId":"d","community_id":"c","accountId":"b","account_id":"a"}"#,
            Some("a"),
            None,
        ),
        (r#"{"userId":"h","user_id":"g","tenantId":"f"}"#, Some("f"), None),
        (r#"{"account_id":"","accountId":"b c","community_id":"d"}"#, Some("d"), None),
        (r#"{"account_id":7,"userId":"h"}"#, Some("h"), None),
        (r#"{"account_id":"a\u0000b"}"#, None, None),
        (r#"{"account_id":"a","memberId":"y","member_id":"x"}"#, Some("a"), Some("x")),
        (r#"{"account_id":"a","member_id":"","memberId":"y"}"#, Some("a"), Some("y")),
        (r#"{"member_id":"x"}"#, None, None),
        ("{}", None, None),
        ("[]", None, None),
        ("null", None, None),
    ] {
        let expected = account.map(|account| (account.to_owned(), member.map(str::to_owned)));
        let found = claim("customer.updated", &format!(r#""id":"cus_1","metadata":{metadata}"#));
        assert_eq!(found, expected, "{metadata}");
    }
}

#[test]
fn a_name_that_cannot_be_an_account_is_told_of() {
    let invalid = |fields: &str| told("checkout.session.completed", fields).invalid_claim;
    for (fields, expected) in [
        (r#""metadata":{"userId":"null"}"#, Some("userId")),
        (r#""metadata":{"accountId":"undefined"}"#, Some("accountId")),
        (r#""metadata":{"userId":"a b","tenantId":"[object Object]"}"#, Some("tenantId")),
        (r#""client_reference_id":"a b""#, Some("client_reference_id")),
        (r#""metadata":{"userId":"null"},"client_reference_id":"acme""#, None),
        (r#""metadata":{"userId":"auth0|5f"},"client_reference_id":"a b""#, None),
        (r#""metadata":{"userId":""}"#, None),
        (r#""metadata":{"other":"a b"}"#, None),
    ] {
        assert_eq!(invalid(&format!("{SESSION},{fields}")), expected, "{fields}");
    }
}

#[test]
fn who_pays_may_be_an_account_in_place_of_a_customer() {
    let seen = told(
        "customer.subscription.updated",
        &format!(r#"{SUBSCRIPTION},"customer":null,"customer_account":"acct_9""#),
    );
    assert_eq!(seen.customer, None);
    let payers: Vec<&str> = seen.payers().map(AsRef::as_ref).collect();
    assert_eq!(payers, ["acct_9"]);
    let seen = told("customer.updated", r#""id":"cus_1","customer_account":"acct_9""#);
    let payers: Vec<&str> = seen.payers().map(AsRef::as_ref).collect();
    assert_eq!(payers, ["cus_1", "acct_9"]);
}

#[test]
fn a_change_of_the_metadata_is_told_from_a_claim_made_before() {
    let claim = |previous: &str| {
        let body = format!(
            r#"{{"id":"evt_1","object":"event","type":"customer.updated","created":1,"livemode":false,"data":{{"object":{{"id":"cus_1","object":"customer","metadata":{{"accountId":"a"}}}},"previous_attributes":{previous}}}}}"#
        );
        let crate::Parsed::Event(envelope) = crate::event::parse(body.as_bytes()) else { panic!() };
        let Ok(crate::Observed::Effect(seen)) = crate::observe(&envelope) else { panic!() };
        seen.claim.unwrap().edited
    };
    assert!(claim(r#"{"metadata":{"accountId":"b"}}"#));
    assert!(claim(r#"{"metadata":{"accountId":null}}"#));
    assert!(!claim(r#"{"email":"a@example.com"}"#));
}
