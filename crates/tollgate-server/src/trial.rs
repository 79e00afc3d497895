//! An import tried on a copy of the database. Owns: the copy, and the engine that works on it. Must
//! not know: what an import does: it is the same one, so it finds the same.

use tollgate_domain::Timestamp;
use tollgate_store::{Db, DbOptions, StoreError, migrations, trial};

use crate::clock::Clock;
use crate::config::Config;
use crate::intake::squeeze;
use crate::reconcile::{self, Kind, Order, ReconcileError, Report, Watcher};
use crate::run::QueueOnly;
use crate::stripe::binding::{self, ModeError};

/// Why an import could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no place for the copy.
    #[error("no folder can be made there: {0}")]
    Folder(std::io::Error),
    /// The database, or the copy of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key is not of the mode that the data is of.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The import itself.
    #[error(transparent)]
    Import(#[from] ReconcileError),
}

/// Imports into a copy of a database, or into an empty one where there is none yet, and drops the
/// copy. The copy lies in the folder for temporary files, for its owner only; of events it has those
/// that are not done with.
pub async fn import(
    mut config: Config,
    clock: Clock,
    database: Option<&Db>,
    watch: Watcher<'_>,
) -> Result<Report, TrialError> {
    let folder = tempfile::Builder::new().prefix("tollgate-trial-").tempdir();
    let folder = folder.map_err(TrialError::Folder)?;
    let url = format!("sqlite:{}", folder.path().join("tollgate.db").display());
    let copy = Db::open(&url, &DbOptions::default()).await?;
    let made = fill(&mut config, &copy, database, clock.now()).await;
    if let Err(error) = made {
        copy.close().await;
        return Err(error);
    }
    let engine = QueueOnly::start(config, clock, copy);
    let order = Order { kind: Kind::Import, account: None, dry: false, allow_ends: false };
    let done = reconcile::reconcile(&engine.app, order, watch).await;
    engine.end().await;
    Ok(done?)
}

async fn fill(
    config: &mut Config,
    copy: &Db,
    database: Option<&Db>,
    now: Timestamp,
) -> Result<(), TrialError> {
    match database {
        Some(database) => trial::copy(database, copy).await.map(|_| ())?,
        None => migrations::up(copy, now).await.map(|_| ())?,
    }
    binding::settle_mode(&mut config.stripe, copy).await?;
    squeeze::keep_dictionary(copy).await?;
    Ok(())
}
