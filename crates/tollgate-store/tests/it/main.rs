//! Contract tests of the store: every test runs on SQLite and on PostgreSQL. Owns: the cases. Must
//! not know: how a statement is written.
//!
//! PostgreSQL is found by `TOLLGATE_TEST_POSTGRES_URL`, the address of a superuser; every test
//! makes a database of its own and drops it.
#![cfg(test)]
#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick out one kind of change")]

/// Runs each body as two tests, `sqlite::name` and `postgres::name`, on a fresh database with the
/// present schema.
macro_rules! on_both {
    ($($name:ident: |$db:ident| async $body:block)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::database::on_sqlite(async |$db: &crate::database::Case| $body).await;
            })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::database::on_postgres(async |$db: &crate::database::Case| $body).await;
            })*
        }
    };
}

mod accounts;
mod batch;
mod begin;
mod buying;
mod changes;
mod database;
mod digest;
mod facts;
mod full;
mod guarded;
mod inbox;
mod journal;
mod keys;
mod life;
mod opening;
mod read_only;
mod reconciliation;
mod retention;
mod sample;
mod schema;
mod thin_events;
mod usage;
mod work;
