//! Merges of ledger facts. Owns: how one more observation of an invoice, a checkout session, a
//! refund or a dispute is taken in. Must not know: the account's other facts.
//!
//! Every merge is commutative, associative and idempotent: a maximum along the object's ladder, a
//! minimum of instants, a union of sets. What never changes at Stripe (a session's mode, whom a
//! refund is for) is merged to the least of the values, so that even nonsense converges.

use super::{
    Adjustment, AdjustmentKind, FAILED_ATTEMPTS_MAX, FailedAttempt, Invoice, InvoiceLines,
    InvoicePayment, InvoiceState, InvoiceStatus, Purchase, PurchaseKind, PurchaseLine,
    SessionStatus,
};
use crate::ids::{CustomerId, EventId, MemberId};
use crate::money::Money;
use crate::news::Told;
use crate::observation::{SeenAdjustment, SeenInvoice, SeenSession};
use crate::own_claim::OwnClaim;
use crate::time::Timestamp;

/// Stripe's reason of an invoice that bills a change of a subscription.
const BILLING_REASON_CHANGE: &str = "subscription_update";

impl SeenInvoice {
    /// Whether a subscription is kept by paying it. The first invoice of one starts no grace, for
    /// there is no access to keep yet; nor does that of a change, for what was paid before stays.
    pub fn is_renewal(&self) -> bool {
        let reason = self.state.billing_reason.as_deref();
        self.subscription.is_some()
            && !matches!(reason, Some("subscription_create" | BILLING_REASON_CHANGE))
    }
}

impl Invoice {
    /// An invoice known by one observation; `failed` when its event says that an attempt failed.
    pub fn seen(seen: &SeenInvoice, customer: Option<&CustomerId>, failed: bool) -> Self {
        let attempt = seen.state.attempt_count.max(1);
        let counts =
            failed && usize::try_from(attempt).is_ok_and(|attempt| attempt <= FAILED_ATTEMPTS_MAX);
        Self {
            id: seen.id.clone(),
            subscription: seen.subscription.clone(),
            customer: customer.cloned(),
            state: seen.state.clone(),
            lines: seen.lines.as_ref().map(|shown| InvoiceLines {
                at: seen.state.at,
                event: seen.state.event.clone(),
                status: seen.state.status,
                cut: shown.cut,
                all: shown.all.clone(),
            }),
            failed_attempts: counts
                .then_some(FailedAttempt { attempt, at: seen.state.at })
                .into_iter()
                .collect(),
            paid_at: (seen.state.status == InvoiceStatus::Paid).then_some(seen.state.at),
            told: Told::new(),
        }
    }

    /// Both observations of one invoice together.
    pub fn merged(&self, other: &Self) -> Self {
        let mut state = if ladder(&other.state) > ladder(&self.state) {
            other.state.clone()
        } else {
            self.state.clone()
        };
        // What was paid stays paid: an invoice's `amount_paid` never falls, refunds included.
        state.amount_paid_minor = self.state.amount_paid_minor.max(other.state.amount_paid_minor);
        Self {
            id: self.id.clone(),
            subscription: least(self.subscription.as_ref(), other.subscription.as_ref()),
            customer: least(self.customer.as_ref(), other.customer.as_ref()),
            state,
            lines: best_lines(self.lines.as_ref(), other.lines.as_ref()),
            failed_attempts: united(&self.failed_attempts, &other.failed_attempts),
            paid_at: earliest(self.paid_at, other.paid_at),
            told: &self.told | &other.told,
        }
    }

    /// When it was made, else when it was first seen as it is.
    pub fn made_at(&self) -> Timestamp {
        self.state.created.unwrap_or(self.state.at)
    }

    /// Whether it bills a change of a subscription within its period.
    pub fn bills_change(&self) -> bool {
        self.state.billing_reason.as_deref() == Some(BILLING_REASON_CHANGE)
    }

    /// Whether nothing more is asked for: paid, void or given up.
    pub fn is_settled(&self) -> bool {
        self.state.status >= InvoiceStatus::Uncollectible
    }
}

fn ladder(state: &InvoiceState) -> (InvoiceStatus, Timestamp, u32, &EventId) {
    (state.status, state.at, state.attempt_count, &state.event)
}

/// Lines that are all there outrank a cut list, whenever either was seen; then the invoice's own
/// ladder decides.
fn best_lines(a: Option<&InvoiceLines>, b: Option<&InvoiceLines>) -> Option<InvoiceLines> {
    fn rank(lines: &InvoiceLines) -> impl Ord + use<'_> {
        (!lines.cut, lines.status, lines.at, &lines.event)
    }
    a.into_iter().chain(b).max_by(|one, other| rank(one).cmp(&rank(other))).cloned()
}

impl InvoicePayment {
    /// Both observations of one payment together.
    pub fn merged(&self, other: &Self) -> Self {
        let least = if other.invoice < self.invoice { other } else { self };
        Self { at: self.at.min(other.at), ..least.clone() }
    }
}

fn united(a: &[FailedAttempt], b: &[FailedAttempt]) -> Vec<FailedAttempt> {
    let mut all: Vec<FailedAttempt> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup_by_key(|failed| failed.attempt);
    all
}

impl Purchase {
    /// A session known by one observation; `failed` when its event says that the delayed payment
    /// failed. Paid counts only on a complete session: an open or expired one that needs no
    /// payment has sold nothing.
    pub fn seen(
        seen: &SeenSession,
        member: Option<&MemberId>,
        event: &EventId,
        at: Timestamp,
        failed: bool,
    ) -> Self {
        let paid = seen.paid && seen.status == SessionStatus::Complete;
        Self {
            id: seen.id.clone(),
            mode: seen.mode,
            kind: seen.kind.clone(),
            names_owner: false,
            member: member.cloned(),
            subscription: seen.subscription.clone(),
            payment_intent: seen.payment_intent.clone(),
            lines: merged_lines(&seen.lines, &[]),
            amounts: seen.amounts.clone(),
            total: seen.total,
            status: seen.status,
            paid_at: paid.then_some(at),
            failed_at: failed.then_some(at),
            event: event.clone(),
            own_claim: None,
            sales: Vec::new(),
            told: Told::new(),
        }
    }

    /// Both observations of one session together. What was recorded as sold stays with the first.
    pub fn merged(&self, other: &Self) -> Self {
        Self {
            id: self.id.clone(),
            mode: self.mode,
            kind: if claim_rank(&other.kind) < claim_rank(&self.kind) {
                &other.kind
            } else {
                &self.kind
            }
            .clone(),
            names_owner: self.names_owner || other.names_owner,
            member: least(self.member.as_ref(), other.member.as_ref()),
            subscription: least(self.subscription.as_ref(), other.subscription.as_ref()),
            payment_intent: least(self.payment_intent.as_ref(), other.payment_intent.as_ref()),
            lines: merged_lines(&self.lines, &other.lines),
            amounts: self.amounts.union(&other.amounts).copied().collect(),
            total: greatest_money(self.total, other.total),
            status: self.status.max(other.status),
            paid_at: earliest(self.paid_at, other.paid_at),
            failed_at: earliest(self.failed_at, other.failed_at),
            event: self.deciding(other).event.clone(),
            own_claim: OwnClaim::newest(self.own_claim.as_ref(), other.own_claim.as_ref()),
            sales: self.sales.clone(),
            told: &self.told | &other.told,
        }
    }

    /// The one whose event decides: the earliest that paid, else the least event id.
    fn deciding<'a>(&'a self, other: &'a Self) -> &'a Self {
        let rank = |one: &'a Self| (one.paid_at.is_none(), one.paid_at, &one.event);
        if rank(other) < rank(self) { other } else { self }
    }
}

/// The lines of both, each id once and by id. A line that only has its place is one that a newer
/// shape shows under its id.
fn merged_lines(a: &[PurchaseLine], b: &[PurchaseLine]) -> Vec<PurchaseLine> {
    let mut all: Vec<PurchaseLine> = a.iter().chain(b).cloned().collect();
    if all.iter().any(|line| !line.is_numbered()) {
        all.retain(|line| !line.is_numbered());
    }
    all.sort_unstable();
    all.dedup_by(|later, first| later.id == first.id);
    all
}

/// What is sold outranks nothing; the rest is an order among claims that never compete.
fn claim_rank(kind: &PurchaseKind) -> (u8, Option<&crate::ids::PlanId>) {
    match kind {
        PurchaseKind::Badge => (0, None),
        PurchaseKind::Grant { claimed } => {
            (if claimed.is_some() { 1 } else { 2 }, claimed.as_ref())
        }
        PurchaseKind::Boost => (3, None),
        PurchaseKind::Other => (4, None),
    }
}

fn greatest_money(a: Option<Money>, b: Option<Money>) -> Option<Money> {
    a.into_iter().chain(b).max_by_key(|money| (money.amount_minor, money.currency))
}

impl Adjustment {
    /// A refund, dispute or refund total known by one observation.
    pub fn seen(seen: &SeenAdjustment, event: &EventId, at: Timestamp) -> Self {
        let effective = match seen.kind {
            AdjustmentKind::Refund => &*seen.status == "succeeded",
            AdjustmentKind::Dispute => &*seen.status == "lost",
            AdjustmentKind::ChargeRefunds => &*seen.status == "full",
        };
        Self {
            id: seen.id.clone(),
            kind: seen.kind,
            payment_intent: seen.payment_intent.clone(),
            charge: seen.charge.clone(),
            amount: seen.amount,
            status: seen.status.clone(),
            at,
            event: event.clone(),
            effective_at: effective.then_some(at),
            told: Told::new(),
        }
    }

    /// Both observations of one refund, dispute or refund total together.
    pub fn merged(&self, other: &Self) -> Self {
        let top = if other.ladder() > self.ladder() { other } else { self };
        Self {
            payment_intent: least(self.payment_intent.as_ref(), other.payment_intent.as_ref()),
            charge: least(self.charge.as_ref(), other.charge.as_ref()),
            effective_at: earliest(self.effective_at, other.effective_at),
            told: &self.told | &other.told,
            ..top.clone()
        }
    }

    /// How far along its life an observation is. A refund may fail after it succeeded; an inquiry
    /// may become a dispute; a charge's total of refunds only grows.
    fn ladder(&self) -> (i64, Timestamp, &EventId) {
        let step = match self.kind {
            AdjustmentKind::Refund => match &*self.status {
                "succeeded" => 1,
                "failed" | "canceled" => 2,
                _ => 0,
            },
            AdjustmentKind::Dispute => match &*self.status {
                "warning_needs_response" => 0,
                "warning_under_review" => 1,
                "warning_closed" => 2,
                "needs_response" => 3,
                "won" | "lost" | "prevented" => 5,
                _ => 4,
            },
            AdjustmentKind::ChargeRefunds => self.amount.amount_minor,
        };
        (step, self.at, &self.event)
    }
}

fn least<T: Ord + Clone>(a: Option<&T>, b: Option<&T>) -> Option<T> {
    a.into_iter().chain(b).min().cloned()
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}
