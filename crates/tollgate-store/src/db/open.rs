//! Opening a database. Owns: the settings of connections and pools. Must not know: transactions.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};

use super::hints::Owed;
use super::{DbOptions, Pooling, PostgresDb, SqliteDb, Writes};
use crate::error::StoreError;

/// Statements kept prepared per connection; above the number of texts there are (on SQLite one
/// for every batch size), so that none is prepared twice.
const STATEMENTS_KEPT: usize = 1_024;

/// Bytes of a page of a new SQLite database. In one of 4 KiB a row of one of the tables with rows inside the
/// key's tree may have 1 KB before it takes a page of its own.
const PAGE_BYTES: u32 = 8_192;

/// Pages of the write-ahead log between two checkpoints of SQLite: 64 MB.
const CHECKPOINT_PAGES: &str = "8000";

/// Rows that SQLite's thread reads ahead of the task that takes them; fewer means that the two wait
/// for each other in the middle of a batch.
const ROWS_AHEAD: usize = 2_048;

/// Pages of SQLite's cache per connection, as a negative number of KiB. A commit that has moved rows between
/// pages looks at every page of the cache, so a larger one makes commits slower.
const CACHE_KIB: &str = "-16000";

/// Settings of every transaction on PostgreSQL.
const SETTINGS: [(&str, &str); 9] = [
    ("idle_in_transaction_session_timeout", "15000"),
    // Every statement finds its rows by a key. A plan made while a table was small must not scan it
    // once it is large, and no statement needs a plan per call.
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // Else what is relevant of all accounts is read and kept, to be compared with those asked for,
    // while no statistics tell that there are many.
    ("enable_material", "off"),
    ("jit", "off"),
    // Starting a worker process takes longer than any statement of the product.
    ("max_parallel_workers_per_gather", "0"),
];

/// How long an idle connection is trusted to be alive.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// Pause before a file that others are opening is opened again.
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(10);

pub(super) async fn postgres(url: &str, options: &DbOptions) -> Result<PostgresDb, StoreError> {
    let straight = postgres_address(url)?.application_name("tollgate").disable_statement_logging();
    let timeout_ms = options.statement_timeout.as_millis().to_string();
    let settings = SETTINGS.iter().copied();
    let settings: Vec<_> = settings.chain([("statement_timeout", timeout_ms.as_str())]).collect();
    let (connect, begin) = match options.pooling {
        Pooling::Session => {
            let kept = straight.clone().statement_cache_capacity(STATEMENTS_KEPT);
            (kept.options(settings), None)
        }
        Pooling::Transaction => {
            // A pooler forwards no settings, and refuses a client that asks for unknown ones.
            let mut begin = "BEGIN".to_owned();
            for (name, value) in settings {
                let _ = write!(begin, "; SET LOCAL {name} = '{value}'");
            }
            let begin = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(begin));
            (straight.clone().extra_float_digits(None), Some(begin))
        }
    };
    let listen = match (&options.listen_url, options.pooling) {
        (Some(url), _) => Some(postgres_address(url)?.application_name("tollgate listen")),
        (None, Pooling::Session) => Some(straight),
        (None, Pooling::Transaction) => None,
    };
    let writes = Writes::default();
    let (taken, given_back) = (writes.clone(), writes.clone());
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let fit = is_fit(&taken, meta.age);
            // A connection that slept through a restart of the database is found out here and
            // replaced; a busy one is spared the round trip.
            Box::pin(async move {
                if fit && meta.idle_for > IDLE_TRUSTED {
                    connection.ping().await?;
                }
                Ok(fit)
            })
        })
        .after_release(move |_, meta| {
            let fit = is_fit(&given_back, meta.age);
            Box::pin(async move { Ok(fit) })
        })
        .connect_lazy_with(connect.clone());
    let first = tokio::time::timeout(options.connect_timeout, pool.acquire()).await;
    if let Err(error) = first.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        return Err(cause(error, &connect, options.connect_timeout).await);
    }
    Ok(PostgresDb { pool, writes, begin, listen: listen.map(Arc::new), owed: Owed::default() })
}

/// Why a first connection was not made. The pool tries until its time is over and says that alone, so
/// one more attempt is made without it.
async fn cause(error: sqlx::Error, connect: &PgConnectOptions, patience: Duration) -> StoreError {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error.into();
    }
    let alone = tokio::time::timeout(patience, PgConnection::connect_with(connect)).await;
    match alone {
        Ok(Err(found)) => StoreError::Unavailable(found),
        Ok(Ok(_)) => StoreError::Unavailable(error),
        Err(_) => StoreError::Unavailable(sqlx::Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} ms", patience.as_millis()),
        ))),
    }
}

/// Whether a session of this age may be used on. A session that was opened while the server took no
/// writes stays read-only after that, and so does one to a server that is a standby now: once a
/// write was refused for that, every session opened before is closed, and new ones are opened to
/// whatever server the address leads to by then.
fn is_fit(writes: &Writes, age: Duration) -> bool {
    let fit = Instant::now().checked_sub(age).is_none_or(|opened| !writes.is_distrusted(opened));
    if !fit {
        tracing::debug!("a session that may be read-only or spoilt is closed");
    }
    fit
}

/// Reads an address. To another machine nothing goes without TLS unless the address says so: the
/// driver's own default sends the password in clear to whoever answers that it has no TLS.
fn postgres_address(url: &str) -> Result<PgConnectOptions, StoreError> {
    // The text of the driver's error may hold the address, and that a password.
    let address = PgConnectOptions::from_str(url).map_err(|_| StoreError::Address {
        reason: "it is no PostgreSQL address such as postgres://user@host:5432/database".to_owned(),
    })?;
    let host = address.get_host();
    let is_here = address.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback());
    match address.get_ssl_mode() {
        _ if is_here => Ok(address),
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => Ok(address),
        PgSslMode::Disable => {
            tracing::warn!(host, "PostgreSQL is spoken to in clear: sslmode=disable");
            Ok(address)
        }
        PgSslMode::Prefer if !url.contains("sslmode=") => Ok(address.ssl_mode(PgSslMode::Require)),
        PgSslMode::Allow | PgSslMode::Prefer => Err(StoreError::Address {
            reason: "sslmode=prefer and allow send the password in clear to a server without TLS; \
                     use sslmode=require or verify-full, or sslmode=disable where the network is yours"
                .to_owned(),
        }),
    }
}

pub(super) async fn sqlite(path: &Path, options: &DbOptions) -> Result<SqliteDb, StoreError> {
    if path.as_os_str().is_empty() {
        return Err(StoreError::Address {
            reason: "it names no file; expected sqlite:PATH".to_owned(),
        });
    }
    if options.create_if_missing {
        create_private(path)?;
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.statement_timeout)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .row_buffer_size(ROWS_AHEAD)
        .page_size(PAGE_BYTES)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let writer = open_writer(&connect, options, pool).await?;
    let readers = pool()
        .max_connections(options.connections_max)
        .connect_with(connect.pragma("query_only", "ON"))
        .await?;
    Ok(SqliteDb { writer, readers, writes: Writes::default() })
}

/// Opens the writer. While other processes make the same file a log-writing one, SQLite refuses at
/// once instead of waiting for its lock; that is over within the time of a few statements.
async fn open_writer(
    connect: &SqliteConnectOptions,
    options: &DbOptions,
    pool: impl Fn() -> SqlitePoolOptions,
) -> Result<SqlitePool, StoreError> {
    let begun = Instant::now();
    loop {
        let opened = pool()
            .max_connections(1)
            .after_release(|connection, _| Box::pin(is_at_rest(connection)))
            .connect_with(connect.clone())
            .await
            .map_err(StoreError::from);
        match opened {
            Err(error)
                if error.reason() == "locked" && begun.elapsed() < options.statement_timeout =>
            {
                tokio::time::sleep(OPEN_AGAIN_AFTER).await;
            }
            opened => return opened,
        }
    }
}

/// Whether a connection that comes back has no transaction open, so that it can be used again. Where
/// the disk is full or fails during a commit, SQLite ends the transaction by itself, and every later
/// one on that connection would be refused: it is closed, and the next one opens the file anew.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // What is still to be rolled back is rolled back before the answer.
    connection.ping().await?;
    let is_at_rest = !connection.is_in_transaction();
    if !is_at_rest {
        tracing::debug!("a connection to SQLite is closed: its transaction was ended by an error");
    }
    Ok(is_at_rest)
}

/// Makes the file, if it is missing, readable by its owner only; SQLite gives the files beside it
/// the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut open = std::fs::OpenOptions::new();
    open.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    match open.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Address {
            reason: format!("the file {} cannot be made: {error}", PathBuf::from(path).display()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_to_another_machine_in_clear_unless_it_is_said() {
        let mode = |url: &str| postgres_address(url).map(|address| address.get_ssl_mode());
        for (url, expected) in [
            ("postgres://u:p@db.example.com/x", "Require"),
            ("postgres://u:p@10.0.0.7:5432/x?sslmode=verify-full", "VerifyFull"),
            ("postgres://u:p@db.example.com/x?sslmode=disable", "Disable"),
            ("postgres://u:p@localhost/x", "Prefer"),
            ("postgres://u:p@127.0.0.9/x", "Prefer"),
            ("postgres://u:p@[::1]/x?sslmode=prefer", "Prefer"),
            ("postgres:///x?host=/run/postgresql", "Prefer"),
        ] {
            assert_eq!(format!("{:?}", mode(url).unwrap()), expected, "{url}");
        }
        for url in ["postgres://u:p@db/x?sslmode=prefer", "postgres://u:p@db/x?sslmode=allow"] {
            let refused = mode(url).unwrap_err().to_string();
            assert!(refused.contains("sslmode=require") && !refused.contains("u:p"), "{refused}");
        }
    }
}
