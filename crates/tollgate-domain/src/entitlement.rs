//! Entitlements. Owns: what `resolve` returns, how an answer explains itself. Must not know: HTTP,
//! JSON, caches.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalog::{Allowance, Limit, PerUnit, PlanIndex};
use crate::ids::FeatureKey;
use crate::subscription::SubscriptionState;
use crate::time::Timestamp;

pub mod answer;
mod boost;
pub mod counted;
pub mod forecast;
pub mod grace;
#[cfg(test)]
mod laws;
mod operator_fact;
mod paid;
mod period;
mod purchase;
pub mod resolve;
#[cfg(test)]
pub(crate) mod scenario;
mod sold;
pub mod stale;
mod subscription;
pub mod timeline;

pub use answer::{UnknownFeature, Usage};
pub use counted::{CountedSince, Counter, MeterSpan};
pub use sold::plan_sold;

/// The kinds of sources a plan can come from, the stronger first at equal ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// A fee waiver.
    Waiver,
    /// A Stripe subscription.
    Subscription,
    /// The boost level.
    Boost,
    /// A grant, given or bought.
    Grant,
    /// The default plan.
    Default,
}

crate::names!(SourceKind {
    Waiver => "waiver",
    Subscription => "subscription",
    Boost => "boost",
    Grant => "grant",
    Default => "default",
});

/// What came of considering one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It offers its plan.
    InForce,
    /// It offers its plan only because its grace has not ended.
    InGrace,
    /// It offers nothing, for this reason.
    NotInForce(Absence),
}

/// Why a source or an override does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absence {
    /// Its end has come.
    Expired,
    /// A person took it back.
    Revoked,
    /// Its plan is not in the catalog.
    PlanUnknown,
    /// None of its prices is in the catalog; heals once one is.
    PriceUnknown,
    /// All of its items have the quantity 0.
    NothingSold,
    /// Stripe ended the subscription.
    Canceled,
    /// The end set for the subscription has come, though Stripe has not yet said so.
    Ended,
    /// A payment failed and the grace is over.
    PastDue,
    /// The trial is over and Stripe said nothing of a payment until the grace was over too.
    TrialOver,
    /// Stripe gave up collecting.
    Unpaid,
    /// What was paid for is over and no further payment is known; of the subscription itself Stripe
    /// has told nothing.
    Lapsed,
    /// The paid period is over and no news came until the grace was over too.
    Stale,
    /// Collecting its invoices is paused, and the catalog gives no access meanwhile.
    CollectionPaused,
    /// Its customer was deleted at Stripe.
    CustomerDeleted,
    /// The subscription is paused.
    Paused,
    /// The first payment is missing.
    Incomplete,
    /// The status is not known here and none that is held recently enough.
    StatusUnknown,
    /// There are not enough boosts for a level, and no level is sustained.
    TooFewBoosts,
    /// The purchase is not paid.
    NotPaid,
    /// The purchase's delayed payment failed.
    PaymentFailed,
    /// Neither price nor amount confirms what the purchase claims to be.
    Unconfirmed,
    /// The purchase was refunded in full.
    Refunded,
    /// The purchase was lost in a dispute.
    DisputeLost,
    /// The feature is not in the catalog.
    FeatureUnknown,
    /// A newer override of the same feature counts instead.
    Superseded,
}

crate::names!(Absence {
    Expired => "expired",
    Revoked => "revoked",
    PlanUnknown => "plan_unknown",
    PriceUnknown => "price_unknown",
    NothingSold => "nothing_sold",
    Canceled => "canceled",
    Ended => "ended",
    PastDue => "past_due",
    TrialOver => "trial_over",
    Unpaid => "unpaid",
    Lapsed => "lapsed",
    Stale => "stale",
    CollectionPaused => "collection_paused",
    CustomerDeleted => "customer_deleted",
    Paused => "paused",
    Incomplete => "incomplete",
    StatusUnknown => "status_unknown",
    TooFewBoosts => "too_few_boosts",
    NotPaid => "not_paid",
    PaymentFailed => "payment_failed",
    Unconfirmed => "unconfirmed",
    Refunded => "refunded",
    DisputeLost => "dispute_lost",
    FeatureUnknown => "feature_unknown",
    Superseded => "superseded",
});

impl Absence {
    /// A sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "It has expired.",
            Self::Revoked => "It was taken back.",
            Self::PlanUnknown => "Its plan is not in the catalog.",
            Self::PriceUnknown => "Its price is not in the catalog; map it and the plan counts.",
            Self::NothingSold => "All items of the subscription have the quantity 0.",
            Self::Canceled => "The subscription was canceled.",
            Self::Ended => "The subscription has reached the end that was set for it.",
            Self::PastDue => "A payment failed and the grace period is over.",
            Self::TrialOver => "The trial is over and no payment followed within the grace period.",
            Self::Unpaid => "Stripe gave up collecting the payment.",
            Self::Lapsed => "What was paid for is over and no further payment is known.",
            Self::Stale => {
                "The paid period is over and no news of the subscription came within the grace \
                 period."
            }
            Self::CollectionPaused => "Collecting its invoices is paused.",
            Self::CustomerDeleted => {
                "Its customer was deleted at Stripe, which ends the subscription."
            }
            Self::Paused => "The subscription is paused.",
            Self::Incomplete => "The first payment was not completed.",
            Self::StatusUnknown => "Stripe reports a status that is not known here.",
            Self::TooFewBoosts => "There are too few boosts for a level.",
            Self::NotPaid => "The purchase is not paid.",
            Self::PaymentFailed => "The payment failed.",
            Self::Unconfirmed => {
                "Neither the price nor the amount paid is that of the plan claimed."
            }
            Self::Refunded => "The payment was refunded in full.",
            Self::DisputeLost => "The payment was lost in a dispute.",
            Self::FeatureUnknown => "The feature is not in the catalog.",
            Self::Superseded => "A newer override of the same feature counts instead.",
        }
    }
}

/// One source as it was considered: a line of the explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// What kind of source.
    pub kind: SourceKind,
    /// Its id: a Stripe id or one of ours; `None` for the default plan and the boost level.
    pub id: Option<String>,
    /// The plan it offers or would offer; `None` when its price is unknown.
    pub plan: Option<PlanIndex>,
    /// Units of the plan that were bought, such as seats; `None` for what is not bought by the unit.
    pub units: Option<u64>,
    /// Whether and why it counts.
    pub standing: Standing,
    /// Since when it stands so, as far as known.
    pub since: Option<Timestamp>,
    /// Until when it stands so without a new fact.
    pub until: Option<Timestamp>,
    /// Since when it is held on stale evidence: its paid period is long over without any news.
    pub stale_since: Option<Timestamp>,
    /// What it is paid for.
    pub billing: Option<Billing>,
    /// The Stripe event or the person behind it.
    pub cause: Option<String>,
    /// A sentence for people.
    pub note: Cow<'static, str>,
}

/// The billing period of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billing {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

impl Billing {
    fn of((start, end): (Timestamp, Timestamp)) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    fn of_state(state: &SubscriptionState) -> Option<Self> {
        Self::of((state.period_start()?, state.period_end()?))
    }
}

impl Considered {
    /// Whether it offers its plan, by grace or without.
    pub const fn counts(&self) -> bool {
        matches!(self.standing, Standing::InForce | Standing::InGrace)
    }
}

/// An override as it was considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideConsidered {
    /// Our id, `ov_…`.
    pub id: String,
    /// The feature.
    pub feature: FeatureKey,
    /// Whether it counts, and why not.
    pub standing: Standing,
    /// What it does: `None` off; otherwise the allowance it sets.
    pub sets: Option<Allowance>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// Who set it.
    pub cause: String,
}

/// The outcome of resolving an account's facts at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Whether the account exists.
    pub known: bool,
    /// The revision of the facts it was made from.
    pub revision: u64,
    /// The instant it holds for.
    pub at: Timestamp,
    /// The plan in force.
    pub plan: PlanIndex,
    /// The kind of source that won.
    pub source: SourceKind,
    /// Id of the source that won.
    pub source_id: Option<String>,
    /// The winning subscription is past due and in its grace.
    pub in_grace: bool,
    /// End of that grace.
    pub grace_until: Option<Timestamp>,
    /// Features after overrides; the plan's own map where no override counts.
    pub allowances: Arc<BTreeMap<FeatureKey, Allowance>>,
    /// Units of the plan in force that limits per unit are multiplied by.
    pub units: u64,
    /// How the plan's limits per unit were counted, overrides not regarded.
    pub counted: BTreeMap<FeatureKey, Counted>,
    /// Ids of the overrides in force by feature.
    pub overridden: BTreeMap<FeatureKey, String>,
    /// The billing period of the winning subscription, for metered features.
    pub billing_period: Option<Billing>,
    /// The first instant at which the answer can change without a new fact; `None`: never.
    pub valid_until: Option<Timestamp>,
    /// The first instant at which the explanation can change without a new fact, the answer
    /// perhaps not; `None`: never.
    pub told_until: Option<Timestamp>,
    /// Every source considered, the winner first, then by rank and kind.
    pub considered: Vec<Considered>,
    /// Every override considered.
    pub overrides: Vec<OverrideConsidered>,
}

impl Resolution {
    /// Whether its explanation is still true at an instant, no facts being new.
    pub fn explains(&self, at: Timestamp) -> bool {
        self.told_until.is_none_or(|until| at < until)
    }
}

/// How a limit per unit came to its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Units bought.
    pub units: u64,
    /// What each gives.
    pub per_unit: PerUnit,
}

impl fmt::Display for Counted {
    /// `12 x 1`, or `12 x 1, at most 10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.units, self.per_unit.each)?;
        match self.per_unit.max {
            Some(max) => write!(f, ", at most {max}"),
            None => Ok(()),
        }
    }
}

/// Why a check said what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonCode {
    /// A waiver's plan has it.
    GrantedByWaiver,
    /// A subscription's plan has it.
    GrantedBySubscription,
    /// The boost level's plan has it.
    GrantedByBoost,
    /// A grant's plan has it.
    GrantedByGrant,
    /// An override turned it on.
    GrantedByOverride,
    /// A past-due subscription's plan has it, until its grace ends.
    GrantedByGrace,
    /// The default plan has it.
    GrantedByDefaultPlan,
    /// The plan in force lacks it.
    FeatureNotInPlan,
    /// The limit is used up.
    UsageLimitReached,
    /// A past-due subscription whose grace ended would have it.
    PaymentPastDue,
    /// A cancelled subscription would have it.
    SubscriptionCanceled,
    /// An expired waiver would have it.
    WaiverExpired,
    /// An override turned it off.
    DeniedByOverride,
    /// The account does not exist; whether it may use the feature is up to the default plan.
    AccountUnknown,
}

crate::names!(ReasonCode {
    GrantedByWaiver => "granted_by_waiver",
    GrantedBySubscription => "granted_by_subscription",
    GrantedByBoost => "granted_by_boost",
    GrantedByGrant => "granted_by_grant",
    GrantedByOverride => "granted_by_override",
    GrantedByGrace => "granted_by_grace",
    GrantedByDefaultPlan => "granted_by_default_plan",
    FeatureNotInPlan => "feature_not_in_plan",
    UsageLimitReached => "usage_limit_reached",
    PaymentPastDue => "payment_past_due",
    SubscriptionCanceled => "subscription_canceled",
    WaiverExpired => "waiver_expired",
    DeniedByOverride => "denied_by_override",
    AccountUnknown => "account_unknown",
});

/// The answer to one question about one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// May the account use it?
    pub can_access: bool,
    /// Why.
    pub reason: ReasonCode,
    /// A sentence for people.
    pub message: String,
    /// For a denial: the cheapest plan that allows what was asked; `None` where no plan does, or
    /// where a plan would not help (an override decided).
    pub required_plan: Option<PlanIndex>,
    /// For limits and metered features: the limit.
    pub limit: Option<Limit>,
    /// For metered features: used in the period.
    pub usage: Option<u64>,
    /// The first instant at which this answer can change without a new fact or use: the
    /// resolution's, or the start of the next meter period if that comes first.
    pub valid_until: Option<Timestamp>,
    /// For metered features: when the count starts again.
    pub resets_at: Option<Timestamp>,
    /// The override that decided, when one did.
    pub override_id: Option<String>,
}
