//! Tollgate keeps here: all SQL of the product and nothing but SQL, one text per statement for
//! SQLite and PostgreSQL. No rule of the business lives here: what is written was decided
//! elsewhere, what is read is handed over as it is.
//!
//! Functions are grouped by the noun they keep. Those that belong to the intake's one transaction
//! take a [`Tx`] and treat a whole batch in one statement; the others take a [`Db`].
#![deny(missing_docs)]

pub mod accounts;
pub mod changes;
pub mod checkout_attempts;
pub mod connected_objects;
pub mod customer_claims;
pub mod db;
mod dialect;
pub mod dictionaries;
pub mod digest;
pub mod doubts;
pub mod error;
pub mod facts;
pub mod findings;
pub mod guarded;
pub mod inbox;
pub mod journal;
pub mod keys;
pub mod leases;
pub mod links;
pub mod meta;
pub mod migrations;
mod prose;
pub mod rebuild;
pub mod reconciliation_runs;
pub mod retention;
pub mod schedule;
pub mod scratch;
mod statement;
pub mod stripe_requests;
pub mod thin_events;
pub mod trial;
pub mod usage;
mod wire;

pub use db::{Db, DbOptions, Durability, Pooling, ServerStanding, Tx, WriteFailure, WriteStanding};
pub use error::StoreError;

use statement::Statement;

/// Every statement of the product.
fn all_statements() -> impl Iterator<Item = &'static Statement> {
    [
        accounts::STATEMENTS,
        changes::STATEMENTS,
        checkout_attempts::STATEMENTS,
        connected_objects::STATEMENTS,
        customer_claims::STATEMENTS,
        db::STATEMENTS,
        dictionaries::STATEMENTS,
        doubts::STATEMENTS,
        facts::load::STATEMENTS,
        facts::save::STATEMENTS,
        findings::STATEMENTS,
        inbox::intake::STATEMENTS,
        inbox::read::STATEMENTS,
        inbox::wake::STATEMENTS,
        inbox::work::STATEMENTS,
        journal::STATEMENTS,
        keys::STATEMENTS,
        leases::STATEMENTS,
        links::STATEMENTS,
        meta::STATEMENTS,
        migrations::STATEMENTS,
        reconciliation_runs::STATEMENTS,
        rebuild::STATEMENTS,
        retention::STATEMENTS,
        schedule::STATEMENTS,
        stripe_requests::STATEMENTS,
        thin_events::STATEMENTS,
        usage::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
