//! Whom an object names itself. Owns: the newest claim that an object's own metadata made, whether
//! it speaks against the owner, and that a person overruled it. Must not know: which claim decides
//! the owner ([`crate::owner`]), who shows the contradiction.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, EventId};
use crate::observation::Observation;
use crate::time::Timestamp;

/// What an object's own metadata says of its owner, by the newest event that showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnClaim {
    /// The account named; `None`: the metadata names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Stripe's time of the event.
    pub at: Timestamp,
    /// The event.
    pub event: EventId,
    /// The other account it named when a person last said whose the object is: known to be wrong,
    /// however often it is named again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<AccountId>,
}

impl OwnClaim {
    /// What an event shows of its own object's metadata.
    pub fn shown(observation: &Observation) -> Self {
        Self {
            account: observation.claim.as_ref().map(|claim| claim.account.clone()),
            at: observation.at,
            event: observation.event.clone(),
            overruled: None,
        }
    }

    /// Two observations of one object together: the newer one says what the metadata is.
    pub fn newest(one: Option<&Self>, other: Option<&Self>) -> Option<Self> {
        let rank = |one: &&Self| (one.at, one.event.clone());
        let newest = one.into_iter().chain(other).max_by_key(rank)?;
        let overruled = one.into_iter().chain(other).filter_map(|one| one.overruled.as_ref()).max();
        Some(Self { overruled: overruled.cloned(), ..newest.clone() })
    }

    /// The account it names although the object belongs to another one, and nobody has said yet
    /// that it is wrong.
    pub fn against(&self, owner: &AccountId) -> Option<&AccountId> {
        let named = self.account.as_ref().filter(|named| *named != owner)?;
        (self.overruled.as_ref() != Some(named)).then_some(named)
    }

    /// The same after a person said whose the object is; `None` where that changes nothing.
    pub fn overruled_for(&self, owner: &AccountId) -> Option<Self> {
        let overruled = self.account.as_ref().filter(|named| *named != owner).cloned();
        (overruled != self.overruled).then(|| Self { overruled, ..self.clone() })
    }
}

#[cfg(test)]
mod tests;
