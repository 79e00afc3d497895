//! The verified e-mail of an account. Owns: what may be one, and what an account decides when it is
//! set or removed. Must not know: where it is kept, what it is matched with.
//!
//! The address is no fact and no part of the journal, which is kept for ever: only that it changed.

use crate::act::begin_account;
use crate::change::{Actor, Decision, JournalEntry};
use crate::facts::Facts;
use crate::time::Timestamp;

/// Longest address, in bytes.
pub const EMAIL_BYTES_MAX: usize = 254;

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailRefusal {
    /// It is longer than an address can be.
    #[error("must have at most {EMAIL_BYTES_MAX} bytes")]
    Length,
    /// It has no `@` between two parts, more than one, or a character no address has.
    #[error("must be an address such as ann@example.com")]
    Form,
}

/// Whether a text can be an address. Whether somebody reads mail sent to it is for whoever verified
/// it.
pub fn check(text: &str) -> Result<(), EmailRefusal> {
    if text.len() > EMAIL_BYTES_MAX {
        return Err(EmailRefusal::Length);
    }
    let parts = text.split_once('@');
    let whole = |part: &str| !part.is_empty() && !part.contains('@');
    let strange = |one: char| one.is_whitespace() || one.is_control();
    match parts {
        Some((name, host)) if whole(name) && whole(host) && !text.contains(strange) => Ok(()),
        Some(_) | None => Err(EmailRefusal::Form),
    }
}

/// What an account decides when its verified e-mail is set (`true`) or removed. An account that is
/// not known yet begins with it.
pub fn changed(facts: &Facts, set: bool, actor: Actor, at: Timestamp) -> Decision {
    let mut decision = Decision::default();
    begin_account(&mut decision, facts, &actor, at);
    decision.journal.push(JournalEntry {
        kind: if set { "account.email_verified" } else { "account.email_removed" },
        subject: facts.account.to_string(),
        actor,
        occurred_at: at,
        details: Vec::new(),
        billing: None,
    });
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_address() {
        for good in ["a@b", "ann@example.com", "o'neil+x@müller.example", "\u{1f980}@b.c"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "ann", "a\0@b"] {
            assert_eq!(check(bad), Err(EmailRefusal::Form), "{bad:?}");
        }
        assert_eq!(check(&format!("{}@b", "a".repeat(253))), Err(EmailRefusal::Length));
    }
}
