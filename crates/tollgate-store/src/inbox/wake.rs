//! What events without an owner wait for, and what came about of it. Owns: the wakes, which are
//! written with what causes them and taken by the worker in pieces. Must not know: why an event
//! waits.
//!
//! Nothing is looked at while nothing happens: a waiting event has no time of its own but its end,
//! and one that is set aside none at all.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::ObjectId;
use tollgate_domain::owner::Link;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Handle, Row, Rows, statements};

/// Why an event of another product is set aside; such an event runs again when it is woken.
pub const FOREIGN: &str = "foreign";
/// Why an event is set aside that waited its days for an owner; it too runs again when it is woken.
pub const OWNER_UNKNOWN_EXPIRED: &str = "owner_unknown_expired";

/// Most wakes worked on at once.
const WAKES_MAX: u32 = 200;

statements! {
    WAKE = "WITH {rows:object_id text} INSERT INTO event_wakes (object_id) \
        SELECT r.object_id FROM r \
        WHERE EXISTS (SELECT 1 FROM event_waits w WHERE w.object_id = r.object_id)";

    /// An e-mail that several accounts have leads to none of them: nothing came about.
    LOOK_BACK = "WITH {rows:object_id text} INSERT INTO event_wakes (object_id) \
        SELECT r.object_id FROM r \
        WHERE EXISTS (SELECT 1 FROM stripe_links l WHERE l.object_id = r.object_id) \
            OR (SELECT COUNT(*) FROM accounts a WHERE a.email_key = r.object_id) = 1";

    LOOK_BACK_AT_ALL = "INSERT INTO event_wakes (object_id) \
        SELECT DISTINCT w.object_id FROM event_waits w CROSS JOIN stripe_links l \
        WHERE l.object_id = w.object_id \
        UNION ALL \
        SELECT a.email_key FROM accounts a \
        WHERE EXISTS (SELECT 1 FROM event_waits w WHERE w.object_id = a.email_key) \
        GROUP BY a.email_key HAVING COUNT(*) = 1";

    /// Wakes the checkouts that wait for what their subscription says, and where it sells something of the
    /// catalog the invoices that were set aside because they did not say so.
    WAKE_UNTOLD = "WITH {rows:object_id text, ours boolean} INSERT INTO event_wakes (object_id) \
        SELECT r.object_id FROM r \
        WHERE EXISTS (SELECT 1 FROM event_waits w CROSS JOIN webhook_events e \
            WHERE w.object_id = r.object_id AND e.event_id = w.event_id \
                AND e.livemode = w.livemode AND e.stripe_account = w.stripe_account \
                AND (e.event_type LIKE 'checkout.session.%' \
                    OR (r.ours AND e.status = 'ignored' AND e.event_type LIKE 'invoice.%')))";

    /// Whether something of the catalog is sold by each subscription of which there are events
    /// without an owner that show prices.
    SOLD = "WITH {rows:object_id text} \
        SELECT r.object_id, CAST(MAX(CASE WHEN e.status = 'waiting' \
            OR e.reason = 'owner_unknown_expired' THEN 1 ELSE 0 END) AS BIGINT) \
        FROM r CROSS JOIN event_waits w CROSS JOIN webhook_events e \
        WHERE w.object_id = r.object_id AND e.event_id = w.event_id \
            AND e.livemode = w.livemode AND e.stripe_account = w.stripe_account \
            AND (e.event_type LIKE 'customer.subscription.%' OR e.event_type LIKE 'invoice.%') \
        GROUP BY r.object_id";

    /// Of these keys those for which an event waits that is set aside.
    SET_ASIDE = "WITH {rows:object_id text} SELECT r.object_id FROM r \
        WHERE EXISTS (SELECT 1 FROM event_waits w CROSS JOIN webhook_events e \
            WHERE w.object_id = r.object_id AND e.event_id = w.event_id \
                AND e.livemode = w.livemode AND e.stripe_account = w.stripe_account \
                AND e.status = 'ignored')";

    TAKE = "SELECT id, object_id FROM event_wakes ORDER BY id LIMIT $1";

    /// What is set aside can run again as long as its body is there.
    RUN = "WITH {rows:id bigint, object_id text} \
        UPDATE webhook_events SET next_attempt_at = $1, processed_at = NULL, \
            status = CASE WHEN status = 'ignored' THEN 'received' ELSE status END \
        WHERE (event_id, livemode, stripe_account) IN ( \
            SELECT e.event_id, e.livemode, e.stripe_account \
            FROM r CROSS JOIN event_waits w CROSS JOIN webhook_events e \
            WHERE w.object_id = r.object_id AND e.event_id = w.event_id \
                AND e.livemode = w.livemode AND e.stripe_account = w.stripe_account \
                AND ((e.status = 'waiting' AND e.processed_at IS NULL \
                        AND e.next_attempt_at > $1) \
                    OR (e.status = 'ignored' AND e.body_codec <> -2 \
                        AND e.reason IN ('foreign', 'owner_unknown_expired'))) \
            LIMIT $2)";

    DONE = "WITH {rows:id bigint, object_id text} \
        DELETE FROM event_wakes WHERE id IN (SELECT r.id FROM r)";
}

/// Notes that objects were linked, in the transaction that links them; returns for how many of
/// them events wait.
pub async fn wake(tx: &mut Tx, links: &[&Link]) -> Result<u64, StoreError> {
    if links.is_empty() {
        return Ok(0);
    }
    let rows = Rows::of(links).text(|link| link.object.as_str());
    WAKE.on(tx).rows(rows).execute().await
}

/// A subscription that an event without an owner told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub subscription: ObjectId,
    /// It sells something of the catalog, as the event says.
    pub ours: bool,
}

/// Notes that subscriptions were told of by events without an owner, for the checkouts that began
/// them and the invoices that did not say what they bill; returns for how many there are such.
pub async fn wake_untold(tx: &mut Tx, told: &[Told]) -> Result<u64, StoreError> {
    if told.is_empty() {
        return Ok(0);
    }
    let rows = Rows::of(told).text(|one| one.subscription.as_str()).boolean(|one| one.ours);
    WAKE_UNTOLD.on(tx).rows(rows).execute().await
}

/// Whether each of these subscriptions sells something of the catalog, going by events without an
/// owner; those of which there are none are left out.
pub async fn sold(
    tx: &mut Tx,
    subscriptions: &[ObjectId],
) -> Result<HashMap<String, bool>, StoreError> {
    if subscriptions.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = SOLD.on(tx).rows(Rows::of(subscriptions).text(ObjectId::as_str)).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok((cells.text()?.to_owned(), cells.bigint()? > 0))
    };
    rows.iter().map(read).collect()
}

/// Of these keys those for which an event still waits that is set aside as none of ours.
pub async fn set_aside(tx: &mut Tx, keys: &[ObjectId]) -> Result<BTreeSet<String>, StoreError> {
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = SET_ASIDE.on(tx).rows(Rows::of(keys).text(ObjectId::as_str)).fetch().await?;
    rows.iter().map(|row| Ok(row.cells().text()?.to_owned())).collect()
}

/// Notes that prices were mapped that events may wait for. Returns for how many of the keys events
/// wait.
pub async fn wake_for(db: &Db, keys: &[ObjectId]) -> Result<u64, StoreError> {
    on_objects(&WAKE, db.writer(), keys).await
}

/// Wakes what waits for objects that were linked by a commit, after it: an event that began to wait
/// while the commit was under way saw no link, and the commit did not see that it waits. Returns for how
/// many objects something waits.
pub async fn wake_linked(db: &Db, objects: &[ObjectId]) -> Result<u64, StoreError> {
    on_objects(&WAKE, db.writer(), objects).await
}

/// Notes that verified e-mails came to an account or left it, in the transaction that says so: one
/// that several accounts had may be another one's alone now. Returns for how many events wait.
pub async fn wake_for_emails(tx: &mut Tx, emails: &[&str]) -> Result<u64, StoreError> {
    let keys: Vec<ObjectId> = emails.iter().map(|email| email_key(email)).collect();
    on_objects(&WAKE, tx.into(), &keys).await
}

/// Looks, after the commit, whether what events began to wait for was linked, or became an
/// account's verified e-mail, meanwhile: a transaction that does so does not see that another one
/// has begun to wait for it.
pub async fn look_back(db: &Db, objects: &[ObjectId]) -> Result<u64, StoreError> {
    match db {
        // Transactions come one after the other.
        Db::Sqlite(_) => Ok(0),
        Db::Postgres(_) => on_objects(&LOOK_BACK, db.writer(), objects).await,
    }
}

/// The net under [`look_back`], for processes that were killed between the commit and it.
pub async fn look_back_at_all(db: &Db) -> Result<u64, StoreError> {
    LOOK_BACK_AT_ALL.on(db.writer()).execute().await
}

async fn on_objects(
    statement: &'static crate::statement::Statement,
    handle: Handle<'_>,
    objects: &[ObjectId],
) -> Result<u64, StoreError> {
    if objects.is_empty() {
        return Ok(0);
    }
    let rows = Rows::of(objects).text(ObjectId::as_str);
    statement.on(handle).rows(rows).execute().await
}

/// Makes events due that wait for what came about, about `limit` of them; returns how many. Fewer
/// than `limit`: nothing is left for now.
pub async fn run_wakes(db: &Db, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let taken = TAKE.on(db).bigint(i64::from(WAKES_MAX)).fetch().await?;
    let read = |row: &Row| {
        let mut cells = row.cells();
        Ok((cells.bigint()?, cells.text()?.to_owned()))
    };
    let wakes = taken.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    if wakes.is_empty() {
        return Ok(0);
    }
    let rows = || Rows::of(&wakes).bigint(|(id, _)| *id).text(|(_, object)| object);
    let call = RUN.on(db.writer()).bigint(now.millis()).bigint(i64::from(limit));
    let woken = call.rows(rows()).execute().await?;
    if woken < u64::from(limit) {
        DONE.on(db.writer()).rows(rows()).execute().await?;
    }
    Ok(woken)
}

/// An e-mail as something an event can wait for: a hash, for it is personal.
pub fn email_key(email: &str) -> ObjectId {
    let hash = Sha256::digest(email.to_lowercase().as_bytes());
    let mut key = String::from("email:");
    for byte in hash {
        let _ = write!(key, "{byte:02x}");
    }
    let key = ObjectId::parse(&key);
    key.unwrap_or_else(|_| unreachable_key())
}

/// `email:` and hexadecimal digits are a valid id by construction.
#[expect(clippy::expect_used, reason = "a constant that is a valid id")]
fn unreachable_key() -> ObjectId {
    ObjectId::parse("email").expect("a valid id")
}
