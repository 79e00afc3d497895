//! Ending duplicate subscriptions. Owns: the steps at Stripe. Must not know: which are duplicates
//! (the domain's rule).

use tollgate_domain::duplicates::{Duplicate, NotOurs, duplicates};
use tollgate_domain::ids::{AccountId, SubscriptionId};
use tollgate_stripe::client::StripeClient;

use super::BillingError;
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
        let all = self.duplicates(choice.account, choice.keep).await?;
        let mut done = Ended::default();
        for one in all.into_iter().skip(1) {
            let id = one.subscription;
            let facts = self.engine.load(choice.account, 0).await?;
            if one.not_ours.is_some() || !self.is_whole(stripe, &id).await? {
                done.left.push(id);
                continue;
            }
            let fetched = match stripe.end_subscription(&id, choice.credit).await {
                Ok(fetched) => fetched,
                // Ended by an earlier try of this call, or by somebody else: it is over.
                Err(error) if error.is_missing() => stripe.subscription(&id).await?.1,
                Err(error) => return Err(error.into()),
            };
            self.apply_subscription(stripe, &facts, &id, fetched).await?;
            done.ended.push(id);
        }
        Ok(done)
    }

    /// Whether a subscription, as Stripe has it now, sells nothing but what is ours.
    async fn is_whole(
        &self,
        stripe: &StripeClient,
        id: &SubscriptionId,
    ) -> Result<bool, BillingError> {
        match self.check_whole(stripe, id).await {
            Ok(()) => Ok(true),
            Err(BillingError::NotManaged(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
