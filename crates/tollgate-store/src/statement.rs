//! Statements and how they are run on either database. Owns: the registry entry of a statement,
//! binding, batches, reading cells. Must not know: any table.

use std::borrow::Cow;
use std::sync::OnceLock;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, PgConnection, SqliteConnection, SqlitePool};

use self::batch::Column;
use crate::db::{Lease, PostgresDb, Retry, Writes};
use crate::dialect::{Dialect, Expanded, Slot, batch_columns, expand};
use crate::error::StoreError;
use crate::prose;

mod batch;
mod cells;
pub(crate) mod guarded;
mod placeholders;

pub(crate) use batch::{Rows, Value};
pub(crate) use cells::{Cells, Row};

/// Batch sizes on SQLite, falling: a batch is cut into these, so that few texts are prepared and
/// every one is used again. 256 rows of the widest batch stay under SQLite's 32 766 parameters.
const CHUNK_ROWS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// One statement of the product. Made by [`statements!`] only, so that all are in the registry.
#[derive(Debug)]
pub(crate) struct Statement {
    name: &'static str,
    template: &'static str,
    postgres: OnceLock<Expanded>,
    sqlite: [OnceLock<Expanded>; CHUNK_ROWS.len()],
}

impl Statement {
    pub(crate) const fn new(name: &'static str, template: &'static str) -> Self {
        Self {
            name,
            template,
            postgres: OnceLock::new(),
            sqlite: [const { OnceLock::new() }; CHUNK_ROWS.len()],
        }
    }

    /// Its name, for messages.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Its text for a database; a batch has one row.
    pub(crate) fn text(&self, dialect: Dialect) -> String {
        expand(self.template, dialect, 1).sql
    }

    fn on_postgres(&'static self) -> &'static Expanded {
        self.postgres.get_or_init(|| expand(self.template, Dialect::Postgres, 0))
    }

    /// The text for the largest chunk that `rows` rows fill, and how many rows it takes.
    fn on_sqlite(&'static self, rows: usize) -> (&'static Expanded, usize) {
        let sizes = CHUNK_ROWS.iter().zip(&self.sqlite);
        let mut fitting = sizes.skip_while(|(size, _)| **size > rows.max(1));
        match fitting.next() {
            Some((size, cell)) => {
                (cell.get_or_init(|| expand(self.template, Dialect::Sqlite, *size)), *size)
            }
            // Not reached: the last size is 1.
            None => (self.on_postgres(), 1),
        }
    }

    /// Starts a call on a transaction or on the readers of a database.
    pub(crate) fn on<'c, 'v>(&'static self, handle: impl Into<Handle<'c>>) -> Call<'c, 'v> {
        Call { statement: self, handle: handle.into(), scalars: Vec::new(), columns: Vec::new() }
    }
}

/// Declares statements and their registry.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $template:expr;)*) => {
        $($(#[$doc])* pub(crate) static $name: $crate::statement::Statement = $crate::statement::Statement::new(
            concat!(module_path!(), "::", stringify!($name)), $template);)*
        /// Every statement of this module.
        pub(crate) static STATEMENTS: &[&$crate::statement::Statement] = &[$(&$name),*];
    };
}
pub(crate) use statements;

/// What a statement runs on, and what its outcome tells.
#[derive(Debug)]
pub(crate) struct Handle<'c> {
    place: Place<'c>,
    tells: Tells<'c>,
}

/// What the outcome of a statement tells of writing.
#[derive(Debug, Clone, Copy)]
enum Tells<'c> {
    /// Nothing: it reads.
    Nothing,
    /// A failure is one of a write.
    Failures(&'c Writes),
    /// A success is a commit, too.
    Commits(&'c Writes),
}

impl Tells<'_> {
    fn note<T>(self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match self {
            Self::Nothing => done,
            Self::Failures(writes) | Self::Commits(writes) => writes.note(done),
        }
    }
}

#[derive(Debug)]
enum Place<'c> {
    PostgresPool(&'c PostgresDb),
    Postgres(&'c mut PgConnection, Keeping),
    SqlitePool(&'c SqlitePool),
    Sqlite(&'c mut SqliteConnection),
}

impl<'c> Handle<'c> {
    /// Reading statements, each by itself.
    pub(crate) const fn postgres_pool(db: &'c PostgresDb) -> Self {
        Self { place: Place::PostgresPool(db), tells: Tells::Nothing }
    }

    /// Reading statements, each by itself.
    pub(crate) const fn sqlite_pool(pool: &'c SqlitePool) -> Self {
        Self { place: Place::SqlitePool(pool), tells: Tells::Nothing }
    }

    /// A transaction on a connection of this database.
    pub(crate) const fn postgres(connection: &'c mut PgConnection, db: &'c PostgresDb) -> Self {
        let place = Place::Postgres(connection, db.keeping());
        Self { place, tells: Tells::Failures(db.writes()) }
    }

    /// A transaction.
    pub(crate) const fn sqlite(connection: &'c mut SqliteConnection, writes: &'c Writes) -> Self {
        Self { place: Place::Sqlite(connection), tells: Tells::Failures(writes) }
    }

    /// The same for writing statements, each a transaction by itself.
    pub(crate) fn committing(self, writes: &'c Writes) -> Self {
        Self { tells: Tells::Commits(writes), ..self }
    }

    /// The same, for one statement of several.
    pub(crate) fn reborrow(&mut self) -> Handle<'_> {
        let place = match &mut self.place {
            Place::PostgresPool(db) => Place::PostgresPool(db),
            Place::Postgres(connection, keeping) => Place::Postgres(connection, *keeping),
            Place::SqlitePool(pool) => Place::SqlitePool(pool),
            Place::Sqlite(connection) => Place::Sqlite(connection),
        };
        Handle { place, tells: self.tells }
    }
}

/// A statement with its values, ready to run.
#[derive(Debug)]
pub(crate) struct Call<'c, 'v> {
    statement: &'static Statement,
    handle: Handle<'c>,
    scalars: Vec<Value<'v>>,
    columns: Vec<Column<'v>>,
}

impl<'v> Call<'_, 'v> {
    /// The next scalar, `$1` first: a key or another text that holds no NUL.
    pub(crate) fn text(self, value: &'v str) -> Self {
        self.opt_text(Some(value))
    }

    pub(crate) fn opt_text(mut self, value: Option<&'v str>) -> Self {
        self.scalars.push(Value::Text(value.map(Cow::Borrowed)));
        self
    }

    pub(crate) fn prose(self, value: &'v str) -> Self {
        self.opt_prose(Some(value))
    }

    pub(crate) fn opt_prose(mut self, value: Option<&'v str>) -> Self {
        self.scalars.push(Value::Text(value.map(prose::to_column)));
        self
    }

    pub(crate) fn bigint(self, value: i64) -> Self {
        self.opt_bigint(Some(value))
    }

    pub(crate) fn opt_bigint(mut self, value: Option<i64>) -> Self {
        self.scalars.push(Value::Bigint(value));
        self
    }

    pub(crate) fn boolean(mut self, value: bool) -> Self {
        self.scalars.push(Value::Boolean(value));
        self
    }

    pub(crate) fn bytes(mut self, value: &'v [u8]) -> Self {
        self.scalars.push(Value::Bytes(value));
        self
    }

    /// The rows of the batch. Must be the last; must not be empty.
    pub(crate) fn rows<T>(mut self, rows: Rows<'v, T>) -> Self {
        debug_assert_eq!(
            rows.columns.iter().map(Column::cell_type).collect::<Vec<_>>(),
            batch_columns(self.statement.template),
            "{}: the batch has other columns than the statement",
            self.statement.name,
        );
        self.columns = rows.columns;
        self
    }

    /// Runs the statement and returns the number of rows it changed.
    pub(crate) async fn execute(self) -> Result<u64, StoreError> {
        let tells = self.handle.tells;
        let done = tells.note(self.execute_in_place().await);
        // One that changed no row may not have reached the disk.
        if let (Tells::Commits(writes), Ok(1..)) = (tells, &done) {
            writes.committed();
        }
        done
    }

    async fn execute_in_place(self) -> Result<u64, StoreError> {
        let Self { statement, handle, scalars, columns } = self;
        match handle.place {
            Place::PostgresPool(db) => {
                let call = PostgresCall::of(statement, scalars, columns, db.keeping())?;
                let mut retry = Retry::default();
                loop {
                    let mut lease = Lease::take(db).await?;
                    let done = call.clone().execute(lease.connection()).await;
                    let done = lease.end(done).await;
                    if !retry.is_due(&done) {
                        return done;
                    }
                }
            }
            Place::Postgres(connection, keeping) => {
                PostgresCall::of(statement, scalars, columns, keeping)?.execute(connection).await
            }
            Place::SqlitePool(pool) => {
                let mut connection = pool.acquire().await?;
                execute_on_sqlite(&mut connection, statement, &scalars, &columns).await
            }
            Place::Sqlite(connection) => {
                execute_on_sqlite(connection, statement, &scalars, &columns).await
            }
        }
    }

    /// Runs the statement and returns its rows; those of one batch share one instant.
    pub(crate) async fn fetch(self) -> Result<Vec<Row>, StoreError> {
        let tells = self.handle.tells;
        tells.note(self.fetch_in_place().await)
    }

    async fn fetch_in_place(self) -> Result<Vec<Row>, StoreError> {
        let Self { statement, handle, scalars, columns } = self;
        match handle.place {
            Place::PostgresPool(db) => {
                let call = PostgresCall::of(statement, scalars, columns, db.keeping())?;
                let mut retry = Retry::default();
                loop {
                    let mut lease = Lease::take(db).await?;
                    let done = call.clone().fetch(lease.connection()).await;
                    let done = lease.end(done).await;
                    if !retry.is_due(&done) {
                        return done;
                    }
                }
            }
            Place::Postgres(connection, keeping) => {
                PostgresCall::of(statement, scalars, columns, keeping)?.fetch(connection).await
            }
            Place::SqlitePool(pool) if batch_len(&columns) > 1 => {
                let mut tx = pool.begin().await?;
                let rows = fetch_on_sqlite(&mut tx, statement, &scalars, &columns).await?;
                tx.rollback().await?;
                Ok(rows)
            }
            Place::SqlitePool(pool) => {
                let mut connection = pool.acquire().await?;
                fetch_on_sqlite(&mut connection, statement, &scalars, &columns).await
            }
            Place::Sqlite(connection) => {
                fetch_on_sqlite(connection, statement, &scalars, &columns).await
            }
        }
    }

    /// [`Self::fetch`] for a statement that returns at most one row.
    pub(crate) async fn fetch_one(self) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch().await?.into_iter().next())
    }
}

/// Whether the server keeps a statement prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It does, for the connection.
    Prepared,
    /// It does not: the next transaction may have another server connection.
    Nothing,
}

/// A text with its values for PostgreSQL.
#[derive(Clone)]
struct PostgresCall {
    sql: &'static str,
    arguments: PgArguments,
    keeping: Keeping,
}

impl PostgresCall {
    fn of(
        statement: &'static Statement,
        scalars: Vec<Value<'_>>,
        columns: Vec<Column<'_>>,
        keeping: Keeping,
    ) -> Result<Self, StoreError> {
        let mut arguments = PgArguments::default();
        for_postgres(&mut arguments, scalars, columns)?;
        Ok(Self { sql: statement.on_postgres().sql.as_str(), arguments, keeping })
    }

    async fn execute(self, on: &mut PgConnection) -> Result<u64, StoreError> {
        let query = sqlx::query_with(self.sql, self.arguments);
        let query = query.persistent(self.keeping == Keeping::Prepared);
        Ok(query.execute(on).await?.rows_affected())
    }

    async fn fetch(self, on: &mut PgConnection) -> Result<Vec<Row>, StoreError> {
        let query = sqlx::query_with(self.sql, self.arguments);
        let query = query.persistent(self.keeping == Keeping::Prepared);
        let rows = query.fetch_all(on).await?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }
}

/// Adds the values of a statement.
fn for_postgres(
    arguments: &mut PgArguments,
    scalars: Vec<Value<'_>>,
    columns: Vec<Column<'_>>,
) -> Result<(), StoreError> {
    for value in scalars {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Bigint(number) => arguments.add(number),
            Value::Boolean(truth) => arguments.add(truth),
            Value::Bytes(bytes) => arguments.add(bytes),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    for column in columns {
        match column {
            Column::Text(cells) => arguments.add(cells),
            Column::Bigint(cells) => arguments.add(cells),
            Column::Boolean(cells) => arguments.add(cells),
            Column::Bytes(cells) => arguments.add(cells),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}

async fn execute_on_sqlite(
    connection: &mut SqliteConnection,
    statement: &'static Statement,
    scalars: &[Value<'_>],
    columns: &[Column<'_>],
) -> Result<u64, StoreError> {
    let mut changed = 0;
    let mut from = 0;
    loop {
        let (sql, arguments, to) = for_sqlite(statement, scalars, columns, from)?;
        let query = sqlx::query_with(sql, arguments);
        changed += query.execute(&mut *connection).await?.rows_affected();
        if to >= batch_len(columns) {
            return Ok(changed);
        }
        from = to;
    }
}

async fn fetch_on_sqlite(
    connection: &mut SqliteConnection,
    statement: &'static Statement,
    scalars: &[Value<'_>],
    columns: &[Column<'_>],
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    let mut from = 0;
    loop {
        let (sql, arguments, to) = for_sqlite(statement, scalars, columns, from)?;
        let query = sqlx::query_with(sql, arguments);
        rows.extend(query.fetch_all(&mut *connection).await?.into_iter().map(Row::Sqlite));
        if to >= batch_len(columns) {
            return Ok(rows);
        }
        from = to;
    }
}

fn batch_len(columns: &[Column<'_>]) -> usize {
    match columns.first() {
        None => 0,
        Some(Column::Text(cells)) => cells.len(),
        Some(Column::Bigint(cells)) => cells.len(),
        Some(Column::Boolean(cells)) => cells.len(),
        Some(Column::Bytes(cells)) => cells.len(),
    }
}

/// Text and values of the chunk that starts at row `from`, and the row after it.
fn for_sqlite(
    statement: &'static Statement,
    scalars: &[Value<'_>],
    columns: &[Column<'_>],
    from: usize,
) -> Result<(&'static str, SqliteArguments, usize), StoreError> {
    let (expanded, size) = statement.on_sqlite(batch_len(columns).saturating_sub(from));
    let to = from + size;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(size * columns.len() + scalars.len(), 0);
    for slot in &expanded.parameters {
        match slot {
            Slot::Scalar(index) => add_scalar(&mut arguments, scalars.get(*index))?,
            Slot::Rows => {
                for row in from..to {
                    for column in columns {
                        add_cell(&mut arguments, column, row)?;
                    }
                }
            }
        }
    }
    Ok((expanded.sql.as_str(), arguments, to))
}

fn add_scalar(
    arguments: &mut SqliteArguments,
    value: Option<&Value<'_>>,
) -> Result<(), StoreError> {
    match value {
        Some(Value::Text(text)) => arguments.add(text.as_deref()),
        Some(Value::Bigint(number)) => arguments.add(*number),
        Some(Value::Boolean(truth)) => arguments.add(*truth),
        Some(Value::Bytes(bytes)) => arguments.add(*bytes),
        None => arguments.add(None::<i64>),
    }
    .map_err(|error| sqlx::Error::Encode(error).into())
}

fn add_cell(
    arguments: &mut SqliteArguments,
    column: &Column<'_>,
    row: usize,
) -> Result<(), StoreError> {
    match column {
        Column::Text(cells) => arguments.add(cells.get(row).and_then(Option::as_deref)),
        Column::Bigint(cells) => arguments.add(cells.get(row).copied().flatten()),
        Column::Boolean(cells) => arguments.add(cells.get(row).copied()),
        Column::Bytes(cells) => arguments.add(cells.get(row).copied()),
    }
    .map_err(|error| sqlx::Error::Encode(error).into())
}
