//! The inbox inside the intake's transaction. Owns: storing events and what came of them, one
//! statement per batch. Must not know: why an event ended as it did.

use std::collections::{BTreeMap, HashMap};

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, ObjectId};

use super::{EventKey, Finished, KnownEvent, NewEvent, read_key, read_status};
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::guarded::{Part, Texts, run};
use crate::statement::{Handle, Rows, statements};
use crate::wire;

statements! {
    KNOWN = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        SELECT t.event_id, t.livemode, t.stripe_account, t.status, t.attempts, t.account_id \
        FROM r CROSS JOIN webhook_events t \
        WHERE t.event_id = r.event_id AND t.livemode = r.livemode \
            AND t.stripe_account = r.stripe_account";

    STUCK = "SELECT COUNT(*) FROM webhook_events \
        WHERE processed_at IS NULL AND object_id = $1 AND event_type NOT LIKE 'v1.%'";

    INSERT = "WITH {rows:event_id text, livemode boolean, stripe_account text, event_type text, \
            api_version text, created_at bigint, signed_at bigint, received_at bigint, \
            object_id text, body_codec bigint, body_len bigint, body bytea, status text, \
            account_id text, reason text, attempts bigint, next_attempt_at bigint, \
            processed_at bigint, duration_us bigint} \
        INSERT INTO webhook_events (event_id, livemode, stripe_account, event_type, \
            api_version, created_at, signed_at, received_at, object_id, body_codec, body_len, \
            body, status, account_id, reason, attempts, next_attempt_at, processed_at, \
            duration_us) \
        SELECT event_id, livemode, stripe_account, event_type, api_version, created_at, \
            signed_at, received_at, object_id, body_codec, body_len, body, status, account_id, \
            reason, attempts, next_attempt_at, processed_at, duration_us \
        FROM r";

    /// `generation` is null for a redelivery. What is final is not taken back by what is not.
    FINISH = "WITH {rows:event_id text, livemode boolean, stripe_account text, status text, \
            account_id text, reason text, attempts bigint, next_attempt_at bigint, \
            processed_at bigint, duration_us bigint, generation bigint} \
        UPDATE webhook_events SET status = r.status, account_id = r.account_id, \
            reason = r.reason, attempts = r.attempts, next_attempt_at = r.next_attempt_at, \
            processed_at = r.processed_at, duration_us = r.duration_us, lease_owner = NULL, \
            lease_until = NULL, lease_generation = webhook_events.lease_generation + 1 \
        FROM r \
        WHERE webhook_events.event_id = r.event_id AND webhook_events.livemode = r.livemode \
            AND webhook_events.stripe_account = r.stripe_account \
            AND (r.generation IS NULL OR webhook_events.lease_generation = r.generation) \
            AND (webhook_events.processed_at IS NULL OR r.processed_at IS NOT NULL)";

    COUNT_DUPLICATES = "WITH {rows:event_id text, livemode boolean, stripe_account text, \
            deliveries bigint} \
        UPDATE webhook_events SET duplicates = webhook_events.duplicates + r.deliveries FROM r \
        WHERE webhook_events.event_id = r.event_id AND webhook_events.livemode = r.livemode \
            AND webhook_events.stripe_account = r.stripe_account";

    SET_WAITS = "WITH {rows:object_id text, event_id text, livemode boolean, \
            stripe_account text} \
        INSERT INTO event_waits (object_id, event_id, livemode, stripe_account) \
        SELECT object_id, event_id, livemode, stripe_account FROM r WHERE true \
        ON CONFLICT DO NOTHING";

    CLEAR_WAITS = "WITH {rows:event_id text, livemode boolean, stripe_account text} \
        DELETE FROM event_waits WHERE (event_id, livemode, stripe_account) IN \
            (SELECT r.event_id, r.livemode, r.stripe_account FROM r)";
}

/// What is known of events, in the transaction of a batch. New ones are absent.
pub async fn known(
    tx: &mut Tx,
    keys: &[EventKey],
) -> Result<HashMap<EventKey, KnownEvent>, StoreError> {
    known_on(tx.into(), keys).await
}

/// What is known of events, outside a transaction.
pub async fn known_now(
    db: &Db,
    keys: &[EventKey],
) -> Result<HashMap<EventKey, KnownEvent>, StoreError> {
    known_on(db.into(), keys).await
}

/// Whether the inbox holds an open event about an object: one that failed, was given up, or waits. A
/// thin event waits for the object itself, so it says nothing of us.
pub async fn is_stuck(db: &Db, object: &str) -> Result<bool, StoreError> {
    let row = STUCK.on(db).text(object).fetch_one().await?;
    row.map_or(Ok(false), |row| Ok(row.cells().bigint()? > 0))
}

async fn known_on(
    handle: Handle<'_>,
    keys: &[EventKey],
) -> Result<HashMap<EventKey, KnownEvent>, StoreError> {
    let mut known = HashMap::new();
    if keys.is_empty() {
        return Ok(known);
    }
    for row in KNOWN.on(handle).rows(key_rows(keys)).fetch().await? {
        let mut cells = row.cells();
        let key = read_key(&mut cells)?;
        let status = read_status(&mut cells)?;
        let attempts = wire::small(cells.bigint()?);
        let account = cells.opt_key("webhook_events")?;
        known.insert(key, KnownEvent { status, attempts, account });
    }
    Ok(known)
}

fn key_rows(keys: &[EventKey]) -> Rows<'_, EventKey> {
    Rows::of(keys)
        .text(|key| key.event.as_str())
        .boolean(|key| key.livemode)
        .prose(|key| &key.stripe_account)
}

/// Stores new events, those that [`known`] did not find in the same transaction; returns how many.
/// [`StoreError::Conflict`] means that another transaction stored one of them meanwhile: a race was
/// lost, nothing of this transaction can be kept, and the batch is to be done again. (Leaving the
/// one row out would cost every row of every batch a second look and a second log record.)
pub async fn insert(tx: &mut Tx, events: &[NewEvent<'_>]) -> Result<u64, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    let mut sorted: Vec<&NewEvent<'_>> = events.iter().collect();
    sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    INSERT.on(tx).rows(new_rows(&sorted)).execute().await
}

pub(crate) fn new_rows<'r>(events: &'r [&'r NewEvent<'r>]) -> Rows<'r, &'r NewEvent<'r>> {
    Rows::of(events)
        .text(|event| event.key.event.as_str())
        .boolean(|event| event.key.livemode)
        .prose(|event| &event.key.stripe_account)
        .prose(|event| &event.event_type)
        .opt_prose(|event| event.api_version.as_deref())
        .opt_bigint(|event| event.created_at.map(Timestamp::millis))
        .opt_bigint(|event| event.signed_at.map(Timestamp::millis))
        .bigint(|event| event.received_at.millis())
        .opt_text(|event| event.object.as_ref().map(ObjectId::as_str))
        .bigint(|event| event.body.codec.number())
        .bigint(|event| wire::count(event.body.raw_len))
        .bytes(|event| &event.body.bytes)
        .text(|event| event.outcome.status.as_str())
        .opt_text(|event| event.outcome.account.as_ref().map(AccountId::as_str))
        .opt_prose(|event| event.outcome.reason.as_deref())
        .bigint(|event| i64::from(event.outcome.attempts))
        .opt_bigint(|event| event.outcome.next_attempt_at.map(Timestamp::millis))
        .opt_bigint(|event| event.outcome.processed_at.map(Timestamp::millis))
        .opt_bigint(|event| event.outcome.duration_us.map(wire::count))
}

/// Writes outcomes of events whose rows exist, and ends their leases. A final row is never
/// changed by one that is not final. Returns how many rows were written.
pub async fn finish(tx: &mut Tx, finished: &[Finished]) -> Result<u64, StoreError> {
    if finished.is_empty() {
        return Ok(0);
    }
    let mut sorted: Vec<&Finished> = finished.iter().collect();
    sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let rows = Rows::of(&sorted)
        .text(|one| one.key.event.as_str())
        .boolean(|one| one.key.livemode)
        .prose(|one| &one.key.stripe_account)
        .text(|one| one.outcome.status.as_str())
        .opt_text(|one| one.outcome.account.as_ref().map(AccountId::as_str))
        .opt_prose(|one| one.outcome.reason.as_deref())
        .bigint(|one| i64::from(one.outcome.attempts))
        .opt_bigint(|one| one.outcome.next_attempt_at.map(Timestamp::millis))
        .opt_bigint(|one| one.outcome.processed_at.map(Timestamp::millis))
        .opt_bigint(|one| one.outcome.duration_us.map(wire::count))
        .opt_bigint(|one| one.lease_generation.map(wire::count));
    FINISH.on(tx).rows(rows).execute().await
}

/// Counts one more delivery for each event given (repetitions count).
pub async fn count_duplicates(tx: &mut Tx, keys: &[EventKey]) -> Result<(), StoreError> {
    let deliveries = counted(keys);
    if deliveries.is_empty() {
        return Ok(());
    }
    COUNT_DUPLICATES.on(tx).rows(counted_rows(&deliveries)).execute().await.map(|_| ())
}

/// [`count_duplicates`] outside a transaction. Returns whether all of them are there; where one is not,
/// none is counted.
pub async fn count_duplicates_now(db: &Db, keys: &[EventKey]) -> Result<bool, StoreError> {
    static TEXTS: Texts = Texts::new();
    let deliveries = counted(keys);
    if deliveries.is_empty() {
        return Ok(true);
    }
    let part = Part::of(&COUNT_DUPLICATES, counted_rows(&deliveries)).each();
    run(db, &TEXTS, vec![part]).await
}

/// How often each key is there.
pub(crate) fn counted(keys: &[EventKey]) -> Vec<(&EventKey, i64)> {
    let mut deliveries: BTreeMap<&EventKey, i64> = BTreeMap::new();
    for key in keys {
        *deliveries.entry(key).or_default() += 1;
    }
    deliveries.into_iter().collect()
}

pub(crate) fn counted_rows<'r>(
    deliveries: &'r [(&'r EventKey, i64)],
) -> Rows<'r, (&'r EventKey, i64)> {
    Rows::of(deliveries)
        .text(|(key, _)| key.event.as_str())
        .boolean(|(key, _)| key.livemode)
        .prose(|(key, _)| &key.stripe_account)
        .bigint(|(_, count)| *count)
}

/// Notes which objects' links the events wait for.
pub async fn set_waits(tx: &mut Tx, waits: &[(EventKey, Vec<ObjectId>)]) -> Result<(), StoreError> {
    let mut pairs: Vec<(&str, &EventKey)> = waits
        .iter()
        .flat_map(|(key, objects)| objects.iter().map(move |object| (object.as_str(), key)))
        .collect();
    if pairs.is_empty() {
        return Ok(());
    }
    pairs.sort_unstable();
    let rows = Rows::of(&pairs)
        .text(|(object, _)| object)
        .text(|(_, key)| key.event.as_str())
        .boolean(|(_, key)| key.livemode)
        .prose(|(_, key)| &key.stripe_account);
    SET_WAITS.on(tx).rows(rows).execute().await.map(|_| ())
}

/// Forgets what the events waited for.
pub async fn clear_waits(tx: &mut Tx, keys: &[EventKey]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    CLEAR_WAITS.on(tx).rows(key_rows(keys)).execute().await.map(|_| ())
}
