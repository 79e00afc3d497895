//! The customer portal. Owns: the way into it for an account. Must not know: what can be done there.

use tollgate_domain::buying::{Unmanaged, managed};
use tollgate_domain::ids::{AccountId, CustomerId, SessionId};
use tollgate_domain::{Facts, sale};
use tollgate_store::customer_claims::{self, Claimant};
use tollgate_store::{facts, meta};
use tollgate_stripe::client::IdempotencyKey;

use super::{BillingError, new_id};
use crate::app::App;

/// Purchases looked at together.
const PAGE: u32 = 200;

/// Where the id of the portal configuration we made is kept; without one Stripe takes its default.
pub const CONFIGURATION: &str = "stripe_portal_configuration";

impl App {
    /// The address of the account's portal, good for a short while.
    pub async fn portal(
        &self,
        account: &AccountId,
        return_url: Option<&str>,
    ) -> Result<String, BillingError> {
        let stripe = self.billing()?;
        if let Some(url) = return_url {
            let allowed = self.config.redirects.check(url);
            allowed.map_err(|_| BillingError::RedirectNotAllowed("returnUrl"))?;
        }
        let facts = self.engine.load(account, 0).await?;
        let customer = self.find_customer(&facts).await?.ok_or(BillingError::NoCustomer)?;
        if !self.may_manage(&facts, &customer).await? {
            return Err(BillingError::NotManaged(Unmanaged::Foreign));
        }
        let configuration = meta::find(&self.engine.db, CONFIGURATION).await?;
        let return_url = return_url.or(self.config.stripe.portal_return_url.as_deref());
        // A way in is no object of consequence: one more of them does no harm, so its key needs no
        // row.
        let key = IdempotencyKey::parse(&new_id("tollgate-portal"));
        let key = key.map_err(|_| BillingError::Contended)?;
        let made = stripe
            .create_portal_session(&customer, return_url, configuration.as_deref(), &key)
            .await;
        match made {
            Err(error) if error.is_missing() && !error.is_wrong_mode() => {
                Err(BillingError::NoCustomer)
            }
            made => Ok(made?),
        }
    }

    /// Whether a customer is led to the portal: what can be ended there must not be another product's
    /// alone.
    async fn may_manage(&self, facts: &Facts, customer: &CustomerId) -> Result<bool, BillingError> {
        let catalog = &self.config.catalog;
        let mut live = facts.subscriptions.values().filter(|one| {
            one.customer.as_ref() == Some(customer)
                && one.state().is_some_and(|state| !state.status.is_terminal())
        });
        let ours = |one| managed::sells(one, catalog, |_| true);
        if live.clone().next().is_none()
            || live.any(ours)
            || self.has_bought(&facts.account).await?
        {
            return Ok(true);
        }
        let who = Claimant { account: &facts.account, member: None };
        let claim = customer_claims::find(&self.engine.db, who).await?;
        Ok(claim.is_some_and(|claim| claim.customer.as_ref() == Some(customer)))
    }

    /// Whether an account ever bought something of ours once.
    async fn has_bought(&self, account: &AccountId) -> Result<bool, BillingError> {
        let (db, catalog) = (&self.engine.db, &self.config.catalog);
        let mut after: Option<SessionId> = None;
        loop {
            let page = facts::list_purchases(db, account, after.as_ref(), PAGE).await?;
            if page.iter().any(|one| !sale::sales(one, catalog).is_empty()) {
                return Ok(true);
            }
            let Some(last) = page.into_iter().next_back() else { return Ok(false) };
            after = Some(last.id);
        }
    }
}
