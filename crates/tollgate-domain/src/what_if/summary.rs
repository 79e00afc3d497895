//! What another catalog would do to all accounts. Owns: counts over many effects, with a bounded
//! number of accounts as samples. Must not know: how an effect is found.

use std::collections::BTreeMap;

use super::Effect;
use crate::catalog::parse::{FEATURES_MAX, PLANS_MAX, PRICES_MAX};
use crate::ids::{AccountId, FeatureKey, PlanId, PriceId};

/// Most samples kept of each kind.
pub const SAMPLES_MAX: usize = 100;

/// One account and what would be different for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The account.
    pub account: AccountId,
    /// What would be different.
    pub effect: Effect,
}

/// How many accounts, and the first few of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Accounts.
    pub accounts: u64,
    /// The first of them in the order they were taken.
    pub samples: Vec<Sample>,
}

/// In how many accounts a feature would be touched, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeatureTally {
    /// Accounts that would have it and have not.
    pub gained: u64,
    /// Accounts that have it and would not.
    pub lost: u64,
    /// Accounts with a higher limit.
    pub raised: u64,
    /// Accounts with a lower limit.
    pub lowered: u64,
    /// Accounts that would be over the limit.
    pub exceeded: u64,
}

/// The effects of one proposal on many accounts. Its size is bounded by the two catalogs and the
/// number of samples, not by the number of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    samples_max: usize,
    /// Accounts looked at.
    pub accounts: u64,
    /// Accounts for which anything would be different.
    pub changed: u64,
    /// Accounts that would have more. An account can gain and lose.
    pub gaining: Tally,
    /// Accounts that would have less.
    pub losing: Tally,
    /// Accounts that would be over a limit.
    pub exceeding: Tally,
    /// Accounts by today's plan and the one they would have.
    pub moves: BTreeMap<(PlanId, PlanId), u64>,
    /// Features that would be touched.
    pub features: BTreeMap<FeatureKey, FeatureTally>,
    /// Prices that give a plan today and would not, with the accounts that pay them.
    pub unpriced: BTreeMap<PriceId, u64>,
    /// One-time purchases in force that would be sold otherwise and stay as they were sold.
    pub kept_sales: u64,
    /// Plans bought one-time for which nothing of the same rank would be left, with the accounts that
    /// bought them.
    pub lost_grants: BTreeMap<PlanId, u64>,
}

impl Summary {
    /// Nothing yet; keeps so many samples of each kind, at most [`SAMPLES_MAX`].
    pub fn new(samples_max: usize) -> Self {
        Self {
            samples_max: samples_max.min(SAMPLES_MAX),
            accounts: 0,
            changed: 0,
            gaining: Tally::default(),
            losing: Tally::default(),
            exceeding: Tally::default(),
            moves: BTreeMap::new(),
            features: BTreeMap::new(),
            unpriced: BTreeMap::new(),
            kept_sales: 0,
            lost_grants: BTreeMap::new(),
        }
    }

    /// Counts one account. Accounts taken in the order of their ids make samples that are the
    /// same each time.
    pub fn add(&mut self, account: &AccountId, effect: &Effect) {
        self.accounts += 1;
        self.kept_sales = self.kept_sales.saturating_add(effect.kept_sales);
        if effect.is_none() {
            return;
        }
        self.changed += 1;
        if let Some(moved) = &effect.plan {
            *self.moves.entry((moved.before.clone(), moved.after.clone())).or_default() += 1;
        }
        for (tally, counts) in [
            (&mut self.gaining, effect.gains()),
            (&mut self.losing, effect.loses()),
            (&mut self.exceeding, effect.exceeds()),
        ] {
            if !counts {
                continue;
            }
            tally.accounts += 1;
            if tally.samples.len() < self.samples_max {
                tally.samples.push(Sample { account: account.clone(), effect: effect.clone() });
            }
        }
        self.add_features(effect);
        for plan in &effect.lost_grants {
            // Plans of the past: more than a catalog has are not listed one by one.
            if self.lost_grants.len() < PLANS_MAX || self.lost_grants.contains_key(plan) {
                *self.lost_grants.entry(plan.clone()).or_default() += 1;
            }
        }
        for price in &effect.unpriced {
            if self.unpriced.len() < PRICES_MAX || self.unpriced.contains_key(price) {
                *self.unpriced.entry(price.clone()).or_default() += 1;
            }
        }
    }

    fn add_features(&mut self, effect: &Effect) {
        let touched = &mut self.features;
        let mut count = |feature: &FeatureKey, field: fn(&mut FeatureTally) -> &mut u64| {
            // Two catalogs have no more features than this, so none is left out.
            if touched.len() < 2 * FEATURES_MAX || touched.contains_key(feature) {
                *field(touched.entry(feature.clone()).or_default()) += 1;
            }
        };
        effect.gained.iter().for_each(|one| count(one, |tally| &mut tally.gained));
        effect.lost.iter().for_each(|one| count(one, |tally| &mut tally.lost));
        effect.raised.iter().for_each(|one| count(&one.feature, |tally| &mut tally.raised));
        effect.lowered.iter().for_each(|one| count(&one.feature, |tally| &mut tally.lowered));
        effect.exceeded.iter().for_each(|one| count(&one.feature, |tally| &mut tally.exceeded));
    }
}
