//! The one function everything rests on: which plan an account has at an instant, and why. Owns:
//! precedence among sources and the exact end of the outcome. Must not know: how each source
//! works (`subscription`, `boost`, `purchase`, `operator_fact`), caches, usage.
//!
//! The highest plan offered by any source in force wins; at equal plans waiver, subscription,
//! boost, grant, default in this order; then what is not in grace, then the later end. Overrides
//! are applied to their features afterwards.
//!
//! Nothing begins by itself: what is known counts from then on. So without a new fact an outcome
//! changes only when the winner ends, an override in force ends, or what limits per unit are
//! multiplied by ends, and `valid_until` is the earliest of the three: the next source differs from
//! the winner in plan, source or grace.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

pub use super::grace::{GraceWindow, grace_windows};
pub use super::purchase::grant_ends;
pub use super::subscription::UNKNOWN_STATUS_HOLD_HOURS;

use super::stale::stale_since;
use super::{
    Considered, Counted, Resolution, SourceKind, Standing, boost, operator_fact, paid, purchase,
    subscription,
};
use crate::catalog::{Allowance, Catalog, Plan, PlanIndex};
use crate::facts::Facts;
use crate::ids::FeatureKey;
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
    let bought = Units::of(&considered, plan);
    let given = catalog.plan(plan).map(|plan| plan.allowances_for(bought.units));
    let overridden =
        operator_fact::override_features(&given.unwrap_or_default(), facts, catalog, at);
    let counted = catalog.plan(plan).map_or_else(BTreeMap::new, |plan| bought.counted(plan));
    let ends = until.into_iter().chain(bought.until.filter(|_| !counted.is_empty()));
    Resolution {
        known: facts.known,
        revision: facts.revision,
        at,
        plan,
        source,
        billing_period: winner.and_then(|winner| winner.billing),
        source_id,
        in_grace,
        grace_until: until.filter(|_| in_grace),
        allowances: overridden.allowances,
        units: bought.units,
        overridden: overridden.by,
        valid_until: ends.chain(overridden.until).min(),
        told_until: told_until(facts, &considered, at).into_iter().chain(overridden.until).min(),
        counted,
        considered,
        overrides: overridden.considered,
    }
}

/// Units that limits per unit are multiplied by, and until when they are that many.
struct Units {
    units: u64,
    until: Option<Timestamp>,
}

impl Units {
    /// What was bought of the plan in force. A plan that was given (a waiver, a gift, a boost level)
    /// has no units of its own: it counts those of whatever is paid beside it, so that being given
    /// a plan never lowers what somebody pays for, and else one.
    fn of(considered: &[Considered], plan: PlanIndex) -> Self {
        let bought = considered.first().is_some_and(|winner| winner.units.is_some());
        let counts =
            |source: &&Considered| source.counts() && (!bought || source.plan == Some(plan));
        let most = considered
            .iter()
            .filter(counts)
            .filter_map(|source| Some((source.units?, source.until.unwrap_or(Timestamp::MAX))))
            .max();
        match most {
            Some((units, until)) if units > 1 || bought => {
                Self { units, until: Some(until).filter(|until| *until < Timestamp::MAX) }
            }
            Some(_) | None => Self { units: 1, until: None },
        }
    }

    fn counted(&self, plan: &Plan) -> BTreeMap<FeatureKey, Counted> {
        let per_unit = |(key, allowance): (&FeatureKey, &Allowance)| match allowance {
            Allowance::PerUnit(per_unit) => {
                Some((key.clone(), Counted { units: self.units, per_unit: *per_unit }))
            }
            Allowance::On | Allowance::Limit(_) => None,
        };
        plan.allowances.iter().filter_map(per_unit).collect()
    }
}

/// When the explanation changes: any source ends, or grows stale.
fn told_until(facts: &Facts, considered: &[Considered], at: Timestamp) -> Option<Timestamp> {
    let ends = considered.iter().filter_map(|source| source.until);
    let stale = facts.subscriptions.values().filter_map(|one| stale_since(one, facts));
    ends.chain(stale).filter(|instant| *instant > at).min()
}

fn consider_all(facts: &Facts, catalog: &Catalog, at: Timestamp) -> Vec<Considered> {
    let mut all = Vec::with_capacity(facts.operator_facts.len() + facts.subscriptions.len() + 2);
    let given = facts.operator_facts.values();
    all.extend(given.filter_map(|fact| operator_fact::consider(fact, catalog, at)));
    let one = |known: &Subscription| subscription::consider(known, facts, catalog, at);
    all.extend(facts.subscriptions.values().filter_map(one));
    let paid = paid::without_subscription(facts).into_iter();
    all.extend(paid.filter_map(|(id, customer)| {
        subscription::consider_unknown(id, customer, facts, catalog, at)
    }));
    all.extend(boost::consider(facts, catalog, at));
    let bought = facts.purchases.values();
    all.extend(bought.flat_map(|bought| purchase::consider(bought, facts, catalog, at)));
    all.push(Considered {
        kind: SourceKind::Default,
        id: None,
        plan: Some(catalog.default_plan),
        units: None,
        standing: Standing::InForce,
        since: None,
        until: None,
        stale_since: None,
        billing: None,
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

#[cfg(test)]
mod tests;
