//! Dead events. Owns: the finding that is opened when an event is given up and closed when it went
//! through after all or waits again, and that nothing is asked for because of one that was given up. Must not
//! know: when an event is given up.

use std::collections::HashMap;

use tollgate_domain::{Finding, FindingCode, Timestamp};
use tollgate_store::inbox::{EventKey, EventStatus, KnownEvent, Outcome};
use tollgate_store::{StoreError, Tx, findings, thin_events};

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
