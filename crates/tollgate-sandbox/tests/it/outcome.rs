//! What stories come to: the plan an account has at the end of each, in every API version.

use tollgate_domain::entitlement::SourceKind;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Facts, resolve};
use tollgate_sandbox::{ApiVersion, Scenario, ScenarioOptions, StripeEvent, demo};

use crate::engine::run;
use crate::{catalog, now, observe, options};

/// `(catalog, story, plan, source)` at the end of the story.
const OUTCOMES: [(&str, &str, &str, SourceKind); 24] = [
    ("sietch", "checkout", "premium", SourceKind::Subscription),
    ("sietch", "trial", "premium", SourceKind::Subscription),
    ("sietch", "trial_converted", "premium", SourceKind::Subscription),
    ("sietch", "renewal", "premium", SourceKind::Subscription),
    ("sietch", "upgrade", "exclusive", SourceKind::Subscription),
    ("sietch", "downgrade", "basic", SourceKind::Subscription),
    ("sietch", "cancel", "starter", SourceKind::Default),
    ("sietch", "cancel_at_period_end", "premium", SourceKind::Subscription),
    ("sietch", "pause", "starter", SourceKind::Default),
    ("sietch", "resume", "premium", SourceKind::Subscription),
    ("sietch", "two_subscriptions", "elite", SourceKind::Subscription),
    ("sietch", "dunning", "premium", SourceKind::Subscription),
    ("sietch", "dunning_recovered", "premium", SourceKind::Subscription),
    ("sietch", "dunning_canceled", "starter", SourceKind::Default),
    ("sietch", "badge", "starter", SourceKind::Default),
    ("sietch", "boost", "basic", SourceKind::Boost),
    // The level outlives its boosts by the sustain days.
    ("sietch", "boost_canceled", "basic", SourceKind::Boost),
    ("sietch", "refund", "starter", SourceKind::Default),
    ("levels", "grant", "pro", SourceKind::Grant),
    ("levels", "refund", "free", SourceKind::Default),
    ("levels", "dispute", "free", SourceKind::Default),
    ("levels", "async_payment", "pro", SourceKind::Grant),
    ("levels", "async_payment_failed", "free", SourceKind::Default),
    ("saas", "refund", "pro", SourceKind::Subscription),
];

fn facts(catalog: &Catalog, events: &[StripeEvent]) -> Facts {
    let observations: Vec<_> = events.iter().filter_map(observe).collect();
    let mut engine = run(catalog, &observations);
    engine.facts.remove(&AccountId::parse("acme").unwrap()).unwrap()
}

#[test]
fn every_story_comes_to_its_plan_in_every_version() {
    for (name, story, plan, source) in OUTCOMES {
        let catalog = catalog(name);
        for api_version in ApiVersion::ALL {
            let options = ScenarioOptions { api_version, ..options() };
            let events = Scenario::build(story, &catalog, &options).unwrap();
            let resolution = resolve(&facts(&catalog, &events), &catalog, now());
            let found = catalog.plan(resolution.plan).unwrap().id.as_str();
            assert_eq!((found, resolution.source), (plan, source), "{story} in {api_version}");
            assert_eq!(resolution.in_grace, story == "dunning", "{story} in {api_version}");
        }
    }
}

#[test]
fn the_demonstrations_acme_loses_its_plan_a_day_after_dunning() {
    let catalog = catalog("sietch");
    let acme = demo::accounts(&catalog, now().plus_hours(-1)).unwrap().remove(0);
    let mut events = acme.events();
    events.extend(Scenario::build("dunning", &catalog, &options()).unwrap());
    let facts = facts(&catalog, &events);
    let at = |at| {
        let resolution = resolve(&facts, &catalog, at);
        (catalog.plan(resolution.plan).unwrap().id.to_string(), resolution.in_grace)
    };
    let end = now().plus_hours(24);
    assert_eq!(at(now()), ("premium".to_owned(), true));
    assert_eq!(at(end.plus_ms(-1)), ("premium".to_owned(), true));
    assert_eq!(at(end), ("starter".to_owned(), false));
    assert_eq!(at(now().plus_hours(26)), ("starter".to_owned(), false));
    assert_eq!(resolve(&facts, &catalog, now()).valid_until, Some(end));
}
