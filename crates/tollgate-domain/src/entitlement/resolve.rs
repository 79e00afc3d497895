//! The one function everything rests on: which plan an account has at an instant, and why. Owns:
//! precedence among sources and the exact end of the outcome. Must not know: how each source
//! works (`subscription`, `boost`, `purchase`, `own`), caches, usage.
//!
//! The highest plan offered by any source in force wins; at equal plans waiver, subscription,
//! boost, grant, default in this order; then what is not in grace, then the later end. Overrides
//! are applied to their features afterwards.
//!
//! Nothing begins by itself: what is known counts from then on. So without a new fact an outcome
//! changes only when the winner ends or an override in force ends, and `valid_until` is the
//! earlier of the two: the next source differs from the winner in plan, source or grace.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

pub use super::grace::{GraceWindow, grace_windows};
pub use super::purchase::grant_end;
pub use super::subscription::UNKNOWN_STATUS_HOLD_HOURS;

use super::{Considered, Resolution, SourceKind, Standing, boost, own, purchase, subscription};
use crate::catalog::Catalog;
use crate::facts::Facts;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// What the account is entitled to at `at`, by everything in `facts`. For an instant in the past
/// pass `facts.as_of(at)`; for one in the future this is the forecast with today's facts.
pub fn resolve(facts: &Facts, catalog: &Catalog, at: Timestamp) -> Resolution {
    let mut considered = consider_all(facts, catalog, at);
    considered.sort_by(strongest_first);
    // The default plan is always in force, so the first one counts.
    let winner = considered.first();
    let plan = winner.and_then(|winner| winner.plan).unwrap_or(catalog.default_plan);
    let source = winner.map_or(SourceKind::Default, |winner| winner.kind);
    let source_id = winner.and_then(|winner| winner.id.clone());
    let until = winner.and_then(|winner| winner.until);
    let in_grace = winner.is_some_and(|winner| winner.standing == Standing::InGrace);
    let none = Arc::default();
    let given = catalog.plan(plan).map_or(&none, |plan| &plan.allowances);
    let overridden = own::override_features(given, &facts.overrides, catalog, at);
    Resolution {
        known: facts.known,
        revision: facts.revision,
        at,
        plan,
        source,
        billing_period: source_id.as_deref().and_then(|id| billing_period(facts, source, id)),
        source_id,
        in_grace,
        grace_until: until.filter(|_| in_grace),
        allowances: overridden.allowances,
        overridden: overridden.by,
        valid_until: until.into_iter().chain(overridden.until).min(),
        considered,
        overrides: overridden.considered,
    }
}

fn consider_all(facts: &Facts, catalog: &Catalog, at: Timestamp) -> Vec<Considered> {
    let mut all = Vec::with_capacity(
        facts.waivers.len() + facts.subscriptions.len() + facts.grants.len() + 2,
    );
    all.extend(facts.waivers.iter().map(|waiver| own::consider_waiver(waiver, catalog, at)));
    let one = |known: &Subscription| subscription::consider(known, facts, catalog, at);
    all.extend(facts.subscriptions.values().filter_map(one));
    all.extend(boost::consider(facts, catalog, at));
    all.extend(facts.grants.iter().map(|grant| own::consider_grant(grant, catalog, at)));
    let bought = facts.purchases.values();
    all.extend(bought.filter_map(|bought| purchase::consider(bought, facts, catalog, at)));
    all.push(Considered {
        kind: SourceKind::Default,
        id: None,
        plan: Some(catalog.default_plan),
        standing: Standing::InForce,
        since: None,
        until: None,
        cause: None,
        note: Cow::Borrowed("The plan of whoever has no other."),
    });
    all
}

/// Sources in force before others; in both groups by plan and kind. The ids make the order total.
fn strongest_first(one: &Considered, other: &Considered) -> Ordering {
    fn strength(source: &Considered) -> impl Ord + use<'_> {
        (
            Reverse(source.counts()),
            Reverse(source.plan),
            source.kind,
            source.standing == Standing::InGrace,
            Reverse(source.until.unwrap_or(Timestamp::MAX)),
            source.id.as_deref(),
        )
    }
    strength(one).cmp(&strength(other))
}

fn billing_period(facts: &Facts, source: SourceKind, id: &str) -> Option<(Timestamp, Timestamp)> {
    if source != SourceKind::Subscription {
        return None;
    }
    let state = facts.subscriptions.get(id)?.state()?;
    let (start, end) = (state.period_start()?, state.period_end()?);
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests;
