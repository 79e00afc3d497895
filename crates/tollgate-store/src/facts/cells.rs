//! Cells of rows of facts. Owns: the columns of each kind of fact, in the order the reading
//! statements name them, and the fact made of them. Must not know: how rows are fetched.

use serde::Deserialize;
use tollgate_domain::Timestamp;
use tollgate_domain::facts::{
    BoostGrant, Customer, Grant, Override, OverrideEffect, Revocation, Waiver,
};
use tollgate_domain::ids::{
    AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId, ObjectId, PlanId,
    SessionId, SubscriptionId,
};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::payment::{
    Adjustment, AdjustmentKind, Invoice, InvoiceState, InvoiceStatus, Purchase, PurchaseKind,
    SessionMode, SessionStatus,
};

use crate::prose;
use crate::wire;

/// A stored text that is none of the known ones.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadText {
    #[error("{0} is {1:?}, which this version does not know")]
    Word(&'static str, String),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn word<T>(name: &'static str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, BadText> {
    parse(text).ok_or_else(|| BadText::Word(name, text.chars().take(80).collect()))
}

fn unprose(text: &str) -> String {
    prose::from_column(text).into_owned()
}

fn boxed(text: Option<String>) -> Option<Box<str>> {
    text.map(|text| unprose(&text).into())
}

#[derive(Deserialize)]
pub(super) struct CustomerCells {
    #[serde(with = "wire::key")]
    id: CustomerId,
    #[serde(with = "wire::opt_key")]
    member: Option<MemberId>,
    email: Option<String>,
    deleted: i64,
    #[serde(with = "wire::opt_instant")]
    at: Option<Timestamp>,
    #[serde(with = "wire::opt_key")]
    event: Option<EventId>,
}

impl CustomerCells {
    pub(super) fn fact(self) -> Customer {
        Customer {
            id: self.id,
            member: self.member,
            email: boxed(self.email),
            deleted: self.deleted != 0,
            at: self.at,
            event: self.event,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct SubscriptionCells {
    #[serde(with = "wire::key")]
    pub(super) id: SubscriptionId,
    #[serde(with = "wire::opt_key")]
    pub(super) customer: Option<CustomerId>,
    #[serde(with = "wire::opt_key")]
    pub(super) member: Option<MemberId>,
    pub(super) contenders: String,
}

#[derive(Deserialize)]
pub(super) struct StateCells {
    #[serde(with = "wire::key")]
    pub(super) id: SubscriptionId,
    pub(super) state: String,
}

#[derive(Deserialize)]
pub(super) struct InvoiceCells {
    #[serde(with = "wire::key")]
    id: InvoiceId,
    #[serde(with = "wire::opt_key")]
    subscription: Option<SubscriptionId>,
    status: String,
    amount_due: i64,
    amount_paid: i64,
    currency: String,
    attempt_count: i64,
    billing_reason: Option<String>,
    collection_method: Option<String>,
    hosted_url: Option<String>,
    #[serde(with = "wire::opt_instant")]
    period_start: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    period_end: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    created: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    paid_at: Option<Timestamp>,
    failed_attempts: String,
    #[serde(with = "wire::instant")]
    at: Timestamp,
    #[serde(with = "wire::key")]
    event: EventId,
}

impl InvoiceCells {
    pub(super) fn fact(self) -> Result<Invoice, BadText> {
        let state = InvoiceState {
            at: self.at,
            event: self.event,
            status: word("status", &self.status, InvoiceStatus::parse)?,
            amount_due_minor: self.amount_due,
            amount_paid_minor: self.amount_paid,
            currency: word("currency", &self.currency, Currency::parse)?,
            attempt_count: wire::small(self.attempt_count),
            billing_reason: boxed(self.billing_reason),
            collection_method: boxed(self.collection_method),
            hosted_url: boxed(self.hosted_url),
            period_start: self.period_start,
            period_end: self.period_end,
            created: self.created,
        };
        Ok(Invoice {
            id: self.id,
            subscription: self.subscription,
            state,
            failed_attempts: wire::attempts_from_json(&self.failed_attempts)?,
            paid_at: self.paid_at,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct PurchaseCells {
    #[serde(with = "wire::key")]
    id: SessionId,
    mode: String,
    kind: String,
    #[serde(with = "wire::opt_key")]
    claimed: Option<PlanId>,
    #[serde(with = "wire::opt_key")]
    member: Option<MemberId>,
    #[serde(with = "wire::opt_key")]
    subscription: Option<SubscriptionId>,
    #[serde(with = "wire::opt_key")]
    payment_intent: Option<ObjectId>,
    prices: String,
    subtotal: Option<i64>,
    subtotal_currency: Option<String>,
    total: Option<i64>,
    total_currency: Option<String>,
    status: String,
    #[serde(with = "wire::opt_instant")]
    paid_at: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    failed_at: Option<Timestamp>,
    #[serde(with = "wire::key")]
    event: EventId,
}

impl PurchaseCells {
    pub(super) fn fact(self) -> Result<Purchase, BadText> {
        let kind = match self.kind.as_str() {
            "badge" => PurchaseKind::Badge,
            "grant" => PurchaseKind::Grant { claimed: self.claimed },
            "boost" => PurchaseKind::Boost,
            "other" => PurchaseKind::Other,
            _ => return Err(BadText::Word("kind", self.kind)),
        };
        Ok(Purchase {
            id: self.id,
            mode: word("mode", &self.mode, mode)?,
            kind,
            member: self.member,
            subscription: self.subscription,
            payment_intent: self.payment_intent,
            prices: wire::prices_from_json(&self.prices)?,
            subtotal: money(self.subtotal, self.subtotal_currency.as_deref())?,
            total: money(self.total, self.total_currency.as_deref())?,
            status: word("status", &self.status, SessionStatus::parse)?,
            paid_at: self.paid_at,
            failed_at: self.failed_at,
            event: self.event,
        })
    }
}

fn mode(text: &str) -> Option<SessionMode> {
    match text {
        "payment" => Some(SessionMode::Payment),
        "subscription" => Some(SessionMode::Subscription),
        "setup" => Some(SessionMode::Setup),
        _ => None,
    }
}

fn money(amount: Option<i64>, currency: Option<&str>) -> Result<Option<Money>, BadText> {
    let (Some(amount_minor), Some(currency)) = (amount, currency) else { return Ok(None) };
    Ok(Some(Money { amount_minor, currency: word("currency", currency, Currency::parse)? }))
}

#[derive(Deserialize)]
pub(super) struct AdjustmentCells {
    #[serde(with = "wire::key")]
    id: AdjustmentId,
    kind: String,
    #[serde(with = "wire::opt_key")]
    payment_intent: Option<ObjectId>,
    #[serde(with = "wire::opt_key")]
    charge: Option<ObjectId>,
    amount: i64,
    currency: String,
    status: String,
    #[serde(with = "wire::instant")]
    at: Timestamp,
    #[serde(with = "wire::key")]
    event: EventId,
    #[serde(with = "wire::opt_instant")]
    effective_at: Option<Timestamp>,
}

impl AdjustmentCells {
    pub(super) fn fact(self) -> Result<Adjustment, BadText> {
        let currency = word("currency", &self.currency, Currency::parse)?;
        Ok(Adjustment {
            id: self.id,
            kind: word("kind", &self.kind, AdjustmentKind::parse)?,
            payment_intent: self.payment_intent,
            charge: self.charge,
            amount: Money { amount_minor: self.amount, currency },
            status: unprose(&self.status).into(),
            at: self.at,
            event: self.event,
            effective_at: self.effective_at,
        })
    }
}

fn revocation(at: Option<Timestamp>, by: Option<&str>, reason: Option<&str>) -> Option<Revocation> {
    let by = by.map(unprose).unwrap_or_default();
    at.map(|at| Revocation { at, by, reason: reason.map(unprose) })
}

#[derive(Deserialize)]
pub(super) struct WaiverCells {
    #[serde(with = "wire::key")]
    id: FactId,
    #[serde(with = "wire::key")]
    plan: PlanId,
    reason: String,
    granted_by: String,
    #[serde(with = "wire::instant")]
    granted_at: Timestamp,
    #[serde(with = "wire::opt_instant")]
    expires_at: Option<Timestamp>,
    internal_notes: Option<String>,
    #[serde(with = "wire::opt_instant")]
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
    revoke_reason: Option<String>,
}

impl WaiverCells {
    pub(super) fn fact(self) -> Waiver {
        Waiver {
            id: self.id,
            plan: self.plan,
            reason: unprose(&self.reason),
            granted_by: unprose(&self.granted_by),
            granted_at: self.granted_at,
            expires_at: self.expires_at,
            internal_notes: self.internal_notes.as_deref().map(unprose),
            revoked: revocation(
                self.revoked_at,
                self.revoked_by.as_deref(),
                self.revoke_reason.as_deref(),
            ),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct GrantCells {
    #[serde(with = "wire::key")]
    id: FactId,
    #[serde(with = "wire::key")]
    plan: PlanId,
    reason: String,
    granted_by: String,
    #[serde(with = "wire::instant")]
    granted_at: Timestamp,
    #[serde(with = "wire::opt_instant")]
    expires_at: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
    revoke_reason: Option<String>,
}

impl GrantCells {
    pub(super) fn fact(self) -> Grant {
        Grant {
            id: self.id,
            plan: self.plan,
            reason: unprose(&self.reason),
            granted_by: unprose(&self.granted_by),
            granted_at: self.granted_at,
            expires_at: self.expires_at,
            revoked: revocation(
                self.revoked_at,
                self.revoked_by.as_deref(),
                self.revoke_reason.as_deref(),
            ),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct BoostCells {
    #[serde(with = "wire::key")]
    id: FactId,
    #[serde(with = "wire::opt_key")]
    member: Option<MemberId>,
    boost_count: i64,
    reason: String,
    granted_by: String,
    #[serde(with = "wire::instant")]
    granted_at: Timestamp,
    #[serde(with = "wire::opt_instant")]
    expires_at: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
    revoke_reason: Option<String>,
}

impl BoostCells {
    pub(super) fn fact(self) -> BoostGrant {
        BoostGrant {
            id: self.id,
            member: self.member,
            count: wire::small(self.boost_count),
            reason: unprose(&self.reason),
            granted_by: unprose(&self.granted_by),
            granted_at: self.granted_at,
            expires_at: self.expires_at,
            revoked: revocation(
                self.revoked_at,
                self.revoked_by.as_deref(),
                self.revoke_reason.as_deref(),
            ),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct OverrideCells {
    #[serde(with = "wire::key")]
    id: FactId,
    #[serde(with = "wire::key")]
    feature: FeatureKey,
    effect: String,
    reason: String,
    granted_by: String,
    #[serde(with = "wire::instant")]
    granted_at: Timestamp,
    #[serde(with = "wire::opt_instant")]
    expires_at: Option<Timestamp>,
    #[serde(with = "wire::opt_instant")]
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
    revoke_reason: Option<String>,
}

impl OverrideCells {
    pub(super) fn fact(self) -> Result<Override, BadText> {
        Ok(Override {
            id: self.id,
            feature: self.feature,
            effect: word("effect", &self.effect, effect)?,
            reason: unprose(&self.reason),
            granted_by: unprose(&self.granted_by),
            granted_at: self.granted_at,
            expires_at: self.expires_at,
            revoked: revocation(
                self.revoked_at,
                self.revoked_by.as_deref(),
                self.revoke_reason.as_deref(),
            ),
        })
    }
}

fn effect(text: &str) -> Option<OverrideEffect> {
    match text {
        "on" => Some(OverrideEffect::On),
        "off" => Some(OverrideEffect::Off),
        "unlimited" => Some(OverrideEffect::Limit(None)),
        other => {
            let number = other.strip_prefix("limit:")?.parse().ok()?;
            Some(OverrideEffect::Limit(Some(number)))
        }
    }
}
