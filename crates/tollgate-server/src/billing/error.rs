//! What can stand in the way of buying and changing. Owns: the list, and which of Stripe's answers
//! means which. Must not know: statuses and wording of our API (`api::error`).

use std::time::Duration;

use tollgate_domain::buying::{OfferRefusal, Unmanaged};
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::SubscriptionId;
use tollgate_store::StoreError;
use tollgate_stripe::StripeError;
use tollgate_stripe::client::KeyMismatch;

use super::present::Existing;
use crate::engine::ReadError;
use crate::intake::fetched::TakeError;

/// Why something was not bought or changed.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// Billing is switched off.
    #[error("billing is switched off")]
    Disabled,
    /// There is no key for Stripe.
    #[error("there is no key for Stripe")]
    NotConfigured,
    /// A URL is outside the allow-list.
    #[error("{0} is not on the allow-list")]
    RedirectNotAllowed(&'static str),
    /// The plan cannot be bought so.
    #[error("the offer is refused")]
    Offer(String, OfferRefusal),
    /// The key does not open the account the data belongs to.
    #[error(transparent)]
    WrongKey(KeyMismatch),
    /// The key belongs to the other of Stripe's worlds than what was asked for.
    #[error("the key is of the other mode")]
    WrongKeyMode,
    /// There is a subscription already.
    #[error("there is a subscription already")]
    AlreadySubscribed(Box<Existing>),
    /// What is there is not ours to change.
    #[error("it is not ours to change")]
    NotManaged(Unmanaged),
    /// It is of this connected Stripe account (`acct_…`), in which nothing is bought or changed.
    #[error("it is of the connected account {0}")]
    OfConnected(String),
    /// There is none.
    #[error("there is no subscription")]
    NoSubscription,
    /// The subscription to keep is none of those that give the account a plan.
    #[error("{0} is none of the subscriptions that give the account a plan")]
    NotADuplicate(SubscriptionId),
    /// Stripe has no customer for the account yet.
    #[error("there is no customer")]
    NoCustomer,
    /// Neither paused nor about to end.
    #[error("there is nothing to resume")]
    NothingToResume,
    /// Stripe has no such session, or it is not ours.
    #[error("there is no such session")]
    NoSession,
    /// The session ran out.
    #[error("the session has expired")]
    SessionExpired,
    /// The customer's bank or card said no.
    #[error("the payment failed")]
    PaymentFailed(Option<String>),
    /// Stripe is down, busy or silent; asking again is safe and goes on where this stopped.
    #[error("Stripe is unavailable")]
    Unavailable {
        /// What it was, for the log.
        cause: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// Stripe says no to something we asked for.
    #[error("Stripe refuses")]
    Refused {
        /// Stripe's code.
        code: String,
        /// The parameter at fault.
        param: Option<String>,
        /// The id support asks for.
        request_id: Option<String>,
        /// What it was, for the log.
        cause: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What came from Stripe could not be committed; asking again is safe.
    #[error("not committed")]
    NotCommitted,
    /// Something else happened to the same rows at every attempt.
    #[error("too much at once for one account")]
    Contended,
}

impl BillingError {
    /// A refusal of the plan asked for.
    pub(crate) fn offer(plan: &str) -> impl FnOnce(OfferRefusal) -> Self + use<'_> {
        move |refusal| Self::Offer(plan.to_owned(), refusal)
    }

    /// The catalog's price is gone from Stripe.
    pub(crate) fn price_gone(plan: &str, interval: Interval) -> Self {
        Self::Offer(plan.to_owned(), OfferRefusal::NoPriceAtStripe(interval))
    }
}

impl From<StripeError> for BillingError {
    fn from(error: StripeError) -> Self {
        if error.is_wrong_mode() {
            return Self::WrongKeyMode;
        }
        let cause = error.to_string();
        match &error {
            StripeError::Refused { refusal } if refusal.status == 402 => {
                Self::PaymentFailed(refusal.decline_code.clone().or_else(|| refusal.code.clone()))
            }
            StripeError::Refused { refusal } => Self::Refused {
                code: error.code().to_owned(),
                param: refusal.param.clone(),
                request_id: refusal.request_id.clone(),
                cause,
            },
            StripeError::Garbled { request_id, .. } => Self::Refused {
                code: error.code().to_owned(),
                param: None,
                request_id: request_id.clone(),
                cause,
            },
            StripeError::Held { retry_after, .. } => {
                Self::Unavailable { cause, retry_after: *retry_after }
            }
            StripeError::WrongKey { why } => Self::WrongKey(why.clone()),
            StripeError::Busy { .. }
            | StripeError::Unchecked { .. }
            | StripeError::Failed { .. }
            | StripeError::Unreachable { .. } => {
                Self::Unavailable { cause, retry_after: Duration::from_secs(5) }
            }
        }
    }
}

impl From<ReadError> for BillingError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Store(error),
            // Neither is asked for here.
            ReadError::RevisionNotReached | ReadError::NotMetered(_) | ReadError::Shared(_) => {
                Self::Contended
            }
        }
    }
}

impl From<TakeError> for BillingError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::NotCommitted(_) => Self::NotCommitted,
            TakeError::NoObject => Self::Refused {
                code: "stripe_reply_garbled".to_owned(),
                param: None,
                request_id: None,
                cause: error.to_string(),
            },
        }
    }
}
