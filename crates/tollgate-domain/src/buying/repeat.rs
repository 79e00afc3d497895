//! Calls whose outcome is not known. Owns: whether such a call is sent again or looked for first.
//! Must not know: what it does.

use crate::time::{HOUR_MS, Timestamp};

/// For so long after the first sending Stripe surely answers a repeated idempotency key with the
/// first answer. It promises 24 hours; the rest is for clocks and slow tries.
const KEY_HOLDS_MS: i64 = 23 * HOUR_MS;

/// What to do with a call that has been noted and has no known outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextCall {
    /// Send it (again) under its key: it happens once at most.
    Send,
    /// Its key may be forgotten: look for what it would have made, and only then send it under a
    /// new one.
    LookFirst,
}

impl NextCall {
    /// For a call first sent at an instant, if it was sent.
    pub fn of(first_sent_at: Option<Timestamp>, now: Timestamp) -> Self {
        match first_sent_at {
            Some(sent) if sent.plus_ms(KEY_HOLDS_MS) <= now => Self::LookFirst,
            Some(_) | None => Self::Send,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_again_as_long_as_it_surely_holds() {
        let sent = Timestamp::from_unix_seconds(1_000_000);
        assert_eq!(NextCall::of(None, sent), NextCall::Send);
        assert_eq!(NextCall::of(Some(sent), sent), NextCall::Send);
        assert_eq!(NextCall::of(Some(sent), sent.plus_hours(23).plus_ms(-1)), NextCall::Send);
        assert_eq!(NextCall::of(Some(sent), sent.plus_hours(23)), NextCall::LookFirst);
    }
}
