//! Thin events in a batch. Owns: what is known of what they name, and from that how each stands.
//! Must not know: how an object is read, what it means.
//!
//! A thin event has no effect of its own. It is done when what it names was read after it happened:
//! the object by a request, or the snapshot event of the same happening by its delivery. Where there
//! is nothing to be read any more, it is set aside. Until then it waits.

use std::collections::{HashMap, HashSet};

use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_domain::{Finding, FindingCode, Timestamp};
use tollgate_store::inbox::{EventKey, EventStatus, KnownEvent};
use tollgate_store::thin_events::{self, End, Ending, Look, ThinRow};
use tollgate_store::{StoreError, Tx, findings, inbox};

use super::delivery::{Content, Delivery};
use super::read::ignored;
use super::work::Verdict;

/// What a thin event waits for that is no object: a comparison of everything.
pub const EVERYTHING: &str = "everything";
/// What the finding is about that thin events come and nobody can read what they name.
pub const THIN_EVENTS: &str = "thin_events";

/// What a thin event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What has to be read: an object, the snapshot event of the same happening, or
    /// [`EVERYTHING`].
    pub asks: ObjectId,
    /// The object, where that is not what is read first.
    pub object: Option<ObjectId>,
    /// The snapshot event of the same happening.
    pub snapshot: Option<EventId>,
    /// When it happened.
    pub created: Timestamp,
    /// Why there is nothing to be read, where that is so: only that it was told is kept.
    pub nothing: Option<&'static str>,
}

impl Notice {
    /// The key of the snapshot event of the same happening.
    fn snapshot_key(&self, own: &EventKey) -> Option<EventKey> {
        let event = self.snapshot.clone()?;
        Some(EventKey { event, livemode: own.livemode, stripe_account: own.stripe_account.clone() })
    }
}

/// What is known of what the thin events of a batch name.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    ended: HashMap<EventKey, End>,
    looks: HashMap<ObjectId, Look>,
    snapshots: HashMap<EventKey, KnownEvent>,
    /// Snapshot events of the batch whose happening was told before, by a thin event.
    told: HashSet<EventId>,
}

fn notice(delivery: &Delivery) -> Option<&Notice> {
    match &delivery.content {
        Content::Thin(notice) => Some(notice),
        Content::Effect(_) | Content::Ignored(_) | Content::NoEvent(_) | Content::Garbled(_) => {
            None
        }
    }
}

impl Standing {
    /// Reads what is known. Where there never was a thin event, nothing has to be looked up for
    /// snapshots.
    pub(super) async fn load(
        tx: &mut Tx,
        batch: &[&Delivery],
        any_thin: bool,
    ) -> Result<Self, StoreError> {
        let mut standing = Self::default();
        let thin: Vec<(&EventKey, &Notice)> =
            batch.iter().filter_map(|one| Some((&one.key, notice(one)?))).collect();
        if !thin.is_empty() {
            let keys: Vec<EventKey> = thin.iter().map(|(key, _)| (*key).clone()).collect();
            let asks: Vec<ObjectId> = thin.iter().map(|(_, notice)| notice.asks.clone()).collect();
            let snapshots: Vec<EventKey> =
                thin.iter().filter_map(|(key, notice)| notice.snapshot_key(key)).collect();
            standing.ended = thin_events::ended(tx, &keys).await?;
            standing.looks = thin_events::looks(tx, &asks).await?;
            standing.snapshots = inbox::known(tx, &snapshots).await?;
        }
        if any_thin {
            let effects = batch.iter().filter(|one| matches!(one.content, Content::Effect(_)));
            let events: Vec<EventId> = effects.map(|one| one.key.event.clone()).collect();
            standing.told = thin_events::told(tx, &events).await?;
        }
        Ok(standing)
    }

    /// Whether a snapshot event's happening was told before.
    pub(super) fn was_told(&self, key: &EventKey) -> bool {
        self.told.contains(&key.event)
    }

    /// How a thin event stands.
    pub(super) fn of(&self, key: &EventKey, notice: &Notice) -> Verdict {
        if let Some(reason) = notice.nothing {
            return Verdict::Ignored(reason);
        }
        if let Some(end) = self.ended.get(key) {
            return match end.how {
                Ending::Read | Ending::Told | Ending::Nothing => Verdict::Read(end.clone()),
                Ending::Gone => Verdict::Ignored(ignored::OBJECT_GONE),
                Ending::NotShown => Verdict::Ignored(ignored::NOT_SHOWN),
            };
        }
        let snapshot = notice.snapshot_key(key).and_then(|key| self.snapshots.get(&key));
        // One that was set aside, failed or waits has told nothing yet.
        if let Some(snapshot) = snapshot.filter(|one| one.status == EventStatus::Processed) {
            return told(notice, snapshot.account.clone());
        }
        match self.looks.get(&notice.asks) {
            // Stripe's clock of replies has whole seconds.
            Some(look) if notice.created.unix_seconds() < look.at.unix_seconds() => {
                let account = look.account.clone();
                Verdict::Read(End { how: Ending::Read, at: look.at, account })
            }
            Some(_) | None => Verdict::Unread,
        }
    }
}

/// A snapshot event told of the same happening, and of nothing before it.
fn told(notice: &Notice, account: Option<AccountId>) -> Verdict {
    Verdict::Read(End { how: Ending::Told, at: notice.created, account })
}

/// Thin events whose snapshot events are decided in the same batch are told by those.
pub(super) fn match_snapshots(batch: &[&Delivery], verdicts: &mut [Verdict]) {
    if !verdicts.iter().any(|verdict| matches!(verdict, Verdict::Unread)) {
        return;
    }
    let mut owners: HashMap<&EventKey, AccountId> = HashMap::new();
    for (delivery, verdict) in batch.iter().zip(verdicts.iter()) {
        if let Verdict::Decided(account, _) = verdict {
            owners.insert(&delivery.key, account.clone());
        }
    }
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        let (Some(notice), Verdict::Unread) = (notice(delivery), &verdict) else { continue };
        let Some(key) = notice.snapshot_key(&delivery.key) else { continue };
        if let Some(owner) = owners.get(&key) {
            *verdict = told(notice, Some(owner.clone()));
        }
    }
}

/// What of the batch an operator must hear of: thin events that nobody can read, and what Billing v2
/// sold or sells no more.
pub(super) async fn tell_of(
    tx: &mut Tx,
    batch: &[&Delivery],
    verdicts: &[Verdict],
    (asks, now): (bool, Timestamp),
) -> Result<(), StoreError> {
    let mut open = Vec::new();
    let mut over = Vec::new();
    for (delivery, verdict) in batch.iter().zip(verdicts) {
        let subject = || {
            let object = delivery.object.as_ref().map(ObjectId::as_str);
            object.unwrap_or_else(|| delivery.key.event.as_str()).to_owned()
        };
        if matches!(verdict, Verdict::Unread) && !asks {
            let detail = format!("{} cannot be read", delivery.event_type);
            open.push(Finding::new(FindingCode::ThinWithoutKey, THIN_EVENTS, now, detail));
        }
        let Verdict::Ignored(reason) = verdict else { continue };
        if *reason == ignored::BILLING_V2 {
            let detail = delivery.event_type.clone();
            open.push(Finding::new(FindingCode::BillingV2, subject(), now, detail));
        } else if *reason == ignored::BILLING_V2_ENDED {
            over.push(subject());
        }
    }
    findings::open_unowned(tx, &open).await?;
    for subject in over {
        findings::close_unowned(tx, FindingCode::BillingV2, &subject, now).await?;
    }
    Ok(())
}

/// Keeps the batch's thin events; returns whether there are any. One whose snapshot event Stripe does
/// not show is forgotten when it is set aside, so that a replay asks for it anew.
pub(super) async fn save(
    tx: &mut Tx,
    batch: &[&Delivery],
    verdicts: &[Verdict],
) -> Result<bool, StoreError> {
    let kept = rows(batch, verdicts);
    thin_events::note(tx, &kept).await?;
    let not_shown = |verdict: &Verdict| matches!(verdict, Verdict::Ignored(reason) if *reason == ignored::NOT_SHOWN);
    let forgotten: Vec<EventKey> = batch
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| not_shown(verdict))
        .map(|(delivery, _)| delivery.key.clone())
        .collect();
    thin_events::remove(tx, &forgotten).await?;
    Ok(!kept.is_empty())
}

/// The rows by which the batch's thin events are kept.
fn rows(batch: &[&Delivery], verdicts: &[Verdict]) -> Vec<ThinRow> {
    let row = |(delivery, verdict): (&&Delivery, &Verdict)| {
        let notice = notice(delivery)?;
        let end = match verdict {
            Verdict::Read(end) => Some(end.clone()),
            Verdict::Unread => None,
            Verdict::Ignored(reason) if notice.nothing == Some(*reason) => {
                Some(End { how: Ending::Nothing, at: notice.created, account: None })
            }
            Verdict::Ignored(_)
            | Verdict::Duplicate
            | Verdict::Repeats(_)
            | Verdict::Foreign(_)
            | Verdict::Waiting(_)
            | Verdict::Dead(_)
            | Verdict::Failed(_)
            | Verdict::Decided(..) => return None,
        };
        Some(ThinRow {
            key: delivery.key.clone(),
            asks: notice.asks.clone(),
            object: notice.object.clone(),
            snapshot: notice.snapshot.clone(),
            created_at: notice.created,
            end,
        })
    };
    batch.iter().zip(verdicts).filter_map(row).collect()
}

/// What has to be asked for because of the batch's thin events.
pub(super) fn asked_for<'b>(
    batch: &'b [&'b Delivery],
    verdicts: &'b [Verdict],
) -> impl Iterator<Item = &'b ObjectId> {
    let unread =
        batch.iter().zip(verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Unread));
    unread
        .filter_map(|(delivery, _)| notice(delivery))
        .map(|notice| &notice.asks)
        .filter(|asks| asks.as_str() != EVERYTHING)
}
