//! Connections and transactions. Owns: pools, their settings, the beginning, end and repetition of
//! a write. Must not know: tables.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

use crate::error::StoreError;

/// How a database is opened. Sizes are upper bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbOptions {
    /// Connections to PostgreSQL, or readers of SQLite (which has one writer beside them).
    pub connections_max: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest wait for a new connection to PostgreSQL.
    pub connect_timeout: Duration,
    /// Longest run of one statement on PostgreSQL; longest wait for the file's lock on SQLite.
    pub statement_timeout: Duration,
    /// Create the SQLite file when it is missing.
    pub create_if_missing: bool,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            acquire_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(5),
            create_if_missing: true,
        }
    }
}

/// Whether a commit survives a crash of the machine, as far as the database's settings tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// It does.
    Full,
    /// It may be lost: the setting that is to blame and its value.
    Weak {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
}

/// A database. Clones share the same connections.
#[derive(Debug, Clone)]
pub enum Db {
    /// PostgreSQL.
    Postgres(PostgresDb),
    /// SQLite.
    Sqlite(SqliteDb),
}

/// Connections to PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresDb {
    pool: PgPool,
}

/// Connections to an SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteDb {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// A write transaction. Dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
    /// On SQLite, where it is the only writer.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
}

impl Db {
    /// Opens `sqlite:PATH` (the file is made with mode 0600) or `postgres://…`.
    pub async fn open(url: &str, options: &DbOptions) -> Result<Self, StoreError> {
        let _ = (url, options);
        todo!()
    }

    /// Whether commits are durable.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        todo!()
    }

    /// Answers when the database answers; for readiness checks.
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Begins a write transaction; see [`Db::write`] for one that is repeated where needed.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        todo!()
    }

    /// Runs work in a write transaction and commits it; on contention with another transaction
    /// all of it is run again, at most [`WRITE_ATTEMPTS_MAX`] times. Any other error rolls back.
    ///
    /// `db.write(async |tx| facts::save(tx, &changes).await).await`
    pub async fn write<T>(
        &self,
        mut work: impl AsyncFnMut(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut attempt = 1;
        loop {
            let mut tx = self.begin().await?;
            let done = match work(&mut tx).await {
                Ok(value) => tx.commit().await.map(|()| value),
                Err(error) => Err(error),
            };
            match done {
                Err(error) if error.is_contention() && attempt < WRITE_ATTEMPTS_MAX => attempt += 1,
                done => return done,
            }
        }
    }

    /// `postgres` or `sqlite`.
    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Closes all connections after what they are doing.
    pub async fn close(&self) {
        match self {
            Self::Postgres(db) => db.pool.close().await,
            Self::Sqlite(db) => {
                db.readers.close().await;
                db.writer.close().await;
            }
        }
    }
}

/// Most runs of one write, the first included.
pub const WRITE_ATTEMPTS_MAX: u32 = 5;

impl Tx {
    /// Makes everything written durable and visible. On an error nothing can be said of it: it may
    /// have been committed when the connection broke during the answer.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(tx) => tx.commit().await?,
            Self::Sqlite(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Takes everything back.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(tx) => tx.rollback().await?,
            Self::Sqlite(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}
