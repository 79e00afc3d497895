//! Dead events. Owns: the finding that is opened when an event is given up and closed when it went
//! through after all, waits again or was discarded; and that nothing is asked for because of one that
//! was given up. Must not know: when an event is given up.

use std::collections::HashMap;

use tollgate_domain::act::{self, TermsRefusal};
use tollgate_domain::ids::EventId;
use tollgate_domain::{Finding, FindingCode, Timestamp};
use tollgate_store::db::WRITE_ATTEMPTS_MAX;
use tollgate_store::inbox::{self, EventKey, EventStatus, KnownEvent, Outcome};
use tollgate_store::{StoreError, Tx, findings, thin_events};

use super::Intake;

/// Most events discarded in one transaction.
const DISCARDED_AT_ONCE_MAX: usize = 200;

/// Why nothing was discarded.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// The reason or the name is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
    /// The database refuses it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Intake {
    /// Lets go of events that were given up, by a person's word: they are kept as they came and count as
    /// ignored, and their findings close. Events that are not dead stay as they are. Returns which were.
    pub async fn discard(
        &self,
        events: &[EventId],
        reason: &str,
        by: &str,
    ) -> Result<Vec<EventId>, DiscardError> {
        act::check_terms(reason, by, None, self.now())?;
        let reason = format!("discarded by {}: {}", by.trim(), reason.trim());
        let mut discarded = Vec::new();
        for some in events.chunks(DISCARDED_AT_ONCE_MAX) {
            discarded.extend(self.discard_some(some, &reason).await?);
        }
        Ok(discarded)
    }

    async fn discard_some(
        &self,
        events: &[EventId],
        reason: &str,
    ) -> Result<Vec<EventId>, StoreError> {
        let mut attempt = 1;
        loop {
            match self.try_discard(events, reason).await {
                Err(StoreError::Contention(_) | StoreError::Conflict { .. })
                    if attempt < WRITE_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_discard(
        &self,
        events: &[EventId],
        reason: &str,
    ) -> Result<Vec<EventId>, StoreError> {
        let mut tx = self.db().begin().await?;
        let now = self.now();
        let discarded = inbox::discard(&mut tx, events, reason, now).await?;
        let subjects: Vec<&str> = discarded.iter().map(EventId::as_str).collect();
        findings::close_all_unowned(&mut tx, FindingCode::EventDead, &subjects, now).await?;
        self.commit(tx, &[]).await?;
        Ok(discarded)
    }
}

/// Opens and closes the findings of a batch, in its transaction. `outcomes` are those written now.
pub(super) async fn save<'o>(
    tx: &mut Tx,
    known: &HashMap<EventKey, KnownEvent>,
    outcomes: impl Iterator<Item = (&'o EventKey, &'o Outcome)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut dead = Vec::new();
    let mut given_up = Vec::new();
    let mut revived = Vec::new();
    for (key, outcome) in outcomes {
        let is_new = !known.contains_key(key);
        if outcome.status == EventStatus::Dead {
            let why = outcome.reason.as_deref().unwrap_or("no reason is known");
            given_up.push(key.clone());
            dead.push(Finding::new(FindingCode::EventDead, key.event.as_str(), now, why));
        } else if !is_new && outcome.status != EventStatus::Failed {
            // Whatever its status was before: a replay has reset it, and it may have waited since.
            revived.push(key.event.as_str());
        }
    }
    findings::open_unowned(tx, &dead).await?;
    thin_events::remove(tx, &given_up).await?;
    findings::close_all_unowned(tx, FindingCode::EventDead, &revived, now).await
}
