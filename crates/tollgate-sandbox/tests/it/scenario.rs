//! Stories: every event in every version is read by the engine, and says the same in all.

use std::collections::BTreeSet;

use tollgate_domain::catalog::PriceTarget;
use tollgate_domain::ids::{AccountId, PriceId, PriceRef};
use tollgate_domain::observation::Seen;
use tollgate_domain::payment::InvoiceStatus;
use tollgate_domain::subscription::{SubscriptionState, SubscriptionStatus};
use tollgate_domain::{Catalog, Observation};
use tollgate_sandbox::{ApiVersion, Happening, Scenario, ScenarioOptions, StripeEvent};
use tollgate_stripe::event_kind;

use crate::{NOW, catalog, happenings, observe, options, stories};

/// Leaves out what a version really does not show: lookup keys and products before prices, payments
/// of an invoice since basil; and before invoices had statuses, which unpaid ones are drafts or void.
fn comparable(mut observation: Observation, statuses: bool) -> Observation {
    if let Seen::Subscription(subscription) = &mut observation.seen {
        let previous = subscription.state.previous.iter_mut().filter_map(|p| p.items.as_mut());
        for item in subscription.state.items.iter_mut().chain(previous.flatten()) {
            (item.lookup_key, item.product) = (None, None);
        }
    }
    if let Seen::Invoice(invoice) = &mut observation.seen {
        invoice.payments.clear();
        for line in invoice.lines.iter_mut().flat_map(|lines| &mut lines.all) {
            (line.lookup_key, line.product) = (None, None);
        }
        if !statuses && matches!(invoice.state.status, InvoiceStatus::Draft | InvoiceStatus::Void) {
            invoice.state.status = InvoiceStatus::Open;
        }
    }
    if let Seen::Adjustment(_) = observation.seen {
        // Refunds name their customer since 2026-07-29.
        observation.customer = None;
    }
    observation.references.clear();
    observation
}

#[test]
fn every_event_is_read_and_says_the_same_in_every_version() {
    for (scenario, catalog) in stories() {
        for happening in happenings(scenario, &catalog) {
            let newest = observe(&happening.render(ApiVersion::Endive));
            assert_eq!(newest.is_some(), event_kind(happening.kind()).is_some());
            for version in ApiVersion::ALL {
                let statuses = version > ApiVersion::V2017;
                let same = |seen: Option<Observation>| seen.map(|seen| comparable(seen, statuses));
                let seen = observe(&happening.render(version));
                let kind = happening.kind();
                assert_eq!(same(seen), same(newest.clone()), "{kind} in {version}");
            }
        }
    }
}

#[test]
fn a_story_told_twice_is_the_same_to_the_byte_and_another_seed_has_other_events() {
    let catalog = catalog("sietch");
    let tell = |options: &ScenarioOptions| Scenario::build("dunning", &catalog, options).unwrap();
    let ids = |events: &[StripeEvent]| events.iter().map(|e| e.id.clone()).collect::<BTreeSet<_>>();
    let first = tell(&options());
    assert_eq!(first, tell(&options()));
    let other = tell(&ScenarioOptions { seed: 1, ..options() });
    assert_eq!(first.len(), ids(&first).len());
    assert!(ids(&first).is_disjoint(&ids(&other)));
}

/// What a story's events say of subscriptions, in order.
fn states(name: &str, options: &ScenarioOptions) -> Vec<(String, SubscriptionState)> {
    let events = Scenario::build(name, &catalog("sietch"), options).unwrap();
    let subscription = |observation: Observation| {
        let Seen::Subscription(seen) = observation.seen else { return None };
        Some((seen.id.to_string(), seen.state))
    };
    events.iter().filter_map(observe).filter_map(subscription).collect()
}

/// The subscriptions a story speaks of.
fn subscriptions(name: &str, options: &ScenarioOptions) -> BTreeSet<String> {
    states(name, options).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn stories_of_an_account_share_its_subscription_unless_it_is_fresh() {
    let bought = subscriptions("checkout", &options());
    for story in ["renewal", "dunning", "upgrade", "cancel", "trial", "resume"] {
        assert_eq!(subscriptions(story, &options()), bought, "{story}");
    }
    let later = ScenarioOptions { at: options().at.plus_days(3), seed: 9, ..options() };
    assert_eq!(subscriptions("dunning", &later), bought);
    let fresh = ScenarioOptions { fresh: true, ..options() };
    assert!(subscriptions("checkout", &fresh).is_disjoint(&bought));
    let other = ScenarioOptions { account: AccountId::parse("globex").unwrap(), ..options() };
    assert!(subscriptions("checkout", &other).is_disjoint(&bought));
    assert_eq!(subscriptions("two_subscriptions", &options()).len(), 2);
}

#[test]
fn no_story_reaches_into_the_future_and_each_ends_now() {
    for (scenario, catalog) in stories() {
        let times: Vec<i64> =
            happenings(scenario, &catalog).iter().map(Happening::created).collect();
        assert!(times.is_sorted(), "{}: {times:?}", scenario.name);
        assert_eq!(times.last(), Some(&NOW), "{}", scenario.name);
    }
}

#[test]
fn the_first_failure_of_dunning_is_now() {
    let events = Scenario::build("dunning", &catalog("sietch"), &options()).unwrap();
    let failed: Vec<&StripeEvent> =
        events.iter().filter(|event| event.kind == "invoice.payment_failed").collect();
    assert_eq!(failed.iter().map(|event| event.created).collect::<Vec<_>>(), [NOW]);
    let (_, last) = states("dunning", &options()).pop().unwrap();
    assert_eq!(last.status, SubscriptionStatus::PastDue);
    assert_eq!(last.version.at.unix_seconds(), NOW);
}

#[test]
fn a_paid_invoice_is_told_by_both_names_and_an_act_shares_one_second() {
    let events = Scenario::build("renewal", &catalog("sietch"), &options()).unwrap();
    let now: Vec<&str> =
        events.iter().filter(|event| event.created == NOW).map(|event| &*event.kind).collect();
    let expected = [
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ];
    assert_eq!(now, expected);
}

#[test]
fn before_basil_checkout_makes_an_incomplete_subscription_first() {
    let statuses = |api_version| {
        let options = ScenarioOptions { api_version, ..options() };
        let states = states("checkout", &options);
        states.into_iter().map(|(_, state)| state.status).collect::<Vec<_>>()
    };
    let (incomplete, active) = (SubscriptionStatus::Incomplete, SubscriptionStatus::Active);
    assert_eq!(statuses(ApiVersion::Acacia), [incomplete, active.clone()]);
    assert_eq!(statuses(ApiVersion::Basil), [active]);
}

#[test]
fn every_price_and_owner_is_one_the_engine_knows() {
    for (scenario, catalog) in stories() {
        for happening in happenings(scenario, &catalog) {
            let Some(seen) = observe(&happening.render(ApiVersion::V2017)) else { continue };
            let prices: Vec<PriceId> = if let Seen::Subscription(one) = &seen.seen {
                one.state.items.iter().map(|item| item.price.clone()).collect()
            } else if let Seen::Invoice(one) = &seen.seen {
                let lines = one.lines.iter().flat_map(|lines| &lines.all);
                lines.map(|line| line.price.clone()).collect()
            } else {
                Vec::new()
            };
            for price in prices {
                assert!(catalog.price_target(named(&price)).is_some(), "{price}");
            }
            let owned = matches!(
                seen.seen,
                Seen::Customer(_) | Seen::Subscription(_) | Seen::Session(_) | Seen::Invoice(_)
            );
            let claimed = seen.claim.map(|claim| claim.account.to_string());
            assert!(!owned || claimed.as_deref() == Some("acme"), "{}", happening.kind());
        }
    }
}

fn named(price: &PriceId) -> PriceRef<'_> {
    PriceRef { id: price, lookup_key: None, product: None }
}

#[test]
fn prices_the_catalog_maps_are_used_before_the_sandboxes_own() {
    let mapped = [("premium".to_owned(), vec!["price_1Mapped".to_owned()])];
    let catalog = tollgate_domain::catalog::builtin("sietch").unwrap();
    let events = |catalog| Scenario::build("checkout", &catalog, &options()).unwrap();
    let body = |events: Vec<StripeEvent>| {
        events.into_iter().find(|e| e.kind == "customer.subscription.created").unwrap().body
    };
    let own = body(events(catalog.clone()));
    assert!(own.contains("\"id\": \"price_sietch_premium_monthly\""), "{own}");
    assert!(own.contains("\"lookup_key\": \"sietch_premium_monthly\""), "{own}");
    let theirs = body(events(catalog.with_prices(&mapped).unwrap()));
    assert!(theirs.contains("\"id\": \"price_1Mapped\""), "{theirs}");
}

#[test]
fn the_price_map_names_everything_that_is_sold() {
    let catalog = catalog("sietch");
    let map = tollgate_sandbox::sandbox_price_map(&catalog);
    let targets: Vec<&str> = map.iter().map(|(target, _)| target.as_str()).collect();
    assert_eq!(targets, ["basic", "premium", "exclusive", "elite", "badge", "boost"]);
    let boost = PriceId::parse("price_sietch_boost_monthly").unwrap();
    assert_eq!(catalog.price_target(named(&boost)), Some(PriceTarget::Boost));
}

#[test]
fn what_cannot_be_told_is_explained() {
    let sietch = catalog("sietch");
    let says = |name: &str, catalog: &Catalog, options: &ScenarioOptions, part: &str| {
        let message = Scenario::build(name, catalog, options).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let with_plan = |plan: &str| ScenarioOptions { plan: Some(plan.to_owned()), ..options() };
    says("dunnign", &sietch, &options(), "did you mean \"dunning\"?");
    says("checkout", &sietch, &with_plan("gold"), "it has starter, basic, premium");
    says(
        "checkout",
        &sietch,
        &with_plan("enterprise"),
        "have one: basic, premium, exclusive, elite",
    );
    says("upgrade", &sietch, &with_plan("basic"), "no plan is sold below \"basic\"");
    says("badge", &catalog("saas"), &options(), "sells no badge");
    says("grant", &sietch, &options(), "sells no plan for a span of time");
}
