//! The life of subscriptions and their invoices. Owns: what beginning, changing, collecting,
//! renewing, pausing and ending do to all objects concerned. Must not know: parameters and replies
//! of the API.

use crate::object::price::Price;
use crate::time::period_end;

pub(super) mod begin;
pub(super) mod change;
pub(super) mod collect;
pub(super) mod end;
pub(super) mod phase;
pub(super) mod renew;
pub(super) mod timer;

/// How long a first payment, or the payment of a pending update, may take, in seconds.
const PATIENCE_SECONDS: i64 = 23 * crate::time::HOUR;

/// The first end of a period of a price after `start`, counted from an anchor.
pub(super) fn end_after(price: &Price, anchor: i64, start: i64) -> i64 {
    let count = i64::from(price.interval_count);
    price.interval.map_or(start, |interval| period_end(anchor, start, interval, count))
}

/// What becomes of a change that has to be paid at once and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PaymentBehavior {
    /// It takes effect; the subscription is `incomplete` or `past_due`.
    #[default]
    Allow,
    /// It takes effect; the first payment is not tried but left to the customer.
    Leave,
    /// It is refused.
    Refuse,
    /// It waits for the payment.
    Suspend,
}

/// How the parts of a period are billed that a change leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Proration {
    /// With the next invoice.
    #[default]
    Create,
    /// At once.
    AlwaysInvoice,
    /// Not at all.
    None,
}

impl Proration {
    /// Stripe's words, and what they stand for.
    pub(crate) const WORDS: [&'static str; 3] = ["create_prorations", "always_invoice", "none"];

    pub(crate) fn of(word: &str) -> Self {
        match word {
            "always_invoice" => Self::AlwaysInvoice,
            "none" => Self::None,
            _ => Self::Create,
        }
    }
}
