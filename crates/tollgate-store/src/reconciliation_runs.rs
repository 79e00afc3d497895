//! Comparisons with Stripe: what was begun, how far it came, what it found. Owns: their rows. Must
//! not know: what progress and report say.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::{Row, statements};

const TABLE: &str = "reconciliation_runs";

statements! {
    INSERT = "INSERT INTO reconciliation_runs (run_id, kind, account_id, dry_run, status, \
            progress, report, started_at, updated_at) \
        VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $7)";

    SAVE = "UPDATE reconciliation_runs SET progress = $2, report = $3, updated_at = $4 \
        WHERE run_id = $1 AND status = 'running'";

    FINISH = "UPDATE reconciliation_runs SET status = $2, report = $3, error = $4, \
            updated_at = $5, finished_at = $5 \
        WHERE run_id = $1 AND status = 'running'";

    UNFINISHED = "SELECT run_id, kind, account_id, dry_run, status, progress, report, error, \
            started_at, updated_at, finished_at \
        FROM reconciliation_runs \
        WHERE status = 'running' AND kind = $1 AND dry_run = $2 \
            AND (account_id = $3 OR (account_id IS NULL AND CAST($3 AS TEXT) IS NULL)) \
        ORDER BY started_at DESC LIMIT 1";

    LIST = "SELECT run_id, kind, account_id, dry_run, status, progress, report, error, \
            started_at, updated_at, finished_at \
        FROM reconciliation_runs WHERE started_at < $1 \
        ORDER BY started_at DESC, run_id DESC LIMIT $2";

    LAST_WHOLE = "SELECT MAX(started_at) FROM reconciliation_runs \
        WHERE kind = $1 AND status IN ('done', 'stopped') AND dry_run = false \
            AND account_id IS NULL";

    FORGET = "DELETE FROM reconciliation_runs WHERE finished_at < $1";
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// It came to its end.
    Done,
    /// It compared everything and repaired a part: the rest waits for somebody's word, for this
    /// reason.
    Stopped(String),
    /// It was broken off, for this reason.
    Failed(String),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Our id, `rec_…`.
    pub id: String,
    /// What was compared, a short stable word.
    pub kind: String,
    /// Of one account only.
    pub account: Option<AccountId>,
    /// Nothing was repaired.
    pub dry_run: bool,
    /// `running`, `done`, `stopped` or `failed`.
    pub status: String,
    /// Where to go on (JSON).
    pub progress: String,
    /// What was found so far (JSON).
    pub report: String,
    /// Why it stopped or failed.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// Notes a run that begins.
pub async fn insert(db: &Db, run: &Run) -> Result<(), StoreError> {
    INSERT
        .on(db.writer())
        .text(&run.id)
        .text(&run.kind)
        .opt_text(run.account.as_ref().map(AccountId::as_str))
        .boolean(run.dry_run)
        .prose(&run.progress)
        .prose(&run.report)
        .bigint(run.started_at.millis())
        .execute()
        .await
        .map(|_| ())
}

/// Saves how far a run has come.
pub async fn save(
    db: &Db,
    id: &str,
    progress: &str,
    report: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let call = SAVE.on(db.writer()).text(id).prose(progress).prose(report);
    call.bigint(now.millis()).execute().await.map(|_| ())
}

/// Ends a run.
pub async fn finish(
    db: &Db,
    id: &str,
    report: &str,
    end: &RunEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (status, error) = match end {
        RunEnd::Done => ("done", None),
        RunEnd::Stopped(why) => ("stopped", Some(why.as_str())),
        RunEnd::Failed(why) => ("failed", Some(why.as_str())),
    };
    let call = FINISH.on(db.writer()).text(id).text(status).prose(report).opt_prose(error);
    call.bigint(now.millis()).execute().await.map(|_| ())
}

/// The newest run like this one that was begun and not ended. Whoever holds the lease may go on
/// with it.
pub async fn unfinished(
    db: &Db,
    kind: &str,
    account: Option<&AccountId>,
    dry_run: bool,
) -> Result<Option<Run>, StoreError> {
    let call = UNFINISHED.on(db).text(kind).boolean(dry_run);
    let row = call.opt_text(account.map(AccountId::as_str)).fetch_one().await?;
    row.as_ref().map(read).transpose()
}

/// Runs that began before an instant, the newest first.
pub async fn list(db: &Db, before: Timestamp, limit: u32) -> Result<Vec<Run>, StoreError> {
    let call = LIST.on(db).bigint(before.millis());
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    rows.iter().map(read).collect()
}

/// When the last run of a kind began that compared everything.
pub async fn last_whole(db: &Db, kind: &str) -> Result<Option<Timestamp>, StoreError> {
    let row = LAST_WHOLE.on(db).text(kind).fetch_one().await?;
    Ok(row.map(|row| row.cells().opt_instant()).transpose()?.flatten())
}

/// Removes runs that ended before an instant; returns how many.
pub async fn forget(db: &Db, before: Timestamp) -> Result<u64, StoreError> {
    FORGET.on(db.writer()).bigint(before.millis()).execute().await
}

fn read(row: &Row) -> Result<Run, StoreError> {
    let mut cells = row.cells();
    Ok(Run {
        id: cells.text()?.to_owned(),
        kind: cells.text()?.to_owned(),
        account: cells.opt_key(TABLE)?,
        dry_run: cells.boolean()?,
        status: cells.text()?.to_owned(),
        progress: cells.prose()?.into_owned(),
        report: cells.prose()?.into_owned(),
        error: cells.opt_prose()?.map(std::borrow::Cow::into_owned),
        started_at: cells.instant()?,
        updated_at: cells.instant()?,
        finished_at: cells.opt_instant()?,
    })
}
