//! Setting the verified e-mail of an account. Owns: its one transaction. Must not know: who
//! verified it, what is matched with it.

use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Actor, Decision, verified_email};
use tollgate_store::accounts::AccountHead;
use tollgate_store::db::WRITE_ATTEMPTS_MAX;
use tollgate_store::{StoreError, accounts, changes, facts, inbox};

use crate::apply::Ledger;
use crate::intake::Intake;

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
        let mut attempt = 1;
        loop {
            match self.try_set_email(account, email, by).await {
                Err(StoreError::Contention(_)) if attempt < WRITE_ATTEMPTS_MAX => attempt += 1,
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
        let mut tx = self.db().begin().await?;
        let mut heads = accounts::lock(&mut tx, std::slice::from_ref(account)).await?;
        let now = self.now();
        let window = Window::at(now, now, self.catalog());
        let mut facts = facts::load_in(&mut tx, account, window).await?;
        let known = accounts::email_of(&mut tx, account).await?;
        let head =
            heads.entry(account.clone()).or_insert_with(|| AccountHead::unknown(account.clone()));
        if known.as_deref() == email {
            return Ok(head.revision);
        }
        let actor = Actor::Person(by.to_owned());
        let decision: Decision = verified_email::changed(&facts, email.is_some(), actor, now);
        for change in &decision.changes {
            facts.apply(change);
        }
        let mut ledger = Ledger::new(now);
        ledger.enter(head, &decision, &facts, self.catalog())?;
        let revision = head.revision;
        ledger.keep_heads(&heads);
        ledger.write(&mut tx).await?;
        accounts::set_email(&mut tx, account, email).await?;
        let came_and_left: Vec<&str> = email.into_iter().chain(known.as_deref()).collect();
        inbox::wake_for_emails(&mut tx, &came_and_left).await?;
        let changed = ledger.changed();
        changes::append(&mut tx, self.instance(), &changed).await?;
        self.commit(tx, &changed).await?;
        self.after_wake();
        Ok(revision)
    }
}
