//! Rows that a statement returned. Owns: reading their cells in order, on either database. Must not
//! know: what a cell means.

use std::borrow::Cow;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use tollgate_domain::Timestamp;

use crate::error::StoreError;
use crate::prose;
use crate::wire::Key;

/// A row of either database.
pub(crate) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

impl Row {
    /// Reads cells from the first on.
    pub(crate) const fn cells(&self) -> Cells<'_> {
        Cells { row: self, next: 0 }
    }
}

/// A reader of a row's cells, in their order.
pub(crate) struct Cells<'r> {
    row: &'r Row,
    next: usize,
}

macro_rules! read_cell {
    ($($(#[$doc:meta])* $name:ident -> $type:ty;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(&mut self) -> Result<$type, StoreError> {
            let index = self.next;
            self.next += 1;
            Ok(match self.row {
                Row::Postgres(row) => row.try_get(index)?,
                Row::Sqlite(row) => row.try_get(index)?,
            })
        }
    )*};
}

impl<'r> Cells<'r> {
    read_cell! {
        text -> &'r str;
        opt_text -> Option<&'r str>;
        bigint -> i64;
        opt_bigint -> Option<i64>;
        boolean -> bool;
        opt_boolean -> Option<bool>;
        bytes -> &'r [u8];
        opt_bytes -> Option<&'r [u8]>;
    }

    /// An id; anything else in its place is a defect of the row.
    pub(crate) fn key<K: Key>(&mut self, table: &'static str) -> Result<K, StoreError> {
        let text = self.text()?;
        K::read(text).ok_or_else(|| bad_key(table, text))
    }

    pub(crate) fn opt_key<K: Key>(&mut self, table: &'static str) -> Result<Option<K>, StoreError> {
        let text = self.opt_text()?;
        text.map(|text| K::read(text).ok_or_else(|| bad_key(table, text))).transpose()
    }

    pub(crate) fn instant(&mut self) -> Result<Timestamp, StoreError> {
        self.bigint().map(Timestamp::from_millis)
    }

    pub(crate) fn opt_instant(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_bigint()?.map(Timestamp::from_millis))
    }

    /// Free text, as it was before [`prose::to_column`].
    pub(crate) fn prose(&mut self) -> Result<Cow<'r, str>, StoreError> {
        self.text().map(prose::from_column)
    }

    pub(crate) fn opt_prose(&mut self) -> Result<Option<Cow<'r, str>>, StoreError> {
        Ok(self.opt_text()?.map(prose::from_column))
    }
}

fn bad_key(table: &'static str, text: &str) -> StoreError {
    StoreError::Corrupt {
        table,
        reason: "an id holds characters that no id may hold".to_owned(),
        row: text.chars().take(80).collect(),
    }
}
