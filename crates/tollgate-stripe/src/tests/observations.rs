//! Every handled event type and API version against what is observed. The events under
//! `testdata/events/<api version>/` are made by hand; the newest version has one of each type and
//! case, the others have the ones whose shape has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{EVENT_TYPES, Observed, Parsed, event, event_kind, observe};
use tollgate_domain::observation::Seen;
use tollgate_domain::{EventKind, Observation};

const NEWEST: &str = "2026-10-28.endive";

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/events")
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn read(version: &str, name: &str) -> Vec<u8> {
    std::fs::read(events().join(version).join(name)).unwrap()
}

fn observed(version: &str, name: &str) -> (String, Observed) {
    let body = read(version, name);
    let Parsed::Event(envelope) = event::parse(&body) else {
        panic!("{version}/{name} is no event")
    };
    assert_eq!(envelope.api_version.as_deref(), Some(version), "{name}");
    let observed = observe(&envelope).unwrap_or_else(|error| panic!("{version}/{name}: {error}"));
    (envelope.event_type.into_owned(), observed)
}

fn effect(version: &str, name: &str) -> Observation {
    match observed(version, name).1 {
        Observed::Effect(observation) => observation,
        Observed::Ignored { reason } => panic!("{version}/{name} is ignored: {reason}"),
    }
}

#[test]
fn each_event_is_observed_as_recorded() {
    for name in names(&events().join(NEWEST)) {
        let observed = observed(NEWEST, &name).1;
        let name = name.trim_end_matches(".json");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_debug_snapshot!(name, observed);
        });
    }
}

#[test]
fn every_handled_type_has_an_event_here() {
    let shown: BTreeSet<String> =
        names(&events().join(NEWEST)).iter().map(|name| observed(NEWEST, name).0).collect();
    for handled in EVENT_TYPES {
        assert!(event_kind(handled).is_some(), "{handled}");
        assert!(shown.contains(handled), "no event of type {handled}");
    }
    for shown in shown.iter().filter(|shown| event_kind(shown).is_some()) {
        assert!(EVENT_TYPES.contains(&shown.as_str()), "{shown} would never be sent");
    }
    for ignored in
        ["invoice.created", "invoice.upcoming", "payment_intent.succeeded", "invoice", ""]
    {
        assert!(event_kind(ignored).is_none(), "{ignored}");
    }
}

#[test]
fn one_event_is_one_observation_in_every_api_version() {
    let versions = names(&events());
    assert_eq!(versions.len(), 8);
    let mut compared = 0;
    for version in versions.iter().filter(|version| *version != NEWEST) {
        for name in names(&events().join(version)) {
            assert_eq!(
                comparable(effect(version, &name)),
                comparable(effect(NEWEST, &name)),
                "{name} in {version}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 7 * 5);
}

/// Without what a version cannot know: the lookup key of a price (plans have none, lines show none
/// since basil) and its product (plans had none), and the payments of an invoice (not part of it
/// since basil).
fn comparable(mut observation: Observation) -> Observation {
    match &mut observation.seen {
        Seen::Subscription(seen) => {
            let before = seen.state.previous.as_mut().and_then(|previous| previous.items.as_mut());
            for item in seen.state.items.iter_mut().chain(before.into_iter().flatten()) {
                item.lookup_key = None;
            }
        }
        Seen::Invoice(seen) => {
            let payments = std::mem::take(&mut seen.payments);
            observation.references.retain(|reference| !payments.contains(reference));
            for line in seen.lines.iter_mut().flat_map(|lines| &mut lines.all) {
                (line.lookup_key, line.product) = (None, None);
            }
        }
        Seen::Customer(_)
        | Seen::Session(_)
        | Seen::Schedule(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => {}
    }
    observation
}

#[test]
fn the_price_key_is_kept_where_the_version_has_it() {
    let key = |version| {
        let seen = effect(version, "customer.subscription.updated.upgrade.json").seen;
        let Seen::Subscription(seen) = seen else { panic!("{seen:?}") };
        seen.state.items[0].lookup_key.clone()
    };
    assert_eq!(key("2017-08-15"), None);
    assert_eq!(key("2020-08-27").as_deref(), Some("premium_monthly"));
    assert_eq!(key(NEWEST).as_deref(), Some("premium_monthly"));
}

#[test]
fn both_names_of_a_refund_update_are_one_kind() {
    let new = effect(NEWEST, "refund.updated.json");
    let old = effect(NEWEST, "charge.refund.updated.json");
    assert_eq!((new.kind, old.kind), (EventKind::RefundUpdated, EventKind::RefundUpdated));
    assert_eq!(new.seen, old.seen);
}
