//! The unit of work. Owns: the only protocol by which accounts change (lock and load, decide, write,
//! commit, tell) and doing it again when another transaction got in the way. Must not know: rules;
//! whoever calls brings the decisions.

pub mod hot;
pub mod ledger;

use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Decision, Facts, Timestamp};
use tollgate_store::{StoreError, Tx, accounts, changes, facts};

use crate::intake::Intake;
use ledger::{Effects, Ledger};

/// Most runs of one unit of work, the first included.
const ATTEMPTS_MAX: u32 = 8;

/// One transaction that changes accounts. Dropped without [`UnitOfWork::complete`] it changes nothing.
pub(crate) struct UnitOfWork<'i> {
    intake: &'i Intake,
    pub(crate) tx: Tx,
    pub(crate) ledger: Ledger<'i>,
    written: Option<Effects>,
}

impl<'i> UnitOfWork<'i> {
    /// Begins a transaction; nothing is locked yet.
    pub(crate) async fn begin(intake: &'i Intake) -> Result<Self, StoreError> {
        let ledger = Ledger::new(intake.catalog(), intake.asks(), intake.now());
        Ok(Self { intake, tx: intake.db().begin().await?, ledger, written: None })
    }

    /// When it happens: everything in it is recorded at this instant.
    pub(crate) const fn now(&self) -> Timestamp {
        self.ledger.now
    }

    /// Locks accounts, once, and reads their heads.
    pub(crate) async fn lock(&mut self, accounts: &[AccountId]) -> Result<(), StoreError> {
        self.ledger.heads = accounts::lock(&mut self.tx, accounts).await?;
        Ok(())
    }

    /// The facts that matter now, of an account that is locked.
    pub(crate) async fn load(&mut self, account: &AccountId) -> Result<Facts, StoreError> {
        let window = Window::at(self.now(), self.now(), self.intake.catalog());
        facts::load_in(&mut self.tx, account, window).await
    }

    /// Writes everything taken in, for those who have more to write that needs it.
    pub(crate) async fn write(&mut self) -> Result<(), StoreError> {
        let effects = self.ledger.finish();
        effects.write(&mut self.tx).await?;
        self.written = Some(effects);
        Ok(())
    }

    /// Writes, where that is not done, and commits. Returns the accounts whose facts changed, with
    /// their revisions. Caches are told whatever comes of the commit.
    pub(crate) async fn complete(mut self) -> Result<Vec<(AccountId, u64)>, StoreError> {
        if self.written.is_none() {
            self.write().await?;
        }
        let (changed, doubts) = self
            .written
            .map_or_else(Default::default, |effects| (effects.changed, !effects.doubts.is_empty()));
        changes::append(&mut self.tx, self.intake.instance(), &changed).await?;
        self.intake.forget(&changed);
        self.intake.commit(self.tx, &changed).await?;
        if doubts {
            self.intake.after_doubt();
        }
        Ok(changed)
    }
}

/// The runs of one unit of work: it is run again while other transactions get in the way; only the
/// last run counts.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// Whether to run it again after this error. It counts.
    pub(crate) fn again(&mut self, error: &impl AsStoreError) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 < ATTEMPTS_MAX && error.store_error().is_some_and(is_race)
    }
}

/// A lost race: the same work, done again, sees what the winner wrote.
const fn is_race(error: &StoreError) -> bool {
    matches!(error, StoreError::Contention(_) | StoreError::Conflict { .. })
}

/// Errors that may be the store's.
pub(crate) trait AsStoreError {
    /// The store's error, where it is one.
    fn store_error(&self) -> Option<&StoreError>;
}

impl AsStoreError for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// Why a command did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CommandError<E> {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(E),
    /// The database does.
    #[error(transparent)]
    Store(StoreError),
}

impl<E> AsStoreError for CommandError<E> {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl Intake {
    /// Decides about one account by the facts that matter now and commits the decision. Returns the
    /// account's revision after it.
    pub async fn change<E>(
        &self,
        account: &AccountId,
        decide: impl FnMut(&Facts, &Catalog, Timestamp) -> Result<Decision, E>,
    ) -> Result<u64, CommandError<E>> {
        let window = Window::at(self.now(), self.now(), self.catalog());
        self.change_by(account, window, decide).await
    }

    /// The same for a decision that needs facts of another window of time than the present.
    pub async fn change_by<E>(
        &self,
        account: &AccountId,
        window: Window,
        mut decide: impl FnMut(&Facts, &Catalog, Timestamp) -> Result<Decision, E>,
    ) -> Result<u64, CommandError<E>> {
        let mut attempts = Attempts::default();
        loop {
            match self.try_change(account, window, &mut decide).await {
                Err(error) if attempts.again(&error) => {}
                done => return done,
            }
        }
    }

    async fn try_change<E>(
        &self,
        account: &AccountId,
        window: Window,
        decide: &mut impl FnMut(&Facts, &Catalog, Timestamp) -> Result<Decision, E>,
    ) -> Result<u64, CommandError<E>> {
        let store = CommandError::Store;
        let mut unit = UnitOfWork::begin(self).await.map_err(store)?;
        unit.lock(std::slice::from_ref(account)).await.map_err(store)?;
        let facts = facts::load_in(&mut unit.tx, account, window).await;
        let mut facts = facts.map_err(store)?;
        let decision = decide(&facts, self.catalog(), unit.now()).map_err(CommandError::Refused)?;
        unit.ledger.decide(decision, &mut facts).map_err(store)?;
        unit.ledger.settle_ends(&mut facts).map_err(store)?;
        let revision = unit.ledger.revision(account);
        unit.complete().await.map_err(store)?;
        Ok(revision)
    }

    /// Tells of the ends of accounts that have come, all in one transaction.
    pub async fn settle(&self, accounts: &[AccountId]) -> Result<(), StoreError> {
        let mut attempts = Attempts::default();
        loop {
            match self.try_settle(accounts).await {
                Err(error) if attempts.again(&error) => {}
                done => return done,
            }
        }
    }

    async fn try_settle(&self, accounts: &[AccountId]) -> Result<(), StoreError> {
        let mut unit = UnitOfWork::begin(self).await?;
        unit.lock(accounts).await?;
        let touched = accounts.iter().map(|one| (one.clone(), facts::TouchedObjects::default()));
        let touched = facts::Touched { accounts: touched.collect() };
        let window = Window::at(unit.now(), unit.now(), self.catalog());
        let all = facts::load_touched(&mut unit.tx, &touched, &unit.ledger.heads, window).await?;
        for mut facts in all.into_values() {
            unit.ledger.settle_ends(&mut facts)?;
        }
        unit.complete().await.map(|_| ())
    }
}
