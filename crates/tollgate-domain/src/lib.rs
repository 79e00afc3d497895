//! Tollgate decides here: pure rules over facts. No input or output, no clock, no randomness, no
//! serialisation, no async. Everything that happens is a function of its arguments.
//!
#![deny(missing_docs)]

pub mod catalog;
pub mod change;
pub mod entitlement;
pub mod facts;
pub mod ids;
pub mod money;
pub mod observation;
pub mod payment;
pub mod subscription;
pub mod time;

pub use catalog::Catalog;
pub use change::{Actor, BillingEvent, BillingEventKind, Change, Decision, JournalEntry, Link};
pub use facts::Facts;
pub use observation::{EventKind, Observation, OwnerClaim, Seen};
pub use time::Timestamp;
