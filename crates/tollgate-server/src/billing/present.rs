//! The subscription a call is about. Owns: reading it from Stripe before anything is changed, whether
//! it is ours to change, and the ways on for an account that has one already. Must not know: what is
//! changed.

use std::iter::repeat;

use tollgate_domain::Facts;
use tollgate_domain::buying::{Candidates, Managed, Unmanaged};
use tollgate_domain::ids::{AccountId, SubscriptionId};
use tollgate_domain::subscription::SubscriptionStatus;
use tollgate_stripe::StripeClient;
use tollgate_stripe::client::subscription::{Item, Subscription};

use super::BillingError;
use crate::app::App;
use crate::reconcile::connected;

/// Subscriptions that sell nothing of the catalog and are looked at: another product's can be many.
const UNMAPPED_MAX: usize = 5;

/// A subscription as Stripe has it now, with the facts that were known before it was read.
pub(super) struct Present {
    pub(super) facts: Facts,
    pub(super) id: SubscriptionId,
    pub(super) subscription: Subscription,
    pub(super) managed: Managed,
}

impl Present {
    /// The item that sells the plan.
    pub(super) fn item(&self) -> Result<&Item, BillingError> {
        self.subscription.items.get(self.managed.item).ok_or(BillingError::NoSubscription)
    }

    /// Refuses what concerns the whole subscription where a part of it is another product's.
    pub(super) fn as_whole(&self) -> Result<(), BillingError> {
        self.managed.as_whole().map_err(BillingError::NotManaged)
    }
}

/// A way on for an account that has a subscription already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayOn {
    /// An open invoice can be paid on this page of Stripe's.
    Pay(String),
    /// The subscription can be woken, or its end taken back.
    Resume,
    /// Another plan can be had by changing it.
    Change,
    /// Stripe's portal, for a short while.
    Portal(String),
}

/// A subscription that stands in the way of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Which.
    pub id: SubscriptionId,
    /// Its status.
    pub status: SubscriptionStatus,
    /// What can be done, the best first.
    pub ways: Vec<WayOn>,
}

impl App {
    /// The subscription of an account that is ours to change.
    pub(super) async fn present(
        &self,
        stripe: &StripeClient,
        account: &AccountId,
    ) -> Result<Present, BillingError> {
        let facts = self.engine.load(account, 0).await?;
        match self.find_present(stripe, facts).await? {
            Found::Ours(present) => Ok(*present),
            Found::Others(_) => Err(BillingError::NotManaged(Unmanaged::Foreign)),
            Found::Nothing(_) => Err(BillingError::NoSubscription),
        }
    }

    /// Looks for it. Stripe is asked about what is live by the facts; what turns out to be over is
    /// taken in. What connected accounts sell is not touched: a plan of theirs is refused, unless
    /// there is another one of our own account.
    pub(super) async fn find_present(
        &self,
        stripe: &StripeClient,
        facts: Facts,
    ) -> Result<Found, BillingError> {
        let Candidates { plans, unmapped } = Candidates::of(&facts, &self.config.catalog);
        let mut others = false;
        let mut connected = None;
        let unmapped = unmapped.into_iter().take(UNMAPPED_MAX);
        let (plans, unmapped) = (plans.into_iter().zip(repeat(true)), unmapped.zip(repeat(false)));
        for (id, is_plan) in plans.chain(unmapped) {
            if let Some(account) = connected::account_of(self, id.as_str()).await? {
                connected = connected.or(Some(account).filter(|_| is_plan));
                others = true;
                continue;
            }
            let (subscription, fetched) = match stripe.subscription(&id).await {
                Err(error) if error.is_missing() && !error.is_wrong_mode() => continue,
                read => read?,
            };
            if subscription.status.is_terminal() {
                self.apply_subscription(stripe, &facts, &id, fetched).await?;
                continue;
            }
            let sold = subscription.sold();
            let managed = self.config.catalog.managed(&sold, subscription.we_made);
            match managed {
                Ok(managed) => {
                    let present = Present { facts, id, subscription, managed };
                    return Ok(Found::Ours(Box::new(present)));
                }
                Err(Unmanaged::Foreign | Unmanaged::Shared) => others = true,
            }
        }
        if let Some(account) = connected {
            return Err(BillingError::OfConnected(account));
        }
        Ok(if others { Found::Others(facts) } else { Found::Nothing(facts) })
    }

    /// A subscription as Stripe has it now, where it sells nothing but what is ours.
    pub(super) async fn whole(
        &self,
        stripe: &StripeClient,
        facts: Facts,
        id: &SubscriptionId,
    ) -> Result<Option<Present>, BillingError> {
        let (subscription, _) = stripe.subscription(id).await?;
        let managed = self.config.catalog.managed(&subscription.sold(), subscription.we_made);
        let managed = managed.ok().filter(|managed| managed.whole);
        Ok(managed.map(|managed| Present { facts, id: id.clone(), subscription, managed }))
    }

    /// What an account with a subscription can do instead of buying another one.
    pub(super) async fn existing(
        &self,
        stripe: &StripeClient,
        present: &Present,
    ) -> Result<Existing, BillingError> {
        use SubscriptionStatus::{Incomplete, PastDue, Paused, Unpaid};
        let subscription = &present.subscription;
        let mut ways = Vec::new();
        let unpaid = matches!(subscription.status, PastDue | Unpaid | Incomplete);
        if unpaid {
            let newest = subscription.invoice.as_ref().filter(|invoice| invoice.open);
            let url = match newest.and_then(|invoice| invoice.url.clone()) {
                Some(url) => Some(url),
                None => stripe.open_invoice_url(&present.id).await?,
            };
            ways.extend(url.map(WayOn::Pay));
        }
        let whole = present.managed.whole;
        if whole && (subscription.status == Paused || subscription.is_ending()) {
            ways.push(WayOn::Resume);
        }
        if unpaid || subscription.status == Paused {
            // Its customer may have to give another card first.
            match self.portal(&present.facts.account, None).await {
                Ok(url) => ways.push(WayOn::Portal(url)),
                Err(
                    BillingError::NoCustomer
                    | BillingError::NotManaged(_)
                    | BillingError::OfConnected(_),
                ) => {}
                Err(error) => return Err(error),
            }
        } else {
            ways.push(WayOn::Change);
        }
        Ok(Existing { id: present.id.clone(), status: subscription.status.clone(), ways })
    }
}

/// What was found.
pub(super) enum Found {
    /// One that is ours to change.
    Ours(Box<Present>),
    /// Live ones of other products only.
    Others(Facts),
    /// None that is live.
    Nothing(Facts),
}
