//! A batch of events committed without locks. Owns: what is written of it, and what must still be as it
//! was when the batch was decided. Must not know: how a decision is made.
//!
//! Whoever decides reads without a lock; the batch takes effect only if every account still has the
//! head that was read, every event and every link is new, and every event called done is there.
//! Everything that changes an account raises its revision or numbers an entry of its journal, so an
//! unchanged head means unchanged facts and links.

use tollgate_domain::Timestamp;
use tollgate_domain::change::Change;
use tollgate_domain::ids::AccountId;
use tollgate_domain::owner::Link;

use crate::accounts::{self, AccountHead};
use crate::db::Db;
use crate::doubts::{self, NewDoubt};
use crate::error::StoreError;
use crate::facts::save;
use crate::inbox::{self, EventKey, NewEvent};
use crate::journal::{self, JournalRow};
use crate::statement::Value;
use crate::statement::guarded::{Part, Texts, run};
use crate::{changes, links};

/// A head that was read, and what takes its place.
#[derive(Debug, Clone)]
pub struct HeadChange {
    /// As it was read.
    pub read: AccountHead,
    /// The new head; the same where nothing of the account changes.
    pub after: AccountHead,
}

/// What a batch writes.
#[derive(Debug)]
pub struct Guarded<'b> {
    /// The instance that writes, for the change feed.
    pub instance: &'b str,
    /// When.
    pub now: Timestamp,
    /// Accounts that exist, each once.
    pub heads: Vec<HeadChange>,
    /// Accounts that begin to exist.
    pub new_heads: Vec<AccountHead>,
    /// Links of objects that had none.
    pub links: Vec<&'b Link>,
    /// Links that say something else of an object of the same account and group.
    pub changed_links: Vec<&'b Link>,
    /// Changes of facts, in order; none of them hands objects over.
    pub changes: Vec<(&'b AccountId, &'b [Change])>,
    /// Entries of the journals.
    pub journal: &'b [JournalRow],
    /// New events.
    pub events: Vec<&'b NewEvent<'b>>,
    /// Events that were done before, once for each delivery.
    pub duplicates: &'b [EventKey],
    /// What Stripe is to be asked about.
    pub doubts: &'b [NewDoubt],
    /// The accounts whose facts change, with their new revisions.
    pub changed: &'b [(AccountId, u64)],
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is committed. What waits for one of the new links is woken after it (see
    /// [`crate::inbox::wake_linked`]).
    Committed,
    /// Something was not as it was read any more: nothing was written.
    Overtaken,
}

/// Commits the batch, or nothing of it. After an error it may have been committed.
pub async fn commit(db: &Db, mut batch: Guarded<'_>) -> Result<Done, StoreError> {
    static TEXTS: Texts = Texts::new();
    // By rising key, so that two writers mostly wait for one another and never both. PostgreSQL does not
    // promise to write in that order: where both wait, it breaks one off, which is overtaken then.
    batch.heads.sort_unstable_by(|a, b| a.after.account.cmp(&b.after.account));
    batch.new_heads.sort_unstable_by(|a, b| a.account.cmp(&b.account));
    batch.links.sort_unstable_by(|a, b| a.object.cmp(&b.object));
    batch.changed_links.sort_unstable_by(|a, b| a.object.cmp(&b.object));
    batch.events.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let (facts, once) = save::rows(&batch.changes)?;
    let entries = journal::with_details(batch.journal)?;
    let duplicates = inbox::intake::counted(batch.duplicates);
    let doubts = doubts::distinct(batch.doubts);
    let new_heads: Vec<&AccountHead> = batch.new_heads.iter().collect();
    let feed = changes::accounts_cell(batch.changed)?;
    let now = || vec![Value::Bigint(Some(batch.now.millis()))];
    let parts = vec![
        Part::of(&accounts::REPLACE, accounts::replaced_rows(&batch.heads)).with(now()).each(),
        Part::of(&links::INSERT, links::rows(&batch.links)),
        Part::of(&links::UPDATE, links::rows(&batch.changed_links)).each(),
        Part::of(&inbox::intake::INSERT, inbox::intake::new_rows(&batch.events)),
        Part::of(&inbox::intake::COUNT_DUPLICATES, inbox::intake::counted_rows(&duplicates)).each(),
        Part::of(&accounts::INSERT, accounts::head_rows(&new_heads)).with(now()).each(),
        Part::of(&save::FACTS, save::batch(&facts)),
        Part::of(&save::ONCE, save::batch(&once)),
        Part::of(&journal::APPEND, journal::rows(&entries)),
        Part::of(&doubts::RAISE, doubts::rows(&doubts)),
        Part::alone(&changes::APPEND, changes::feed_values(batch.instance, &feed))
            .only_if(!batch.changed.is_empty()),
    ];
    let done = run(db, &TEXTS, parts).await;
    if let (Db::Postgres(db), Ok(true) | Err(_), [_, ..]) = (db, &done, batch.changed) {
        db.hint_changes(&done).await;
    }
    Ok(if done? { Done::Committed } else { Done::Overtaken })
}
