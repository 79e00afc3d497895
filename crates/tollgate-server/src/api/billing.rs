//! Routes under `/api/v1/billing`, one file per noun. Owns: their list, and what a caller of any of
//! them must have. Must not know: what is done.

pub mod checkout;
pub mod existing;
pub mod invoices;
pub mod portal;
pub mod refusal;
pub mod subscription;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_domain::ids::AccountId;

use super::auth::{Caller, Reach};
use super::client_address::Head;
use super::error::ApiError;
use super::limits::Class;
use super::{allow_get, allow_post, body, reply};
use crate::app::App;
use crate::billing::BillingError;
use crate::scope::Scope;

/// The routes, without the prefix.
pub fn routes() -> [(&'static str, MethodRouter<Arc<App>>); 10] {
    let checkout = checkout_route();
    let portal = get(portal::show).post(portal::create).fallback(portal::allow_both);
    [
        ("/billing/checkout", checkout.clone()),
        ("/billing/checkout/session", checkout),
        ("/billing/checkout/{session}/sync", post(checkout::sync).fallback(allow_post)),
        ("/billing/portal", portal),
        ("/billing/subscription", get(subscription::show).fallback(allow_get)),
        ("/billing/subscription/change", post(subscription::change).fallback(allow_post)),
        ("/billing/subscription/preview", post(subscription::preview).fallback(allow_post)),
        ("/billing/subscription/cancel", post(subscription::cancel).fallback(allow_post)),
        ("/billing/subscription/resume", post(subscription::resume).fallback(allow_post)),
        ("/billing/invoices", get(invoices::list).fallback(allow_get)),
    ]
}

/// The route a plan is bought by; the origin systems know it by paths of their own, too.
pub fn checkout_route() -> MethodRouter<Arc<App>> {
    post(checkout::create).fallback(allow_post)
}

/// The caller of a billing route. There is none while billing is switched off.
async fn caller(app: &App, head: Head<'_>) -> Result<Arc<Caller>, ApiError> {
    let caller = app.authenticate(head, Scope::Billing, Reach::Named).await?;
    app.admit(Class::Billing, &caller.id)?;
    if !app.config.billing_enabled {
        return Err(BillingError::Disabled.into());
    }
    Ok(caller)
}

/// A JSON body within the limit.
async fn read<T: DeserializeOwned>(app: &App, body: Body) -> Result<T, ApiError> {
    body::json(body, app.config.http.body_bytes_max, &app.bodies).await
}

/// An account that the caller may speak of.
fn account(caller: &Caller, text: &str) -> Result<AccountId, ApiError> {
    let account = AccountId::parse(text);
    let account = account.map_err(|error| ApiError::field("accountId", error.to_string()))?;
    caller.may_ask_about(account.as_str())?;
    Ok(account)
}

/// A plan by its id, in either case.
fn plan(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// How often, in the words people use.
fn interval(text: Option<&str>) -> Result<Option<tollgate_domain::catalog::Interval>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let interval = tollgate_domain::catalog::Interval::parse(text);
    let unknown = || ApiError::field("interval", "must be month, year or once");
    interval.map(Some).ok_or_else(unknown)
}

/// Units of a plan.
fn quantity(asked: Option<u64>) -> Result<Option<u64>, ApiError> {
    match asked {
        Some(0 | 10_001..) => Err(ApiError::field("quantity", "must be from 1 to 10000")),
        within => Ok(within),
    }
}

fn answer(out: &impl Serialize) -> Result<Response, ApiError> {
    reply::of(out)
}
