//! Single events, sizes, the load and the demonstration.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_domain::EventKind;
use tollgate_domain::observation::Seen;
use tollgate_sandbox::load::{Load, STEPS_COUNT};
use tollgate_sandbox::{ApiVersion, Override, Scenario, ScenarioOptions, demo, single};

use crate::{NOW, catalog, now, observe, options};

#[test]
fn every_type_with_effects_can_be_made_alone_in_every_version() {
    let catalog = catalog("sietch");
    let mut kinds = BTreeSet::new();
    for kind in single::event_types() {
        for api_version in ApiVersion::ALL {
            let options = ScenarioOptions { api_version, ..options() };
            let event = single::event(kind, &catalog, &options, &[]).unwrap();
            assert_eq!((event.kind.as_str(), event.created), (kind, NOW));
            let seen = observe(&event);
            assert_eq!(seen.is_some(), tollgate_stripe::event_kind(kind).is_some(), "{kind}");
            kinds.extend(seen.map(|observation| observation.kind));
        }
    }
    // Every variant of the engine's list, the last one counted by its number.
    assert_eq!(kinds.len(), EventKind::EntitlementSummaryUpdated as usize + 1);
    assert!(single::event_types().is_sorted());
}

#[test]
fn one_time_types_are_refused_by_catalogs_without_anything_to_buy_once() {
    let catalog = catalog("saas");
    let mut refused = Vec::new();
    for kind in single::event_types() {
        if single::event(kind, &catalog, &options(), &[]).is_err() {
            refused.push(kind);
        }
    }
    let expected =
        ["failed", "succeeded"].map(|end| format!("checkout.session.async_payment_{end}"));
    assert_eq!(refused, expected);
}

#[test]
fn overrides_reach_the_object_and_faults_are_explained() {
    let catalog = catalog("sietch");
    let made = |kind: &str, edits: &[&str]| {
        let edits: Vec<Override> =
            edits.iter().map(|text| Override::parse(text).unwrap()).collect();
        single::event(kind, &catalog, &options(), &edits)
    };
    let edits = ["status=unpaid", "items.data.0.quantity=4", "metadata.account_id=globex"];
    let seen = observe(&made("customer.subscription.updated", &edits).unwrap()).unwrap();
    assert_eq!(seen.claim.unwrap().account.as_str(), "globex");
    let Seen::Subscription(subscription) = seen.seen else { panic!("no subscription") };
    assert_eq!(subscription.state.status.as_str(), "unpaid");
    assert_eq!(subscription.state.items[0].quantity, 4);
    let says = |kind: &str, edits: &[&str], part: &str| {
        let message = made(kind, edits).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    says("invoice.payed", &[], "did you mean \"invoice.paid\"?");
    says("invoice.paid", &["amount_payed=1"], "did you mean \"amount_paid\"?");
    says("invoice.paid", &["lines.data.4.amount=1"], "which has 1 elements");
}

#[test]
fn names_of_other_tools_stand_for_stripes() {
    let catalog = catalog("sietch");
    for (name, kind) in [
        ("v1.invoice.paid", "invoice.paid"),
        ("subscription.payment_failed", "invoice.payment_failed"),
    ] {
        assert_eq!(single::event(name, &catalog, &options(), &[]).unwrap().kind, kind);
    }
}

#[test]
fn bodies_have_realistic_sizes() {
    let catalog = catalog("sietch");
    for version in ApiVersion::ALL.into_iter().filter(|version| *version >= ApiVersion::V2020) {
        let options = ScenarioOptions { api_version: version, ..options() };
        for event in Scenario::build("renewal", &catalog, &options).unwrap() {
            let object = event.kind.rsplit_once('.').unwrap().0;
            let expected = match object {
                // With the whole items as they were before.
                "customer.subscription" if event.kind.ends_with("updated") => 4_000..8_500,
                "customer.subscription" | "invoice" => 3_200..7_500,
                "checkout.session" => 1_900..4_000,
                _ => 700..4_500,
            };
            let size = event.body.len();
            assert!(expected.contains(&size), "{} in {version}: {size} bytes", event.kind);
        }
    }
}

#[test]
fn bodies_are_printed_with_id_and_object_first_and_two_spaces() {
    let event = single::event("invoice.paid", &catalog("sietch"), &options(), &[]).unwrap();
    let start =
        format!("{{\n  \"id\": \"{}\",\n  \"object\": \"event\",\n  \"api_version\"", event.id);
    assert!(event.body.starts_with(&start), "{}", event.body);
    assert!(event.body.contains("\"discounts\": [\n\n      ]"), "{}", event.body);
    assert!(event.body.contains("1 × Premium"), "{}", event.body);
    assert!(serde_json::from_str::<Value>(&event.body).is_ok());
}

#[test]
fn a_load_has_a_life_of_its_own_for_every_customer() {
    let catalog = catalog("sietch");
    let load = Load::new(&catalog, &options(), 50).unwrap();
    let events: Vec<_> = load.events().collect();
    assert_eq!((events.len(), load.len()), (50 * STEPS_COUNT, 50 * STEPS_COUNT));
    let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    let mut subjects = BTreeSet::new();
    let mut accounts = BTreeSet::new();
    for event in &events {
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(body["id"], event.id);
        assert_eq!(body["type"], event.kind);
        if event.kind == "customer.subscription.deleted" {
            subjects.insert(body["data"]["object"]["id"].to_string());
            accounts.insert(body["data"]["object"]["metadata"]["account_id"].to_string());
        }
    }
    assert_eq!((subjects.len(), accounts.len()), (50, 50));
    assert!(accounts.contains(&format!("\"{}\"", load.account(7))));
    let other = Load::new(&catalog, &ScenarioOptions { seed: 1, ..options() }, 50).unwrap();
    assert!(other.events().all(|event| !ids.contains(event.id.as_str())));
}

#[test]
fn a_life_of_the_load_goes_forward_in_time_and_speaks_of_one_subscription() {
    let load = Load::new(&catalog("sietch"), &options(), 1).unwrap();
    let mut times = Vec::new();
    let mut subscriptions = BTreeSet::new();
    for event in load.events() {
        let body: Value = serde_json::from_str(&event.body).unwrap();
        times.push(body["created"].as_i64().unwrap());
        let object = &body["data"]["object"];
        let subscription = match object["object"].as_str().unwrap() {
            "subscription" => &object["id"],
            "invoice" => &object["parent"]["subscription_details"]["subscription"],
            _ => &object["subscription"],
        };
        subscriptions.insert(subscription.as_str().unwrap().to_owned());
    }
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times.last(), Some(&NOW));
    assert_eq!(subscriptions.len(), 1);
}

#[test]
fn the_demonstration_has_acme_and_fits_every_catalog() {
    let accounts = demo::accounts(&catalog("sietch"), now()).unwrap();
    assert_eq!(accounts.len(), 7);
    assert_eq!(accounts[0].account.as_str(), "acme");
    for name in ["propiq", "levels", "saas"] {
        let accounts = demo::accounts(&catalog(name), now()).unwrap();
        assert!(accounts.len() >= 4, "{name}");
    }
    let seeded = accounts[0].events();
    let failing = Scenario::build("dunning", &catalog("sietch"), &options()).unwrap();
    let subscription = |events: &[tollgate_sandbox::StripeEvent]| {
        let found = events.iter().find(|event| event.kind == "customer.subscription.created");
        serde_json::from_str::<Value>(&found.unwrap().body).unwrap()["data"]["object"]["id"].clone()
    };
    assert_eq!(subscription(&seeded), subscription(&failing));
}
