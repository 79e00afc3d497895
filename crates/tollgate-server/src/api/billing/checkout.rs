//! `POST /api/v1/billing/checkout` and `/checkout/{sessionId}/sync`. Owns: their JSON.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tollgate_domain::Catalog;
use tollgate_domain::buying::addon::ADD_ON_UNITS_MAX;
use tollgate_domain::catalog::{CheckoutWish, Locale};
use tollgate_domain::ids::SessionId;
use tollgate_stripe::client::checkout::SessionState;

use super::{account, answer, caller, interval, plan, quantity, read};
use crate::api::client_address::Head;
use crate::api::error::{ApiError, FieldError};
use crate::api::path::PathParameter;
use crate::app::App;
use crate::billing::checkout::{AddOn, PlanPurchase};
use crate::billing::customer::Buyer;

/// Longest e-mail address there is.
const EMAIL_BYTES_MAX: usize = 254;

/// A plan to be bought.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Checkout)]
pub struct CheckoutIn {
    /// The account; `communityId`, `tenantId` and `userId` mean the same.
    #[serde(alias = "communityId", alias = "tenantId", alias = "userId")]
    #[schema(example = "acme")]
    pub account_id: String,
    /// The plan; `entitlementLevel` means the same.
    #[serde(alias = "entitlementLevel")]
    #[schema(example = "premium")]
    pub tier: String,
    /// `month`, `year` or `once`; unless said, the first at which the plan is sold.
    pub interval: Option<String>,
    /// Where to go after paying; `{CHECKOUT_SESSION_ID}` in it is filled in by Stripe.
    pub success_url: String,
    /// Where to go instead.
    pub cancel_url: String,
    /// For receipts, when the account has no customer at Stripe yet.
    pub email: Option<String>,
    /// Units of the plan; 1 unless said.
    pub quantity: Option<u64>,
    /// What is bought with it, paid as often as the plan.
    #[serde(default)]
    pub add_ons: Vec<AddOnIn>,
    /// Customers can enter promotion codes; as the catalog's `[checkout]` has it unless said, like
    /// everything below.
    pub promotion_codes: Option<bool>,
    /// Taxes are computed, from the address that the page asks for.
    pub automatic_tax: Option<bool>,
    /// Businesses can enter their tax id.
    pub tax_ids: Option<bool>,
    /// A billing address must be given.
    pub billing_address: Option<bool>,
    /// The terms of service must be agreed to.
    pub terms_of_service: Option<bool>,
    /// Customers are asked whether they want to hear of promotions.
    pub promotions: Option<bool>,
    /// Customers can change the units on the page, of a plan sold by the unit.
    pub adjustable_quantity: Option<bool>,
    /// The language of the page, such as `de` or `pt-BR`; `auto` is the browser's.
    pub locale: Option<String>,
}

/// Something bought with a plan.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CheckoutAddOn)]
pub struct AddOnIn {
    /// Which of the catalog's: `boost`.
    #[schema(example = "boost")]
    pub add_on: String,
    /// Units; 1 unless said.
    pub quantity: Option<u64>,
}

impl CheckoutIn {
    fn terms(&self) -> Result<CheckoutWish, ApiError> {
        let locale = self.locale.as_deref().map(|text| {
            let unknown = || ApiError::field("locale", "is not a language of the payment page");
            Locale::parse(text).ok_or_else(unknown)
        });
        Ok(CheckoutWish {
            promotion_codes: self.promotion_codes,
            automatic_tax: self.automatic_tax,
            tax_ids: self.tax_ids,
            billing_address: self.billing_address,
            terms_of_service: self.terms_of_service,
            promotions: self.promotions,
            adjustable_quantity: self.adjustable_quantity,
            locale: locale.transpose()?,
        })
    }

    /// The add-ons asked for; each at most once.
    fn add_ons(&self, catalog: &Catalog) -> Result<Vec<AddOn>, ApiError> {
        let mut add_ons: Vec<AddOn> = Vec::new();
        for (place, one) in self.add_ons.iter().enumerate() {
            let fault = |field: &str, what: &str| {
                ApiError::field(format!("addOns[{place}].{field}"), what.to_owned())
            };
            let name = one.add_on.trim().to_ascii_lowercase();
            let target = catalog.add_on(&name);
            let target = target
                .ok_or_else(|| fault("addOn", "is not an add-on that is sold with a plan"))?;
            if add_ons.iter().any(|known| known.target == target) {
                return Err(fault("addOn", "is there twice"));
            }
            let quantity = one.quantity.unwrap_or(1);
            if !(1..=ADD_ON_UNITS_MAX).contains(&quantity) {
                return Err(fault("quantity", "must be from 1 to 10000"));
            }
            add_ons.push(AddOn { name, target, quantity });
        }
        Ok(add_ons)
    }
}

/// Where it is paid.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CheckoutSession)]
pub struct CheckoutOut<'a> {
    /// Stripe's session.
    pub session_id: &'a str,
    /// Stripe's page.
    pub url: &'a str,
    /// From when on it cannot be paid.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// A session that was read from Stripe and applied.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CheckoutSync)]
pub struct SyncOut<'a> {
    /// The session.
    pub session_id: &'a str,
    /// Whose it is.
    pub account_id: &'a str,
    /// `open` or `complete`.
    pub status: &'static str,
    /// `paid`, `unpaid` (the money is on its way) or `no_payment_required`.
    pub payment_status: &'a str,
    /// The account's revision with it; pass it as `minRevision`.
    pub revision: u64,
}

/// `POST /api/v1/billing/checkout`
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let asked: CheckoutIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    if asked.email.as_deref().is_some_and(|email| !is_email(email)) {
        return Err(ApiError::InvalidRequest(vec![FieldError::new(
            "email",
            "is no e-mail address",
        )]));
    }
    let plan = plan(&asked.tier);
    let (terms, add_ons) = (asked.terms()?, asked.add_ons(&app.config.catalog)?);
    let session = app
        .checkout(PlanPurchase {
            buyer: Buyer { account: &account, member: None, email: asked.email.as_deref() },
            plan: &plan,
            interval: interval(asked.interval.as_deref())?,
            quantity: quantity(asked.quantity)?,
            add_ons: &add_ons,
            terms: &terms,
            success_url: &asked.success_url,
            cancel_url: &asked.cancel_url,
        })
        .await?;
    answer(&CheckoutOut {
        session_id: session.id.as_str(),
        url: &session.url,
        expires_at: session.expires_at.to_string(),
    })
}

/// What Stripe would refuse anyway: the rest is its business.
fn is_email(text: &str) -> bool {
    let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let parts = text.split_once('@');
    let both = parts.is_some_and(|(name, host)| !name.is_empty() && host.len() > 2);
    text.len() <= EMAIL_BYTES_MAX && plain && both
}

/// `POST /api/v1/billing/checkout/{sessionId}/sync`
pub async fn sync(
    State(app): State<Arc<App>>,
    PathParameter(id): PathParameter,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let id =
        SessionId::parse(&id).map_err(|error| ApiError::field("sessionId", error.to_string()))?;
    let synced = app.sync_session(&id, |owner| caller.may_know_of(owner)).await?;
    answer(&SyncOut {
        session_id: id.as_str(),
        account_id: synced.account.as_str(),
        status: match synced.state {
            SessionState::Open => "open",
            SessionState::Complete => "complete",
            SessionState::Expired => "expired",
        },
        payment_status: &synced.payment_status,
        revision: synced.revision,
    })
}
