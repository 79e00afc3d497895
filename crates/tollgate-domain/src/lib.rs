//! Tollgate decides here: pure rules over facts. No input or output, no clock, no randomness, no
//! format, no async. Everything that happens is a function of its arguments.
//!
#![deny(missing_docs)]

pub mod act;
pub mod buying;
pub mod catalog;
pub mod change;
mod codec;
pub mod decide;
pub mod drift;
pub mod duplicates;
pub mod entitlement;
pub mod facts;
pub mod finding;
pub mod handover;
pub mod ids;
pub mod money;
mod names;
pub mod news;
pub mod observation;
pub mod operator_fact;
pub mod own_claim;
pub mod owner;
pub mod payment;
pub mod regrade;
pub mod sale;
pub mod schedule;
pub mod subscription;
pub mod time;
pub mod verified_email;
pub mod what_if;

pub use catalog::Catalog;
pub use change::{Actor, BillingEvent, BillingEventKind, Change, Decision, JournalEntry};
pub use decide::decide;
pub use drift::Drift;
pub use entitlement::Resolution;
pub use entitlement::answer::answer;
pub use entitlement::resolve::resolve;
pub use entitlement::timeline::timeline;
pub use facts::Facts;
pub use finding::{Finding, FindingCode};
pub use observation::{EventKind, FetchCause, Observation, OwnerClaim, Seen};
pub use owner::{FoundOwner, Link, Owner};
pub use time::Timestamp;
pub use what_if::what_if;
