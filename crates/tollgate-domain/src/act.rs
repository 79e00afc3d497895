//! Acts of people. Owns: the limits every act shares (who, why, until when) and the parts every
//! act's decision shares. Must not know: which act it is, how a person was identified.

use crate::change::{Actor, BillingEvent, BillingEventKind, Change, Decision, JournalEntry};
use crate::facts::Facts;
use crate::time::Timestamp;

/// Fewest characters of a reason.
pub const REASON_CHARS_MIN: usize = 10;
/// Most characters of a reason.
pub const REASON_CHARS_MAX: usize = 500;
/// Most characters of the notes for operators.
pub const NOTES_CHARS_MAX: usize = 1000;
/// Most characters of a person's or key's name.
pub const ACTOR_CHARS_MAX: usize = 128;

/// Why the terms of an act are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsRefusal {
    /// The reason is too short or too long.
    #[error(
        "a reason must have {REASON_CHARS_MIN} to {REASON_CHARS_MAX} characters, this one has {chars}"
    )]
    Reason {
        /// Characters found, surrounding white space not counted.
        chars: usize,
    },
    /// The notes are too long.
    #[error("internal notes must have at most {NOTES_CHARS_MAX} characters, these have {chars}")]
    Notes {
        /// Characters found.
        chars: usize,
    },
    /// Nobody is named, or the name is too long.
    #[error(
        "whoever acts must be named in 1 to {ACTOR_CHARS_MAX} characters, this name has {chars}"
    )]
    Actor {
        /// Characters found, surrounding white space not counted.
        chars: usize,
    },
    /// The end is not in the future.
    #[error("it must end in the future: {expires_at} is not after {now}")]
    Expiry {
        /// The end asked for.
        expires_at: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// The id is one the account already has.
    #[error("{id} exists already")]
    IdTaken {
        /// The id.
        id: String,
    },
}

/// Whether whoever acts is named, says why, and sets an end that is still to come.
pub fn check_terms(
    reason: &str,
    by: &str,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), TermsRefusal> {
    let chars = reason.trim().chars().count();
    if !(REASON_CHARS_MIN..=REASON_CHARS_MAX).contains(&chars) {
        return Err(TermsRefusal::Reason { chars });
    }
    check_actor(by)?;
    match expires_at {
        Some(expires_at) if expires_at <= now => Err(TermsRefusal::Expiry { expires_at, now }),
        _ => Ok(()),
    }
}

pub(crate) fn check_notes(notes: Option<&str>) -> Result<(), TermsRefusal> {
    let chars = notes.map_or(0, |notes| notes.chars().count());
    if chars > NOTES_CHARS_MAX { Err(TermsRefusal::Notes { chars }) } else { Ok(()) }
}

pub(crate) fn check_actor(by: &str) -> Result<(), TermsRefusal> {
    let chars = by.trim().chars().count();
    if (1..=ACTOR_CHARS_MAX).contains(&chars) { Ok(()) } else { Err(TermsRefusal::Actor { chars }) }
}

pub(crate) fn check_id_free(taken: bool, id: &impl ToString) -> Result<(), TermsRefusal> {
    if taken { Err(TermsRefusal::IdTaken { id: id.to_string() }) } else { Ok(()) }
}

/// One act on one of our own facts, as journal and billing event tell it.
pub(crate) struct Act<'a> {
    pub(crate) journal_kind: &'static str,
    pub(crate) billing_kind: BillingEventKind,
    pub(crate) subject: &'a str,
    pub(crate) actor: Actor,
    pub(crate) at: Timestamp,
    pub(crate) details: Vec<(&'static str, String)>,
    pub(crate) summary: String,
}

impl Act<'_> {
    /// The decision that makes `change` and tells of the act once, creating the account if needed.
    pub(crate) fn decide(mut self, facts: &Facts, change: Change) -> Decision {
        self.details.sort_unstable();
        let mut decision = Decision::default();
        begin_account(&mut decision, facts, &self.actor, self.at);
        decision.changes.push(change);
        decision.journal.push(JournalEntry {
            kind: self.journal_kind,
            subject: self.subject.to_owned(),
            actor: self.actor,
            occurred_at: self.at,
            details: self.details,
            billing: Some(BillingEvent::of_account(self.billing_kind, self.summary)),
        });
        decision
    }
}

/// Creates an account that does not exist yet and tells of it.
pub(crate) fn begin_account(decision: &mut Decision, facts: &Facts, actor: &Actor, at: Timestamp) {
    if facts.known {
        return;
    }
    decision.changes.push(Change::CreateAccount);
    let created = BillingEventKind::AccountCreated;
    decision.journal.push(JournalEntry {
        kind: created.as_str(),
        subject: facts.account.to_string(),
        actor: actor.clone(),
        occurred_at: at,
        details: Vec::new(),
        billing: Some(BillingEvent::of_account(created, "Account created".to_owned())),
    });
}
