//! `GET /admin/duplicates` and `POST /admin/duplicates/{accountId}/resolve`: accounts that pay
//! twice. Owns: their JSON. Must not know: how a subscription is ended.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tollgate_domain::duplicates::{Duplicate, NotOurs};
use tollgate_domain::ids::{AccountId, SubscriptionId};
use tollgate_domain::money::Money;
use tollgate_domain::{Catalog, FindingCode};
use tollgate_store::findings::{self, FindingFilter};

use crate::api::auth::Reach;
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::limits::Class;
use crate::api::path::PathParameter;
use crate::api::query::Query;
use crate::api::{body, reply};
use crate::app::App;
use crate::billing::duplicates::{DuplicateChoice, Ended};
use crate::scope::Scope;

/// Most accounts in a reply.
const ACCOUNTS_MAX: u32 = 100;

/// Accounts that pay twice.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Duplicates)]
pub struct DuplicatesOut {
    /// At most 100 accounts; the rest follows when these are resolved.
    pub data: Vec<AccountOut>,
}

/// The subscriptions that give plans to one account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DuplicatesOfAccount)]
pub struct AccountOut {
    /// The account.
    pub account_id: String,
    /// Its subscriptions, the one to keep first.
    pub subscriptions: Vec<DuplicateOut>,
}

/// One of them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DuplicateSubscription)]
pub struct DuplicateOut {
    /// Stripe's id.
    pub subscription_id: String,
    /// `keep`, `end`, or `by_hand`: it also sells something that is not of the catalog, or is of a
    /// connected Stripe account, so it is not ended by this call.
    pub action: &'static str,
    /// What to do by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
    /// The plan it gives.
    pub tier: String,
    /// Stripe's status; absent where only paid invoices tell of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    /// End of its period.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub current_period_end: Option<String>,
    /// The invoices that paid its present period, and changes within it; the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paid_invoices: Vec<String>,
    /// What that was, without what was given back since: refunds, disputes, credits of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<MoneyOut>,
    /// The share that is not used yet: what ending it with `refund` would give back. Taxes that were
    /// added to the prices are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused: Option<MoneyOut>,
    /// With `refund`, where it is ended: what is credited to the customer's balance at Stripe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<MoneyOut>,
}

/// An amount.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Money)]
pub struct MoneyOut {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
}

/// What to do about an account's duplicates.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ResolveDuplicates)]
pub struct ResolveIn {
    /// The subscription to keep; without it the highest plan, then the older one.
    #[serde(default)]
    pub keep: Option<String>,
    /// Credit what is unused of the others to the customer's balance at Stripe.
    #[serde(default)]
    pub refund: bool,
    /// Say what would be done and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ResolvedDuplicates)]
pub struct ResolvedOut {
    /// The account.
    pub account_id: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The subscriptions as they were before, the kept one first.
    pub subscriptions: Vec<DuplicateOut>,
    /// Those that were ended.
    pub ended: Vec<String>,
    /// Those that were left, because they also sell something that is not of the catalog or are of a
    /// connected Stripe account.
    pub left: Vec<String>,
}

/// What to do about a duplicate that is not ours to end.
const BY_HAND: &str = "it also sells something that is not of the catalog: remove the item of the plan \
    from it in Stripe's dashboard and leave the rest, or keep this one and end the others";

/// What to do about a duplicate of a connected account.
const IN_CONNECTED: &str =
    "it is of a connected Stripe account: end it there, or keep this one and end the others";

/// The subscriptions of an account as they are shown; whether the ended ones are to be credited.
pub(crate) fn shown(catalog: &Catalog, all: &[Duplicate], refund: bool) -> Vec<DuplicateOut> {
    let one = |(place, one): (usize, &Duplicate)| {
        let (action, hint) = match (place, one.not_ours) {
            (0, _) => ("keep", None),
            (_, Some(NotOurs::Shared)) => ("by_hand", Some(BY_HAND)),
            (_, Some(NotOurs::Connected)) => ("by_hand", Some(IN_CONNECTED)),
            (_, None) => ("end", None),
        };
        let invoices = one.paid.iter().flat_map(|paid| &paid.invoices);
        let unused = |wanted: bool| one.paid.as_ref().filter(|_| wanted).map(|paid| &paid.unused);
        DuplicateOut {
            subscription_id: one.subscription.to_string(),
            action,
            hint,
            tier: catalog.plan(one.plan).map_or_else(String::new, |plan| plan.id.to_string()),
            status: one.status.as_ref().map(|status| status.as_str().to_owned()),
            created_at: one.created.map(|at| at.to_string()),
            current_period_end: one.period_end.map(|at| at.to_string()),
            paid_invoices: invoices.map(ToString::to_string).collect(),
            paid: one.paid.as_ref().map(|paid| money(&paid.amount)),
            unused: unused(true).map(money),
            credit: unused(refund && action == "end").map(money),
        }
    };
    all.iter().enumerate().map(one).collect()
}

fn money(money: &Money) -> MoneyOut {
    MoneyOut { amount: money.amount_minor, currency: money.currency.as_str().to_owned() }
}

/// Every account with duplicates, at most [`ACCOUNTS_MAX`].
pub(crate) async fn all(app: &App, only: Option<&AccountId>) -> Result<Vec<AccountOut>, ApiError> {
    let filter = FindingFilter {
        code: Some(FindingCode::DuplicateSubscription),
        account: only.cloned(),
        open: true,
        ..FindingFilter::default()
    };
    let found = findings::list(&app.engine.db, &filter, ACCOUNTS_MAX).await?;
    let mut accounts = Vec::new();
    for account in found.into_iter().filter_map(|one| one.account) {
        let subscriptions = app.duplicates(&account, None).await?;
        if !subscriptions.is_empty() {
            accounts.push(AccountOut {
                account_id: account.to_string(),
                subscriptions: shown(&app.config.catalog, &subscriptions, false),
            });
        }
    }
    Ok(accounts)
}

/// `GET /admin/duplicates`
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::AdminRead, Reach::Named).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    Query::parse(request.uri().query()).finish()?;
    let data = all(&app, caller.bound_account()).await?;
    let mut response = json(&DuplicatesOut { data })?;
    if let Some(admitted) = admitted {
        admitted.mark(response.headers_mut());
    }
    Ok(response)
}

/// `POST /admin/duplicates/{accountId}/resolve`
pub async fn resolve(
    State(app): State<Arc<App>>,
    PathParameter(account): PathParameter,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::Admin, Reach::Named).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let (parts, content) = request.into_parts();
    Query::parse(parts.uri.query()).finish()?;
    let account = AccountId::parse(&account);
    let account = account.map_err(|error| ApiError::field("accountId", error.to_string()))?;
    caller.may_ask_about(account.as_str())?;
    let wanted: ResolveIn =
        body::json(content, app.config.http.body_bytes_max, &app.bodies).await?;
    let keep = wanted.keep.as_deref().map(SubscriptionId::parse).transpose();
    let keep = keep.map_err(|error| ApiError::field("keep", error.to_string()))?;
    let done = if wanted.dry_run {
        let before = app.duplicates(&account, keep.as_ref()).await?;
        Ended { before, ..Ended::default() }
    } else {
        let choice =
            DuplicateChoice { account: &account, keep: keep.as_ref(), credit: wanted.refund };
        app.end_duplicates(&choice).await?
    };
    let mut response = json(&ResolvedOut {
        account_id: account.to_string(),
        dry_run: wanted.dry_run,
        subscriptions: shown(&app.config.catalog, &done.before, wanted.refund),
        ended: done.ended.iter().map(ToString::to_string).collect(),
        left: done.left.iter().map(ToString::to_string).collect(),
    })?;
    if let Some(admitted) = admitted {
        admitted.mark(response.headers_mut());
    }
    Ok(response)
}

fn json(value: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(reply::json(body.into()))
}
