//! Ending duplicate subscriptions. Owns: the steps at Stripe. Must not know: which are duplicates
//! (the domain's rule).

use tollgate_domain::Timestamp;
use tollgate_domain::duplicates::{Duplicate, NotOurs, duplicates};
use tollgate_domain::ids::{AccountId, CustomerId, SubscriptionId};
use tollgate_domain::money::Money;
use tollgate_stripe::StripeError;
use tollgate_stripe::client::balance::new_credit;
use tollgate_stripe::client::{Form, IdempotencyKey, Mark, StripeClient};

use super::BillingError;
use super::call::{Making, Subject};
use super::present::Present;
use crate::app::App;
use crate::reconcile::connected;

/// Which duplicates of an account to end.
#[derive(Debug, Clone)]
pub struct DuplicateChoice<'a> {
    /// Whose.
    pub account: &'a AccountId,
    /// The one to keep; `None`: the highest plan, then the older one.
    pub keep: Option<&'a SubscriptionId>,
    /// What is unused of the others is credited to the customer at Stripe.
    pub credit: bool,
}

/// What became of an account's duplicates.
#[derive(Debug, Default)]
pub struct Ended {
    /// The account's duplicates as they were found, the kept one first, with what was unused of each.
    pub before: Vec<Duplicate>,
    /// Those that were ended.
    pub ended: Vec<SubscriptionId>,
    /// Those that were left, because they also sell something that is not of the catalog, or are of a
    /// connected Stripe account.
    pub left: Vec<SubscriptionId>,
}

impl App {
    /// The duplicate subscriptions of an account, the one to keep first; empty without any.
    pub async fn duplicates(
        &self,
        account: &AccountId,
        keep: Option<&SubscriptionId>,
    ) -> Result<Vec<Duplicate>, BillingError> {
        let facts = self.engine.load(account, 0).await?;
        let mut all = duplicates(&facts, &self.config.catalog, self.clock.now());
        for one in &mut all {
            if connected::account_of(self, one.subscription.as_str()).await?.is_some() {
                one.not_ours = Some(NotOurs::Connected);
            }
        }
        if let Some(keep) = keep {
            let place = all.iter().position(|one| one.subscription == *keep);
            let place = place.ok_or_else(|| BillingError::NotADuplicate(keep.clone()))?;
            let kept = all.remove(place);
            all.insert(0, kept);
        }
        Ok(all)
    }

    /// Ends all duplicates but one, now, as far as they are ours to end. A call that is repeated goes
    /// on where the last one failed.
    pub async fn end_duplicates(
        &self,
        choice: &DuplicateChoice<'_>,
    ) -> Result<Ended, BillingError> {
        let stripe = self.billing()?;
        let _one_at_a_time = self.gates.enter(choice.account).await;
        let before = self.duplicates(choice.account, choice.keep).await?;
        let mut done = Ended { before, ..Ended::default() };
        for one in done.before.iter().skip(1) {
            let id = one.subscription.clone();
            let facts = self.engine.load(choice.account, 0).await?;
            let whole = match one.not_ours {
                Some(_) => None,
                None => self.whole(stripe, facts, &id).await?,
            };
            let Some(present) = whole else {
                done.left.push(id);
                continue;
            };
            self.end_duplicate(stripe, &present, one, choice.credit).await?;
            done.ended.push(id);
        }
        Ok(done)
    }

    /// Ends one. Its credit is made before that: should this process die in between, the subscription
    /// is still a duplicate, and the next try finds the credit it has made.
    async fn end_duplicate(
        &self,
        stripe: &StripeClient,
        present: &Present,
        duplicate: &Duplicate,
        credit: bool,
    ) -> Result<(), BillingError> {
        if !present.subscription.status.is_terminal() {
            if self.take_back_pending(stripe, present).await? {
                let (now, _) = stripe.subscription(&present.id).await?;
                if now.items != present.subscription.items {
                    // The change was paid in between: what is unused is more than was shown.
                    return Err(BillingError::Contended);
                }
            }
            let unused = duplicate.paid.as_ref().map(|paid| paid.unused);
            if let Some(unused) = unused.filter(|unused| credit && unused.amount_minor > 0) {
                self.credit(stripe, present, unused).await?;
            }
        }
        let fetched = match stripe.cancel_subscription(&present.id).await {
            Ok(fetched) => fetched,
            // Ended by an earlier try of this call, or by somebody else: it is over.
            Err(error) if error.is_missing() => stripe.subscription(&present.id).await?.1,
            Err(error) => return Err(error.into()),
        };
        self.apply_subscription(stripe, &present.facts, &present.id, fetched).await?;
        Ok(())
    }

    /// Credits what is unused of a subscription to its customer's balance, once. Stripe's own proration
    /// would also give back what was never paid or was given back already.
    async fn credit(
        &self,
        stripe: &StripeClient,
        present: &Present,
        amount: Money,
    ) -> Result<(), BillingError> {
        let facts = &present.facts;
        let known = facts.subscriptions.get(present.id.as_str());
        let customer = known.and_then(|known| known.customer.as_ref());
        let customer = customer.ok_or(BillingError::NoCustomer)?;
        let row = format!("{}.credit", present.id);
        let subject = Subject { account: &facts.account, row: &row };
        let id = &present.id;
        let making = Credit { stripe, account: &facts.account, customer, id, row: &row, amount };
        self.make_once(subject, &making).await.map(|_| ())
    }
}

/// The credit for what is unused of a subscription.
struct Credit<'a> {
    stripe: &'a StripeClient,
    account: &'a AccountId,
    customer: &'a CustomerId,
    id: &'a SubscriptionId,
    row: &'a str,
    amount: Money,
}

impl Making for Credit<'_> {
    type Shown = ();

    fn form(&self) -> Form {
        let mark = Mark { account: self.account, member: None, row: self.row };
        new_credit(mark, self.amount, &format!("Unused time of {}", self.id))
    }

    async fn make(&self, form: &Form, key: &IdempotencyKey) -> Result<(String, ()), StripeError> {
        Ok((self.stripe.credit_customer(self.customer, form, key).await?, ()))
    }

    async fn look(&self, between: (Timestamp, Timestamp)) -> Result<Option<String>, StripeError> {
        self.stripe.find_credit_for(self.customer, self.row, between).await
    }
}
