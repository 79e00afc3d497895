//! When a fact can matter. Owns: the span of time in which each kind of fact can change an answer,
//! and the window of time a question needs facts of. Must not know: who asks, how facts are kept.
//!
//! An account may have ten thousand invoices; an answer needs the few that can still matter. So a
//! fact says until when it can, and a question says of which window it needs facts. A fact outside
//! of the window changes nothing of what is resolved inside of it, with two exceptions. Of each
//! subscription the paid invoices that ended last are loaded whenever it was (see
//! [`Invoice::reference`]): they explain what is over, and what begins later stands before what began
//! before it, also when it has ended. And what an unpaid change replaced may be older than the window
//! (see [`Facts::missing_before`]).
//!
//! What a fact is needed for beyond its end depends on the catalog (a grace, a sustain), which may
//! change after the fact was stored. So it is part of the window, not of the fact.

use super::{Customer, Facts};
use crate::catalog::Catalog;
use crate::ids::SubscriptionId;
use crate::operator_fact::OperatorFact;
use crate::payment::{
    Adjustment, Goods, Invoice, InvoicePayment, InvoiceStatus, Purchase, PurchaseKind, SessionMode,
    SessionStatus,
};
use crate::subscription::{Schedule, Subscription};
use crate::time::Timestamp;

/// How long after its end a plan that was bought once is kept at hand, for whoever tells of the end
/// may come late.
const TELLING_DAYS: i64 = 31;
/// The span in which a status that is not known here leaves the one before it in force.
const UNKNOWN_STATUS_DAYS: i64 = 2;

/// The span of time in which a fact can matter, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relevance {
    /// From when; [`Timestamp::MIN`] when it always could.
    pub from: Timestamp,
    /// Until when; [`Timestamp::MAX`] while no end is known.
    pub until: Timestamp,
}

impl Relevance {
    /// From the beginning without an end.
    pub const ALWAYS: Self = Self { from: Timestamp::MIN, until: Timestamp::MAX };

    const fn since(from: Timestamp) -> Self {
        Self { from, until: Timestamp::MAX }
    }

    /// Whether it can matter at an instant.
    pub fn includes(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }

    /// Never, for what has its place in time all the same.
    const fn never(from: Timestamp) -> Self {
        Self { from, until: Timestamp::MIN }
    }
}

/// The span of time of which facts are needed, all ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when on a fact may have ended that is needed.
    pub ended_from: Timestamp,
    /// From when on observations of subscriptions are needed, beside those in force then.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

impl Window {
    /// Everything that was ever known.
    pub const ALL: Self =
        Self { ended_from: Timestamp::MIN, from: Timestamp::MIN, to: Timestamp::MAX };

    /// What an answer at `at` needs, asked at `now`: in the past what was known then, else what is
    /// known now.
    pub fn at(at: Timestamp, now: Timestamp, catalog: &Catalog) -> Self {
        Self::spanning(at, at, now, catalog)
    }

    /// What the answers from one instant to another need, asked at `now`.
    pub fn spanning(from: Timestamp, to: Timestamp, now: Timestamp, catalog: &Catalog) -> Self {
        let from = from.min(now).plus_days(-look_back_days(catalog));
        let ended_from = from.plus_hours(-grace_hours_max(catalog));
        Self { ended_from, from, to: if to < now { to } else { Timestamp::MAX } }
    }

    /// Both windows and what lies between them.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ended_from: self.ended_from.min(other.ended_from),
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }
}

/// The longest grace anything may have after what was paid for is over.
fn grace_hours_max(catalog: &Catalog) -> i64 {
    let boosts = catalog.boost.iter().map(|program| program.grace_hours);
    let plans = catalog.plans.iter().map(|plan| plan.grace_hours);
    plans.chain(boosts).max().map_or(0, i64::from)
}

/// How far back a state can still decide: boosts by their sustain.
fn look_back_days(catalog: &Catalog) -> i64 {
    let sustain = catalog.boost.as_ref().map_or(0, |boost| i64::from(boost.sustain_days));
    sustain.max(UNKNOWN_STATUS_DAYS)
}

impl Customer {
    /// When it can matter.
    pub const fn relevance(&self) -> Relevance {
        Relevance::ALWAYS
    }
}

impl Facts {
    /// Of which subscriptions the state before an instant is needed and not among these facts, which
    /// are those of a window: a change that was not paid gives back what was there before it, and that
    /// may be older than all that a window brings.
    pub fn missing_before(
        &self,
        window: Window,
    ) -> impl Iterator<Item = (&SubscriptionId, Timestamp)> {
        let unpaid = move |invoice: &&Invoice| {
            let is_over = matches!(invoice.state.status, InvoiceStatus::Paid | InvoiceStatus::Void);
            invoice.bills_change() && (!is_over || invoice.state.at > window.to)
        };
        self.invoices.values().filter(unpaid).filter_map(|invoice| {
            let (id, made_at) = (invoice.subscription.as_ref()?, invoice.made_at());
            let mut history = self.subscriptions.get(id)?.history.iter();
            let is_known = history.any(|state| state.replaced_by(made_at));
            (!is_known).then_some((id, made_at))
        })
    }
}

impl Subscription {
    /// When it can matter: one that ended explains a denial for ever.
    pub const fn relevance(&self) -> Relevance {
        Relevance::ALWAYS
    }
}

impl Invoice {
    /// When it can matter: one that bills no subscription never; one that may still be paid without an
    /// end; one that is paid as long as what it bills; a void one until it was void.
    pub fn relevance(&self) -> Relevance {
        let state = &self.state;
        let failed = self.failed_attempts.iter().map(|failed| failed.at);
        let instants = [Some(state.at), state.created, self.paid_at];
        let known = || instants.into_iter().flatten().chain(failed.clone());
        let from = known().min().unwrap_or(state.at);
        if self.subscription.is_none() {
            return Relevance::never(from);
        }
        let until = match state.status {
            InvoiceStatus::Draft | InvoiceStatus::Open | InvoiceStatus::Uncollectible => {
                Timestamp::MAX
            }
            InvoiceStatus::Void => known().max().unwrap_or(state.at),
            InvoiceStatus::Paid => {
                let lines = self.lines.iter().flat_map(|lines| &lines.all).map(|line| line.end);
                known().chain(lines).chain(state.period_end).max().unwrap_or(state.at)
            }
        };
        Relevance { from, until }
    }

    /// The subscription of which it proves that something was paid; `None` for one that proves nothing.
    pub fn reference(&self) -> Option<&str> {
        let proves = self.state.status == InvoiceStatus::Paid && self.paid_at.is_some();
        let told = self.lines.as_ref().is_some_and(|lines| !lines.all.is_empty());
        self.subscription.as_ref().filter(|_| proves && told).map(AsRef::as_ref)
    }

    /// When the first span begins that it proves to be paid.
    pub fn proves_from(&self) -> Option<Timestamp> {
        self.reference()?;
        self.lines.iter().flat_map(|lines| &lines.all).map(|line| line.start).min()
    }
}

impl Schedule {
    /// When it can matter: one that is over only explains what was foretold before.
    pub fn relevance(&self) -> Relevance {
        let until = if self.version.over { self.version.at } else { Timestamp::MAX };
        Relevance { from: Timestamp::MIN, until }
    }

    /// What other facts refer to it by.
    pub fn reference(&self) -> Option<&str> {
        self.subscription.as_ref().map(AsRef::as_ref)
    }
}

impl InvoicePayment {
    /// Its invoice. It matters as long as that does.
    pub fn reference(&self) -> &str {
        self.invoice.as_ref()
    }
}

impl Purchase {
    /// When it can matter: a session that ran out unpaid never does; plans that were sold until they
    /// end; what was meant for us and nobody has confirmed for ever; a badge that nobody can wear as
    /// long as that is told. A badge is no plan, and what a subscription's checkout sold is the
    /// subscription's, which speaks for itself after a while.
    pub fn relevance(&self) -> Relevance {
        match (self.paid_at, self.failed_at) {
            (Some(paid_at), failed_at) => Relevance {
                from: failed_at.map_or(paid_at, |failed_at| failed_at.min(paid_at)),
                until: self.given_until(paid_at),
            },
            (None, _) if self.status == SessionStatus::Expired => Relevance::never(Timestamp::MIN),
            (None, Some(at)) => Relevance { from: at, until: at.plus_days(TELLING_DAYS) },
            (None, None) => Relevance::ALWAYS,
        }
    }

    /// When everything it gave is over, with time for whoever tells of the end. Without an end where
    /// a catalog may still confirm a line of it.
    fn given_until(&self, paid_at: Timestamp) -> Timestamp {
        match self.mode {
            SessionMode::Payment => {}
            // Until then it is told where nothing else came of the subscription.
            SessionMode::Subscription => return paid_at.plus_days(TELLING_DAYS),
            SessionMode::Setup => return Timestamp::MIN,
        }
        let whole = self.sales.iter().any(|sale| sale.line.is_none());
        let meant = self.names_owner || self.kind != PurchaseKind::Other;
        let open = if self.sales.is_empty() && self.lines.is_empty() {
            meant
        } else {
            !whole && self.sales.len() < self.lines.len()
        };
        if open {
            return Timestamp::MAX;
        }
        if self.gives_nobody(&self.sales) {
            return paid_at.plus_days(TELLING_DAYS);
        }
        let plans = self.sales.iter().filter_map(|sale| match &sale.goods {
            Goods::Plan { days, .. } => Some(i64::from(*days)),
            Goods::Badge => None,
        });
        plans.max().map_or(Timestamp::MIN, |days| paid_at.plus_days(days + TELLING_DAYS))
    }

    /// What other facts refer to it by: its payment intent, else the subscription it started.
    pub fn reference(&self) -> Option<&str> {
        let subscription = self.subscription.as_ref().map(AsRef::as_ref);
        self.payment_intent.as_ref().map(AsRef::as_ref).or(subscription)
    }
}

impl Adjustment {
    /// What other facts refer to it by: the payment intent, or the charge of a payment that has none.
    /// It matters as long as what it adjusts.
    pub fn reference(&self) -> Option<&str> {
        self.payment_intent.as_ref().or(self.charge.as_ref()).map(AsRef::as_ref)
    }
}

impl OperatorFact {
    /// When it can matter: one that is over explains a denial for ever.
    pub const fn relevance(&self) -> Relevance {
        Relevance::since(self.terms.granted_at)
    }
}
