//! What was paid for, as evidence. Owns: reading the paid lines of a subscription's invoices: what
//! each of its items was last paid for, and until when. Must not know: the subscription's status,
//! which decides wherever it can.
//!
//! A line of a paid invoice says: so many of this price, paid from then until then. A line with a
//! negative amount takes such a span back, as Stripe does when something is changed in the middle
//! of it. What is left of a price and a span is in force; of several for one item of a subscription
//! the one that begins last is what was bought, and of those that begin together the one that was
//! paid last: an old invoice that is paid late changes nothing of what was paid since. An invoice whose money was given back in full or
//! lost in a dispute proves nothing.
//!
//! A span counts from when it is known to be paid until its end, also where it begins later: so
//! without news less and less is in force, and nothing begins by itself.

use std::collections::BTreeMap;

use super::sold::{Sold, sold};
use crate::catalog::Catalog;
use crate::facts::Facts;
use crate::ids::{CustomerId, EventId, ObjectId, SubscriptionId};
use crate::money::Money;
use crate::payment::{Invoice, InvoiceLine, InvoiceStatus};
use crate::sale;
use crate::subscription::{Subscription, SubscriptionItem};
use crate::time::Timestamp;

/// What a subscription's items were last paid for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Paid<'f> {
    spans: Vec<Span<'f>>,
    /// The end of what was paid with money that was given back or lost.
    taken_back_until: Option<Timestamp>,
    /// When each span that is paid begins, by its end: the lines of a change begin with the change,
    /// and what they are a part of began before.
    starts: BTreeMap<Timestamp, Timestamp>,
}

/// One item's last paid span.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span<'f> {
    item: SubscriptionItem,
    end: Timestamp,
    paid_at: Timestamp,
    event: &'f EventId,
}

/// What is paid for at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InForce<'f> {
    /// What it sells.
    pub(super) sold: Sold,
    /// Since when it is known to be paid.
    pub(super) since: Timestamp,
    /// The first instant at which less is paid for.
    pub(super) until: Timestamp,
    /// Start and end of what is paid for.
    pub(super) period: (Timestamp, Timestamp),
    /// The event that showed it paid.
    pub(super) event: &'f EventId,
}

impl<'f> Paid<'f> {
    /// Everything that is known to be paid of a subscription.
    pub(super) fn of(id: &SubscriptionId, facts: &'f Facts) -> Self {
        Self::since(id, facts, Timestamp::MIN)
    }

    /// What is known to be paid after an instant.
    pub(super) fn since(id: &SubscriptionId, facts: &'f Facts, since: Timestamp) -> Self {
        let subscription = facts.subscriptions.get(id);
        let trial_end = subscription.and_then(|one| one.state()?.trial_end);
        let mut left: BTreeMap<Key<'f>, Left<'f>> = BTreeMap::new();
        let mut starts: BTreeMap<Timestamp, Timestamp> = BTreeMap::new();
        let mut taken_back_until = None;
        for invoice in facts.invoices.values() {
            let Some(paid_at) = paid_at(invoice).filter(|at| *at >= since) else { continue };
            if invoice.subscription.as_ref() != Some(id) {
                continue;
            }
            let lines = invoice.lines.iter().flat_map(|lines| &lines.all);
            if is_taken_back(invoice, facts) {
                taken_back_until = lines.map(|line| line.end).chain(taken_back_until).max();
                continue;
            }
            for line in lines {
                let end = proven_end(line, trial_end);
                let start = starts.entry(end).or_insert(line.start);
                *start = line.start.min(*start);
                let entry = left.entry((line.item.as_ref(), line.price.as_str(), end));
                entry.or_default().add(line, paid_at, &invoice.state.event);
            }
        }
        let spans = last_of_each(&left, subscription);
        Self { spans, taken_back_until, starts }
    }

    /// The end of what was paid with money that was given back or lost; `None`: nothing was.
    pub(super) const fn taken_back_until(&self) -> Option<Timestamp> {
        self.taken_back_until
    }

    /// What is paid for at `at`; `None` when nothing is.
    pub(super) fn at(&self, at: Timestamp, catalog: &Catalog) -> Option<InForce<'f>> {
        let now = self.view(at, catalog)?;
        let mut ends: Vec<Timestamp> = self.after(at).map(|span| span.end).collect();
        ends.sort_unstable();
        let same = |end: &Timestamp| {
            let later = self.view(*end, catalog);
            later.is_some_and(|later| (later.sold, later.period) == (now.sold, now.period))
        };
        let until = ends.into_iter().find(|end| !same(end))?;
        Some(InForce { until, ..now })
    }

    /// What was paid for last, and until when, whether that is over or not.
    pub(super) fn last(&self, catalog: &Catalog) -> Option<InForce<'f>> {
        let end = self.end()?;
        self.at(end.plus_ms(-1), catalog)
    }

    /// The end of everything that is paid for.
    pub(super) fn end(&self) -> Option<Timestamp> {
        self.spans.iter().map(|span| span.end).max()
    }

    /// Boosts by the span they are paid for: when that became known, its end, how many.
    pub(super) fn boosts(
        &self,
        catalog: &Catalog,
    ) -> impl Iterator<Item = (Timestamp, Timestamp, u64)> {
        let boosts = |span: &Span<'f>| sold(std::iter::once(&span.item), catalog).boosts;
        let spans = self.spans.iter().map(move |span| (span.paid_at, span.end, boosts(span)));
        spans.filter(|(_, _, boosts)| *boosts > 0)
    }

    fn after(&self, at: Timestamp) -> impl Iterator<Item = &Span<'f>> {
        self.spans.iter().filter(move |span| span.end > at)
    }

    /// What is paid for at `at`, without the instant at which that changes.
    fn view(&self, at: Timestamp, catalog: &Catalog) -> Option<InForce<'f>> {
        let newest = self.after(at).max_by_key(|span| (span.paid_at, span.end))?;
        let end = self.after(at).map(|span| span.end).max()?;
        let shown = self.after(at).filter_map(|span| span.item.period_start).min()?;
        let start = self.starts.get(&end).map_or(shown, |start| shown.min(*start));
        Some(InForce {
            sold: sold(self.after(at).map(|span| &span.item), catalog),
            since: newest.paid_at,
            until: end,
            period: (start, end),
            event: newest.event,
        })
    }
}

/// The subscriptions of which nothing is known but invoices that were paid, with their customers.
pub(super) fn without_subscription(
    facts: &Facts,
) -> BTreeMap<&SubscriptionId, Option<&CustomerId>> {
    let mut all: BTreeMap<&SubscriptionId, Option<&CustomerId>> = BTreeMap::new();
    for invoice in facts.invoices.values().filter(|one| one.state.status == InvoiceStatus::Paid) {
        let Some(id) = &invoice.subscription else { continue };
        if !facts.subscriptions.contains_key(id) {
            let customer = all.entry(id).or_default();
            *customer = customer.or(invoice.customer.as_ref());
        }
    }
    all
}

/// Until when a line proves its price. Nothing is paid for a trial: its line ends with the trial,
/// also where that was ended early.
fn proven_end(line: &InvoiceLine, trial_end: Option<Timestamp>) -> Timestamp {
    let of_trial = line.amount_minor == 0 && !line.proration;
    let trial_end = trial_end.filter(|end| of_trial && *end > line.start);
    trial_end.map_or(line.end, |end| end.min(line.end))
}

fn paid_at(invoice: &Invoice) -> Option<Timestamp> {
    invoice.paid_at.filter(|_| invoice.state.status == InvoiceStatus::Paid)
}

/// Whether the money of an invoice was given back in full or lost.
fn is_taken_back(invoice: &Invoice, facts: &Facts) -> bool {
    let state = &invoice.state;
    let asked = Money { amount_minor: state.amount_paid_minor, currency: state.currency };
    sale::taken_back(Some(asked), facts.adjustments_of(&invoice.id).into_iter()).is_some()
}

/// Item, price and end of a span.
type Key<'f> = (Option<&'f ObjectId>, &'f str, Timestamp);

/// What is left of one price for one span.
#[derive(Default)]
struct Left<'f> {
    quantity: i128,
    newest: Option<(Timestamp, &'f InvoiceLine, &'f EventId)>,
}

impl<'f> Left<'f> {
    fn add(&mut self, line: &'f InvoiceLine, paid_at: Timestamp, event: &'f EventId) {
        if line.start >= line.end || (line.proration && line.amount_minor == 0) {
            return;
        }
        if line.amount_minor < 0 {
            self.quantity -= i128::from(line.quantity);
            return;
        }
        self.quantity += i128::from(line.quantity);
        let rank = |at: Timestamp, line: &InvoiceLine| (at, line.start);
        if self.newest.is_none_or(|(at, known, _)| rank(at, known) < rank(paid_at, line)) {
            self.newest = Some((paid_at, line, event));
        }
    }

    fn span(&self, end: Timestamp, subscription: Option<&Subscription>) -> Option<Span<'f>> {
        let (paid_at, line, event) = self.newest?;
        let quantity = u64::try_from(self.quantity).ok().filter(|left| *left > 0)?;
        let item = SubscriptionItem {
            price: line.price.clone(),
            lookup_key: line.lookup_key.clone().or_else(|| shown_key(line, subscription)),
            product: line.product.clone(),
            quantity,
            period_start: Some(line.start),
            period_end: Some(end),
        };
        Some(Span { item, end, paid_at, event })
    }
}

/// The lookup key of a line's price as the subscription showed it: lines since 2025 do not.
fn shown_key(line: &InvoiceLine, subscription: Option<&Subscription>) -> Option<Box<str>> {
    subscription?.price_key(&line.price).map(Box::from)
}

/// Of what is left for each item, what was paid last.
fn last_of_each<'f>(
    left: &BTreeMap<Key<'f>, Left<'f>>,
    subscription: Option<&Subscription>,
) -> Vec<Span<'f>> {
    let mut last: BTreeMap<Option<&ObjectId>, Span<'f>> = BTreeMap::new();
    for ((item, _, end), left) in left {
        let Some(span) = left.span(*end, subscription) else { continue };
        let rank = |span: &Span<'_>| (span.item.period_start, span.paid_at, span.end);
        match last.get(item) {
            Some(known) if rank(known) > rank(&span) => {}
            Some(_) | None => {
                last.insert(*item, span);
            }
        }
    }
    last.into_values().collect()
}
