//! The schema. Owns: the migrations and their runner. Must not know: what the tables mean.
//!
//! Each migration is one text for both databases and runs in a transaction of its own together
//! with the row that notes it, so a killed run leaves whole migrations only and the next run goes
//! on. On PostgreSQL an advisory lock, held by that transaction, lets several processes start at
//! once; on SQLite the write transaction does.

use std::fmt::Write as _;

use tollgate_domain::Timestamp;

use crate::db::{Db, Tx};
use crate::dialect::{Dialect, expand};
use crate::error::StoreError;
use crate::statement::{Handle, statements};
use crate::wire;

/// One step of the schema.
struct Migration {
    version: u32,
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!("../migrations/", $file, ".up.sql")),
            down: include_str!(concat!("../migrations/", $file, ".down.sql")),
        }
    };
}

/// All steps, in order.
const MIGRATIONS: &[Migration] = &[
    migration!(1, "accounts", "0001_accounts"),
    migration!(2, "inbox", "0002_inbox"),
    migration!(3, "operation", "0003_operation"),
    migration!(4, "views", "0004_views"),
];

/// Names the advisory lock of migrations; any number that nobody else uses.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7014011620211121)";

/// A migration must not wait long for a lock that queries queue behind; it is tried again later.
const POSTGRES_BEFORE: &str = "SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = 0;";
const POSTGRES_LOCKED: &str = "SET LOCAL lock_timeout = '2s';";

/// Not one of the migrations, for it says which are there.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (\
    version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";

statements! {
    APPLIED = "SELECT version, applied_at, name FROM schema_migrations ORDER BY version";
    NOTE = "INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)";
    FORGET = "DELETE FROM schema_migrations WHERE version = $1";

    // Fails where a table was taken away or may not be read; reads no row of any, because there is no
    // such name. It is a parameter, so that the database cannot see it and leave the tables out.
    TABLES = "SELECT CAST(COUNT(*) AS BIGINT) FROM meta WHERE name = $1 \
        AND EXISTS (SELECT 1 FROM accounts) AND EXISTS (SELECT 1 FROM stripe_links) \
        AND EXISTS (SELECT 1 FROM facts) \
        AND EXISTS (SELECT 1 FROM journal_entries) AND EXISTS (SELECT 1 FROM journal_anchors) \
        AND EXISTS (SELECT 1 FROM change_feed) \
        AND EXISTS (SELECT 1 FROM webhook_events) AND EXISTS (SELECT 1 FROM event_waits) \
        AND EXISTS (SELECT 1 FROM event_wakes) AND EXISTS (SELECT 1 FROM thin_events) \
        AND EXISTS (SELECT 1 FROM body_dictionaries) AND EXISTS (SELECT 1 FROM api_keys) \
        AND EXISTS (SELECT 1 FROM usage_counters) AND EXISTS (SELECT 1 FROM stripe_requests) \
        AND EXISTS (SELECT 1 FROM customer_claims) AND EXISTS (SELECT 1 FROM checkout_attempts) \
        AND EXISTS (SELECT 1 FROM doubtful_objects) AND EXISTS (SELECT 1 FROM connected_objects) \
        AND EXISTS (SELECT 1 FROM leases) AND EXISTS (SELECT 1 FROM reconciliation_runs)";
}

/// Whether the table of applied migrations is there. The two catalogs have nothing in common, so
/// these are texts of their own and not in the registry.
const HISTORY_EXISTS_POSTGRES: &str = "SELECT to_regclass('schema_migrations') IS NOT NULL";
const HISTORY_EXISTS_SQLITE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations')";

/// How one migration stands in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number, from 1.
    pub version: u32,
    /// Its name.
    pub name: &'static str,
    /// When it was applied; `None`: not yet.
    pub applied_at: Option<Timestamp>,
}

/// Applies what is missing, each migration in a transaction of its own; safe to start in several
/// processes at once. Returns the versions applied by this call.
pub async fn up(db: &Db, now: Timestamp) -> Result<Vec<u32>, StoreError> {
    let mut done = Vec::new();
    loop {
        let mut tx = begin(db).await?;
        let applied = applied(Handle::from(&mut tx)).await?;
        refuse_newer(&applied)?;
        let missing =
            MIGRATIONS.iter().find(|step| !applied.iter().any(|(known, _)| *known == step.version));
        let Some(step) = missing else {
            tx.commit().await?;
            return Ok(done);
        };
        tx.run_script(expand(step.up, tx.dialect(), 0).sql).await?;
        let note = NOTE.on(&mut tx).bigint(i64::from(step.version)).text(step.name);
        note.bigint(now.millis()).execute().await?;
        tx.commit().await?;
        done.push(step.version);
    }
}

/// Takes back all migrations above a version, newest first. Returns the versions taken back.
pub async fn down(db: &Db, to: u32) -> Result<Vec<u32>, StoreError> {
    let mut done = Vec::new();
    loop {
        let mut tx = begin(db).await?;
        let applied = applied(Handle::from(&mut tx)).await?;
        refuse_newer(&applied)?;
        let newest = applied.last().map(|(version, _)| *version).filter(|version| *version > to);
        let Some(step) = MIGRATIONS.iter().find(|step| Some(step.version) == newest) else {
            tx.commit().await?;
            return Ok(done);
        };
        tx.run_script(expand(step.down, tx.dialect(), 0).sql).await?;
        FORGET.on(&mut tx).bigint(i64::from(step.version)).execute().await?;
        tx.commit().await?;
        done.push(step.version);
    }
}

/// A transaction that is alone among migrations.
async fn begin(db: &Db) -> Result<Tx, StoreError> {
    let mut tx = db.begin().await?;
    if tx.dialect() == Dialect::Postgres {
        let script = format!("{POSTGRES_BEFORE} {LOCK}; {POSTGRES_LOCKED}");
        tx.run_script(script).await?;
    }
    tx.run_script(HISTORY.to_owned()).await?;
    Ok(tx)
}

async fn applied(handle: Handle<'_>) -> Result<Vec<(u32, Timestamp)>, StoreError> {
    let rows = APPLIED.on(handle).fetch().await?;
    let read = |row: &crate::statement::Row| {
        let mut cells = row.cells();
        let (version, at) = (wire::small(cells.bigint()?), cells.instant()?);
        is_ours(version, cells.text()?).map(|()| (version, at))
    };
    rows.iter().map(read).collect()
}

/// Refuses a migration that has another name here: development versions before the first release
/// numbered theirs otherwise.
fn is_ours(version: u32, name: &str) -> Result<(), StoreError> {
    match MIGRATIONS.iter().find(|step| step.version == version) {
        Some(step) if step.name != name => Err(StoreError::Corrupt {
            table: "schema_migrations",
            reason: format!(
                "migration {version} is called {name} and not {}: a development version made this \
                 database, which cannot be brought up; begin with an empty one",
                step.name
            ),
            row: version.to_string(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// What is applied, also in a database where nothing ever was.
async fn applied_so_far(db: &Db) -> Result<Vec<(u32, Timestamp)>, StoreError> {
    let text = match db.dialect() {
        Dialect::Postgres => HISTORY_EXISTS_POSTGRES,
        Dialect::Sqlite => HISTORY_EXISTS_SQLITE,
    };
    if db.ask(text).await? { applied(db.into()).await } else { Ok(Vec::new()) }
}

/// The newest version of the schema that this program knows.
pub fn known() -> u32 {
    MIGRATIONS.last().map_or(0, |step| step.version)
}

fn refuse_newer(applied: &[(u32, Timestamp)]) -> Result<(), StoreError> {
    let (found, known) = (applied.last().map_or(0, |(version, _)| *version), known());
    if found > known { Err(StoreError::SchemaNewer { found, known }) } else { Ok(()) }
}

/// All known migrations and whether they are applied.
pub async fn status(db: &Db) -> Result<Vec<MigrationStatus>, StoreError> {
    let applied = applied_so_far(db).await?;
    let at = |version| applied.iter().find(|(known, _)| *known == version).map(|(_, at)| *at);
    let status = |step: &Migration| MigrationStatus {
        version: step.version,
        name: step.name,
        applied_at: at(step.version),
    };
    Ok(MIGRATIONS.iter().map(status).collect())
}

/// When the database was made: its first migration was applied then.
pub async fn made_at(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    Ok(applied_so_far(db).await?.into_iter().map(|(_, at)| at).min())
}

/// A name that no row of `meta` has.
const NO_NAME: &str = "";

/// Refuses a database whose schema is not the one of this version, or lacks a table of it.
pub async fn check(db: &Db) -> Result<(), StoreError> {
    let applied = applied_so_far(db).await?;
    refuse_newer(&applied)?;
    let known = known();
    let all = MIGRATIONS.iter().all(|step| applied.iter().any(|(done, _)| *done == step.version));
    if all {
        return TABLES.on(db).text(NO_NAME).fetch().await.map(|_| ());
    }
    Err(StoreError::SchemaOlder { found: applied.last().map_or(0, |(version, _)| *version), known })
}

/// The SQL of all migrations that are not applied, for reading before it is run.
pub async fn plan(db: &Db) -> Result<String, StoreError> {
    let applied = applied_so_far(db).await?;
    let mut text = String::new();
    for step in
        MIGRATIONS.iter().filter(|step| !applied.iter().any(|(done, _)| *done == step.version))
    {
        let sql = expand(step.up, db.dialect(), 0).sql;
        let _ = writeln!(text, "-- {:04} {}\n{sql}", step.version, step.name);
    }
    Ok(text)
}
