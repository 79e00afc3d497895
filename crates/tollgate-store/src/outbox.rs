//! Billing events to be published. Owns: rows with a gapless sequence per account. Must not know:
//! who consumes them, what an envelope holds.

use std::borrow::Cow;

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId};

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Row, Rows, statements};
use crate::wire;

/// One billing event in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Whose.
    pub account: AccountId,
    /// Place in the account's feed, from 1, without gaps.
    pub sequence: u64,
    /// Type, such as `subscription.updated`.
    pub kind: Cow<'static, str>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we wrote it.
    pub recorded_at: Timestamp,
    /// The account's revision that it made or was made with.
    pub revision: u64,
    /// The Stripe event that caused it.
    pub stripe_event: Option<EventId>,
    /// The envelope, opaque here.
    pub payload: String,
}

statements! {
    APPEND = "WITH {rows:account_id text, sequence bigint, kind text, occurred_at bigint, \
            recorded_at bigint, revision bigint, stripe_event_id text, payload text} \
        INSERT INTO billing_events (account_id, sequence, kind, occurred_at, recorded_at, \
            revision, stripe_event_id, payload) \
        SELECT account_id, sequence, kind, occurred_at, recorded_at, revision, \
            stripe_event_id, payload FROM r";

    LIST = "SELECT account_id, sequence, kind, occurred_at, recorded_at, revision, \
            stripe_event_id, payload \
        FROM billing_events WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
}

/// Appends rows, in one statement for all.
pub async fn append(tx: &mut Tx, rows: &[OutboxRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&OutboxRow> = rows.iter().collect();
    sorted.sort_unstable_by(|a, b| (&a.account, a.sequence).cmp(&(&b.account, b.sequence)));
    let rows = Rows::of(&sorted)
        .text(|row| row.account.as_str())
        .bigint(|row| wire::count(row.sequence))
        .prose(|row| &row.kind)
        .bigint(|row| row.occurred_at.millis())
        .bigint(|row| row.recorded_at.millis())
        .bigint(|row| wire::count(row.revision))
        .opt_text(|row| row.stripe_event.as_ref().map(EventId::as_str))
        .prose(|row| &row.payload);
    APPEND.on(tx).rows(rows).execute().await.map(|_| ())
}

/// An account's events after a sequence, in order, at most `limit`.
pub async fn list(
    db: &Db,
    account: &AccountId,
    after: u64,
    limit: u32,
) -> Result<Vec<OutboxRow>, StoreError> {
    let call = LIST.on(db).text(account.as_str()).bigint(wire::count(after));
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    rows.iter().map(read_row).collect()
}

fn read_row(row: &Row) -> Result<OutboxRow, StoreError> {
    let mut cells = row.cells();
    Ok(OutboxRow {
        account: cells.key("billing_events")?,
        sequence: wire::uncount(cells.bigint()?),
        kind: Cow::Owned(cells.prose()?.into_owned()),
        occurred_at: cells.instant()?,
        recorded_at: cells.instant()?,
        revision: wire::uncount(cells.bigint()?),
        stripe_event: cells.opt_key("billing_events")?,
        payload: cells.prose()?.into_owned(),
    })
}
