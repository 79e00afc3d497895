//! Rows of a database carried over into an SQLite file. Owns: reading tables of either engine as they
//! stood at one instant, and writing them. Must not know: which tables, what they mean.

use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Row as _, Sqlite, SqlitePool, Transaction};

use super::{Db, PostgresTx, Tx};
use crate::error::StoreError;
use crate::statement::{Cells, Row};

/// All tables are read as of one instant, however long that takes.
const POSTGRES_SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// A table, and which of its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) table: &'static str,
    /// A condition of SQL; `TRUE` for all rows.
    pub(crate) condition: &'static str,
}

/// Where rows are read: a snapshot.
enum Snapshot {
    Postgres(Box<PostgresTx>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Bigint,
    Boolean,
    Bytes,
}

impl Kind {
    /// By the type SQLite was given for the column.
    fn named(column: &str, declared: &str) -> Result<Self, StoreError> {
        Ok(match declared {
            "TEXT" => Self::Text,
            "BIGINT" | "INTEGER" => Self::Bigint,
            "BOOLEAN" => Self::Boolean,
            "BLOB" => Self::Bytes,
            other => {
                return Err(StoreError::Corrupt {
                    table: "sqlite_schema",
                    reason: format!("a column of the unknown type {other}"),
                    row: column.to_owned(),
                });
            }
        })
    }

    fn copy(self, cells: &mut Cells<'_>, into: &mut SqliteArguments) -> Result<(), StoreError> {
        let added = match self {
            Self::Text => into.add(cells.opt_text()?.map(ToOwned::to_owned)),
            Self::Bigint => into.add(cells.opt_bigint()?),
            Self::Boolean => into.add(cells.opt_boolean()?),
            Self::Bytes => into.add(cells.opt_bytes()?.map(<[u8]>::to_vec)),
        };
        Ok(added.map_err(sqlx::Error::Encode)?)
    }
}

/// Copies rows into the tables of the same names, in place of the rows that are there. Returns how
/// many.
pub(crate) async fn rows(from: &Db, into: &Db, sources: &[Source]) -> Result<u64, StoreError> {
    let mut snapshot = Snapshot::take(from).await?;
    let mut into = file(into)?.begin_with("BEGIN IMMEDIATE").await?;
    let mut copied = 0_u64;
    for source in sources {
        let kinds = columns(&mut into, source.table).await?;
        let names: Vec<&str> = kinds.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let select = format!("SELECT {names} FROM {} WHERE {}", source.table, source.condition);
        let places = vec!["?"; kinds.len()].join(", ");
        let insert = format!("INSERT INTO {} ({names}) VALUES ({places})", source.table);
        let clear = sqlx::AssertSqlSafe(format!("DELETE FROM {}", source.table));
        sqlx::query(clear).execute(&mut *into).await?;
        copied = copied.saturating_add(snapshot.pour(select, &kinds, insert, &mut into).await?);
    }
    into.commit().await?;
    Ok(copied)
}

fn file(db: &Db) -> Result<&SqlitePool, StoreError> {
    match db {
        Db::Sqlite(db) => Ok(&db.writer),
        Db::Postgres(_) => {
            Err(StoreError::Address { reason: "a copy is an SQLite file".to_owned() })
        }
    }
}

async fn columns(
    db: &mut Transaction<'static, Sqlite>,
    table: &str,
) -> Result<Vec<(String, Kind)>, StoreError> {
    let text = "SELECT name, type FROM pragma_table_info(?) ORDER BY cid";
    let rows = sqlx::query(text).bind(table.to_owned()).fetch_all(&mut **db).await?;
    let column = |row: &sqlx::sqlite::SqliteRow| {
        let (name, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let kind = Kind::named(&name, &declared)?;
        Ok((name, kind))
    };
    rows.iter().map(column).collect()
}

impl Snapshot {
    async fn take(db: &Db) -> Result<Self, StoreError> {
        Ok(match db {
            Db::Postgres(_) => {
                let mut tx = db.begin().await?;
                tx.run_script(POSTGRES_SNAPSHOT.to_owned()).await?;
                match tx {
                    Tx::Postgres(tx) => Self::Postgres(Box::new(tx)),
                    Tx::Sqlite(tx) => Self::Sqlite(tx.inner),
                }
            }
            Db::Sqlite(db) => Self::Sqlite(db.readers.begin().await?),
        })
    }

    /// Carries every row that a text selects over to another, one by one.
    async fn pour(
        &mut self,
        select: String,
        kinds: &[(String, Kind)],
        insert: String,
        into: &mut Transaction<'static, Sqlite>,
    ) -> Result<u64, StoreError> {
        let select = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(select));
        let insert = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(insert));
        let mut rows = match self {
            // Once only, and a statement that stays prepared would be met again behind a pooler.
            Self::Postgres(tx) => {
                let select = sqlx::query(select).persistent(false);
                select.fetch(&mut *tx.inner).map_ok(Row::Postgres).boxed()
            }
            Self::Sqlite(tx) => {
                let select = sqlx::query(select).persistent(false);
                select.fetch(&mut **tx).map_ok(Row::Sqlite).boxed()
            }
        };
        let mut copied = 0_u64;
        while let Some(row) = rows.try_next().await? {
            let mut values = SqliteArguments::default();
            let mut cells = row.cells();
            for (_, kind) in kinds {
                kind.copy(&mut cells, &mut values)?;
            }
            sqlx::query_with(insert.clone(), values).execute(&mut **into).await?;
            copied = copied.saturating_add(1);
        }
        Ok(copied)
    }
}
