//! Connections and transactions. Owns: pools, their settings, the beginning, end and repetition of
//! a write. Must not know: tables.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor as _, PgPool, Postgres, Row as _, SqlStr, Sqlite, SqlitePool};

use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::statement::{Handle, Keeping, Statement, statements};

pub(crate) mod copy;
mod explain;
mod hints;
mod lease;
mod open;
mod server;
mod writes;

pub(crate) use lease::Lease;
pub use server::ServerStanding;
pub(crate) use writes::Writes;
pub use writes::{WriteFailure, WriteStanding};

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
    /// What a connection to PostgreSQL is.
    pub pooling: Pooling,
    /// Address of PostgreSQL for `LISTEN`, where the usual one leads to a pooler.
    pub listen_url: Option<String>,
}

/// What a connection to PostgreSQL is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// A session of its own, straight or through a pooler in session mode.
    #[default]
    Session,
    /// A way to another session with each transaction, as PgBouncer gives in transaction mode.
    Transaction,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            acquire_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(5),
            create_if_missing: true,
            pooling: Pooling::Session,
            listen_url: None,
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
    writes: Writes,
    /// What begins a transaction with the settings of a session, where there is no session.
    begin: Option<SqlStr>,
    /// How `LISTEN` is done, where it can be.
    listen: Option<Arc<PgConnectOptions>>,
    /// Hints to other instances that are not sent yet.
    owed: hints::Owed,
}

impl PostgresDb {
    /// Whether statements stay prepared.
    pub(crate) const fn keeping(&self) -> Keeping {
        if self.begin.is_some() { Keeping::Nothing } else { Keeping::Prepared }
    }

    /// What writes on it came to.
    pub(crate) const fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Begins, to the end even where the caller gives up meanwhile. The driver knows of a transaction
    /// only once the server has answered: given up before, the connection would go back with it open,
    /// and whatever is written on it next would be taken back with it.
    async fn begin_transaction(&self) -> Result<sqlx::Transaction<'static, Postgres>, StoreError> {
        let own = self.clone();
        let begin = async move {
            match own.begin {
                None => own.pool.begin().await,
                Some(begin) => own.pool.begin_with(begin).await,
            }
        };
        // Where nobody takes it any more it is dropped at the end of the task, which rolls it back.
        let begun = tokio::spawn(begin).await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
        if begun.as_ref().is_err_and(|error| error.as_database_error().is_some()) {
            // What was begun may have failed in its settings, and be open and useless.
            self.writes.distrust_sessions();
        }
        // Whatever keeps the database from giving a connection, it is away, and no statement is wrong.
        begun.map_err(StoreError::Unavailable)
    }
}

/// Connections to an SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteDb {
    writer: SqlitePool,
    readers: SqlitePool,
    writes: Writes,
}

impl SqliteDb {
    /// What writes on it came to.
    pub(crate) const fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Begins a write transaction.
    pub(crate) async fn begin(&self) -> Result<sqlx::Transaction<'static, Sqlite>, StoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        self.writes.note(begun.map_err(StoreError::from))
    }
}

/// A write transaction. Dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// On PostgreSQL.
    Postgres(PostgresTx),
    /// On SQLite, where it is the only writer.
    Sqlite(SqliteTx),
}

/// A write transaction on PostgreSQL.
#[derive(Debug)]
pub struct PostgresTx {
    inner: sqlx::Transaction<'static, Postgres>,
    db: PostgresDb,
    hint: bool,
}

/// A write transaction on SQLite.
#[derive(Debug)]
pub struct SqliteTx {
    /// What statements run on.
    pub inner: sqlx::Transaction<'static, Sqlite>,
    writes: Writes,
}

/// Channel of the hints that the change feed has grown.
pub(crate) const CHANGES_CHANNEL: &str = "tollgate_changes";

/// Most runs of one write, the first included.
pub const WRITE_ATTEMPTS_MAX: u32 = 5;

/// The one place that says whether work is to be done again.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    attempts: u32,
}

impl Retry {
    /// Counts an attempt; whether it failed in a way that another one may mend.
    pub(crate) fn is_due<T>(&mut self, done: &Result<T, StoreError>) -> bool {
        self.attempts += 1;
        let contention = done.as_ref().is_err_and(StoreError::is_contention);
        contention && self.attempts < WRITE_ATTEMPTS_MAX
    }
}

statements! {
    /// Anything, to see that there is an answer.
    PING = "SELECT CAST(1 AS BIGINT)";
}

impl Db {
    /// Opens `sqlite:PATH` (the file is made with mode 0600) or `postgres://…`.
    pub async fn open(url: &str, options: &DbOptions) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return open::sqlite(Path::new(path), options).await.map(Self::Sqlite);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return open::postgres(url, options).await.map(Self::Postgres);
        }
        Err(StoreError::Address {
            reason: "it must begin with sqlite: or postgres://, such as \
                     sqlite:/var/lib/tollgate/tollgate.db or postgres://tollgate@localhost/tollgate"
                .to_owned(),
        })
    }

    /// Whether commits are durable.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let (settings, weak): (&[&'static str], &[&str]) = match self {
            Self::Postgres(_) => (&["fsync", "synchronous_commit"], &["off"]),
            // OFF and NORMAL; in WAL mode only FULL and EXTRA survive a loss of power.
            Self::Sqlite(_) => (&["synchronous"], &["0", "1"]),
        };
        for setting in settings {
            let value = self.setting(setting).await?;
            if weak.contains(&value.as_str()) {
                return Ok(Durability::Weak { setting, value });
            }
        }
        Ok(Durability::Full)
    }

    async fn setting(&self, name: &'static str) -> Result<String, StoreError> {
        match self {
            Self::Postgres(db) => {
                let text = sqlx::AssertSqlSafe(format!("SHOW {name}"));
                let mut lease = Lease::take(db).await?;
                let done = sqlx::raw_sql(text).fetch_one(lease.connection()).await;
                Ok(lease.end(done.map_err(StoreError::from)).await?.try_get(0)?)
            }
            Self::Sqlite(db) => {
                let value: i64 =
                    sqlx::query_scalar("PRAGMA synchronous").fetch_one(&db.writer).await?;
                Ok(value.to_string())
            }
        }
    }

    /// Answers when the database answers; for readiness checks.
    pub async fn ping(&self) -> Result<(), StoreError> {
        PING.on(self).fetch().await.map(|_| ())
    }

    /// Begins a write transaction; see [`Db::write`] for one that is repeated where needed.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Postgres(db) => Tx::Postgres(PostgresTx {
                inner: db.writes.note(db.begin_transaction().await)?,
                db: db.clone(),
                hint: false,
            }),
            Self::Sqlite(db) => {
                Tx::Sqlite(SqliteTx { inner: db.begin().await?, writes: db.writes.clone() })
            }
        })
    }

    /// What the last writes came to.
    pub fn writes(&self) -> WriteStanding {
        match self {
            Self::Postgres(db) => db.writes.standing(),
            Self::Sqlite(db) => db.writes.standing(),
        }
    }

    /// Runs work in a write transaction and commits it; on contention with another transaction
    /// all of it is run again, at most [`WRITE_ATTEMPTS_MAX`] times. Any other error rolls back.
    /// The work is handed the transaction and hands it back with its result:
    ///
    /// ```text
    /// let rows = &rows;
    /// db.write(|mut tx| async move {
    ///     journal::append(&mut tx, rows).await?;
    ///     Ok((tx, ()))
    /// })
    /// .await?;
    /// ```
    pub async fn write<T, Work>(&self, mut work: impl FnMut(Tx) -> Work) -> Result<T, StoreError>
    where
        Work: Future<Output = Result<(Tx, T), StoreError>>,
    {
        let mut retry = Retry::default();
        loop {
            let done = match work(self.begin().await?).await {
                Ok((tx, value)) => tx.commit().await.map(|()| value),
                Err(error) => Err(error),
            };
            if !retry.is_due(&done) {
                return done;
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

    /// Prepares every statement of the product; returns how many there are, or the name of the
    /// first that the database refuses. For `doctor` and for tests.
    pub async fn prepare_all(&self) -> Result<usize, (&'static str, StoreError)> {
        let mut count = 0;
        for statement in crate::all_statements() {
            self.prepare(statement).await.map_err(|error| (statement.name(), error))?;
            count += 1;
        }
        Ok(count)
    }

    async fn prepare(&self, statement: &Statement) -> Result<(), StoreError> {
        let text = statement.text(self.dialect());
        match self {
            Self::Postgres(db) => {
                let text = format!("PREPARE tried AS {text}; DEALLOCATE tried");
                sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&db.pool).await?;
            }
            Self::Sqlite(db) => {
                let text = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(text));
                db.writer.acquire().await?.prepare(text).await?;
            }
        }
        Ok(())
    }

    /// How the database means to run each statement of the product: its name and the plan. For
    /// `doctor`, and for the test that no statement of the intake reads a whole table.
    pub async fn explain_all(&self) -> Result<Vec<(&'static str, String)>, StoreError> {
        let mut plans = Vec::new();
        for statement in crate::all_statements() {
            let text = statement.text(self.dialect());
            let plan = match self {
                Self::Postgres(db) => {
                    let mut tx = db.begin_transaction().await?;
                    explain::postgres(&mut tx, &text).await?
                }
                Self::Sqlite(db) => explain::sqlite(&db.writer, &text).await?,
            };
            plans.push((statement.name(), plan));
        }
        Ok(plans)
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

    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// The answer to a question about the database itself, without parameters.
    pub(crate) async fn ask(&self, question: &'static str) -> Result<bool, StoreError> {
        Ok(match self {
            Self::Postgres(db) => {
                let mut lease = Lease::take(db).await?;
                let done = sqlx::raw_sql(question).fetch_one(lease.connection()).await;
                lease.end(done.map_err(StoreError::from)).await?.try_get(0)?
            }
            Self::Sqlite(db) => sqlx::query_scalar(question).fetch_one(&db.readers).await?,
        })
    }

    /// Where a single writing statement runs, a transaction by itself.
    pub(crate) fn writer(&self) -> Handle<'_> {
        match self {
            Self::Postgres(db) => Handle::postgres_pool(db).committing(&db.writes),
            Self::Sqlite(db) => Handle::sqlite_pool(&db.writer).committing(&db.writes),
        }
    }

    /// How to connect to the channel for hints, where there is one.
    pub(crate) fn channel(&self) -> Option<&PgConnectOptions> {
        match self {
            Self::Postgres(db) => db.listen.as_deref(),
            Self::Sqlite(_) => None,
        }
    }
}

impl<'c> From<&'c Db> for Handle<'c> {
    fn from(db: &'c Db) -> Self {
        match db {
            Db::Postgres(db) => Handle::postgres_pool(db),
            Db::Sqlite(db) => Handle::sqlite_pool(&db.readers),
        }
    }
}

impl<'c> From<&'c mut Tx> for Handle<'c> {
    fn from(tx: &'c mut Tx) -> Self {
        match tx {
            Tx::Postgres(tx) => Handle::postgres(&mut tx.inner, &tx.db),
            Tx::Sqlite(tx) => Handle::sqlite(&mut tx.inner, &tx.writes),
        }
    }
}

impl Tx {
    /// Makes everything written durable and visible. After an error nothing can be said of it: it
    /// may have been committed when the connection broke during the answer.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(PostgresTx { inner, db, hint }) => {
                let done = db.writes.note(inner.commit().await.map_err(StoreError::from));
                // After an error too: it may have been committed, and whoever keeps answers from
                // before has to look.
                if hint {
                    db.hint_changes(&done).await;
                }
                done?;
                db.writes.committed();
            }
            Self::Sqlite(SqliteTx { inner, writes }) => {
                writes.note(inner.commit().await.map_err(StoreError::from))?;
                writes.committed();
            }
        }
        Ok(())
    }

    /// Whether nobody else can write before it ends.
    pub const fn writes_alone(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Takes everything back.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(tx) => tx.inner.rollback().await?,
            Self::Sqlite(tx) => tx.inner.rollback().await?,
        }
        Ok(())
    }

    /// Has other instances told after the commit that the change feed has grown.
    pub(crate) const fn hint_after_commit(&mut self) {
        match self {
            Self::Postgres(tx) => tx.hint = true,
            Self::Sqlite(_) => {}
        }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Runs a script of several statements, without parameters.
    pub(crate) async fn run_script(&mut self, script: String) -> Result<(), StoreError> {
        let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script));
        match self {
            Self::Postgres(tx) => script.execute(&mut *tx.inner).await.map(|_| ())?,
            Self::Sqlite(tx) => script.execute(&mut *tx.inner).await.map(|_| ())?,
        }
        Ok(())
    }
}
