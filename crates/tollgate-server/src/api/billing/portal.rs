//! `GET` and `POST /api/v1/billing/portal`. Owns: their JSON.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{account, answer, caller, read};
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::app::App;

/// A way into the portal that is asked for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Portal)]
pub struct PortalIn {
    /// The account; `communityId`, `tenantId` and `userId` mean the same.
    #[serde(alias = "communityId", alias = "tenantId", alias = "userId")]
    pub account_id: String,
    /// Where the portal leads back to; `stripe.portal_return_url` unless said.
    pub return_url: Option<String>,
}

/// The way into the portal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PortalSession)]
pub struct PortalOut<'a> {
    /// Stripe's page, good for a short while.
    pub url: &'a str,
}

/// `GET /api/v1/billing/portal`
pub async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let mut query = Query::parse(request.uri().query());
    let account = query.account();
    let return_url = query.text("returnUrl");
    query.finish()?;
    let account = account.ok_or_else(|| ApiError::field("accountId", "is missing"))?;
    caller.may_ask_about(account.as_str())?;
    let url = app.portal(&account, return_url.as_deref()).await?;
    answer(&PortalOut { url: &url })
}

/// `POST /api/v1/billing/portal`
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let asked: PortalIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    let url = app.portal(&account, asked.return_url.as_deref()).await?;
    answer(&PortalOut { url: &url })
}

pub(super) async fn allow_both() -> ApiError {
    ApiError::MethodNotAllowed("GET, HEAD, POST")
}
