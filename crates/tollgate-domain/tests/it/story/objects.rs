//! What a story tells of: subscriptions, invoices and checkout sessions.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{InvoiceId, PlanId, PriceId};
use tollgate_domain::observation::SeenLines;
use tollgate_domain::payment::{
    InvoiceLine, InvoiceStatus, PurchaseKind, PurchaseLine, SessionMode, SessionStatus,
};
use tollgate_domain::subscription::{
    CollectionPause, PreviousValues, SubscriptionItem, SubscriptionState, SubscriptionStatus,
    Version,
};

use super::START;

/// A subscription as the story knows it; `previous_attributes` are told from the last telling.
#[derive(Debug, Clone)]
pub(crate) struct Sub {
    pub(crate) id: &'static str,
    pub(crate) status: &'static str,
    pub(crate) items: Vec<(&'static str, u64)>,
    pub(crate) month: i64,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) collection_paused: bool,
    pub(crate) items_cut: bool,
    pub(crate) trial: bool,
    pub(crate) invoice: Option<&'static str>,
}

impl Sub {
    pub(crate) fn of(id: &'static str, status: &'static str, price: &'static str) -> Self {
        Self {
            id,
            status,
            items: vec![(price, 1)],
            month: 0,
            cancel_at_period_end: false,
            collection_paused: false,
            items_cut: false,
            trial: false,
            invoice: None,
        }
    }

    pub(super) fn state(&self, version: Version) -> SubscriptionState {
        let month = 30 * 86_400;
        let start = Timestamp::from_unix_seconds(START + self.month * month);
        let end = start.plus_days(30);
        let item = |(price, quantity): &(&str, u64)| SubscriptionItem {
            price: PriceId::parse(price).unwrap(),
            lookup_key: None,
            product: None,
            quantity: *quantity,
            period_start: Some(start),
            period_end: Some(end),
        };
        let shown = if self.items_cut { &self.items[..1] } else { &self.items };
        SubscriptionState {
            version,
            status: SubscriptionStatus::parse(self.status),
            items: shown.iter().map(item).collect(),
            cancel_at_period_end: self.cancel_at_period_end,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            trial_end: self.trial.then(|| start.plus_days(7)),
            collection_pause: self
                .collection_paused
                .then_some(CollectionPause { behavior: Some("void".into()), resumes_at: None }),
            billing_anchor: Some(Timestamp::from_unix_seconds(START)),
            schedule: None,
            pending_update: None,
            items_cut: self.items_cut,
            created: Some(Timestamp::from_unix_seconds(START)),
            latest_invoice: self.invoice.map(|id| InvoiceId::parse(id).unwrap()),
            previous: None,
            covers: Vec::new(),
        }
    }
}

/// The values of `before` that differ from those of `now`, as Stripe lists them.
pub(super) fn previous(
    before: &SubscriptionState,
    now: &SubscriptionState,
) -> Option<Box<PreviousValues>> {
    pub(super) fn changed<T: PartialEq + Clone>(before: &T, now: &T) -> Option<T> {
        (before != now).then(|| before.clone())
    }
    let previous = PreviousValues {
        status: changed(&before.status, &now.status),
        items: changed(&before.items, &now.items),
        cancel_at_period_end: changed(&before.cancel_at_period_end, &now.cancel_at_period_end),
        cancel_at: changed(&before.cancel_at, &now.cancel_at),
        canceled_at: changed(&before.canceled_at, &now.canceled_at),
        ended_at: changed(&before.ended_at, &now.ended_at),
        trial_end: changed(&before.trial_end, &now.trial_end),
        collection_paused: changed(
            &before.collection_pause.is_some(),
            &now.collection_pause.is_some(),
        ),
        schedule: changed(&before.schedule, &now.schedule),
        update_pending: changed(&before.pending_update.is_some(), &now.pending_update.is_some()),
        latest_invoice: changed(&before.latest_invoice, &now.latest_invoice),
    };
    (previous != PreviousValues::default()).then(|| Box::new(previous))
}

/// An invoice as the story knows it.
#[derive(Debug, Clone)]
pub(crate) struct Inv {
    pub(crate) id: &'static str,
    pub(crate) subscription: Option<&'static str>,
    pub(crate) reason: &'static str,
    pub(crate) due: i64,
    pub(crate) status: InvoiceStatus,
    pub(crate) attempts: u32,
    /// Price and quantity of its lines; a negative quantity is given back.
    pub(crate) bills: &'static [(&'static str, i64)],
    pub(crate) cut: bool,
}

impl Inv {
    pub(crate) fn of(id: &'static str, subscription: &'static str, reason: &'static str) -> Self {
        Self {
            id,
            subscription: Some(subscription),
            reason,
            due: 3500,
            status: InvoiceStatus::Open,
            attempts: 0,
            bills: &[("price_premium", 1)],
            cut: false,
        }
    }

    pub(super) fn lines(&self) -> Option<SeenLines> {
        let start = Timestamp::from_unix_seconds(START);
        let line = |(price, quantity): &(&str, i64)| InvoiceLine {
            price: PriceId::parse(price).unwrap(),
            lookup_key: None,
            product: None,
            quantity: quantity.unsigned_abs(),
            amount_minor: quantity.signum() * 100,
            start,
            end: start.plus_days(30),
            proration: *quantity < 0,
            item: None,
        };
        let shown = if self.cut { self.bills.get(..1)? } else { self.bills };
        Some(SeenLines { all: shown.iter().map(line).collect(), cut: self.cut })
    }
}

/// A session as the story knows it.
#[derive(Debug, Clone)]
pub(crate) struct Cs {
    pub(crate) id: &'static str,
    pub(crate) mode: SessionMode,
    pub(crate) kind: PurchaseKind,
    pub(crate) subscription: Option<&'static str>,
    pub(crate) payment_intent: Option<&'static str>,
    pub(crate) lines: Vec<(&'static str, u64)>,
    pub(crate) total: i64,
    pub(crate) status: SessionStatus,
    pub(crate) paid: bool,
}

impl Cs {
    /// A one-time purchase.
    pub(crate) fn payment(
        id: &'static str,
        kind: PurchaseKind,
        pi: &'static str,
        total: i64,
    ) -> Self {
        Self {
            id,
            mode: SessionMode::Payment,
            kind,
            subscription: None,
            payment_intent: Some(pi),
            lines: Vec::new(),
            total,
            status: SessionStatus::Complete,
            paid: true,
        }
    }

    /// The start of a subscription.
    pub(crate) fn subscription(id: &'static str, subscription: &'static str) -> Self {
        Self {
            mode: SessionMode::Subscription,
            subscription: Some(subscription),
            payment_intent: None,
            ..Self::payment(id, PurchaseKind::Other, "pi_none", 3500)
        }
    }

    pub(crate) fn grant(id: &'static str, plan: &str, pi: &'static str, total: i64) -> Self {
        let claimed = Some(PlanId::parse(plan).unwrap());
        Self::payment(id, PurchaseKind::Grant { claimed }, pi, total)
    }
}

pub(super) fn line((place, (price, quantity)): (usize, &(&str, u64))) -> PurchaseLine {
    PurchaseLine {
        id: format!("li_{place}").into(),
        price: PriceId::parse(price).unwrap(),
        lookup_key: None,
        product: None,
        quantity: *quantity,
        total: None,
    }
}
