//! Notes. Owns: the keys under which an account remembers what was seen once, so that it is
//! reported once. Must not know: who asks and how notes are kept.
//!
//! A note is only ever added, so what depends on notes depends on no order of events. Two uses:
//! something one event showed that no other fact keeps (an invoice that wanted the customer to
//! act), and something time did that the scheduler must report exactly once (a grace that ended).

use std::fmt::Display;

/// An attempt to collect an invoice wanted the customer to act (3-D Secure).
pub fn action_required(invoice: &impl Display, attempt: u32) -> String {
    format!("action_required:{invoice}:{attempt}")
}

/// An invoice was given up once, whatever became of it later.
pub fn uncollectible(invoice: &impl Display) -> String {
    format!("uncollectible:{invoice}")
}

/// Collecting a renewal failed, which starts the grace of its subscription.
pub fn grace_started(invoice: &impl Display) -> String {
    format!("grace_started:{invoice}")
}

/// The grace of a dunning cycle ended; the cycle is named by its invoice, else its subscription.
pub fn grace_ended(cycle: &impl Display) -> String {
    format!("grace_ended:{cycle}")
}

/// A refund of a charge took effect.
pub fn refunded(charge: &impl Display, refund: &impl Display) -> String {
    format!("{}{refund}", refunds_of(charge))
}

/// What the keys of all refunds of a charge begin with.
pub fn refunds_of(charge: &impl Display) -> String {
    format!("refunded:{charge}:")
}

/// A charge's own total said that something of it was refunded.
pub fn charge_refunded(charge: &impl Display) -> String {
    format!("charge_refunded:{charge}")
}

/// A subscription that carries boosts was in effect.
pub fn boost_purchased(subscription: &impl Display) -> String {
    format!("boost_purchased:{subscription}")
}

/// A subscription that carries boosts ended.
pub fn boost_canceled(subscription: &impl Display) -> String {
    format!("boost_canceled:{subscription}")
}

/// The plan a purchase sold in its line of this place reached its end.
pub fn bought_expired(purchase: &impl Display, place: usize) -> String {
    match place {
        0 => expired(purchase),
        place => format!("{}:{place}", expired(purchase)),
    }
}

/// One of our own facts (waiver, grant, boost, override) reached its end.
pub fn expired(fact: &impl Display) -> String {
    format!("expired:{fact}")
}

/// The object a key is about, shortened as [`subject_of`] does.
pub fn subject(key: &str) -> Option<&str> {
    key.split(':').nth(1)
}

/// What stands for an object in its keys: its id up to the first `:`, since ids may hold one.
pub fn subject_of(object: &str) -> &str {
    object.split(':').next().unwrap_or(object)
}
