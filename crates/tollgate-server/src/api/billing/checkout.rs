//! `POST /api/v1/billing/checkout` and `/checkout/{sessionId}/sync`. Owns: their JSON.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tollgate_domain::ids::SessionId;
use tollgate_stripe::client::checkout::SessionState;

use super::{account, answer, caller, interval, plan, quantity, read};
use crate::api::error::{ApiError, FieldError};
use crate::app::App;
use crate::billing::checkout::PlanPurchase;
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
    let caller = caller(&app, request.headers()).await?;
    let asked: CheckoutIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    if asked.email.as_deref().is_some_and(|email| !is_email(email)) {
        return Err(ApiError::InvalidRequest(vec![FieldError::new(
            "email",
            "is no e-mail address",
        )]));
    }
    let plan = plan(&asked.tier);
    let session = app
        .checkout(PlanPurchase {
            buyer: Buyer { account: &account, member: None, email: asked.email.as_deref() },
            plan: &plan,
            interval: interval(asked.interval.as_deref())?,
            quantity: quantity(asked.quantity)?,
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
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = caller(&app, request.headers()).await?;
    let id =
        SessionId::parse(&id).map_err(|error| ApiError::field("sessionId", error.to_string()))?;
    let may = |account: &tollgate_domain::ids::AccountId| caller.may_ask_about(account.as_str());
    let synced = app.sync_session::<ApiError>(&id, may).await?;
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
