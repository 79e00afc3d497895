//! Removing what is older than it is kept. Owns: that it happens once a day and in small steps. Must not
//! know: how anything is removed.

use std::sync::Arc;

use tokio::sync::watch;
use tollgate_domain::Timestamp;
use tollgate_store::retention::{self, Cutoffs};
use tollgate_store::{StoreError, meta};

use super::daily;
use crate::app::App;
use crate::metrics::ReasonLabel;
use crate::supervisor::TaskKind;

/// Accounts of one round.
const ACCOUNTS_PER_ROUND: u32 = 50;
/// Events of one round.
const EVENTS_PER_ROUND: u32 = 200;
/// Bodies are removed when so many hours of them have become too old.
const BODIES_EVERY_HOURS: i64 = 1;
/// From the beginning so often: an event that was waiting, failed or dead when its turn came may be done
/// with by then.
const BODIES_ANEW_DAYS: i64 = 30;
/// Where the walk through the accounts stands.
const ACCOUNTS: &str = "retention.accounts";
/// Up to when the bodies of events are removed, and when that began from the beginning: two numbers of
/// milliseconds.
const BODIES: &str = "retention.bodies";

/// Works until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    daily::rounds(app, TaskKind::Retention, stop, |app| async move { tick(&app).await }).await;
}

/// One round. Returns whether there is more to do.
pub async fn tick(app: &App) -> Result<bool, StoreError> {
    // A failure of one holds up none of the other.
    let (bodies, records) = (remove_bodies(app).await, remove_records(app).await);
    let (bodies, records) = (bodies?, records?);
    Ok(bodies || records)
}

/// The instant before which something is too old that is kept for so many days; 0 keeps it for ever.
fn cutoff(now: Timestamp, days: u32) -> Option<Timestamp> {
    (days > 0).then(|| now.plus_days(-i64::from(days)))
}

async fn remove_bodies(app: &App) -> Result<bool, StoreError> {
    let db = &app.engine.db;
    let kept_days = app.config.retention.event_bodies_days;
    let now = app.clock.now();
    let Some(before) = cutoff(now, kept_days) else { return Ok(false) };
    let standing = meta::find(db, BODIES).await?.and_then(|text| {
        let (until, begun) = text.split_once(' ')?;
        let instant = |text: &str| text.parse().ok().map(Timestamp::from_millis);
        Some((instant(until)?, instant(begun)?))
    });
    let standing = standing.filter(|(_, begun)| now < begun.plus_days(BODIES_ANEW_DAYS));
    let (from, begun) = standing.unwrap_or((Timestamp::from_millis(0), now));
    if before < from.plus_hours(BODIES_EVERY_HOURS) {
        return Ok(false);
    }
    let set_aside_since = cutoff(now, app.config.retention.set_aside_days);
    let set_aside_since = set_aside_since.unwrap_or(Timestamp::MIN);
    let page = retention::empty_bodies(db, from, before, set_aside_since, EVENTS_PER_ROUND).await?;
    meta::save(db, BODIES, &format!("{} {}", page.until.millis(), begun.millis())).await?;
    count(app, "event_bodies", page.removed);
    Ok(page.until < before)
}

async fn remove_records(app: &App) -> Result<bool, StoreError> {
    let (kept, now) = (&app.config.retention, app.clock.now());
    let cutoffs =
        Cutoffs { journal: cutoff(now, kept.journal_days), usage: cutoff(now, kept.usage_days) };
    let round = daily::next(app, ACCOUNTS, ACCOUNTS_PER_ROUND).await?;
    let Some(round) = round else { return Ok(false) };
    for (place, account) in round.accounts.iter().enumerate() {
        let removed = match retention::remove(&app.engine.db, account, cutoffs).await {
            Ok(removed) => removed,
            Err(error) if error.is_unavailable() => return Err(error),
            // The others are not held up by one that cannot be read.
            Err(error) => {
                tracing::error!(%account, %error, "what is too old of an account is not removed");
                continue;
            }
        };
        count(app, "journal", removed.journal);
        count(app, "usage", removed.usage);
        // Much of one account goes in several rounds, so that others get their turn at the database.
        if removed.more {
            round.finish_before(app, place).await?;
            return Ok(true);
        }
    }
    Ok(round.finish(app).await? > 0)
}

fn count(app: &App, reason: &'static str, removed: u64) {
    app.metrics.removed.get_or_create(&ReasonLabel { reason }).inc_by(removed);
}
