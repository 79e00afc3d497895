//! Ending duplicate subscriptions. Owns: the steps at Stripe. Must not know: which are duplicates
//! (the domain's rule).

use tollgate_domain::duplicates::{Duplicate, duplicates};
use tollgate_domain::ids::{AccountId, SubscriptionId};

use super::BillingError;
use crate::app::App;

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

impl App {
    /// The duplicate subscriptions of an account, the one to keep first; empty without any.
    pub async fn duplicates(
        &self,
        account: &AccountId,
        keep: Option<&SubscriptionId>,
    ) -> Result<Vec<Duplicate>, BillingError> {
        let facts = self.engine.load(account, 0).await?;
        let mut all = duplicates(&facts, &self.config.catalog, self.clock.now());
        if let Some(keep) = keep {
            let place = all.iter().position(|one| one.subscription == *keep);
            let place = place.ok_or(BillingError::NoSubscription)?;
            let kept = all.remove(place);
            all.insert(0, kept);
        }
        Ok(all)
    }

    /// Ends all duplicates but one, now. Returns those that were ended; a call that is repeated
    /// ends what is left.
    pub async fn end_duplicates(
        &self,
        choice: &DuplicateChoice<'_>,
    ) -> Result<Vec<SubscriptionId>, BillingError> {
        let stripe = self.billing()?;
        let _one_at_a_time = self.gates.enter(choice.account).await;
        let all = self.duplicates(choice.account, choice.keep).await?;
        let mut ended = Vec::new();
        for one in all.into_iter().skip(1) {
            let id = one.subscription;
            let facts = self.engine.load(choice.account, 0).await?;
            self.check_whole(stripe, &id).await?;
            let fetched = match stripe.end_subscription(&id, choice.credit).await {
                Ok(fetched) => fetched,
                // Ended by an earlier try of this call, or by somebody else: it is over.
                Err(error) if error.is_missing() => stripe.subscription(&id).await?.1,
                Err(error) => return Err(error.into()),
            };
            self.apply_subscription(stripe, &facts, &id, fetched).await?;
            ended.push(id);
        }
        Ok(ended)
    }
}
