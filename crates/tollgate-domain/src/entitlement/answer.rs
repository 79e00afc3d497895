//! One question about one feature. Owns: the reason codes and their precedence, the sentence, the
//! plan a denial names. Must not know: where the resolution came from, how usage is counted.
//!
//! A denial's reason is the first of these that holds:
//!
//! 1. `denied_by_override`: an override switched the feature off;
//! 2. `usage_limit_reached`: the feature is there, but not that much of it;
//! 3. `account_unknown`: nobody has spoken of this account yet;
//! 4. `payment_past_due`: a subscription whose payment is overdue would allow it;
//! 5. `subscription_canceled`: a subscription that ended would allow it;
//! 6. `waiver_expired`: an expired waiver would allow it;
//! 7. `feature_not_in_plan`.
//!
//! For an account nobody has spoken of, access by the default plan has the reason
//! `account_unknown` too: a mistyped id is found by its answers.

use super::{Absence, Answer, Considered, ReasonCode, Resolution, SourceKind, Standing};
use crate::catalog::{Allowance, Catalog, Feature, FeatureKind, Limit, PlanIndex};
use crate::time::Timestamp;

/// What was used of a metered feature in its present period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Units used, held reservations included.
    pub used: u64,
    /// The units asked for were counted just now and are among those used.
    pub counted: bool,
    /// When the count starts again.
    pub resets_at: Timestamp,
}

/// The feature asked for is not in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog has no feature {feature:?}")]
pub struct UnknownFeature {
    /// What was asked for, cut to 80 characters.
    pub feature: String,
}

/// Whether the account may use `requested` more units of a feature. A boolean feature allows any
/// number; for a limit `requested` is the number to be had in all; for a metered feature without
/// `usage` nothing counts as used. Where the units were counted already, the answer is about them
/// and its usage includes them.
pub fn answer(
    resolution: &Resolution,
    catalog: &Catalog,
    feature: &str,
    requested: u64,
    usage: Option<Usage>,
) -> Result<Answer, UnknownFeature> {
    let known = catalog.features.get(feature);
    let feature =
        known.ok_or_else(|| UnknownFeature { feature: feature.chars().take(80).collect() })?;
    let usage = usage.filter(|_| matches!(feature.kind, FeatureKind::Metered(_)));
    let used = usage.map_or(0, |usage| usage.used);
    let asked = if usage.is_some_and(|usage| usage.counted) { 0 } else { requested };
    let question = Question { resolution, catalog, feature, units: asked.saturating_add(used) };
    let allowance = resolution.allowances.get(feature.key.as_str()).copied();
    let limit = match allowance {
        Some(Allowance::Limit(limit)) => Some(limit),
        Some(Allowance::On | Allowance::PerUnit(_)) | None => None,
    };
    let override_id = resolution.overridden.get(feature.key.as_str());
    let reason = match allowance {
        Some(allowance) if allows(allowance, question.units) => question.granted(override_id),
        Some(_) => ReasonCode::UsageLimitReached,
        None => question.denied(override_id),
    };
    let can_access = allowance.is_some_and(|allowance| allows(allowance, question.units));
    let decided_by_override = override_id.is_some();
    let required_plan = if can_access || decided_by_override {
        None
    } else {
        catalog.cheapest_plan_allowing(feature.key.as_str(), question.units).map(|(plan, _)| plan)
    };
    let resets_at = usage.map(|usage| usage.resets_at);
    Ok(Answer {
        can_access,
        reason,
        message: question.message(reason, limit, used, required_plan),
        required_plan,
        limit,
        usage: usage.map(|usage| usage.used),
        resets_at,
        valid_until: resolution.valid_until.into_iter().chain(resets_at).min(),
        override_id: override_id.cloned(),
    })
}

fn allows(allowance: Allowance, units: u64) -> bool {
    match allowance {
        Allowance::On => true,
        Allowance::Limit(limit) => limit.allows(units),
        Allowance::PerUnit(per_unit) => per_unit.of(1) >= units,
    }
}

/// A question with all that bears on its answer.
struct Question<'q> {
    resolution: &'q Resolution,
    catalog: &'q Catalog,
    feature: &'q Feature,
    /// Units there would be in all.
    units: u64,
}

impl Question<'_> {
    fn granted(&self, override_id: Option<&String>) -> ReasonCode {
        match self.resolution.source {
            _ if override_id.is_some() => ReasonCode::GrantedByOverride,
            _ if !self.resolution.known => ReasonCode::AccountUnknown,
            _ if self.resolution.in_grace => ReasonCode::GrantedByGrace,
            SourceKind::Waiver => ReasonCode::GrantedByWaiver,
            SourceKind::Subscription => ReasonCode::GrantedBySubscription,
            SourceKind::Boost => ReasonCode::GrantedByBoost,
            SourceKind::Grant => ReasonCode::GrantedByGrant,
            SourceKind::Default => ReasonCode::GrantedByDefaultPlan,
        }
    }

    fn denied(&self, override_id: Option<&String>) -> ReasonCode {
        if override_id.is_some() {
            return ReasonCode::DeniedByOverride;
        }
        if !self.resolution.known {
            return ReasonCode::AccountUnknown;
        }
        self.resolution
            .considered
            .iter()
            .filter(|source| self.would_allow(source))
            .filter_map(lost_because)
            .min()
            .unwrap_or(ReasonCode::FeatureNotInPlan)
    }

    fn would_allow(&self, source: &Considered) -> bool {
        source
            .plan
            .and_then(|index| self.catalog.plan(index))
            .and_then(|plan| plan.allowances.get(self.feature.key.as_str()))
            .map(|allowance| allowance.for_units(source.units.unwrap_or(1)))
            .is_some_and(|allowance| allows(allowance, self.units))
    }

    fn message(
        &self,
        reason: ReasonCode,
        limit: Option<Limit>,
        used: u64,
        required: Option<PlanIndex>,
    ) -> String {
        let feature = &self.feature.name;
        let plan = self.plan_name(self.resolution.plan);
        let needs = match required {
            Some(required) => format!("{feature} needs {}", self.plan_name(required)),
            None => format!("{feature} is in no plan"),
        };
        match reason {
            ReasonCode::GrantedByOverride => format!("{feature} is allowed for this account."),
            ReasonCode::GrantedByGrace => {
                format!("{plan} includes {feature}; a payment is due and the grace period runs.")
            }
            ReasonCode::AccountUnknown
                if self.resolution.allowances.contains_key(self.feature.key.as_str()) =>
            {
                format!(
                    "This account is not known; {plan}, which everyone has, includes {feature}."
                )
            }
            ReasonCode::AccountUnknown => format!("This account is not known; {needs}."),
            ReasonCode::GrantedByWaiver
            | ReasonCode::GrantedBySubscription
            | ReasonCode::GrantedByBoost
            | ReasonCode::GrantedByGrant
            | ReasonCode::GrantedByDefaultPlan => format!("{plan} includes {feature}."),
            ReasonCode::UsageLimitReached => {
                let allowed = limit.and_then(Limit::count).unwrap_or(u64::MAX);
                match self.feature.kind {
                    FeatureKind::Metered(_) => format!("{used} of {allowed} {feature} are used."),
                    FeatureKind::Boolean | FeatureKind::Limit => {
                        format!("{feature}: {} asked for, {allowed} allowed.", self.units)
                    }
                }
            }
            ReasonCode::FeatureNotInPlan => format!("{needs}; this account has {plan}."),
            ReasonCode::PaymentPastDue => {
                format!("A payment is overdue; {feature} comes back once it is paid.")
            }
            ReasonCode::SubscriptionCanceled => {
                format!("The subscription that included {feature} has ended; {needs}.")
            }
            ReasonCode::WaiverExpired => {
                format!("The waiver that included {feature} has expired; {needs}.")
            }
            ReasonCode::DeniedByOverride => format!("{feature} is switched off for this account."),
        }
    }

    fn plan_name(&self, index: PlanIndex) -> &str {
        self.catalog.plan(index).map_or("the plan", |plan| plan.name.as_str())
    }
}

/// The reason a source that no longer counts is to blame for a denial. The order of the codes is
/// their precedence.
const fn lost_because(source: &Considered) -> Option<ReasonCode> {
    match (source.kind, source.standing) {
        (
            SourceKind::Subscription,
            Standing::NotInForce(
                Absence::PastDue
                | Absence::TrialOver
                | Absence::Unpaid
                | Absence::Lapsed
                | Absence::Stale,
            ),
        ) => Some(ReasonCode::PaymentPastDue),
        (
            SourceKind::Subscription,
            Standing::NotInForce(Absence::Canceled | Absence::Ended | Absence::CustomerDeleted),
        ) => Some(ReasonCode::SubscriptionCanceled),
        (SourceKind::Waiver, Standing::NotInForce(Absence::Expired)) => {
            Some(ReasonCode::WaiverExpired)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
