//! A connection to PostgreSQL for one statement. Owns: what one statement needs around it. Must not
//! know: which statement.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};

use super::PostgresDb;
use crate::error::StoreError;

/// A connection until the statement is done.
#[derive(Debug)]
pub(crate) enum Lease {
    /// The statement is a transaction by itself.
    Plain(PoolConnection<Postgres>),
    /// Behind a pooler that gives out server connections for a transaction each: the statement and what
    /// prepares it must meet the same one.
    Transaction(Transaction<'static, Postgres>),
}

impl Lease {
    /// Takes one. Whatever keeps the database from giving one, whether it is away, full, starting,
    /// renamed or takes our password no longer, it cannot be asked, and that is no defect of a
    /// statement.
    pub(crate) async fn take(db: &PostgresDb) -> Result<Self, StoreError> {
        // The future is large, and lies in that of every read.
        match &db.begin {
            None => {
                let taken = Box::pin(db.pool.acquire()).await;
                taken.map(Self::Plain).map_err(StoreError::Unavailable)
            }
            Some(_) => db.begin_transaction().await.map(Self::Transaction),
        }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(tx) => tx,
        }
    }

    /// Gives it back with what the statement came to.
    pub(crate) async fn end<T>(self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let (Self::Transaction(tx), true) = (self, done.is_ok()) {
            tx.commit().await?;
        }
        done
    }
}
