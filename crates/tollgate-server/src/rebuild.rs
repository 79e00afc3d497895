//! The proof that facts, journals and the inbox agree. Owns: folding the inbox and what people did into
//! an empty database, and what the comparison came to. Must not know: what an event does, how a report
//! is shown.
//!
//! Everything is read from a copy as of one instant, so the database is read once and never changed,
//! and goes on being written meanwhile.

mod acts;
mod compare;
mod fold;

use std::collections::BTreeSet;

use serde::Serialize;
use tollgate_domain::ids::{AccountId, FactId};
use tollgate_store::{Db, DbOptions, StoreError, digest, migrations, rebuild};

use crate::clock::Clock;
use crate::config::Config;
use crate::intake::squeeze::{self, RestoreError};
use crate::run::QueueOnly;
use crate::stripe::binding::{self, Binding, ModeError};

/// Accounts in memory at once.
const PAGE_ACCOUNTS: u32 = 100;
/// Events in memory at once.
const PAGE_EVENTS: u32 = 200;
/// Entries of a journal, and links, in memory at once.
const PAGE_ROWS: u32 = 1_000;
/// Most accounts listed in a report.
pub const DIFFERENCES_MAX: usize = 100;
/// Most lines of one account.
pub const LINES_MAX: usize = 20;

/// Why nothing could be proved.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no place for the copy.
    #[error("no folder can be made there: {0}")]
    Folder(std::io::Error),
    /// Bodies are kept no longer.
    #[error(
        "{0} events of the inbox have no body any more (retention.event_bodies_days and \
         retention.set_aside_days say how long bodies are kept): without them nothing can be rebuilt"
    )]
    BodiesRemoved(u64),
    /// A body cannot be restored.
    #[error("the body of {event}: {cause}")]
    Body {
        /// The event.
        event: String,
        /// Why not.
        cause: RestoreError,
    },
    /// The scratch database did not commit.
    #[error("the scratch database did not take {0} in")]
    NotCommitted(String),
    /// The setting contradicts the data.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The database, or a copy of it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the comparison came to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Nothing differs.
    pub equal: bool,
    /// The digest of the database.
    pub digest: String,
    /// The digest of what was rebuilt.
    pub rebuilt_digest: String,
    /// Events folded.
    pub events: u64,
    /// What people did, folded.
    pub acts: u64,
    /// Accounts compared.
    pub accounts: u64,
    /// Entries of journals whose chains were computed anew.
    pub journal_entries: u64,
    /// Events the database still has to work on; what they will change is rebuilt already.
    pub open_events: u64,
    /// Purchases sold by another catalog than today's, which sells otherwise: what they sold is not
    /// compared.
    pub sold_by_another_catalog: u64,
    /// Operator facts that today's catalog would not let anybody give: taken as they are.
    pub taken_as_they_are: u64,
    /// E-mails that accounts had before their present one, which are not kept.
    pub earlier_emails: u64,
    /// Accounts that differ.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// An account that differs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The account.
    pub account_id: String,
    /// In what.
    pub what: Vec<String>,
}

impl Report {
    fn differs(&mut self, account: &AccountId, mut what: Vec<String>) {
        if what.is_empty() {
            return;
        }
        self.differing = self.differing.saturating_add(1);
        if self.differences.len() < DIFFERENCES_MAX {
            let more = what.len().saturating_sub(LINES_MAX);
            what.truncate(LINES_MAX);
            if more > 0 {
                what.push(format!("and {more} more"));
            }
            self.differences.push(Difference { account_id: account.to_string(), what });
        }
    }
}

/// What could not be done again as it was done.
#[derive(Debug, Default)]
struct Troubles {
    /// By account.
    refused: Vec<(AccountId, String)>,
    /// Operator facts that were taken as they are.
    as_they_are: BTreeSet<FactId>,
}

/// Folds the inbox and what people did into an empty database and compares it with this one. Both the
/// copy that is read and what is rebuilt lie in the folder for temporary files, for their owner only,
/// until it is done.
pub async fn verify(
    mut config: Config,
    now: &Clock,
    database: &Db,
) -> Result<Report, RebuildError> {
    let removed = rebuild::count_removed_bodies(database).await?;
    if removed > 0 {
        return Err(RebuildError::BodiesRemoved(removed));
    }
    let folder = tempfile::Builder::new().prefix("tollgate-rebuild-").tempdir();
    let folder = folder.map_err(RebuildError::Folder)?;
    let open = async |name: &str| {
        let url = format!("sqlite:{}", folder.path().join(name).display());
        Db::open(&url, &DbOptions::default()).await
    };
    let copy = open("copy.db").await?;
    let rebuilt = open("rebuilt.db").await?;
    // Nobody is asked anything: what Stripe was asked is in the inbox.
    config.stripe.secret_key = None;
    let made = prepare(&mut config, now, (database, &copy, &rebuilt)).await;
    let done = match made {
        Ok(()) => fold_and_compare(config, now, &copy, rebuilt).await,
        Err(error) => {
            rebuilt.close().await;
            Err(error)
        }
    };
    copy.close().await;
    done
}

async fn prepare(
    config: &mut Config,
    now: &Clock,
    (database, copy, rebuilt): (&Db, &Db, &Db),
) -> Result<(), RebuildError> {
    rebuild::copy(database, copy).await?;
    migrations::up(rebuilt, now.now()).await?;
    squeeze::keep_dictionary(rebuilt).await?;
    // Which of Stripe's worlds it is of was settled before, not by the order of events.
    binding::settle_mode(&mut config.stripe, copy).await?;
    if let Some(mode) = binding::first_mode(copy).await? {
        binding::save_first_mode(rebuilt, mode).await?;
    }
    if let Some(bound) = Binding::find(copy).await? {
        bound.save(rebuilt).await?;
    }
    Ok(())
}

async fn fold_and_compare(
    config: Config,
    now: &Clock,
    copy: &Db,
    rebuilt: Db,
) -> Result<Report, RebuildError> {
    let clock = Clock::fixed(tollgate_domain::Timestamp::MIN);
    let engine = QueueOnly::start(config, clock, rebuilt);
    let done = async {
        let mut report = Report::default();
        let acts = acts::read(copy, &mut report).await?;
        let troubles = fold::fold(&engine.app, copy, acts, now.now(), &mut report).await?;
        report.taken_as_they_are = troubles.as_they_are.len().try_into().unwrap_or(u64::MAX);
        compare::compare(&engine.app, copy, &troubles, &mut report).await?;
        report.digest = digest::state(copy).await?;
        report.rebuilt_digest = digest::state(&engine.app.engine.db).await?;
        report.equal = report.differing == 0;
        Ok(report)
    }
    .await;
    engine.end().await;
    done
}
