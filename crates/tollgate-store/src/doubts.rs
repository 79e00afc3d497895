//! Objects that Stripe has to be asked for. Owns: their rows and leases: at most one request per
//! object is under way, on all instances together. Must not know: what is doubtful, how Stripe is
//! asked.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::ObjectId;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Row, Rows, statements};
use crate::wire;

const TABLE: &str = "doubtful_objects";

statements! {
    /// A doubt about an object that is being asked for raises `asked`, so that it is asked again.
    /// A thin event takes the place of no other reason: that one has to be asked about whatever
    /// becomes of the event.
    RAISE = "WITH {rows:object_id text, reason text, next_attempt_at bigint} \
        INSERT INTO doubtful_objects (object_id, reason, asked, attempts, next_attempt_at, \
            lease_generation) \
        SELECT object_id, reason, 1, 0, next_attempt_at, 0 FROM r WHERE true \
        ON CONFLICT (object_id) DO UPDATE SET asked = doubtful_objects.asked + 1, \
            reason = CASE WHEN excluded.reason = 'thin_event' THEN doubtful_objects.reason \
                ELSE excluded.reason END, attempts = 0, \
            next_attempt_at = CASE \
                WHEN doubtful_objects.next_attempt_at < excluded.next_attempt_at \
                THEN doubtful_objects.next_attempt_at ELSE excluded.next_attempt_at END";

    CLAIM = "UPDATE doubtful_objects SET lease_until = $2, \
            lease_generation = lease_generation + 1 \
        WHERE object_id IN ( \
            SELECT object_id FROM doubtful_objects \
            WHERE next_attempt_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) \
            ORDER BY next_attempt_at, object_id LIMIT $3 {skip_locked}) \
        RETURNING object_id, reason, asked, attempts, lease_generation";

    SETTLE = "DELETE FROM doubtful_objects \
        WHERE object_id = $1 AND lease_generation = $2 AND asked = $3";

    RELEASE = "UPDATE doubtful_objects SET lease_until = NULL \
        WHERE object_id = $1 AND lease_generation = $2";

    POSTPONE = "UPDATE doubtful_objects SET lease_until = NULL, attempts = attempts + 1, \
            next_attempt_at = $3 \
        WHERE object_id = $1 AND lease_generation = $2";

    COUNT = "SELECT COUNT(*) FROM doubtful_objects";
}

/// The reason of an object that is asked for because thin events name it, and for nothing else.
pub const THIN_EVENT: &str = "thin_event";

/// A doubt to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDoubt {
    /// The object.
    pub object: ObjectId,
    /// Why, a short stable word.
    pub reason: &'static str,
    /// When to ask.
    pub at: Timestamp,
}

/// An object taken to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDoubt {
    /// The object.
    pub object: ObjectId,
    /// Why it was doubted last.
    pub reason: String,
    /// How many doubts there were; hand it back to [`settle`].
    pub asked: u64,
    /// Attempts that failed.
    pub attempts: u32,
    /// Generation of this lease.
    pub lease_generation: u64,
}

/// Notes doubts in the transaction of the events that left them. Of several about one object the
/// first counts, the others add nothing.
pub async fn raise(tx: &mut Tx, doubts: &[NewDoubt]) -> Result<(), StoreError> {
    let distinct = distinct(doubts);
    if distinct.is_empty() {
        return Ok(());
    }
    RAISE.on(tx).rows(rows(&distinct)).execute().await.map(|_| ())
}

/// One for each object, the first, by rising id.
pub(crate) fn distinct(doubts: &[NewDoubt]) -> Vec<&NewDoubt> {
    let mut distinct: Vec<&NewDoubt> = doubts.iter().collect();
    distinct.sort_by(|a, b| a.object.cmp(&b.object));
    distinct.dedup_by(|later, first| later.object == first.object);
    distinct
}

pub(crate) fn rows<'r>(doubts: &'r [&'r NewDoubt]) -> Rows<'r, &'r NewDoubt> {
    Rows::of(doubts)
        .text(|doubt| doubt.object.as_str())
        .text(|doubt| doubt.reason)
        .bigint(|doubt| doubt.at.millis())
}

/// Takes due objects, the longest due first, until `lease_until`.
pub async fn claim(
    db: &Db,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Result<Vec<ClaimedDoubt>, StoreError> {
    let call = CLAIM.on(db.writer()).bigint(now.millis()).bigint(lease_until.millis());
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    // One that cannot be read stays with its lease, and keeps no other one waiting.
    let readable = rows.iter().filter_map(|row| match read_claimed(row) {
        Ok(doubt) => Some(doubt),
        Err(error) => {
            tracing::error!(%error, "a doubt cannot be read");
            None
        }
    });
    Ok(readable.collect())
}

fn read_claimed(row: &Row) -> Result<ClaimedDoubt, StoreError> {
    let mut cells = row.cells();
    Ok(ClaimedDoubt {
        object: cells.key(TABLE)?,
        reason: cells.text()?.to_owned(),
        asked: wire::uncount(cells.bigint()?),
        attempts: wire::small(cells.bigint()?),
        lease_generation: wire::uncount(cells.bigint()?),
    })
}

/// Ends a claim whose request was answered. Doubts that came after the request was sent stay.
pub async fn settle(db: &Db, claim: &ClaimedDoubt) -> Result<(), StoreError> {
    let generation = wire::count(claim.lease_generation);
    let call = SETTLE.on(db.writer()).text(claim.object.as_str()).bigint(generation);
    if call.bigint(wire::count(claim.asked)).execute().await? == 0 {
        let call = RELEASE.on(db.writer()).text(claim.object.as_str()).bigint(generation);
        call.execute().await?;
    }
    Ok(())
}

/// Ends a claim whose request failed; it is tried again at `at`.
pub async fn postpone(db: &Db, claim: &ClaimedDoubt, at: Timestamp) -> Result<(), StoreError> {
    let generation = wire::count(claim.lease_generation);
    let call = POSTPONE.on(db.writer()).text(claim.object.as_str()).bigint(generation);
    call.bigint(at.millis()).execute().await.map(|_| ())
}

/// How many objects are doubtful.
pub async fn count(db: &Db) -> Result<u64, StoreError> {
    let row = COUNT.on(db).fetch_one().await?;
    row.map_or(Ok(0), |row| Ok(wire::uncount(row.cells().bigint()?)))
}
