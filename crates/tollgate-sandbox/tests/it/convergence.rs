//! Order does not matter: every story, its events in mixed API versions, in any order and with
//! repetitions, ends in the same facts and tells the same number of things.

use tollgate_domain::{Catalog, Observation};
use tollgate_sandbox::{ApiVersion, Happening, Scenario, ScenarioOptions};

use crate::engine::{Engine, run};
use crate::{catalog, happenings, observe, options, stories};

/// Orders tried for each story.
const ORDERS: u64 = 24;

/// What each event with effects says in every version.
fn in_all_versions(happenings: &[Happening]) -> Vec<Vec<Observation>> {
    let shown =
        |one: &Happening| ApiVersion::ALL.iter().filter_map(|v| observe(&one.render(*v))).collect();
    happenings.iter().map(shown).filter(|shown: &Vec<_>| !shown.is_empty()).collect()
}

/// Each event as an endpoint of some version shows it.
fn mixed(shown: &[Vec<Observation>], random: &mut fastrand::Rng) -> Vec<Observation> {
    shown.iter().filter_map(|versions| random.choice(versions)).cloned().collect()
}

fn assert_converges(what: &str, catalog: &Catalog, shown: &[Vec<Observation>], orders: u64) {
    for seed in 0..orders {
        let mut random = fastrand::Rng::with_seed(seed);
        let observations = mixed(shown, &mut random);
        let expected = run(catalog, &observations);
        assert!(!expected.facts.is_empty(), "{what} told nothing");
        assert_eq!(expected.waiting, [], "{what} leaves events waiting");

        let mut shuffled = observations.clone();
        let repeated = observations.iter().filter(|_| random.bool()).cloned();
        shuffled.extend(repeated);
        random.shuffle(&mut shuffled);
        let found = run(catalog, &shuffled);
        assert_eq!(found.facts, expected.facts, "{what}, order {seed}: {}", order(&shuffled));
        assert_eq!(found.told, expected.told, "{what}, order {seed}: {}", order(&shuffled));
        assert_eq!(
            found.links.accounts(),
            expected.links.accounts(),
            "{what}, order {seed}: {}",
            order(&shuffled)
        );
        assert_eq!(found.waiting, [], "{what}, order {seed}: {}", order(&shuffled));
    }
}

fn order(observations: &[Observation]) -> String {
    let names: Vec<String> =
        observations.iter().map(|one| format!("{:?}@{}", one.kind, one.at)).collect();
    names.join(" ")
}

/// The same facts when nothing is recognised as a repetition and every event is decided twice.
fn assert_idempotent(what: &str, catalog: &Catalog, shown: &[Vec<Observation>]) {
    let mut random = fastrand::Rng::with_seed(7);
    let observations = mixed(shown, &mut random);
    let expected = run(catalog, &observations);
    let mut engine = Engine { forgetful: true, ..Engine::default() };
    let mut twice = [observations.clone(), observations].concat();
    random.shuffle(&mut twice);
    for observation in &twice {
        engine.receive(catalog, observation);
    }
    assert_eq!(engine.facts, expected.facts, "{what}");
    assert_eq!(engine.links.accounts(), expected.links.accounts(), "{what}");
}

#[test]
fn every_story_ends_the_same_in_any_order_mix_of_versions_and_repetition() {
    for (scenario, catalog) in stories() {
        let shown = in_all_versions(&happenings(scenario, &catalog));
        assert_converges(scenario.name, &catalog, &shown, ORDERS);
        assert_idempotent(scenario.name, &catalog, &shown);
    }
}

#[test]
fn stories_told_in_the_old_way_end_the_same_too() {
    let catalog = catalog("sietch");
    let options = ScenarioOptions { api_version: ApiVersion::V2022, ..options() };
    for name in ["checkout", "renewal", "upgrade", "dunning_recovered", "dunning_canceled"] {
        let happenings = Scenario::find(name).unwrap().happenings(&catalog, &options).unwrap();
        assert_converges(name, &catalog, &in_all_versions(&happenings), ORDERS);
    }
}

#[test]
fn all_stories_of_one_account_at_once_end_the_same_in_any_order() {
    let catalog = catalog("sietch");
    let mut all = Vec::new();
    for (days, scenario) in (0..).zip(Scenario::list()) {
        let options = ScenarioOptions { at: options().at.plus_days(days), ..options() };
        all.extend(scenario.happenings(&catalog, &options).unwrap_or_default());
    }
    assert!(all.len() > 200);
    assert_converges("all stories", &catalog, &in_all_versions(&all), 8);
}
