//! The rows of the inbox a batch writes. Owns: that all of them are written or the batch is done
//! again. Must not know: what an event means.

use tollgate_domain::ids::ObjectId;
use tollgate_store::inbox::{EventKey, EventStatus, Finished, NewEvent, Outcome};
use tollgate_store::{StoreError, Tx, inbox};

use super::delivery::Delivery;

/// The rows of the inbox a batch writes.
#[derive(Default)]
pub(super) struct InboxRows<'a> {
    pub(super) new: Vec<NewEvent<'a>>,
    pub(super) finished: Vec<Finished>,
    pub(super) duplicates: Vec<EventKey>,
    pub(super) waits: Vec<(EventKey, Vec<ObjectId>)>,
    pub(super) old_waits: Vec<EventKey>,
    /// Of each delivery, what is written of it; `None` for a duplicate.
    pub(super) outcomes: Vec<Option<(EventStatus, u32)>>,
}

impl InboxRows<'_> {
    /// Where each event that is written stands from now on.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&EventKey, &Outcome)> {
        let new = self.new.iter().map(|event| (&event.key, &event.outcome));
        new.chain(self.finished.iter().map(|event| (&event.key, &event.outcome)))
    }
}

/// Writes them. Fewer rows than given mean that another transaction got in the way.
pub(super) async fn write_inbox(tx: &mut Tx, rows: &InboxRows<'_>) -> Result<(), StoreError> {
    if !rows.new.is_empty() {
        let given = u64::try_from(rows.new.len()).unwrap_or(u64::MAX);
        if inbox::insert(tx, &rows.new).await? < given {
            return Err(StoreError::Conflict { constraint: "webhook_events".to_owned() });
        }
    }
    if !rows.finished.is_empty() {
        let given = u64::try_from(rows.finished.len()).unwrap_or(u64::MAX);
        // Fewer: another worker took a lease over, or finished it. Its work stands, ours goes.
        if inbox::finish(tx, &rows.finished).await? < given {
            return Err(StoreError::Conflict { constraint: "webhook_events lease".to_owned() });
        }
    }
    if !rows.duplicates.is_empty() {
        inbox::count_duplicates(tx, &rows.duplicates).await?;
    }
    if !rows.old_waits.is_empty() {
        inbox::clear_waits(tx, &rows.old_waits).await?;
    }
    if !rows.waits.is_empty() {
        inbox::set_waits(tx, &rows.waits).await?;
    }
    Ok(())
}

/// A delivery as a new row.
pub(super) fn new_event(delivery: &Delivery, outcome: Outcome) -> NewEvent<'_> {
    NewEvent {
        key: delivery.key.clone(),
        event_type: delivery.event_type.as_str().into(),
        api_version: delivery.api_version.as_deref().map(Into::into),
        created_at: delivery.created_at,
        signed_at: delivery.signed_at,
        received_at: delivery.received_at,
        object: delivery.object.clone(),
        body: tollgate_store::inbox::StoredBody {
            bytes: std::borrow::Cow::Borrowed(&delivery.body.bytes),
            codec: delivery.body.codec,
            raw_len: delivery.body.raw_len,
        },
        outcome,
    }
}
