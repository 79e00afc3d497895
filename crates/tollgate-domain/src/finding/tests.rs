//! Findings as scenarios: facts as text, then what is open.

use super::*;
use crate::entitlement::scenario::{read, time};

fn open(scenario: &str, at: &str) -> Vec<String> {
    let (catalog, facts) = read(scenario);
    review(&facts, &catalog, time(at))
        .into_iter()
        .map(|change| {
            let Change::SaveFinding(finding) = change else {
                panic!("{change:?} is not a finding")
            };
            finding.key()
        })
        .collect()
}

#[test]
fn what_is_paid_and_grants_nothing_is_open() {
    let table = [
        ("", &[][..]),
        ("sub s premium active @0d", &[]),
        ("sub s unheard active @0d", &["price_unknown/s"]),
        ("sub s unheard past_due @0d", &["price_unknown/s"]),
        ("sub s unheard canceled @0d", &[]),
        ("sub s unheard,premium active @0d", &[]),
        ("sub s boost*3 active @0d", &[]),
        ("catalog levels\nbuy c1 pro paid=3d amount=19000", &[]),
        ("catalog levels\nbuy c1 pro paid=3d amount=17", &["purchase_unconfirmed/c1"]),
        ("catalog levels\nbuy c1 pro amount=17", &[]),
        ("catalog levels\nbuy c1 pro paid=3d amount=17\nrefund r c1 17 succeeded @4d", &[]),
        ("catalog levels\nbuy c1 - paid=3d amount=17 names_owner", &["purchase_unconfirmed/c1"]),
        ("catalog levels\nbuy c1 - paid=3d amount=17", &[]),
        ("buy c1 badge paid=3d amount=17", &["purchase_unconfirmed/c1"]),
        ("buy c1 badge paid=3d amount=499", &["purchase_unconfirmed/c1"]),
        ("grant g1 gone @0d", &["grant_lost_by_catalog/g1"]),
        ("grant g1 gone @0d until=2d", &[]),
        ("grant g1 gone @0d revoked=2d", &[]),
        ("waiver w1 gone @0d", &["grant_lost_by_catalog/w1"]),
        ("sub s1 premium active @0d\nsub s2 basic active @0d", &["duplicate_subscription/s1"]),
        ("sub s1 premium active @0d\nsub s2 basic canceled @0d", &[]),
        ("sub s1 premium active @0d\nsub s2 boost*2 active @0d", &[]),
        ("sub s premium active @0d\nsub s basic active @0d", &["subscription_unclear/s"]),
        ("sub s premium active @0d\nsub s premium active @0d", &[]),
        ("sub s premium active @0d\nsub s basic active @0d\nsub s basic active @1d", &[]),
        ("sub s premium active @0d cut", &["subscription_unclear/s"]),
        ("sub s premium active @0d\nsub s basic active @1d cut", &[]),
        ("sub s premium canceled @0d cut", &[]),
        ("sub s premium weird @0d", &["subscription_unclear/s"]),
        ("buy c1 - paid=4d subscription of=s", &["subscription_unclear/s"]),
        ("buy c1 - subscription of=s", &[]),
        ("buy c1 - paid=4d subscription of=s\nsub s premium active @4d", &[]),
        ("buy c1 - paid=4d subscription of=s\nsub s premium canceled @4d", &[]),
        ("buy c1 - paid=4d subscription of=s\ninvoice i1 s paid @4d for=si/premium:0d..30d", &[]),
        ("buy c1 badge paid=3d amount=499 wearer", &[]),
    ];
    for (scenario, expected) in table {
        assert_eq!(open(scenario, "5d"), expected, "{scenario}");
    }
}

#[test]
fn a_sale_whose_plan_is_gone_is_open_as_long_as_it_would_run() {
    let (today, mut facts) = read("catalog levels\nbuy c1 pro paid=0d amount=19000");
    for purchase in facts.purchases.values_mut() {
        purchase.sales = crate::sale::sales(purchase, &today);
    }
    let text = crate::catalog::builtin_text("levels").unwrap();
    let without = text.split("[[plans]]\nid = \"pro\"").next().unwrap();
    let catalog = crate::catalog::parse::parse("levels", "test.toml", without).unwrap();
    let open = |at: &str| review(&facts, &catalog, time(at)).len();
    assert_eq!((open("5d"), open("364d"), open("365d")), (1, 1, 0));
    assert_eq!(review(&facts, &today, time("5d")), []);
}

#[test]
fn what_is_over_needs_no_attention() {
    let deleted = "customer c deleted=50d\n";
    for (scenario, before, after) in [
        ("sub s unheard active @0d customer=c", "price_unknown/s", &[][..]),
        ("sub s unheard active @0d cancel_at=50d", "price_unknown/s", &[]),
        ("sub s premium active @0d period=0d..30d customer=c", "stale_subscription/s", &[]),
        ("sub s premium trialing @0d trial=7d", "stale_subscription/s", &["stale_subscription/s"]),
        ("sub s premium trialing @0d trial=7d customer=c", "stale_subscription/s", &[]),
        ("sub s premium active @0d cut customer=c", "subscription_unclear/s", &[]),
    ] {
        assert_eq!(open(scenario, "40d"), [before], "{scenario}");
        assert_eq!(open(&format!("{deleted}{scenario}"), "60d"), after, "{scenario}");
    }
    assert_eq!(open("sub s premium trialing @0d trial=7d", "9d"), Vec::<String>::new());
}

#[test]
fn what_is_unclear_is_told_after_an_hour() {
    let (catalog, facts) = read("sub s premium active @1d\nsub s basic active @1d");
    let next = |at: Timestamp| schedule::next_end(&facts, &catalog, at);
    let told = time("1d").plus_hours(1);
    assert_eq!(review(&facts, &catalog, told.plus_ms(-1)), []);
    assert_eq!(next(time("1d")), Some(told));
    assert_eq!(review(&facts, &catalog, told).len(), 1);
    assert_ne!(next(told), Some(told));
}

#[test]
fn a_finding_opens_once_and_closes_when_its_cause_is_gone() {
    let (catalog, mut facts) = read("sub s unheard active @0d");
    for change in review(&facts, &catalog, time("1d")) {
        facts.apply(&change);
    }
    let since = facts.findings["price_unknown/s"].since;
    assert_eq!(review(&facts, &catalog, time("2d")), [], "it is open already");
    let (_, ended) = read("sub s unheard active @0d\nsub s unheard canceled @3d");
    facts.subscriptions = ended.subscriptions;
    let closing = review(&facts, &catalog, time("4d"));
    assert_eq!(closing.len(), 1);
    for change in &closing {
        facts.apply(change);
    }
    let closed = &facts.findings["price_unknown/s"];
    assert_eq!((closed.since, closed.closed_at), (since, Some(time("4d"))));
    assert_eq!(review(&facts, &catalog, time("5d")), []);
}

#[test]
fn an_open_finding_tells_what_is_true_now() {
    let two = "sub s1 basic active @0d\nsub s2 premium active @0d";
    let (catalog, mut facts) = read(two);
    for change in review(&facts, &catalog, time("1d")) {
        facts.apply(&change);
    }
    let (_, three) = read(&format!("{two}\nsub s3 elite active @1d"));
    facts.subscriptions = three.subscriptions;
    for change in review(&facts, &catalog, time("2d")) {
        facts.apply(&change);
    }
    let found = &facts.findings["duplicate_subscription/s1"];
    assert_eq!(found.detail, "3 subscriptions give plans at once");
    assert_eq!((found.objects.len(), found.since), (3, time("1d")));
    assert_eq!(review(&facts, &catalog, time("3d")), []);
}

#[test]
fn codes_are_read_back() {
    for code in FindingCode::ALL {
        assert_eq!(FindingCode::parse(code.as_str()), Ok(code));
        assert!(code.meaning().ends_with('.') && code.remedy().ends_with('.'), "{code:?}");
    }
    assert!(FindingCode::parse("nonsense").is_err());
}
