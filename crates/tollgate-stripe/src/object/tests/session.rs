//! Checkout sessions in every shape.

use tollgate_domain::payment::{PurchaseKind, SessionMode, SessionStatus};

use super::{SESSION, claim, refused, session};

#[test]
fn only_the_payment_status_says_that_a_session_is_paid() {
    let paid = |status: &str| {
        session("checkout.session.completed", &format!(r#""payment_status":"{status}""#)).paid
    };
    assert!(paid("paid") && paid("no_payment_required"));
    assert!(!paid("unpaid") && !paid("something_new"));
    let fields = format!(r#"{SESSION},"payment_status":null"#);
    assert_eq!(
        refused("checkout.session.completed", &fields),
        "checkout.session.payment_status is missing"
    );
}

#[test]
fn sessions_older_than_their_fields_are_told_by_the_rest() {
    let status = |event: &str| session(event, r#""status":null"#).status;
    assert_eq!(status("checkout.session.completed"), SessionStatus::Complete);
    assert_eq!(status("checkout.session.expired"), SessionStatus::Expired);
    assert_eq!(
        session("checkout.session.completed", r#""status":"open""#).status,
        SessionStatus::Open,
        "the object's own word counts"
    );
    let mode = |fields: &str| {
        session("checkout.session.completed", &format!(r#""mode":null,{fields}"#)).mode
    };
    assert_eq!(mode(r#""subscription":"sub_1","payment_intent":null"#), SessionMode::Subscription);
    assert_eq!(mode(r#""payment_intent":"pi_1""#), SessionMode::Payment);
    assert_eq!(mode(r#""setup_intent":"seti_1""#), SessionMode::Setup);
    let refuse =
        |mode: &str| refused("checkout.session.completed", &format!(r#"{SESSION},"mode":{mode}"#));
    assert_eq!(refuse("null"), "checkout.session.mode is missing");
    assert_eq!(refuse(r#""barter""#), "checkout.session.mode is garbled");
}

#[test]
fn a_sessions_metadata_says_what_it_sells() {
    let kind = |metadata: &str| {
        session("checkout.session.completed", &format!(r#""metadata":{metadata}"#)).kind
    };
    let grant = |plan: Option<&str>| PurchaseKind::Grant {
        claimed: plan.map(|plan| tollgate_domain::ids::PlanId::parse(plan).unwrap()),
    };
    assert_eq!(kind(r#"{"type":"badge_purchase"}"#), PurchaseKind::Badge);
    assert_eq!(kind(r#"{"type":"community_boost"}"#), PurchaseKind::Boost);
    assert_eq!(kind(r#"{"type":"grant","plan":"pro"}"#), grant(Some("pro")));
    assert_eq!(kind(r#"{"type":"grant","entitlementLevel":"PRO"}"#), grant(Some("pro")));
    assert_eq!(kind(r#"{"type":"grant","plan":"no plan"}"#), grant(None));
    // Without a kind, a plan that is named is what was meant.
    assert_eq!(kind(r#"{"userId":"u1","entitlementLevel":"PRO"}"#), grant(Some("pro")));
    assert_eq!(kind(r#"{"tier":"Pro"}"#), grant(Some("pro")));
    let nothing = [r#"{"type":"gift"}"#, r#"{"type":"gift","plan":"pro"}"#, r#"{"userId":"u1"}"#];
    for other in nothing.into_iter().chain([r#"{"plan":"no plan"}"#, "{}", "null", "[]", "1"]) {
        assert_eq!(kind(other), PurchaseKind::Other, "{other}");
    }
}

#[test]
fn the_lines_of_a_session_are_read_in_every_shape() {
    let lines = |fields: &str| -> Vec<String> {
        let seen = session("checkout.session.completed", fields);
        let shown = |line: &tollgate_domain::payment::PurchaseLine| {
            let product = line.product.as_ref().map_or("-", AsRef::as_ref);
            let total = line.total.map_or(0, |total| total.amount_minor);
            format!("{} {}*{} of {product} for {total}", line.id, line.price, line.quantity)
        };
        let cut = seen.lines_cut.then(|| "cut".to_owned());
        seen.lines.iter().map(shown).chain(cut).collect()
    };
    for (fields, expected) in [
        (
            r#""line_items":{"data":[{"id":"li_1","price":{"id":"p","product":"prod_1"},
                "quantity":2,"amount_total":380,"currency":"eur"},{"id":"li_2","price":{"id":"q"}}],
                "has_more":true}"#,
            vec!["li_1 p*2 of prod_1 for 380", "li_2 q*1 of - for 0", "cut"],
        ),
        (
            r#""display_items":[{"amount":5,"plan":{"id":"gold","product":"prod_1"},"quantity":3}]"#,
            vec!["#0 gold*3 of prod_1 for 0"],
        ),
        // A line of a product that was made for it alone has a price as well, one without is none.
        (r#""line_items":{"data":[{"id":"li_1","price":null,"description":"a"}]}"#, vec![]),
        (r#""line_items":{"data":[{"id":"li_1","price":{"id":"p"},"quantity":-1}]}"#, vec![]),
        (r#""line_items":null"#, vec![]),
    ] {
        assert_eq!(lines(fields), expected, "{fields}");
    }
}

#[test]
fn what_the_goods_of_a_session_may_have_cost_is_without_discounts_and_taxes() {
    let amounts = |fields: &str| -> Vec<String> {
        let seen = session("checkout.session.completed", &format!(r#""currency":"usd",{fields}"#));
        let text = |money: &tollgate_domain::money::Money| {
            format!("{} {}", money.amount_minor, money.currency.as_str())
        };
        seen.amounts.iter().map(text).collect()
    };
    for (fields, expected) in [
        (r#""amount_subtotal":500,"amount_total":500"#, vec!["500 usd"]),
        (r#""amount_subtotal":500,"amount_total":0"#, vec!["500 usd"]),
        // Shapes without a subtotal.
        (
            r#""amount_subtotal":null,"amount_total":510,
                "total_details":{"amount_discount":100,"amount_tax":90,"amount_shipping":20}"#,
            vec!["500 usd", "510 usd", "590 usd"],
        ),
        (
            r#""amount_subtotal":500,"amount_total":595,"total_details":{"amount_tax":95}"#,
            vec!["500 usd", "595 usd"],
        ),
        // Adaptive Pricing as it was before 2025-03-31, and as it is since.
        (
            r#""currency":"eur","amount_subtotal":460,"amount_total":460,"currency_conversion":
                {"amount_subtotal":500,"amount_total":500,"fx_rate":"0.92","source_currency":"usd"}"#,
            vec!["460 eur", "500 usd"],
        ),
        (
            r#""amount_subtotal":500,"amount_total":500,"presentment_details":
                {"presentment_amount":460,"presentment_currency":"eur"}"#,
            vec!["500 usd"],
        ),
    ] {
        assert_eq!(amounts(fields), expected, "{fields}");
    }
}

#[test]
fn a_sessions_reference_id_claims_when_the_metadata_does_not() {
    let found = |fields: &str| claim("checkout.session.completed", &format!("{SESSION},{fields}"));
    let pair =
        |account: &str, member: Option<&str>| Some((account.to_owned(), member.map(str::to_owned)));
    assert_eq!(found(r#""client_reference_id":"acme""#), pair("acme", None));
    assert_eq!(
        found(r#""client_reference_id":"acme","metadata":{"member_id":"m"}"#),
        pair("acme", Some("m"))
    );
    assert_eq!(
        found(r#""client_reference_id":"acme","metadata":{"userId":"other"}"#),
        pair("other", None)
    );
    assert_eq!(found(r#""client_reference_id":"not an id""#), None);
}
