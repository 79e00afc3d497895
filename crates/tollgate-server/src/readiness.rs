//! Whether the database can be used. Owns: what is tried to find out, how often, and how long it may
//! take. Must not know: who asks.
//!
//! A database that answers may still refuse every write: a standby, a full disk, a file another
//! process holds. The outcome of the last commit tells; where there was none lately, a row of our own
//! is written.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tollgate_domain::Timestamp;
use tollgate_store::{Db, StoreError, WriteStanding, meta, migrations};

/// The row that is written to see whether writing works.
const PROBE: &str = "write_probe";
/// A commit tells so long that there is no need to try.
const COMMIT_TRUSTED: Duration = Duration::from_secs(10);
/// A write that failed counts so long, whatever succeeds after it.
const FAILURE_COUNTS: Duration = Duration::from_secs(5);
/// Those who ask more often get the answer from before.
const TRIED_TRUSTED: Duration = Duration::from_secs(1);
/// Longest time of a try.
const TRY_MAX: Duration = Duration::from_secs(2);

/// What was last found out.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<Tried>>);

#[derive(Debug)]
struct Tried {
    at: Instant,
    found: Result<(), String>,
}

impl Readiness {
    /// Whether the database answers, has our schema and takes writes; or what is wrong.
    pub async fn database(&self, db: &Db, now: Timestamp) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some(tried) = &*last
            && tried.at.elapsed() < TRIED_TRUSTED
        {
            return tried.found.clone();
        }
        // A database that is nearly full takes a small write now and then.
        if let Some(failed) = db.writes().failed
            && failed.at.elapsed() < FAILURE_COUNTS
        {
            return Err(words(failed.reason).to_owned());
        }
        let found = match tokio::time::timeout(TRY_MAX, look(db, now)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(trouble(&error)),
            Err(_) => Err("no answer within 2 s".to_owned()),
        };
        *last = Some(Tried { at: Instant::now(), found: found.clone() });
        found
    }
}

/// Whether a database has our schema, whole, and takes writes: where none was committed lately one row
/// is written.
pub async fn look(db: &Db, now: Timestamp) -> Result<(), StoreError> {
    match migrations::check(db).await {
        // A newer version of the product is being rolled out: its schema serves this one too.
        Ok(()) | Err(StoreError::SchemaNewer { .. }) => {}
        Err(error) => return Err(error),
    }
    let WriteStanding { committed, failed } = db.writes();
    // One from before the last failure tells nothing of now.
    let tells = |at: std::time::Instant| {
        at.elapsed() < COMMIT_TRUSTED && failed.is_none_or(|failed| failed.at < at)
    };
    if committed.is_some_and(tells) {
        return Ok(());
    }
    meta::save(db, PROBE, &now.to_string()).await
}

/// In words, without what the driver adds.
fn trouble(error: &StoreError) -> String {
    if matches!(error, StoreError::SchemaOlder { .. }) {
        error.to_string()
    } else if error.is_unavailable() {
        words(error.reason()).to_owned()
    } else {
        "it does not hold what this version reads; see the log and `tollgate doctor`".to_owned()
    }
}

/// [`StoreError::reason`] in words.
fn words(reason: &str) -> &'static str {
    match reason {
        "read_only" => "it takes no writes (read_only): a standby, or set to read-only",
        "full" => "it takes no writes (full): its disk is full",
        "locked" => "it takes no writes (locked): another process holds the file",
        "no_connection" => "no connection was free or could be made (no_connection)",
        "too_many_connections" => "it has no connection left (too_many_connections)",
        "stopping" => "it is starting or stopping (stopping)",
        "access" => "it refuses the user, the password or the database's name (access)",
        "timeout" => "a statement took too long (timeout)",
        "input_output" => "its disk fails or is full (input_output)",
        _ => "it does not answer",
    }
}
