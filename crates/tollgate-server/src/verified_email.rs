//! Setting the verified e-mail of an account. Owns: its one transaction. Must not know: who
//! verified it, what is matched with it.

use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::{Actor, verified_email};
use tollgate_store::{StoreError, accounts, inbox};

use crate::intake::Intake;
use crate::unit_of_work::{Attempts, UnitOfWork};

impl Intake {
    /// Sets or removes the verified e-mail of an account, which begins with it where it is not known
    /// yet. Events that wait for somebody with this e-mail run again, and so do those that wait for
    /// the one it had: another account may be the only one with it now. Returns the account's revision;
    /// setting what is set changes nothing.
    pub async fn set_email(
        &self,
        account: &AccountId,
        email: Option<&str>,
        by: &str,
    ) -> Result<u64, StoreError> {
        let mut attempts = Attempts::default();
        loop {
            match self.try_set_email(account, email, by).await {
                Err(error) if attempts.again(&error) => {}
                done => return done,
            }
        }
    }

    async fn try_set_email(
        &self,
        account: &AccountId,
        email: Option<&str>,
        by: &str,
    ) -> Result<u64, StoreError> {
        let mut unit = UnitOfWork::begin(self).await?;
        unit.lock(std::slice::from_ref(account)).await?;
        let mut facts = unit.load(account).await?;
        let known = accounts::email_of(&mut unit.tx, account).await?;
        if known.as_deref() == email {
            return Ok(unit.ledger.revision(account));
        }
        let actor = Actor::Person(by.to_owned());
        let decision = verified_email::changed(&facts, email.is_some(), actor, unit.now());
        unit.ledger.decide(decision, &mut facts)?;
        let revision = unit.ledger.revision(account);
        unit.write().await?;
        accounts::set_email(&mut unit.tx, account, email).await?;
        let came_and_left: Vec<&str> = email.into_iter().chain(known.as_deref()).collect();
        inbox::wake_for_emails(&mut unit.tx, &came_and_left).await?;
        unit.complete().await?;
        self.after_wake();
        let keys: Vec<ObjectId> = came_and_left.into_iter().map(inbox::email_key).collect();
        self.wake_linked(&keys).await;
        Ok(revision)
    }
}
