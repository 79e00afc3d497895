//! Milestones. Owns: what facts can reach and consumers are told of once: predicates that only
//! ever become true as facts are added. Must not know: the event that led there.
//!
//! A decision tells of `milestones(after) - milestones(before)`. Since facts merge the same in
//! any order and a milestone is never left again, each is told exactly once in every order.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::change::{BillingEvent, BillingEventKind, Change};
use crate::facts::Facts;
use crate::ids::{AdjustmentId, InvoiceId, ObjectId, SessionId, SubscriptionId};
use crate::note;
use crate::payment::{Adjustment, Goods, Invoice, InvoiceStatus, Purchase, SessionMode};
use crate::sale;

/// Something an account's facts reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    /// An invoice became final (open or beyond).
    InvoiceFinalized(InvoiceId),
    /// An invoice was given up once.
    InvoiceUncollectible(InvoiceId),
    /// An invoice was paid or voided.
    InvoiceSettled(InvoiceId),
    /// Money was taken for an invoice; one of nothing is no payment.
    InvoicePaid(InvoiceId),
    /// This attempt to collect an invoice failed.
    AttemptFailed(InvoiceId, u32),
    /// This attempt to collect an invoice wanted the customer to act.
    ActionRequired(InvoiceId, u32),
    /// A renewal failed to be collected, which starts the grace.
    GraceStarted(InvoiceId),
    /// Money was taken for a one-time purchase.
    PurchasePaid(SessionId),
    /// The delayed payment of a one-time purchase failed.
    PurchaseFailed(SessionId),
    /// So many badges were bought and paid with one purchase.
    BadgePurchased(SessionId, usize),
    /// The money of so many paid badges was given back or lost.
    BadgeRevoked(SessionId, usize),
    /// So many plans for a span of time were bought and paid with one purchase.
    GrantCreated(SessionId, usize),
    /// The money of so many paid plans was given back or lost.
    GrantRevoked(SessionId, usize),
    /// So many refunds of one charge took effect.
    Refunded(String, usize),
    /// A payment was disputed.
    Disputed(AdjustmentId),
    /// A subscription that carries boosts was in effect.
    BoostPurchased(SubscriptionId),
    /// A subscription that carried boosts ended.
    BoostCanceled(SubscriptionId),
}

impl Milestone {
    /// The billing event that tells of it.
    pub const fn billing_kind(&self) -> BillingEventKind {
        match self {
            Self::InvoiceFinalized(_) | Self::InvoiceUncollectible(_) | Self::InvoiceSettled(_) => {
                BillingEventKind::InvoiceUpdated
            }
            Self::InvoicePaid(_) | Self::PurchasePaid(_) => BillingEventKind::PaymentSucceeded,
            Self::AttemptFailed(..) | Self::PurchaseFailed(_) => BillingEventKind::PaymentFailed,
            Self::ActionRequired(..) => BillingEventKind::PaymentActionRequired,
            Self::GraceStarted(_) => BillingEventKind::GracePeriodStarted,
            Self::BadgePurchased(..) => BillingEventKind::BadgePurchased,
            Self::BadgeRevoked(..) => BillingEventKind::BadgeRevoked,
            Self::GrantCreated(..) => BillingEventKind::GrantCreated,
            Self::GrantRevoked(..) => BillingEventKind::GrantRevoked,
            Self::Refunded(..) => BillingEventKind::PaymentRefunded,
            Self::Disputed(_) => BillingEventKind::PaymentDisputed,
            Self::BoostPurchased(_) => BillingEventKind::BoostPurchased,
            Self::BoostCanceled(_) => BillingEventKind::BoostCanceled,
        }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        match self {
            Self::InvoiceFinalized(id) => format!("Invoice {id} finalized"),
            Self::InvoiceUncollectible(id) => format!("Invoice {id} marked uncollectible"),
            Self::InvoiceSettled(id) => format!("Invoice {id} settled"),
            Self::InvoicePaid(id) => format!("Invoice {id} paid"),
            Self::AttemptFailed(id, attempt) => {
                format!("Attempt {attempt} to collect invoice {id} failed")
            }
            Self::ActionRequired(id, _) => format!("Paying invoice {id} needs the customer to act"),
            Self::GraceStarted(id) => format!("Grace period started: invoice {id} was not paid"),
            Self::PurchasePaid(id) => format!("Purchase {id} paid"),
            Self::PurchaseFailed(id) => format!("Payment of purchase {id} failed"),
            Self::BadgePurchased(id, _) => format!("Badge bought ({id})"),
            Self::BadgeRevoked(id, _) => format!("Badge revoked: the payment of {id} was returned"),
            Self::GrantCreated(id, _) => format!("Plan bought for a span of time ({id})"),
            Self::GrantRevoked(id, _) => format!("Grant revoked: the payment of {id} was returned"),
            Self::Refunded(id, _) => format!("Payment refunded ({id})"),
            Self::Disputed(id) => format!("Payment disputed ({id})"),
            Self::BoostPurchased(id) => format!("Boosts bought ({id})"),
            Self::BoostCanceled(id) => format!("Boosts ended ({id})"),
        }
    }

    /// What consumers are told of it.
    pub(super) fn billing_event(&self, view: &View<'_>) -> BillingEvent {
        let (subscription, invoice) = match self {
            Self::InvoiceFinalized(id)
            | Self::InvoiceUncollectible(id)
            | Self::InvoiceSettled(id)
            | Self::InvoicePaid(id)
            | Self::AttemptFailed(id, _)
            | Self::ActionRequired(id, _)
            | Self::GraceStarted(id) => {
                let subscription = view.invoice(id).and_then(|one| one.subscription.clone());
                (subscription, Some(id.clone()))
            }
            Self::BoostPurchased(id) | Self::BoostCanceled(id) => (Some(id.clone()), None),
            Self::PurchasePaid(_)
            | Self::PurchaseFailed(_)
            | Self::BadgePurchased(..)
            | Self::BadgeRevoked(..)
            | Self::GrantCreated(..)
            | Self::GrantRevoked(..)
            | Self::Refunded(..)
            | Self::Disputed(_) => (None, None),
        };
        BillingEvent {
            kind: self.billing_kind(),
            summary: self.summary(),
            subscription,
            invoice,
            changes: Vec::new(),
        }
    }
}

/// A fact whose change may have reached milestones.
#[derive(Debug, Clone)]
pub enum Touched<'a> {
    /// An invoice.
    Invoice(&'a InvoiceId),
    /// An attempt to collect an invoice that wanted the customer to act.
    Action(&'a InvoiceId, u32),
    /// A checkout session.
    Purchase(&'a SessionId),
    /// A dispute.
    Dispute(&'a AdjustmentId),
    /// The refunds of a charge.
    Refunds(&'a str),
    /// A payment that refunds or disputes may have undone, and with it a purchase.
    Payment(ObjectId),
    /// A subscription that carries boosts.
    Boost(&'a SubscriptionId),
}

/// Facts as they are, or as they will be after changes, without copying them.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    facts: &'a Facts,
    changes: &'a [Change],
}

impl<'a> View<'a> {
    /// The facts as they are.
    pub const fn before(facts: &'a Facts) -> Self {
        Self { facts, changes: &[] }
    }

    /// The facts as they will be after `changes`.
    pub const fn after(facts: &'a Facts, changes: &'a [Change]) -> Self {
        Self { facts, changes }
    }

    fn invoice(&self, id: &InvoiceId) -> Option<&'a Invoice> {
        let changed = self.changes.iter().rev().find_map(|change| {
            if let Change::SaveInvoice(invoice) = change {
                Some(invoice).filter(|one| one.id == *id)
            } else {
                None
            }
        });
        changed.or_else(|| self.facts.invoices.get(id))
    }

    fn purchase(&self, id: &SessionId) -> Option<&'a Purchase> {
        self.changed_purchases()
            .find(|purchase| purchase.id == *id)
            .or_else(|| self.facts.purchases.get(id))
    }

    fn changed_purchases(&self) -> impl Iterator<Item = &'a Purchase> + use<'a> {
        self.changes.iter().filter_map(|change| {
            if let Change::SavePurchase(purchase) = change { Some(purchase) } else { None }
        })
    }

    fn purchases(&self) -> impl Iterator<Item = &'a Purchase> + use<'a> {
        let view = *self;
        let kept = self.facts.purchases.values();
        self.changed_purchases().chain(
            kept.filter(move |kept| !view.changed_purchases().any(|changed| changed.id == kept.id)),
        )
    }

    fn changed_adjustments(&self) -> impl Iterator<Item = &'a Adjustment> + use<'a> {
        self.changes.iter().filter_map(|change| {
            if let Change::SaveAdjustment(adjustment) = change { Some(adjustment) } else { None }
        })
    }

    fn adjustments(&self) -> impl Iterator<Item = &'a Adjustment> + use<'a> {
        let view = *self;
        let kept = self.facts.adjustments.values();
        self.changed_adjustments().chain(
            kept.filter(move |kept| {
                !view.changed_adjustments().any(|changed| changed.id == kept.id)
            }),
        )
    }

    fn count_noted(&self, prefix: &str) -> usize {
        let after = (Bound::Included(prefix), Bound::Unbounded);
        let known = self.facts.noted.range::<str, _>(after);
        let new = self
            .changes
            .iter()
            .filter(|change| matches!(change, Change::Note(noted) if noted.starts_with(prefix)));
        known.take_while(|noted| noted.starts_with(prefix)).count() + new.count()
    }

    fn is_noted(&self, key: &str) -> bool {
        self.facts.noted.contains(key)
            || self
                .changes
                .iter()
                .any(|change| matches!(change, Change::Note(noted) if noted == key))
    }
}

/// The milestones of one touched fact that a view of the facts has reached.
pub fn milestones(view: &View<'_>, touched: &Touched<'_>) -> BTreeSet<Milestone> {
    let mut reached = BTreeSet::new();
    match touched {
        Touched::Invoice(id) => {
            if let Some(invoice) = view.invoice(id) {
                of_invoice(view, invoice, &mut reached);
            }
        }
        Touched::Action(id, attempt) => {
            if view.is_noted(&note::action_required(id, *attempt)) {
                reached.insert(Milestone::ActionRequired((*id).clone(), *attempt));
            }
        }
        Touched::Purchase(id) => {
            if let Some(purchase) = view.purchase(id) {
                of_purchase(view, purchase, &mut reached);
            }
        }
        Touched::Dispute(id) => {
            if view.adjustments().any(|one| one.id == **id) {
                reached.insert(Milestone::Disputed((*id).clone()));
            }
        }
        Touched::Refunds(charge) => {
            let refunds = 1..=refunds_of(view, charge);
            reached.extend(refunds.map(|nth| Milestone::Refunded((*charge).to_owned(), nth)));
        }
        Touched::Payment(payment) => {
            let paid_by = |one: &&Purchase| one.payment_intent.as_ref() == Some(payment);
            for purchase in view.purchases().filter(paid_by) {
                of_purchase(view, purchase, &mut reached);
            }
        }
        Touched::Boost(id) => {
            if view.is_noted(&note::boost_purchased(id)) {
                reached.insert(Milestone::BoostPurchased((*id).clone()));
                if view.is_noted(&note::boost_canceled(id)) {
                    reached.insert(Milestone::BoostCanceled((*id).clone()));
                }
            }
        }
    }
    reached
}

fn of_invoice(view: &View<'_>, invoice: &Invoice, reached: &mut BTreeSet<Milestone>) {
    let id = || invoice.id.clone();
    let status = invoice.state.status;
    if status >= InvoiceStatus::Open {
        reached.insert(Milestone::InvoiceFinalized(id()));
    }
    if status >= InvoiceStatus::Void {
        reached.insert(Milestone::InvoiceSettled(id()));
    }
    if status == InvoiceStatus::Paid && invoice.state.amount_paid_minor > 0 {
        reached.insert(Milestone::InvoicePaid(id()));
    }
    reached.extend(
        invoice.failed_attempts.iter().map(|failed| Milestone::AttemptFailed(id(), failed.attempt)),
    );
    if view.is_noted(&note::uncollectible(&invoice.id)) {
        reached.insert(Milestone::InvoiceUncollectible(id()));
    }
    if view.is_noted(&note::grace_started(&invoice.id)) {
        reached.insert(Milestone::GraceStarted(id()));
    }
}

fn of_purchase(view: &View<'_>, purchase: &Purchase, reached: &mut BTreeSet<Milestone>) {
    let id = || purchase.id.clone();
    // The money of a subscription checkout is its invoice's.
    if purchase.mode != SessionMode::Payment {
        return;
    }
    if purchase.failed_at.is_some() {
        reached.insert(Milestone::PurchaseFailed(id()));
    }
    if purchase.paid_at.is_none() {
        return;
    }
    if purchase.total.is_some_and(|total| total.amount_minor > 0) {
        reached.insert(Milestone::PurchasePaid(id()));
    }
    let undone = sale::was_ever_undone(purchase, view.adjustments());
    let (mut badges, mut plans) = (0, 0);
    for sale in &purchase.sales {
        match &sale.goods {
            Goods::Badge => {
                badges += 1;
                reached.insert(Milestone::BadgePurchased(id(), badges));
                reached.extend(undone.then(|| Milestone::BadgeRevoked(id(), badges)));
            }
            Goods::Plan { .. } => {
                plans += 1;
                reached.insert(Milestone::GrantCreated(id(), plans));
                reached.extend(undone.then(|| Milestone::GrantRevoked(id(), plans)));
            }
        }
    }
}

/// How many refunds of a charge took effect: Stripe tells of each both as a refund and in the
/// charge's total, and older versions in the total alone. Only ever grows.
fn refunds_of(view: &View<'_>, charge: &str) -> usize {
    let refunds = view.count_noted(&note::refunds_of(&charge));
    refunds.max(usize::from(view.is_noted(&note::charge_refunded(&charge))))
}
