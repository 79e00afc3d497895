//! Back from the payment page. Owns: reading a session and applying it before its event arrives.
//! Must not know: what a session grants.

use tollgate_domain::Facts;
use tollgate_domain::ids::{AccountId, SessionId, SubscriptionId};
use tollgate_store::checkout_attempts::{self, AttemptStatus};
use tollgate_stripe::client::checkout::{Session, SessionState, expanded, session_mode};
use tollgate_stripe::fetched::FetchedKind;
use tollgate_stripe::{Fetched, StripeClient};

use super::BillingError;
use super::apply::covered;
use crate::app::App;
use crate::reconcile::connected;

/// A session after it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// Whose it is.
    pub account: AccountId,
    /// How it stands.
    pub state: SessionState,
    /// Stripe's word for the payment.
    pub payment_status: String,
    /// The account's revision with it applied.
    pub revision: u64,
}

impl App {
    /// Reads a session of ours from Stripe and applies it. Where the caller may not know of the
    /// account it belongs to, it is as if Stripe had none: the same answer, after the same request. (A session of
    /// a connected account that has shut the key out is refused by Stripe itself.)
    pub async fn sync_session(
        &self,
        id: &SessionId,
        may_know_of: impl FnOnce(&AccountId) -> bool,
    ) -> Result<Synced, BillingError> {
        let stripe = self.billing()?;
        let ours = connected::client_for(self, stripe, id.as_str()).await?;
        let Some(stripe) = &ours else { return Err(BillingError::NoSession) };
        if session_mode(id).is_some_and(|mode| mode != stripe.mode()) {
            return Err(BillingError::WrongKeyMode);
        }
        let (session, fetched) = match stripe.session(id).await {
            Err(error) if error.is_missing() && !error.is_wrong_mode() => {
                return Err(BillingError::NoSession);
            }
            read => read?,
        };
        let owner = session.account.clone().filter(may_know_of);
        let Some(account) = owner else { return Err(BillingError::NoSession) };
        self.apply_read(stripe, account, &session, &fetched).await
    }

    async fn apply_read(
        &self,
        stripe: &StripeClient,
        account: AccountId,
        session: &Session,
        fetched: &Fetched,
    ) -> Result<Synced, BillingError> {
        // Read before the facts, so what is covered is left empty: both are settled by their
        // times, and by a refetch should these tie.
        let facts = Facts::unknown(account.clone());
        let db = &self.engine.db;
        let revision = match session.state {
            SessionState::Open => self.engine.revision(&account).await?,
            SessionState::Complete | SessionState::Expired => {
                self.apply_session(stripe, &facts, session, fetched).await?
            }
        };
        let ended = match session.state {
            SessionState::Open => None,
            SessionState::Complete => Some(AttemptStatus::Complete),
            SessionState::Expired => Some(AttemptStatus::Expired),
        };
        if let Some(ended) = ended
            && let Some(attempt) = checkout_attempts::find_by_session(db, &session.id).await?
        {
            checkout_attempts::close(db, &attempt, ended, self.clock.now()).await?;
        }
        if session.state == SessionState::Expired {
            return Err(BillingError::SessionExpired);
        }
        let payment_status = session.payment_status.clone();
        Ok(Synced { account, state: session.state, payment_status, revision })
    }

    /// Applies a session that is over and the subscription it began; returns the account's
    /// revision after it.
    pub(crate) async fn apply_session(
        &self,
        stripe: &StripeClient,
        facts: &Facts,
        session: &Session,
        fetched: &Fetched,
    ) -> Result<u64, BillingError> {
        let object = serde_json::from_slice(&fetched.body).map_err(|_| BillingError::NoSession)?;
        let reply = self.apply(stripe, FetchedKind::Session, (object, fetched), &[]).await?;
        let mut revision = reply.revision;
        if let Some(subscription) = expanded(fetched, "subscription") {
            let id = subscription_id(subscription.get());
            let known = id.map(|id| covered(facts, &id)).unwrap_or_default();
            let shown = (subscription, fetched);
            let reply = self.apply(stripe, FetchedKind::Subscription, shown, &known).await?;
            revision = revision.max(reply.revision);
        }
        match (revision, &session.account) {
            (Some(revision), _) => Ok(revision),
            (None, Some(account)) => Ok(self.engine.revision(account).await?),
            (None, None) => Ok(0),
        }
    }
}

fn subscription_id(object: &str) -> Option<SubscriptionId> {
    #[derive(serde::Deserialize)]
    struct Identified {
        id: String,
    }
    let Identified { id } = serde_json::from_str(object).ok()?;
    SubscriptionId::parse(&id).ok()
}
