//! What can go wrong in the store. Owns: the error type and the one place where a driver's codes
//! are read. Must not know: what a caller does about an error.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why an operation of the store failed. Nothing of a failed transaction is kept. The text names the
/// cause, so there is no other source to show beside it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, is too slow, or has no free connection. Worth
    /// trying again later; nothing may be acknowledged meanwhile.
    #[error("the database is unavailable: {}", words(.0))]
    Unavailable(sqlx::Error),
    /// A unique rule of the schema forbids the row (such as a second active waiver).
    #[error("a row like it exists already: {constraint}")]
    Conflict {
        /// The constraint or the columns it is about, as the database names them.
        constraint: String,
    },
    /// Another transaction got in the way; the same work is to be done again from its start.
    #[error("another transaction got in the way: {}", words(.0))]
    Contention(sqlx::Error),
    /// A stored value is not what this version of the product writes.
    #[error("{table} holds a value this version cannot read: {reason} (row {row})")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
        /// The row's key.
        row: String,
    },
    /// A value has no JSON; a defect of this program. Nothing was written.
    #[error("a value cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    /// The schema was made by a newer version of the product.
    #[error(
        "the database has schema version {found}, this version of Tollgate knows up to {known}: \
         run the newer Tollgate that made it, or take the schema down with that version first \
         (`tollgate migrate down --to {known}`)"
    )]
    SchemaNewer {
        /// Version found in the database.
        found: u32,
        /// Newest version known to this program.
        known: u32,
    },
    /// The schema lacks migrations of this version.
    #[error(
        "the database has schema version {found}, this version of Tollgate needs {known}: run \
         `tollgate migrate up`"
    )]
    SchemaOlder {
        /// Version found in the database.
        found: u32,
        /// Version needed.
        known: u32,
    },
    /// The address of the database cannot be used.
    #[error("the database address is not usable: {reason}")]
    Address {
        /// What is wrong and what is expected; never holds the address, which may hold a password.
        reason: String,
    },
    /// Anything else the database refused; a defect of this program or of its schema.
    #[error("the database refused a statement: {}", words(.0))]
    Sql(sqlx::Error),
}

impl StoreError {
    /// Whether the same work, done again from its start, may succeed at once.
    pub const fn is_contention(&self) -> bool {
        matches!(self, Self::Contention(_))
    }

    /// Whether the database is away, full or too slow, so that nothing may be acknowledged.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contention(_))
    }

    /// Whether the session or the whole server takes no writes, such as a standby.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Unavailable(_)) && self.reason() == "read_only"
    }

    /// Why the database cannot be used, as a label: `read_only`, `full`, `locked`, `no_connection`,
    /// `too_many_connections`, `timeout`, `stopping`, `access`, `connection`, `input_output`,
    /// `contention`, or `other`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(error) => trouble(error),
            Self::Contention(_) => "contention",
            Self::Conflict { .. }
            | Self::Corrupt { .. }
            | Self::Json(_)
            | Self::SchemaNewer { .. }
            | Self::SchemaOlder { .. }
            | Self::Address { .. }
            | Self::Sql(_) => "other",
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// How PgBouncer refuses what a session asks for.
const POOLER_REFUSES: &str = "unsupported startup parameter";
const POOLER_HINT: &str = "; behind a pooler such as PgBouncer, in either of its modes, set \
    database.pooling = \"transaction\"";

/// A driver's error for people: without the driver's own preamble, and without the line of the
/// database server's source that PostgreSQL sends along.
#[expect(clippy::wildcard_enum_match_arm, reason = "the driver may add kinds of errors")]
fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(told) => {
            let message = told.message();
            let hint = if message.starts_with(POOLER_REFUSES) { POOLER_HINT } else { "" };
            match told.code() {
                Some(code) if told.try_downcast_ref::<PgDatabaseError>().is_some() => {
                    format!("{message} (SQLSTATE {code}){hint}")
                }
                Some(code) => format!("{message} (SQLite code {code})"),
                None => message.to_owned(),
            }
        }
        sqlx::Error::Io(error) => format!("the connection failed: {error}"),
        sqlx::Error::Tls(error) => format!("no TLS connection: {error}"),
        sqlx::Error::Protocol(_) => {
            "what answers there is no PostgreSQL, or does not speak its protocol".to_owned()
        }
        sqlx::Error::PoolTimedOut => {
            "no connection was free in time, and no other could be made".to_owned()
        }
        sqlx::Error::PoolClosed => "its connections are closed".to_owned(),
        other => other.to_string(),
    }
}

/// [`StoreError::reason`] of a driver's error.
fn trouble(error: &sqlx::Error) -> &'static str {
    let Some(database) = error.as_database_error() else {
        let waited = matches!(error, sqlx::Error::PoolTimedOut);
        return if waited { "no_connection" } else { "connection" };
    };
    let code = database.code().unwrap_or_default();
    if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(5 | 6) => "locked",
            Ok(8) => "read_only",
            Ok(13) => "full",
            Ok(7 | 10 | 14) => "input_output",
            _ => "other",
        };
    }
    match code.as_ref() {
        "25006" => "read_only",
        "53100" | "53200" => "full",
        "53300" => "too_many_connections",
        "55P03" => "locked",
        "57014" | "25P03" | "25P04" => "timeout",
        code if code.starts_with("57") => "stopping",
        code if code.starts_with("28") || code.starts_with("3D") => "access",
        code if code.starts_with("08") => "connection",
        code if code.starts_with("58") => "input_output",
        _ => "other",
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_connection_trouble(&error) {
            return Self::Unavailable(error);
        }
        match error.as_database_error().map(reading) {
            Some(Reading::Unique(constraint)) => Self::Conflict { constraint },
            Some(Reading::Contention) => Self::Contention(error),
            Some(Reading::Unavailable) => Self::Unavailable(error),
            Some(Reading::Other) | None => Self::Sql(error),
        }
    }
}

fn is_connection_trouble(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
    )
}

/// What a driver's code means to us.
enum Reading {
    Unique(String),
    Contention,
    Unavailable,
    Other,
}

/// The one place where codes are read: SQLSTATE classes of PostgreSQL, result codes of SQLite
/// (extended codes hold the primary code in their low byte).
fn reading(error: &dyn DatabaseError) -> Reading {
    if error.is_unique_violation() {
        let constraint =
            error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned);
        return Reading::Unique(constraint);
    }
    let Some(code) = error.code() else { return Reading::Other };
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return match code.parse::<u32>().map(|code| code & 0xff) {
            // SQLITE_BUSY_SNAPSHOT: what was read before the write is no longer the newest.
            _ if code == "517" => Reading::Contention,
            // SQLITE_BUSY and SQLITE_LOCKED (another process held the file for the whole wait),
            // SQLITE_NOMEM, SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN.
            Ok(5 | 6 | 7 | 8 | 10 | 13 | 14) => Reading::Unavailable,
            _ => Reading::Other,
        };
    }
    // After a fatal error the server has ended the connection, whatever it was about.
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    if matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic)) {
        return Reading::Unavailable;
    }
    match code.as_ref() {
        // serialization_failure, deadlock_detected; division_by_zero, with which a guarded batch says
        // that something is not as it was read
        "40001" | "40P01" | "22012" => Reading::Contention,
        // lock_not_available, read_only_sql_transaction (a demoted primary), transaction timeouts
        "55P03" | "25006" | "25P03" | "25P04" => Reading::Unavailable,
        // connection exceptions, insufficient resources (disk full, too many connections),
        // operator intervention (statement timeout, shutdown, not up yet), system errors, a user or a
        // database that is refused
        other
            if ["08", "28", "3D", "53", "57", "58"]
                .iter()
                .any(|class| other.starts_with(class)) =>
        {
            Reading::Unavailable
        }
        _ => Reading::Other,
    }
}
