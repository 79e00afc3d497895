//! Values of a statement. Owns: scalars and the rows of a batch, column by column. Must not know:
//! how a driver takes them.

use std::borrow::Cow;

use crate::dialect::CellType;
use crate::prose;

/// One value.
#[derive(Debug, Clone)]
pub(crate) enum Value<'v> {
    Text(Option<Cow<'v, str>>),
    Bigint(Option<i64>),
    Boolean(bool),
    Bytes(&'v [u8]),
}

/// One column of a batch.
#[derive(Debug)]
pub(crate) enum Column<'v> {
    Text(Vec<Option<Cow<'v, str>>>),
    Bigint(Vec<Option<i64>>),
    Boolean(Vec<bool>),
    Bytes(Vec<&'v [u8]>),
}

impl Column<'_> {
    pub(super) const fn cell_type(&self) -> CellType {
        match self {
            Self::Text(_) => CellType::Text,
            Self::Bigint(_) => CellType::Bigint,
            Self::Boolean(_) => CellType::Boolean,
            Self::Bytes(_) => CellType::Bytea,
        }
    }
}

/// The rows of a batch, column by column.
#[derive(Debug)]
pub(crate) struct Rows<'v, T> {
    items: &'v [T],
    pub(super) columns: Vec<Column<'v>>,
}

impl<'v, T> Rows<'v, T> {
    pub(crate) const fn of(items: &'v [T]) -> Self {
        Self { items, columns: Vec::new() }
    }

    /// A key or another text that holds no NUL.
    pub(crate) fn text(mut self, cell: impl Fn(&'v T) -> &'v str) -> Self {
        let cells = self.items.iter().map(|item| Some(Cow::Borrowed(cell(item))));
        self.columns.push(Column::Text(cells.collect()));
        self
    }

    pub(crate) fn opt_text(mut self, cell: impl Fn(&'v T) -> Option<&'v str>) -> Self {
        let cells = self.items.iter().map(|item| cell(item).map(Cow::Borrowed));
        self.columns.push(Column::Text(cells.collect()));
        self
    }

    /// A text made for the row; it must not hold NUL.
    pub(crate) fn made_text(mut self, cell: impl Fn(&'v T) -> Cow<'v, str>) -> Self {
        let cells = self.items.iter().map(|item| Some(cell(item)));
        self.columns.push(Column::Text(cells.collect()));
        self
    }

    /// Free text, whatever it holds.
    pub(crate) fn prose(self, cell: impl Fn(&'v T) -> &'v str) -> Self {
        self.made_text(|item| prose::to_column(cell(item)))
    }

    pub(crate) fn opt_prose(mut self, cell: impl Fn(&'v T) -> Option<&'v str>) -> Self {
        let cells = self.items.iter().map(|item| cell(item).map(prose::to_column));
        self.columns.push(Column::Text(cells.collect()));
        self
    }

    pub(crate) fn bigint(mut self, cell: impl Fn(&'v T) -> i64) -> Self {
        let cells = self.items.iter().map(|item| Some(cell(item)));
        self.columns.push(Column::Bigint(cells.collect()));
        self
    }

    pub(crate) fn opt_bigint(mut self, cell: impl Fn(&'v T) -> Option<i64>) -> Self {
        self.columns.push(Column::Bigint(self.items.iter().map(cell).collect()));
        self
    }

    pub(crate) fn boolean(mut self, cell: impl Fn(&'v T) -> bool) -> Self {
        self.columns.push(Column::Boolean(self.items.iter().map(cell).collect()));
        self
    }

    pub(crate) fn bytes(mut self, cell: impl Fn(&'v T) -> &'v [u8]) -> Self {
        self.columns.push(Column::Bytes(self.items.iter().map(cell).collect()));
        self
    }
}
