//! `PUT /admin/accounts/{id}/email`: the verified e-mail of an account. Owns: its JSON. Must not
//! know: what is matched with it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tollgate_domain::ids::AccountId;
use tollgate_domain::verified_email;

use crate::api::auth::Reach;
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::limits::Class;
use crate::api::path::PathParameter;
use crate::api::query::Query;
use crate::api::{body, reply};
use crate::app::App;
use crate::scope::Scope;

/// The e-mail of an account.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = EmailOrder)]
pub struct EmailIn {
    /// An address somebody has proved to be theirs, at most 254 bytes; `null` removes it.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    pub email: Option<String>,
}

/// What is known now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountEmail)]
pub struct EmailOut {
    /// The account.
    pub account_id: String,
    /// Its verified e-mail, if any.
    pub email: Option<String>,
    /// The account's revision after it.
    pub revision: u64,
}

/// `PUT /admin/accounts/{id}/email`
pub async fn set(
    State(app): State<Arc<App>>,
    PathParameter(id): PathParameter,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::Admin, Reach::Named).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let account =
        AccountId::parse(&id).map_err(|error| ApiError::field("accountId", error.to_string()))?;
    caller.may_ask_about(account.as_str())?;
    let (parts, content) = request.into_parts();
    Query::parse(parts.uri.query()).finish()?;
    let wanted: EmailIn = body::json(content, app.config.http.body_bytes_max, &app.bodies).await?;
    let email = wanted.email.as_deref().map(str::trim);
    if let Some(Err(refused)) = email.map(verified_email::check) {
        return Err(ApiError::field("email", refused.to_string()));
    }
    let revision = app.intake.set_email(&account, email, &caller.id).await?;
    let out =
        EmailOut { account_id: account.to_string(), email: email.map(str::to_owned), revision };
    let mut response = reply::of(&out)?;
    if let Some(quota) = admitted {
        quota.mark(response.headers_mut());
    }
    Ok(response)
}
