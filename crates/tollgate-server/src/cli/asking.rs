//! Asking from the command line. Owns: opening the engine on the database for one question. Must not
//! know: how answers are shown.

use tollgate_domain::catalog::FeatureKind;
use tollgate_domain::entitlement::forecast::{self, PendingChange};
use tollgate_domain::entitlement::{Answer, CountedSince, Resolution, Usage};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, FeatureKey, SubscriptionId};
use tollgate_domain::{Finding, Timestamp};
use tollgate_store::{Db, facts, findings, usage};

use super::at::At;
use super::context::Context;
use crate::config::Config;
use crate::config::fault::nearest;

/// The database and the present as one instant for the whole command.
pub(super) struct Asking {
    pub(super) config: Config,
    pub(super) db: Db,
    pub(super) now: Timestamp,
}

/// What holds for one account at an instant.
pub(super) struct Resolved {
    pub(super) resolution: Resolution,
    /// The account's open findings, as of now.
    pub(super) findings: Vec<Finding>,
    /// What was known then to change later, the next first.
    pub(super) planned: Vec<(SubscriptionId, PendingChange)>,
    pub(super) at: Timestamp,
}

impl Asking {
    pub(super) async fn open(context: &Context) -> anyhow::Result<Self> {
        let config = context.load_for_data()?;
        let db = context.open(&config).await?;
        Ok(Self { config, db, now: context.clock.now() })
    }

    /// The entitlements of an account; `None`: now. In the past from what was in force then.
    pub(super) async fn resolve(
        &self,
        account: &AccountId,
        at: Option<At>,
    ) -> anyhow::Result<Resolved> {
        let at = at.map_or(Ok(self.now), |at| at.instant(self.now))?;
        let mut facts =
            facts::load(&self.db, account, Window::at(at, self.now, &self.config.catalog)).await?;
        let open = facts.findings.values().filter(|one| one.closed_at.is_none());
        let mut findings: Vec<Finding> = open.cloned().collect();
        findings.extend(findings::about_events_of(&self.db, account).await?);
        if at < self.now {
            facts = facts.as_of(at);
        }
        let catalog = &self.config.catalog;
        let to_come = |change: &PendingChange| change.at > at;
        let mut planned: Vec<_> = facts
            .subscriptions
            .values()
            .filter_map(|one| {
                let change = forecast::pending_change(&facts, one, catalog).filter(to_come)?;
                Some((one.id.clone(), change))
            })
            .collect();
        planned.sort_by_key(|(_, change)| change.at);
        let resolution = if at > self.now {
            forecast::forecast(&facts, catalog, at)
        } else {
            tollgate_domain::resolve(&facts, catalog, at)
        };
        Ok(Resolved { resolution, findings, planned, at })
    }

    /// The answer about one feature.
    pub(super) async fn answer(
        &self,
        account: &AccountId,
        resolved: &Resolved,
        feature: &FeatureKey,
        requested: u64,
    ) -> anyhow::Result<Answer> {
        let catalog = &self.config.catalog;
        let Some(known) = catalog.features.get(feature) else {
            return Err(self.unknown_feature(feature).into());
        };
        let resolution = &resolved.resolution;
        let usage = match known.kind {
            FeatureKind::Metered(period) => {
                let span = resolution.meter_span(period, resolved.at);
                let counters = usage::find(&self.db, account, feature, span.reach).await?;
                let mut since = CountedSince::start_of(span);
                while let Some(before) = since.undecided(&counters) {
                    let earlier = self.resolution_at(account, before).await?;
                    since = since.go_back(earlier.meter_span(period, before));
                }
                let used = since.used(&counters, resolved.at);
                Some(Usage { used, counted: false, resets_at: span.end })
            }
            FeatureKind::Boolean | FeatureKind::Limit => None,
        };
        tollgate_domain::answer(resolution, catalog, feature.as_str(), requested, usage)
            .map_err(|_| self.unknown_feature(feature).into())
    }

    /// The entitlements of an account at an instant, nothing beside.
    async fn resolution_at(
        &self,
        account: &AccountId,
        at: Timestamp,
    ) -> anyhow::Result<Resolution> {
        let catalog = &self.config.catalog;
        let facts = facts::load(&self.db, account, Window::at(at, self.now, catalog)).await?;
        Ok(if at < self.now {
            tollgate_domain::resolve(&facts.as_of(at), catalog, at)
        } else {
            forecast::forecast(&facts, catalog, at)
        })
    }

    fn unknown_feature(&self, feature: &FeatureKey) -> super::Usage {
        let catalog = &self.config.catalog;
        let keys = || catalog.features.keys().map(FeatureKey::as_str);
        let hint = match nearest(feature.as_str(), keys()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("it has {}", keys().collect::<Vec<_>>().join(", ")),
        };
        super::Usage(format!("the catalog {} has no feature {feature}; {hint}", catalog.name))
    }
}
