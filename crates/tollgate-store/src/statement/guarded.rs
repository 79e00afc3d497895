//! Several writing statements as one, which takes effect only where every count is as expected. Owns:
//! how that is said to either database. Must not know: any table.
//!
//! On PostgreSQL it is one statement and a transaction by itself: no `BEGIN`, no `COMMIT`, one round
//! trip. Each part is a common table expression that returns a row for each row it wrote; the whole
//! divides by zero where a count is another one, which takes everything back. On SQLite, where a
//! statement costs no round trip, the parts run one after the other in a transaction.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::PgArguments;

use super::batch::{Column, Rows, Value};
use super::{Statement, batch_len, execute_on_sqlite, for_postgres, placeholders};
use crate::db::{Db, Lease, PostgresDb, SqliteDb};
use crate::dialect::scalar_count;
use crate::error::StoreError;

/// One of the statements, with its values.
#[derive(Debug)]
pub(crate) struct Part<'v> {
    statement: &'static Statement,
    scalars: Vec<Value<'v>>,
    columns: Vec<Column<'v>>,
    expected: Option<u64>,
    wanted: bool,
}

impl<'v> Part<'v> {
    /// A statement on the rows of a batch, which may have none.
    pub(crate) fn of<T>(statement: &'static Statement, rows: Rows<'v, T>) -> Self {
        Self { statement, scalars: Vec::new(), columns: rows.columns, expected: None, wanted: true }
    }

    /// A statement without a batch.
    pub(crate) const fn alone(statement: &'static Statement, scalars: Vec<Value<'v>>) -> Self {
        Self { statement, scalars, columns: Vec::new(), expected: None, wanted: true }
    }

    /// With scalars, `$1` first.
    pub(crate) fn with(mut self, scalars: Vec<Value<'v>>) -> Self {
        self.scalars = scalars;
        self
    }

    /// It must write a row for each row of its batch.
    pub(crate) fn each(mut self) -> Self {
        self.expected = u64::try_from(batch_len(&self.columns)).ok();
        self
    }

    /// It is left out where that is not so.
    pub(crate) const fn only_if(mut self, wanted: bool) -> Self {
        self.wanted = wanted;
        self
    }

    /// Whether it can be left out: it is not wanted, or its batch has no row.
    fn is_idle(&self) -> bool {
        !self.wanted || (!self.columns.is_empty() && batch_len(&self.columns) == 0)
    }
}

/// The texts for PostgreSQL of the same parts in the same order, by which of them are there: one that has
/// nothing to write would cost the opening of its table and of its indexes all the same.
#[derive(Debug)]
pub(crate) struct Texts(Mutex<BTreeMap<Vec<bool>, Arc<str>>>);

impl Texts {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The text of those parts that are not idle.
    fn of(&self, parts: &[Part<'_>]) -> Arc<str> {
        let there: Vec<bool> = parts.iter().map(|part| !part.is_idle()).collect();
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = texts.entry(there).or_insert_with(|| {
            let there: Vec<&Part<'_>> = parts.iter().filter(|part| !part.is_idle()).collect();
            one_text(&there).into()
        });
        Arc::clone(text)
    }
}

/// Runs the parts as one. Returns whether they were written; not where a count is not the expected one
/// or another transaction got in the way: then nothing was. `texts` keeps the texts for PostgreSQL; the
/// parts must be the same statements in the same order at every call with it, and one of them must have
/// something to write.
pub(crate) async fn run(
    db: &Db,
    texts: &'static Texts,
    parts: Vec<Part<'_>>,
) -> Result<bool, StoreError> {
    let done = match db {
        Db::Postgres(db) => on_postgres(db, texts, parts).await,
        Db::Sqlite(db) => on_sqlite(db, &parts).await,
    };
    match done {
        Err(StoreError::Contention(_) | StoreError::Conflict { .. }) => Ok(false),
        done => done,
    }
}

async fn on_postgres(
    db: &PostgresDb,
    texts: &'static Texts,
    parts: Vec<Part<'_>>,
) -> Result<bool, StoreError> {
    let sql = sqlx::AssertSqlSafe(texts.of(&parts));
    let mut arguments = PgArguments::default();
    let mut expected = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_idle()) {
        expected.extend(part.expected.and_then(|count| i64::try_from(count).ok()));
        for_postgres(&mut arguments, part.scalars, part.columns)?;
    }
    sqlx::Arguments::add(&mut arguments, expected).map_err(sqlx::Error::Encode)?;
    let mut lease = Lease::take(db).await?;
    let query =
        sqlx::query_with(sql, arguments).persistent(db.keeping() == super::Keeping::Prepared);
    let done = query.fetch_one(lease.connection()).await.map_err(StoreError::from);
    db.writes().note(lease.end(done).await)?;
    db.writes().committed();
    Ok(true)
}

/// The text of parts for PostgreSQL. Those of which no count is expected are written all the same, and
/// nothing is asked of them.
fn one_text(parts: &[&Part<'_>]) -> String {
    let mut sql = String::from("WITH ");
    let mut offset = 0;
    let mut counted = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let own = placeholders::shifted(&part.statement.on_postgres().sql, offset);
        let comma = if place == 0 { "" } else { ", " };
        let _ = match part.expected {
            Some(_) => write!(sql, "{comma}w{place} AS ({own} RETURNING 1)"),
            None => write!(sql, "{comma}w{place} AS ({own})"),
        };
        counted.extend(part.expected.map(|_| place));
        offset += scalar_count(part.statement.template) + part.columns.len();
    }
    let expected = offset + 1;
    let counts: Vec<String> =
        counted.iter().map(|place| format!("(SELECT COUNT(*) FROM w{place})")).collect();
    let _ = write!(
        sql,
        " SELECT 1 / (CASE WHEN ARRAY[{}]::bigint[] = ${expected}::bigint[] THEN 1 ELSE 0 END)",
        counts.join(", ")
    );
    sql
}

async fn on_sqlite(db: &SqliteDb, parts: &[Part<'_>]) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    for part in parts.iter().filter(|part| !part.is_idle()) {
        let (statement, scalars, columns) = (part.statement, &part.scalars, &part.columns);
        let done = execute_on_sqlite(&mut tx, statement, scalars, columns).await;
        let count = db.writes().note(done)?;
        if part.expected.is_some_and(|expected| expected != count) {
            tx.rollback().await?;
            return Ok(false);
        }
    }
    db.writes().note(tx.commit().await.map_err(StoreError::from))?;
    db.writes().committed();
    Ok(true)
}
