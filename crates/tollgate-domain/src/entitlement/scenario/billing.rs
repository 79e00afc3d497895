//! What is billed and planned, for scenarios: invoices with their lines, schedules.

use super::{Line, time};
use std::collections::BTreeMap;

use crate::ids::{CustomerId, InvoiceId, ObjectId, PriceId, SubscriptionId};
use crate::money::Currency;
use crate::news::Told;
use crate::payment::{
    FailedAttempt, Invoice, InvoiceLine, InvoiceLines, InvoiceState, InvoiceStatus,
};
use crate::subscription::{Phase, PlannedItem, Schedule, ScheduleVersion};

/// Planned items such as `basic+boost*2`.
pub(super) fn planned(items: &str) -> Vec<PlannedItem> {
    let item = |item: &str| {
        let (what, quantity) = item.split_once('*').unwrap_or((item, "1"));
        PlannedItem {
            price: PriceId::parse(&format!("price_{what}")).unwrap(),
            lookup_key: None,
            product: None,
            interval: None,
            quantity: quantity.parse().unwrap(),
        }
    };
    items.split('+').map(item).collect()
}

/// A line such as `-si1/basic*2:10d..30d`: given back, of the item `si1`; `basic=0:0d..7d` costs
/// nothing.
fn line(text: &str) -> InvoiceLine {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (what, span) = text.split_once(':').unwrap();
    let (start, end) = span.split_once("..").unwrap();
    let (item, what) = what.split_once('/').unwrap_or(("si", what));
    let (what, free) = what.strip_suffix("=0").map_or((what, false), |what| (what, true));
    let (what, quantity) = what.split_once('*').unwrap_or((what, "1"));
    InvoiceLine {
        price: PriceId::parse(&format!("price_{what}")).unwrap(),
        lookup_key: None,
        product: None,
        quantity: quantity.parse().unwrap(),
        amount_minor: if free { 0 } else { sign * 100 },
        start: time(start),
        end: time(end),
        proration: sign < 0,
        item: Some(ObjectId::parse(item).unwrap()),
    }
}

impl Line<'_> {
    pub(super) fn schedule(&self, id: &str, subscription: &str, phases: &str) -> Schedule {
        let phase = |phase: &str| {
            let (items, span) = phase.split_once(':').unwrap();
            let (start, end) = span.split_once("..").unwrap();
            let end = (!end.is_empty()).then(|| time(end));
            Phase { start: time(start), end, items: planned(items) }
        };
        let version =
            ScheduleVersion { over: self.has("over"), at: self.at, rank: 1, event: self.event() };
        Schedule {
            id: ObjectId::parse(id).unwrap(),
            subscription: Some(SubscriptionId::parse(subscription).unwrap()),
            version,
            phases: phases.split(',').map(phase).collect(),
            cancels: self.has("cancels"),
            tied: false,
            prices: BTreeMap::new(),
        }
    }

    pub(super) fn invoice(&self, id: &str, subscription: &str, status: &str) -> Invoice {
        let fails = self.values.get("fails").map(|fails| fails.split(',').map(time));
        let failed_attempts: Vec<FailedAttempt> = (1..)
            .zip(fails.into_iter().flatten())
            .map(|(attempt, at)| FailedAttempt { attempt, at })
            .collect();
        let status = InvoiceStatus::parse(status).unwrap();
        let state = InvoiceState {
            at: self.at,
            event: self.event(),
            status,
            amount_due_minor: 3500,
            amount_paid_minor: if status == InvoiceStatus::Paid { 3500 } else { 0 },
            currency: Currency::parse("usd").unwrap(),
            attempt_count: u32::try_from(failed_attempts.len()).unwrap(),
            billing_reason: Some(
                (*self.values.get("reason").unwrap_or(&"subscription_cycle")).into(),
            ),
            collection_method: None,
            hosted_url: None,
            period_start: None,
            period_end: None,
            created: self.time("created"),
        };
        Invoice {
            id: InvoiceId::parse(id).unwrap(),
            subscription: Some(SubscriptionId::parse(subscription).unwrap()),
            customer: self.values.get("customer").map(|id| CustomerId::parse(id).unwrap()),
            lines: self.values.get("for").map(|lines| InvoiceLines {
                at: state.at,
                event: state.event.clone(),
                status,
                cut: self.has("cut"),
                all: lines.split(',').map(line).collect(),
            }),
            state,
            failed_attempts,
            paid_at: (status == InvoiceStatus::Paid).then_some(self.at),
            told: Told::new(),
        }
    }
}
