//! When a fact can matter. Owns: the span of time in which each kind of fact can change an answer,
//! and the window of time a question needs facts of. Must not know: who asks, how facts are kept.
//!
//! An account may have ten thousand invoices; an answer needs the few that can still matter. So a
//! fact says until when it can, and a question says of which window it needs facts. A fact outside
//! of the window changes nothing of what is resolved inside of it.

use super::{BoostGrant, Customer, Grant, Override, Waiver};
use crate::catalog::Catalog;
use crate::catalog::parse::GRACE_HOURS_MAX;
use crate::payment::{
    Adjustment, Goods, Invoice, InvoicePayment, InvoiceStatus, Purchase, SessionStatus,
};
use crate::subscription::{Schedule, Subscription};
use crate::time::{HOUR_MS, Timestamp};

/// How long after its last instant a final invoice, or a purchase that ended, can matter: the longest
/// grace a catalog may give, and a month for news that is late.
const TAIL_MS: i64 = (GRACE_HOURS_MAX as i64 + 31 * 24) * HOUR_MS;
/// The longest period a subscription can have, and that in leap years.
const PERIOD_DAYS_MAX: i64 = 3 * 366;
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
}

/// The span of time of which facts are needed, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

impl Window {
    /// Everything that was ever known.
    pub const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    /// What an answer at `at` needs, asked at `now`: in the past what was known then, else what is
    /// known now.
    pub fn at(at: Timestamp, now: Timestamp, catalog: &Catalog) -> Self {
        Self::spanning(at, at, now, catalog)
    }

    /// What the answers from one instant to another need, asked at `now`.
    pub fn spanning(from: Timestamp, to: Timestamp, now: Timestamp, catalog: &Catalog) -> Self {
        Self {
            from: from.min(now).plus_days(-look_back_days(catalog)),
            to: if to < now { to } else { Timestamp::MAX },
        }
    }
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

impl Subscription {
    /// When it can matter: one that ended explains a denial for ever.
    pub const fn relevance(&self) -> Relevance {
        Relevance::ALWAYS
    }
}

impl Invoice {
    /// When it can matter: one that is paid or void only as long as what it bills, and a grace.
    pub fn relevance(&self) -> Relevance {
        let state = &self.state;
        let failed = self.failed_attempts.iter().map(|failed| failed.at);
        let instants = [Some(state.at), state.period_end, state.created, self.paid_at];
        let lines = self.lines.iter().flat_map(|lines| &lines.all).map(|line| line.end);
        let known = || instants.into_iter().flatten().chain(failed.clone());
        let until = match state.status {
            InvoiceStatus::Draft | InvoiceStatus::Open | InvoiceStatus::Uncollectible => {
                Timestamp::MAX
            }
            InvoiceStatus::Void | InvoiceStatus::Paid => {
                known().chain(lines).max().unwrap_or(state.at).plus_ms(TAIL_MS)
            }
        };
        Relevance { from: known().min().unwrap_or(state.at), until }
    }

    /// What other facts refer to it by.
    pub fn reference(&self) -> Option<&str> {
        self.subscription.as_ref().map(AsRef::as_ref)
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
    /// When it can matter: as long as the longest period an invoice can have paid.
    pub fn relevance(&self) -> Relevance {
        let until = self.at.plus_days(PERIOD_DAYS_MAX).plus_ms(TAIL_MS);
        Relevance { from: self.at, until }
    }

    /// What other facts refer to it by.
    pub fn reference(&self) -> &str {
        self.payment.as_str()
    }
}

impl Purchase {
    /// When it can matter: a session that ran out unpaid never does, plans that were sold until they
    /// end, a badge and what nobody has confirmed for ever.
    pub fn relevance(&self) -> Relevance {
        if self.status == SessionStatus::Expired && self.paid_at.is_none() {
            return Relevance { from: Timestamp::MIN, until: Timestamp::MIN };
        }
        match (self.paid_at, self.failed_at) {
            (Some(paid_at), failed_at) => Relevance {
                from: failed_at.map_or(paid_at, |failed_at| failed_at.min(paid_at)),
                until: self.sold_until(paid_at).unwrap_or(Timestamp::MAX),
            },
            (None, Some(at)) => Relevance::since(at),
            (None, None) => Relevance::ALWAYS,
        }
    }

    /// When everything it gave is over, with time for whoever tells of the end. `None` where no end
    /// is known: a badge, or a line that no catalog has confirmed yet.
    fn sold_until(&self, paid_at: Timestamp) -> Option<Timestamp> {
        let whole = self.sales.iter().any(|sale| sale.line.is_none());
        if !whole && self.sales.len() < self.lines.len().max(1) {
            return None;
        }
        let days = self.sales.iter().map(|sale| match &sale.goods {
            Goods::Plan { days, .. } => Some(*days),
            Goods::Badge => None,
        });
        let longest = days.collect::<Option<Vec<u32>>>()?.into_iter().max()?;
        Some(paid_at.plus_days(i64::from(longest)).plus_ms(TAIL_MS))
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

macro_rules! operator_facts {
    ($($name:ident),*) => {$(
        impl $name {
            /// When it can matter: one that is over explains a denial for ever.
            pub const fn relevance(&self) -> Relevance {
                Relevance::since(self.granted_at)
            }
        }
    )*};
}
operator_facts!(Waiver, Grant, BoostGrant, Override);
