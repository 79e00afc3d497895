//! Refusals of the billing routes. Owns: status, code, title and wording of each. Must not know: how
//! they come about.

use http::StatusCode;
use tollgate_domain::buying::{OfferRefusal, Unmanaged};
use tollgate_domain::catalog::Interval;
use tollgate_domain::money::Currency;

use super::existing::{examples, existing_detail, existing_row};
use crate::api::error::ApiError;
use crate::billing::BillingError;
use crate::billing::present::Existing;

/// Why a billing route did not do what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BillingRefusal {
    /// Billing is switched off.
    Disabled,
    /// There is no key for Stripe.
    ConfigMissing,
    /// A URL is outside the allow-list; its field.
    RedirectNotAllowed(&'static str),
    /// The plan cannot be bought so.
    Offer(String, OfferRefusal),
    /// The key is of the other mode than the objects.
    WrongKeyMode,
    /// There is a subscription already.
    AlreadySubscribed(Box<Existing>),
    /// What is there is not ours to change.
    NotManaged(Unmanaged),
    /// It is of this connected Stripe account (`acct_…`).
    OfConnected(String),
    /// There is none.
    SubscriptionNotFound,
    /// Stripe has no customer for the account.
    CustomerNotFound,
    /// Neither paused nor about to end.
    NothingToResume,
    /// No such session of ours.
    CheckoutSessionNotFound,
    /// The session ran out.
    CheckoutSessionExpired,
    /// The bank or card said no; in a word.
    PaymentFailed(Option<String>),
    /// Stripe is down, busy or silent; seconds after which to ask again, and the private cause.
    StripeUnavailable(u64, String),
    /// Stripe says no; its code, parameter and request id, and the private cause.
    StripeError {
        /// Stripe's code.
        code: String,
        /// The parameter at fault.
        param: Option<String>,
        /// The id support asks for.
        request_id: Option<String>,
        /// For the log.
        cause: String,
    },
    /// The account's purchases change too quickly.
    Contended,
}

impl BillingRefusal {
    /// Status, code, title.
    pub const fn row(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Disabled => (S::SERVICE_UNAVAILABLE, "billing_disabled", "Billing is off"),
            Self::ConfigMissing => (S::SERVICE_UNAVAILABLE, "config_missing", "No key for Stripe"),
            Self::RedirectNotAllowed(_) => {
                (S::BAD_REQUEST, "redirect_not_allowed", "Redirect is not allowed")
            }
            Self::Offer(_, refusal) => offer_row(refusal),
            Self::WrongKeyMode => (S::CONFLICT, "wrong_key_mode", "Key of the other mode"),
            Self::AlreadySubscribed(existing) => existing_row(&existing.status),
            Self::NotManaged(_) => (S::CONFLICT, "not_managed", "Not ours to change"),
            Self::OfConnected(_) => {
                (S::CONFLICT, "connected_account", "Of a connected Stripe account")
            }
            Self::SubscriptionNotFound => {
                (S::NOT_FOUND, "subscription_not_found", "No subscription")
            }
            Self::CustomerNotFound => (S::NOT_FOUND, "customer_not_found", "No customer yet"),
            Self::NothingToResume => (S::CONFLICT, "nothing_to_resume", "Nothing to resume"),
            Self::CheckoutSessionNotFound => {
                (S::NOT_FOUND, "checkout_session_not_found", "No such checkout session")
            }
            Self::CheckoutSessionExpired => {
                (S::GONE, "checkout_session_expired", "Checkout session has expired")
            }
            Self::PaymentFailed(_) => (S::PAYMENT_REQUIRED, "payment_failed", "Payment failed"),
            Self::StripeUnavailable(..) => {
                (S::SERVICE_UNAVAILABLE, "stripe_unavailable", "Stripe is unavailable")
            }
            Self::StripeError { .. } => (S::BAD_GATEWAY, "stripe_error", "Stripe refuses"),
            Self::Contended => (S::SERVICE_UNAVAILABLE, "billing_contended", "Too much at once"),
        }
    }

    /// What happened and how to mend it.
    pub fn detail(&self) -> String {
        match self {
            Self::Disabled => "billing.enabled is false in this deployment.".to_owned(),
            Self::ConfigMissing => "Set STRIPE_SECRET_KEY and restart.".to_owned(),
            Self::RedirectNotAllowed(field) => format!(
                "{field} is not on the list of places customers may be sent to; add it to \
                 billing.redirect_allow."
            ),
            Self::Offer(plan, refusal) => offer_detail(plan, refusal),
            Self::WrongKeyMode => "What was asked for exists in the other of Stripe's modes (test \
                or live) than the key's; use the key of that mode."
                .to_owned(),
            Self::AlreadySubscribed(existing) => existing_detail(existing),
            Self::NotManaged(Unmanaged::Foreign) => "What the account pays for in this Stripe account \
                is not of the catalog and was not made by Tollgate, so it is left alone. If it should \
                be a plan, name its price in the catalog."
                .to_owned(),
            Self::NotManaged(Unmanaged::Shared) => "The subscription also sells something that is \
                not of the catalog, and this would change or end that, too. Plans are changed at \
                once (timing: immediate); anything else is done in Stripe."
                .to_owned(),
            Self::OfConnected(account) => format!(
                "What the account pays for is of the connected Stripe account {account}. Tollgate \
                 reads such accounts, and buys, changes and ends in its own Stripe account only; \
                 do it in {account}."
            ),
            Self::SubscriptionNotFound => {
                "The account has no subscription that could be changed.".to_owned()
            }
            Self::CustomerNotFound => {
                "Stripe has no customer for this account; the first checkout makes one.".to_owned()
            }
            Self::NothingToResume => {
                "The subscription is neither paused nor about to end.".to_owned()
            }
            Self::CheckoutSessionNotFound => {
                "Stripe has no such session, or it was not made for an account.".to_owned()
            }
            Self::CheckoutSessionExpired => {
                "The session ran out before it was paid; start the checkout again.".to_owned()
            }
            Self::PaymentFailed(Some(word)) => {
                format!("The payment was declined ({word}); nothing was changed.")
            }
            Self::PaymentFailed(None) => {
                "The payment was declined; nothing was changed.".to_owned()
            }
            Self::StripeUnavailable(..) => "Stripe does not answer as it should; ask again. What \
                was begun goes on where it stopped, and nothing is bought twice."
                .to_owned(),
            Self::StripeError { code, param, request_id, .. } => {
                let mut text = format!("Stripe says {code}");
                for (word, value) in [("parameter", param), ("its request", request_id)] {
                    if let Some(value) = value {
                        text = format!("{text}, {word} {value}");
                    }
                }
                text.push('.');
                text
            }
            Self::Contended => "Other requests change the same purchase; try again.".to_owned(),
        }
    }

    /// Seconds after which to try again, where that may help.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        if let Self::StripeUnavailable(seconds, _) = self {
            return Some(*seconds);
        }
        if matches!(self, Self::Contended) { Some(1) } else { None }
    }

    /// What only the log may know.
    pub fn private_cause(&self) -> Option<&str> {
        if let Self::StripeUnavailable(_, cause) | Self::StripeError { cause, .. } = self {
            return Some(cause);
        }
        None
    }

    /// One of each, for the documentation of the codes.
    pub fn all() -> Vec<Self> {
        let any = String::new;
        let mut offers = vec![
            OfferRefusal::UnknownPlan,
            OfferRefusal::NotSelfServe,
            OfferRefusal::NotSoldAt(Interval::Year),
            OfferRefusal::NotByUnit,
            OfferRefusal::TooManyUnits { max: 9 },
            OfferRefusal::NoPriceMapped,
            OfferRefusal::NoPriceAtStripe(Interval::Year),
        ];
        let currency = Currency::parse("usd");
        offers.extend(currency.map(|c| OfferRefusal::Currency { wanted: c, found: c }));
        let mut all =
            vec![Self::Disabled, Self::ConfigMissing, Self::RedirectNotAllowed("successUrl")];
        all.extend(offers.into_iter().map(|refusal| Self::Offer(any(), refusal)));
        all.extend(examples().into_iter().map(|one| Self::AlreadySubscribed(Box::new(one))));
        all.extend([
            Self::WrongKeyMode,
            Self::NotManaged(Unmanaged::Foreign),
            Self::OfConnected(any()),
            Self::SubscriptionNotFound,
            Self::CustomerNotFound,
            Self::NothingToResume,
            Self::CheckoutSessionNotFound,
            Self::CheckoutSessionExpired,
            Self::PaymentFailed(None),
            Self::StripeUnavailable(5, any()),
            Self::StripeError { code: any(), param: None, request_id: None, cause: any() },
            Self::Contended,
        ]);
        all
    }
}

const fn offer_row(refusal: &OfferRefusal) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match refusal {
        OfferRefusal::UnknownPlan => (S::BAD_REQUEST, "unknown_plan", "Unknown plan"),
        OfferRefusal::NotSelfServe => {
            (S::BAD_REQUEST, "plan_not_self_serve", "Plan is not sold by itself")
        }
        OfferRefusal::NotSoldAt(_) => {
            (S::BAD_REQUEST, "interval_not_offered", "Plan is not sold at this interval")
        }
        OfferRefusal::NotByUnit => {
            (S::BAD_REQUEST, "plan_not_sold_by_unit", "Plan is not sold by the unit")
        }
        OfferRefusal::TooManyUnits { .. } => {
            (S::BAD_REQUEST, "too_many_units", "More units than the plan gives")
        }
        OfferRefusal::NoPriceMapped => {
            (S::SERVICE_UNAVAILABLE, "price_mapping_missing", "Plan has no Stripe price")
        }
        OfferRefusal::NoPriceAtStripe(_) => {
            (S::SERVICE_UNAVAILABLE, "missing_price_id", "Stripe has no such price")
        }
        OfferRefusal::Currency { .. } => {
            (S::CONFLICT, "price_currency_mismatch", "Price in another currency")
        }
    }
}

fn offer_detail(plan: &str, refusal: &OfferRefusal) -> String {
    match refusal {
        OfferRefusal::UnknownPlan => {
            format!("The catalog has no plan {plan:?}; GET /api/v1/plans lists them.")
        }
        OfferRefusal::NotSelfServe => {
            format!("{plan:?} is not bought by customers themselves; an operator gives it.")
        }
        OfferRefusal::NotSoldAt(interval) => {
            format!("{plan:?} is not sold {}; GET /api/v1/plans shows its prices.", interval.word())
        }
        OfferRefusal::NotByUnit => format!(
            "{plan} gives the same whatever the quantity; leave quantity out, or give the plan a \
             limit {{ per_unit = 1 }} in the catalog."
        ),
        OfferRefusal::TooManyUnits { max } => {
            format!("{plan} gives nothing for more than {max} units; raise max in the catalog.")
        }
        OfferRefusal::NoPriceMapped => format!(
            "No Stripe price is named for {plan:?}; add a lookup key to the catalog, or set \
             STRIPE_PRODUCT_PRICE_MAP."
        ),
        OfferRefusal::NoPriceAtStripe(interval) => format!(
            "Stripe has no active price of {plan:?} that is paid {} among those the catalog \
             names; `tollgate plan push` makes it.",
            interval.word()
        ),
        OfferRefusal::Currency { wanted, found } => format!(
            "The price of {plan:?} at Stripe is in {}, and should be in {}.",
            found.as_str(),
            wanted.as_str()
        ),
    }
}

impl From<BillingError> for ApiError {
    fn from(error: BillingError) -> Self {
        use BillingRefusal as R;
        Self::Billing(match error {
            BillingError::Disabled => R::Disabled,
            BillingError::NotConfigured => R::ConfigMissing,
            BillingError::RedirectNotAllowed(field) => R::RedirectNotAllowed(field),
            BillingError::Offer(plan, refusal) => R::Offer(plan, refusal),
            BillingError::WrongKeyMode => R::WrongKeyMode,
            BillingError::AlreadySubscribed(existing) => R::AlreadySubscribed(existing),
            BillingError::NotManaged(why) => R::NotManaged(why),
            BillingError::OfConnected(account) => R::OfConnected(account),
            BillingError::NoSubscription | BillingError::NotADuplicate(_) => {
                R::SubscriptionNotFound
            }
            BillingError::NoCustomer => R::CustomerNotFound,
            BillingError::NothingToResume => R::NothingToResume,
            BillingError::NoSession => R::CheckoutSessionNotFound,
            BillingError::SessionExpired => R::CheckoutSessionExpired,
            BillingError::PaymentFailed(word) => R::PaymentFailed(word),
            BillingError::Unavailable { cause, retry_after } => {
                R::StripeUnavailable(retry_after.as_secs().max(1), cause)
            }
            BillingError::Refused { code, param, request_id, cause } => {
                R::StripeError { code, param, request_id, cause }
            }
            BillingError::Contended => R::Contended,
            BillingError::WrongKey(why) => return Self::WrongStripeKey(why),
            BillingError::Store(error) => return error.into(),
            BillingError::NotCommitted => {
                return Self::DatabaseUnavailable(
                    "what Stripe showed was not committed".to_owned(),
                );
            }
        })
    }
}
