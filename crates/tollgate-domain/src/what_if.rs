//! What another catalog would do to an account. Owns: the comparison of two catalogs on one
//! account's facts at one instant. Must not know: whose catalog is in force, how many accounts
//! there are, where counts are kept.
//!
//! Both catalogs answer by `resolve`, so a proposal is judged by the very rules that would apply
//! it. Plans are compared by their id and features by their key, which is how accounts, waivers,
//! grants and subscriptions name them.

use std::collections::BTreeSet;

use crate::catalog::{Allowance, Catalog, FeatureKind, Limit};
use crate::entitlement::resolve::resolve;
use crate::entitlement::{Resolution, SourceKind};
use crate::facts::Facts;
use crate::ids::{FeatureKey, PlanId, PriceId};
use crate::payment::Goods;
use crate::sale;
use crate::subscription::SubscriptionState;
use crate::time::Timestamp;

pub mod summary;

pub use summary::{FeatureTally, Sample, Summary, Tally};

/// How much of a feature an account uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The feature.
    pub feature: FeatureKey,
    /// Start of the meter period it was counted in; `None` for what is held without a period,
    /// such as members or seats.
    pub period_start: Option<Timestamp>,
    /// Units.
    pub quantity: u64,
}

/// The plan of an account under each of the two catalogs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanMove {
    /// Today's plan.
    pub before: PlanId,
    /// Where it comes from today.
    pub source_before: SourceKind,
    /// The plan under the proposed catalog.
    pub after: PlanId,
    /// Where it would come from.
    pub source_after: SourceKind,
}

/// A limit that would be another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitMove {
    /// The feature.
    pub feature: FeatureKey,
    /// Today's limit; a boolean feature that is on has none.
    pub before: Limit,
    /// The limit under the proposed catalog.
    pub after: Limit,
}

/// More in use than the proposed catalog allows, though not more than today's does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The feature.
    pub feature: FeatureKey,
    /// Units in use.
    pub used: u64,
    /// Units that would be allowed; 0 where the feature would be gone.
    pub limit: u64,
}

/// Everything that would be different for one account. Lists are sorted by feature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// The plan, when it would be another one.
    pub plan: Option<PlanMove>,
    /// Features it would have and has not.
    pub gained: Vec<FeatureKey>,
    /// Features it has and would not have.
    pub lost: Vec<FeatureKey>,
    /// Limits that would rise.
    pub raised: Vec<LimitMove>,
    /// Limits that would fall.
    pub lowered: Vec<LimitMove>,
    /// What would be over its limit.
    pub exceeded: Vec<Excess>,
    /// Prices of subscriptions that give a plan today and that the proposed catalog does not sell.
    pub unpriced: Vec<PriceId>,
    /// One-time purchases in force that the proposed catalog would sell otherwise or not at all. What
    /// was sold stays sold, so these are no difference.
    pub kept_sales: u64,
    /// Plans of one-time purchases in force for which the proposed catalog has nothing of the same
    /// rank.
    pub lost_grants: Vec<PlanId>,
}

impl Effect {
    /// Whether the proposal changes nothing for the account.
    pub fn is_none(&self) -> bool {
        self == &Self { kept_sales: self.kept_sales, ..Self::default() }
    }

    /// Whether the account would have something it has not.
    pub fn gains(&self) -> bool {
        !self.gained.is_empty() || !self.raised.is_empty()
    }

    /// Whether the account would lack something it has.
    pub fn loses(&self) -> bool {
        !self.lost.is_empty() || !self.lowered.is_empty()
    }

    /// Whether the account would be over a limit it is within today.
    pub fn exceeds(&self) -> bool {
        !self.exceeded.is_empty()
    }
}

/// What `proposed` would change for an account at `at`. For an instant in the past pass
/// `facts.as_of(at)`. `uses` may hold more than is needed: other periods, unknown features.
pub fn what_if(
    facts: &Facts,
    today: &Catalog,
    proposed: &Catalog,
    at: Timestamp,
    uses: &[Use],
) -> Effect {
    let before = resolve(facts, today, at);
    let after = resolve(facts, proposed, at);
    let mut effect = Effect {
        plan: plan_move((&before, today), (&after, proposed)),
        unpriced: unpriced(facts, &before, today, proposed),
        ..Effect::default()
    };
    effect.take_sales(facts, &before, today, proposed);
    let features: BTreeSet<&FeatureKey> =
        before.allowances.keys().chain(after.allowances.keys()).collect();
    for feature in features {
        let had = before.allowances.get(feature).copied();
        let has = after.allowances.get(feature).copied();
        effect.take_feature(feature, had, has);
        let used_before = used(&before, today, feature, at, uses);
        let used_after = if proposed.features.contains_key(feature) {
            used(&after, proposed, feature, at, uses)
        } else {
            used_before
        };
        let over = |used: Option<u64>, allowance| used.filter(|used| !fits(allowance, *used));
        let excess = over(used_after, has);
        if let Some(used) = excess
            && over(used_before, had).is_none()
        {
            let limit = allowed(has).and_then(Limit::count).unwrap_or(0);
            effect.exceeded.push(Excess { feature: feature.clone(), used, limit });
        }
    }
    effect
}

impl Effect {
    /// Past sales that count today: those that stay although they would be sold otherwise, and those
    /// that lose their plan.
    fn take_sales(
        &mut self,
        facts: &Facts,
        before: &Resolution,
        today: &Catalog,
        proposed: &Catalog,
    ) {
        let counting: BTreeSet<&str> = before
            .considered
            .iter()
            .filter(|source| source.kind == SourceKind::Grant && source.counts())
            .filter_map(|source| source.id.as_deref())
            .collect();
        for purchase in counting.into_iter().filter_map(|id| facts.purchases.get(id)) {
            let sold = sale::sales(purchase, today);
            if !sale::same_goods(&sold, &sale::confirmed(purchase, proposed)) {
                self.kept_sales += 1;
            }
            for sale in &sold {
                let stands = proposed.plan_sold(sale).is_some_and(|plan| !plan.lost);
                if let (Goods::Plan { plan, .. }, false) = (&sale.goods, stands) {
                    self.lost_grants.push(plan.clone());
                }
            }
        }
        self.lost_grants.sort_unstable();
        self.lost_grants.dedup();
    }

    fn take_feature(
        &mut self,
        feature: &FeatureKey,
        had: Option<Allowance>,
        has: Option<Allowance>,
    ) {
        match (allowed(had), allowed(has)) {
            (None, Some(_)) => self.gained.push(feature.clone()),
            (Some(_), None) => self.lost.push(feature.clone()),
            (Some(before), Some(after)) if before != after => {
                let moved = LimitMove { feature: feature.clone(), before, after };
                if before.max(after) == after {
                    self.raised.push(moved);
                } else {
                    self.lowered.push(moved);
                }
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn plan_move(
    (before, today): (&Resolution, &Catalog),
    (after, proposed): (&Resolution, &Catalog),
) -> Option<PlanMove> {
    let (from, to) = (today.plan(before.plan)?, proposed.plan(after.plan)?);
    (from.id != to.id).then(|| PlanMove {
        before: from.id.clone(),
        source_before: before.source,
        after: to.id.clone(),
        source_after: after.source,
    })
}

/// The limit an allowance sets; on is without a limit.
fn allowed(allowance: Option<Allowance>) -> Option<Limit> {
    match allowance {
        None => None,
        Some(Allowance::On) => Some(Limit::Unlimited),
        Some(Allowance::Limit(limit)) => Some(limit),
        Some(Allowance::PerUnit(per_unit)) => Some(Limit::Count(per_unit.of(1))),
    }
}

fn fits(allowance: Option<Allowance>, used: u64) -> bool {
    allowed(allowance).map_or(used == 0, |limit| limit.allows(used))
}

/// What is in use of a feature, as this catalog would count it. `None` where nothing is known.
fn used(
    resolution: &Resolution,
    catalog: &Catalog,
    feature: &FeatureKey,
    at: Timestamp,
    uses: &[Use],
) -> Option<u64> {
    let period_start = match catalog.features.get(feature)?.kind {
        FeatureKind::Metered(period) => Some(resolution.meter_span(period, at).start),
        FeatureKind::Boolean | FeatureKind::Limit => None,
    };
    let counted = |one: &&Use| one.feature == *feature && one.period_start == period_start;
    uses.iter().find(counted).map(|one| one.quantity)
}

/// Prices that lose their meaning, of subscriptions that count today.
fn unpriced(
    facts: &Facts,
    before: &Resolution,
    today: &Catalog,
    proposed: &Catalog,
) -> Vec<PriceId> {
    let counting = before
        .considered
        .iter()
        .filter(|source| source.kind == SourceKind::Subscription && source.counts())
        .filter_map(|source| facts.subscriptions.get(source.id.as_deref()?)?.state());
    let mut prices: Vec<PriceId> = counting
        .flat_map(SubscriptionState::selling)
        .filter(|item| {
            let sold_by = |catalog: &Catalog| catalog.price_target(item.price_ref()).is_some();
            sold_by(today) && !sold_by(proposed)
        })
        .map(|item| item.price.clone())
        .collect();
    prices.sort_unstable();
    prices.dedup();
    prices
}

#[cfg(test)]
mod tests;
