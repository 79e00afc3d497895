//! Acts: decisions about one account that no Stripe event causes, by a person or by the scheduler.
//! Owns: their one transaction. Must not know: rules; the caller brings the decision.

use std::collections::HashMap;

use tollgate_domain::drift::Doubt;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::schedule::next_end;
use tollgate_domain::{Catalog, Decision, Facts, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::db::WRITE_ATTEMPTS_MAX;
use tollgate_store::doubts::NewDoubt;
use tollgate_store::{StoreError, accounts, changes, doubts, facts};

use crate::apply::Ledger;
use crate::intake::Intake;

/// What an act brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The account's revision after it.
    pub revision: u64,
}

/// Why an act did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ActError<E> {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(E),
    /// The database does.
    #[error(transparent)]
    Store(StoreError),
}

impl Intake {
    /// Decides about one account under its lock and commits the decision. `decide` runs again when
    /// another transaction got in the way; only the last run counts.
    pub async fn act<E>(
        &self,
        account: &AccountId,
        decide: impl FnMut(&Facts, &Catalog, Timestamp) -> Result<Decision, E>,
    ) -> Result<Acted, ActError<E>> {
        let window = Window::at(self.now(), self.now(), self.catalog());
        self.act_on(account, window, decide).await
    }

    /// The same for a decision that needs facts of another window of time than the present.
    pub async fn act_on<E>(
        &self,
        account: &AccountId,
        window: Window,
        mut decide: impl FnMut(&Facts, &Catalog, Timestamp) -> Result<Decision, E>,
    ) -> Result<Acted, ActError<E>> {
        let mut attempt = 1;
        loop {
            match self.try_act(account, window, &mut decide).await {
                Err(ActError::Store(error)) if is_race(&error) && attempt < WRITE_ATTEMPTS_MAX => {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_act<E>(
        &self,
        account: &AccountId,
        window: Window,
        decide: &mut impl FnMut(&Facts, &Catalog, Timestamp) -> Result<Decision, E>,
    ) -> Result<Acted, ActError<E>> {
        let store = ActError::Store;
        let mut tx = self.db().begin().await.map_err(store)?;
        let locked = accounts::lock(&mut tx, std::slice::from_ref(account)).await;
        let mut heads = locked.map_err(store)?;
        let mut facts = facts::load_in(&mut tx, account, window).await.map_err(store)?;
        let now = self.now();
        let mut decision = decide(&facts, self.catalog(), now).map_err(ActError::Refused)?;
        decision.apply_to(&mut facts, self.catalog(), now);
        let written = self.write_act(&mut tx, &mut heads, &decision, &facts).await;
        let revision = written.map_err(store)?;
        let doubts = self.stale(&facts, now);
        doubts::raise(&mut tx, &doubts).await.map_err(store)?;
        self.commit(tx, &[(account.clone(), revision)]).await.map_err(store)?;
        if !doubts.is_empty() {
            self.after_doubt();
        }
        Ok(Acted { revision })
    }

    /// What has not been heard of for too long, to be asked for where somebody can be asked.
    fn stale(&self, facts: &Facts, now: Timestamp) -> Vec<NewDoubt> {
        if !self.asks() {
            return Vec::new();
        }
        let stale = tollgate_domain::schedule::stale(facts, now).into_iter();
        let objects = stale.filter_map(|id| ObjectId::parse(id.as_str()).ok());
        objects.map(|object| NewDoubt { object, reason: Doubt::Stale.as_str(), at: now }).collect()
    }

    async fn write_act(
        &self,
        tx: &mut tollgate_store::Tx,
        heads: &mut HashMap<AccountId, AccountHead>,
        decision: &Decision,
        facts: &Facts,
    ) -> Result<u64, StoreError> {
        let account = &facts.account;
        let head =
            heads.entry(account.clone()).or_insert_with(|| AccountHead::unknown(account.clone()));
        let now = self.now();
        let mut ledger = Ledger::new(now);
        let revision = if decision.journal.is_empty() && decision.changes.is_empty() {
            head.revision
        } else {
            ledger.enter(head, decision, facts, self.catalog())?;
            head.revision
        };
        ledger.look_next(account, next_end(facts, self.catalog(), now));
        ledger.keep_heads(heads);
        ledger.write(tx).await?;
        let changed = ledger.changed();
        if !changed.is_empty() {
            changes::append(tx, self.instance(), &changed).await?;
        }
        Ok(revision)
    }
}

/// A lost race: the same act, decided again, sees what the winner wrote.
fn is_race(error: &StoreError) -> bool {
    matches!(error, StoreError::Contention(_))
}
