//! Tests of the sandbox against the crates that read what it writes. Owns: the catalogs and stories
//! the tests share. Must not know: how the sandbox makes its events.

#![cfg(test)]

use tollgate_domain::catalog::builtin;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Observation, Timestamp};
use tollgate_sandbox::{Happening, Scenario, ScenarioError, ScenarioOptions, StripeEvent};
use tollgate_stripe::{Observed, Parsed};

mod convergence;
mod engine;
mod event;
mod life;
mod outcome;
mod scenario;
mod server;

/// 2026-11-21T10:00:00Z
const NOW: i64 = 1_795_255_200;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn options() -> ScenarioOptions {
    ScenarioOptions::new(AccountId::parse("acme").unwrap(), now())
}

/// A built-in catalog that knows the sandbox's prices, as in a development server.
fn catalog(name: &str) -> Catalog {
    let catalog = builtin(name).unwrap();
    let prices = tollgate_sandbox::sandbox_price_map(&catalog);
    catalog.with_prices(&prices).unwrap()
}

/// Every story with the catalogs that have something to sell for it; at least one each.
fn stories() -> Vec<(&'static Scenario, Catalog)> {
    let mut stories = Vec::new();
    let catalogs = ["sietch", "levels", "saas"].map(catalog);
    for scenario in Scenario::list() {
        let before = stories.len();
        for catalog in &catalogs {
            match scenario.happenings(catalog, &options()) {
                Ok(_) => stories.push((scenario, catalog.clone())),
                Err(ScenarioError::NotOffered { .. } | ScenarioError::NoNeighbour { .. }) => {}
                Err(error) => panic!("{}: {error}", scenario.name),
            }
        }
        assert!(stories.len() > before, "no catalog offers {}", scenario.name);
    }
    stories
}

fn happenings(scenario: &Scenario, catalog: &Catalog) -> Vec<Happening> {
    scenario.happenings(catalog, &options()).unwrap()
}

/// What the engine reads; `None` for an event type without effects.
fn observe(event: &StripeEvent) -> Option<Observation> {
    let Parsed::Event(envelope) = tollgate_stripe::event::parse(event.body.as_bytes()) else {
        panic!("no event: {}", event.body);
    };
    assert_eq!(envelope.id.as_str(), event.id);
    assert_eq!(envelope.event_type, event.kind);
    assert_eq!(envelope.created.unix_seconds(), event.created);
    assert_eq!(envelope.api_version.as_deref(), Some(event.api_version.as_str()));
    match tollgate_stripe::observe(&envelope) {
        Ok(Observed::Effect(observation)) => Some(observation),
        Ok(Observed::Ignored { .. }) => None,
        Err(error) => panic!("{error}: {}", event.body),
    }
}
