//! Tollgate keeps here: all SQL of the product and nothing but SQL, one text per statement for
//! SQLite and PostgreSQL. No rule of the business lives here: what is written was decided
//! elsewhere, what is read is handed over as it is.
//!
//! Functions are grouped by the noun they keep. Those that belong to the intake's one transaction
//! take a [`Tx`] and treat a whole batch in one statement; the others take a [`Db`].
#![deny(missing_docs)]

pub mod accounts;
pub mod changes;
pub mod db;
mod dialect;
pub mod dictionaries;
pub mod digest;
pub mod error;
pub mod facts;
pub mod inbox;
pub mod journal;
pub mod keys;
pub mod links;
pub mod meta;
pub mod migrations;
pub mod outbox;
pub mod schedule;
pub mod usage;

pub use db::{Db, DbOptions, Durability, Tx};
pub use error::StoreError;
