//! Giving an object to another account, by a person's word. Owns: its one transaction over both
//! accounts. Must not know: what changes hands; the domain says so.
//!
//! What a person said is the strongest reason there is: later claims and replays of old events do
//! not move the object back.

use std::collections::BTreeSet;

use tollgate_domain::act::TermsRefusal;
use tollgate_domain::handover::{self, Handover};
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::owner::Basis;
use tollgate_domain::{Actor, Decision, Facts, Link};
use tollgate_store::{StoreError, inbox, links};

use crate::intake::Intake;
use crate::unit_of_work::{AsStoreError, Attempts, UnitOfWork};

/// What is to be moved where.
#[derive(Debug, Clone)]
pub struct Order {
    /// A Stripe object: a subscription, a customer, a checkout session, an invoice, a payment.
    pub object: ObjectId,
    /// The account it belongs to from now on.
    pub to: AccountId,
    /// Why, 10 to 500 characters.
    pub reason: String,
    /// Who says so, 1 to 128 characters.
    pub by: String,
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relinked {
    /// The account it belonged to; `None`: to none.
    pub from: Option<AccountId>,
    /// All objects that belong to the new account now, the one asked for included, sorted.
    pub objects: Vec<ObjectId>,
    /// The revisions of the accounts that changed.
    pub revisions: Vec<(AccountId, u64)>,
}

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum RelinkError {
    /// The reason or the name is not acceptable.
    #[error(transparent)]
    Terms(#[from] TermsRefusal),
    /// No event has named such an object.
    #[error("no event has named {object}")]
    ObjectUnknown {
        /// The object.
        object: ObjectId,
    },
    /// The database refuses it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Intake {
    /// Gives an object to an account, with all that belongs to it: a subscription with its
    /// sessions, invoices, payments and refunds; a customer with what the account it leaves has of
    /// it. Saying it again changes nothing.
    pub async fn relink(&self, order: &Order) -> Result<Relinked, RelinkError> {
        handover::check(&order.reason, &order.by, self.now())?;
        let mut attempts = Attempts::default();
        loop {
            match self.try_relink(order).await {
                Err(error) if attempts.again(&error) => {}
                done => return done,
            }
        }
    }

    async fn try_relink(&self, order: &Order) -> Result<Relinked, RelinkError> {
        let mut unit = UnitOfWork::begin(self).await?;
        let asked = std::slice::from_ref(&order.object);
        let found = links::find(&mut unit.tx, asked).await?.remove(&order.object);
        let Some(link) = found else { return self.link_anew(unit, order).await };
        unit.lock(&[link.account.clone(), order.to.clone()]).await?;
        if links::find(&mut unit.tx, asked).await?.get(&order.object) != Some(&link) {
            return Err(StoreError::Conflict { constraint: "stripe_links".to_owned() }.into());
        }
        let from = unit.load(&link.account).await?;
        let roots = self.roots(&mut unit, &link, &from).await?;
        let mut moved = links::groups(&mut unit.tx, &roots).await?;
        moved.retain(|_, known| known.account == link.account);
        let basis = Basis::Relinked { at: unit.now() };
        for one in moved.values_mut() {
            one.account = order.to.clone();
            if roots.contains(&one.root) {
                one.basis = basis.clone();
            }
        }
        let objects: BTreeSet<ObjectId> = moved.keys().cloned().collect();
        links::update(&mut unit.tx, &moved.values().collect::<Vec<_>>()).await?;
        let mut decided = if link.account == order.to {
            vec![self.confirm(order, &objects, from)]
        } else {
            let to = unit.load(&order.to).await?;
            self.hand_over(order, (&link, &objects), (from, to)).into()
        };
        for (facts, decision) in &mut decided {
            if !decision.changes.is_empty() {
                unit.ledger.decide(std::mem::take(decision), facts)?;
            }
        }
        // What is linked otherwise counts as a change: whoever keeps an account in memory looks again.
        unit.ledger.raise(&link.account);
        unit.ledger.settle_touched(decided.iter_mut().map(|(facts, _)| facts))?;
        let revisions = unit.complete().await?;
        let objects = objects.into_iter().collect();
        Ok(Relinked { from: Some(link.account), objects, revisions })
    }

    /// What stands for the groups that go: the object's, and for a customer those of the
    /// subscriptions that the account it leaves has of it.
    async fn roots(
        &self,
        unit: &mut UnitOfWork<'_>,
        link: &Link,
        from: &Facts,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let of_customer = from.subscriptions.values().filter(|one| {
            one.customer.as_ref().is_some_and(|id| id.as_str() == link.object.as_str())
        });
        let ids = of_customer.filter_map(|one| ObjectId::parse(one.id.as_str()).ok());
        let theirs = links::find(&mut unit.tx, &ids.collect::<Vec<_>>()).await?;
        let theirs = theirs.into_values().filter(|one| one.account == link.account);
        let mut roots: Vec<ObjectId> = theirs.map(|one| one.root).collect();
        roots.push(link.root.clone());
        roots.sort_unstable();
        roots.dedup();
        Ok(roots)
    }

    /// What is decided where the account has the object already: that claims of others are wrong.
    fn confirm(
        &self,
        order: &Order,
        objects: &BTreeSet<ObjectId>,
        facts: Facts,
    ) -> (Facts, Decision) {
        let (actor, reason) = (Actor::Person(order.by.trim().to_owned()), order.reason.trim());
        let decision =
            handover::confirmed(&facts, &order.object, objects, actor, reason, self.now());
        (facts, decision)
    }

    /// What both accounts decide, and the facts with their new account.
    fn hand_over(
        &self,
        order: &Order,
        (link, objects): (&Link, &BTreeSet<ObjectId>),
        (mut from, mut to): (Facts, Facts),
    ) -> [(Facts, Decision); 2] {
        let handover = Handover {
            subject: &order.object,
            objects,
            is_payer: link.root == link.object
                && from.customers.contains_key(order.object.as_str()),
            actor: Actor::Person(order.by.trim().to_owned()),
            reason: order.reason.trim(),
            at: self.now(),
        };
        let (gives, takes) = handover.decide(&from, &to);
        from.hand_over(&mut to, objects);
        [(from, gives), (to, takes)]
    }

    /// An object that belongs to nobody yet: events that wait for it, or were set aside, run again.
    async fn link_anew(
        &self,
        mut unit: UnitOfWork<'_>,
        order: &Order,
    ) -> Result<Relinked, RelinkError> {
        let link = Link {
            object: order.object.clone(),
            account: order.to.clone(),
            root: order.object.clone(),
            basis: Basis::Relinked { at: unit.now() },
            gone_at: None,
        };
        unit.lock(std::slice::from_ref(&order.to)).await?;
        links::insert(&mut unit.tx, &[&link]).await?;
        if inbox::wake(&mut unit.tx, &[&link]).await? == 0 {
            return Err(RelinkError::ObjectUnknown { object: order.object.clone() });
        }
        let mut facts = unit.load(&order.to).await?;
        let actor = Actor::Person(order.by.trim().to_owned());
        let reason = order.reason.trim();
        let decision = handover::linked(&facts, &order.object, actor, reason, unit.now());
        unit.ledger.decide(decision, &mut facts)?;
        let revisions = unit.complete().await?;
        self.after_wake();
        self.wake_linked(std::slice::from_ref(&order.object)).await;
        Ok(Relinked { from: None, objects: vec![order.object.clone()], revisions })
    }
}

impl AsStoreError for RelinkError {
    fn store_error(&self) -> Option<&StoreError> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}
