//! Uses of metered features. Owns: how much is used, and counting all uses of one call or none.
//! Must not know: HTTP, how entitlements are found.

use std::collections::BTreeSet;

use tollgate_domain::Timestamp;
use tollgate_domain::catalog::{Allowance, Feature, FeatureKind, Limit};
use tollgate_domain::entitlement::{CountedSince, MeterSpan, Resolution, Usage};
use tollgate_domain::ids::{AccountId, FeatureKey};
use tollgate_store::{Db, StoreError, Tx, usage};

use crate::engine::{Engine, ReadAt, ReadError};

/// A question about a metered feature.
#[derive(Debug, Clone, Copy)]
pub struct Metered<'a> {
    /// Whose usage.
    pub account: &'a AccountId,
    /// Which feature.
    pub feature: &'a Feature,
    /// How many uses are asked for.
    pub requested: u64,
    /// Count them if they are allowed.
    pub consume: bool,
    /// The instant whose period counts.
    pub at: Timestamp,
}

/// A question that is ready to be looked up or counted: everything that can be refused was looked
/// at before.
#[derive(Debug, Clone)]
pub struct Meter<'a> {
    account: &'a AccountId,
    feature: &'a FeatureKey,
    span: MeterSpan,
    /// Which uses count.
    since: CountedSince,
    at: Timestamp,
    /// Uses to be counted if they fit; `None` for a question alone.
    consume: Option<u64>,
    /// Most uses in the period.
    limit: u64,
}

impl<'a> Meter<'a> {
    /// Whether uses of the feature can be counted if that is asked for.
    pub fn check(feature: &Feature, consume: bool) -> Result<(), ReadError> {
        let metered = matches!(feature.kind, FeatureKind::Metered(_));
        if consume && !metered {
            return Err(ReadError::NotMetered(feature.key.to_string()));
        }
        Ok(())
    }

    /// Where the answer to a question is counted. `None` for a feature that is not metered, or that
    /// the account does not have.
    pub async fn of(
        engine: &Engine,
        resolution: &Resolution,
        metered: Metered<'a>,
    ) -> Result<Option<Self>, ReadError> {
        let Metered { account, feature, requested, consume, at } = metered;
        Self::check(feature, consume)?;
        let FeatureKind::Metered(period) = feature.kind else { return Ok(None) };
        let Some(allowance) = resolution.allowances.get(&feature.key) else { return Ok(None) };
        let limit = match allowance {
            Allowance::On => Limit::Unlimited,
            Allowance::Limit(limit) => *limit,
            Allowance::PerUnit(per_unit) => Limit::Count(per_unit.of(resolution.units)),
        };
        let limit = limit.count().map_or(usage::QUANTITY_MAX, |max| max.min(usage::QUANTITY_MAX));
        let span = resolution.meter_span(period, at);
        let mut since = CountedSince::start_of(span);
        if span.is_billed {
            let counters = usage::find(&engine.db, account, &feature.key, span.reach).await?;
            while let Some(before) = since.undecided(&counters) {
                let read = ReadAt { at: Some(before), ..ReadAt::default() };
                let entry = engine.resolve(account, read).await?;
                since = since.go_back(entry.resolution.meter_span(period, before));
            }
        }
        let consume = consume.then_some(requested);
        Ok(Some(Self { account, feature: &feature.key, span, since, at, consume, limit }))
    }

    const fn usage(&self, used: u64, counted: bool) -> Usage {
        Usage { used, counted, resets_at: self.span.end }
    }

    async fn look(&self, db: &Db) -> Result<Usage, StoreError> {
        let counters = usage::find(db, self.account, self.feature, self.span.reach).await?;
        Ok(self.usage(self.since.used(&counters, self.at), false))
    }

    async fn count(&self, tx: &mut Tx) -> Result<Usage, StoreError> {
        let counters = usage::find_in(tx, self.account, self.feature, self.span.reach).await?;
        // Another instance may have begun a period by a clock that is a little ahead.
        let until = if self.consume.is_some() { Timestamp::MAX } else { self.at };
        let used = self.since.used(&counters, until);
        let left = self.limit.saturating_sub(used);
        let fits = |wanted: &u64| *wanted <= left && used <= self.limit;
        let Some(wanted) = self.consume.filter(fits) else {
            return Ok(self.usage(used, false));
        };
        usage::add(tx, (self.account, self.feature), self.span, wanted, self.at).await?;
        Ok(self.usage(used.saturating_add(wanted), true))
    }
}

/// How much is used, question by question, each seeing what those before it counted. `None` stays
/// `None`. All uses of one call are counted in one transaction: when it fails none is.
pub async fn usages(
    engine: &Engine,
    meters: &[Option<Meter<'_>>],
) -> Result<Vec<Option<Usage>>, ReadError> {
    let counting = meters.iter().flatten().filter(|meter| meter.consume.is_some());
    let features: BTreeSet<_> = counting.map(|meter| (meter.account, meter.feature)).collect();
    if features.is_empty() {
        let mut usages = Vec::with_capacity(meters.len());
        for meter in meters {
            usages.push(match meter {
                Some(meter) => Some(meter.look(&engine.db).await?),
                None => None,
            });
        }
        return Ok(usages);
    }
    let features = &features;
    let counted = engine.db.write(|mut tx| async move {
        usage::lock(&mut tx, features).await?;
        let mut usages = Vec::with_capacity(meters.len());
        for meter in meters {
            usages.push(match meter {
                Some(meter) => Some(meter.count(&mut tx).await?),
                None => None,
            });
        }
        Ok((tx, usages))
    });
    Ok(counted.await?)
}
