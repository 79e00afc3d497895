//! `POST /admin/relink`: giving a Stripe object to another account. Owns: its JSON. Must not know:
//! what goes along.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tollgate_domain::act::TermsRefusal;
use tollgate_domain::ids::{AccountId, ObjectId};

use crate::api::auth::Reach;
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::limits::Class;
use crate::api::query::Query;
use crate::api::{body, reply};
use crate::app::App;
use crate::relink::{Order, RelinkError, Relinked};
use crate::scope::Scope;

/// What is to be moved where.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RelinkOrder)]
pub struct RelinkIn {
    /// A Stripe object: a subscription, a customer, a checkout session, an invoice, a payment.
    pub object_id: String,
    /// The account it belongs to from now on.
    #[serde(alias = "communityId", alias = "tenantId", alias = "userId")]
    pub account_id: String,
    /// Why, 10 to 500 characters; it is written to both accounts' journals.
    pub reason: String,
}

/// What was moved.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Relinked)]
pub struct RelinkOut {
    /// The object asked for.
    pub object_id: String,
    /// The account it belongs to now.
    pub account_id: String,
    /// The account it belonged to; missing where it belonged to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_account_id: Option<String>,
    /// All objects that went along, the one asked for included.
    pub objects: Vec<String>,
    /// The account's revision after it; missing where nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

impl RelinkOut {
    /// What was done, as JSON.
    pub(crate) fn of(order: &Order, done: &Relinked) -> Self {
        let revision = done.revisions.iter().find(|(account, _)| *account == order.to);
        Self {
            object_id: order.object.to_string(),
            account_id: order.to.to_string(),
            from_account_id: done.from.as_ref().map(ToString::to_string),
            objects: done.objects.iter().map(ToString::to_string).collect(),
            revision: revision.map(|(_, revision)| *revision),
        }
    }
}

/// `POST /admin/relink`
pub async fn relink(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::Admin, Reach::All).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let (parts, content) = request.into_parts();
    Query::parse(parts.uri.query()).finish()?;
    let wanted: RelinkIn = body::json(content, app.config.http.body_bytes_max, &app.bodies).await?;
    let object = ObjectId::parse(&wanted.object_id)
        .map_err(|error| ApiError::field("objectId", error.to_string()))?;
    let to = AccountId::parse(&wanted.account_id)
        .map_err(|error| ApiError::field("accountId", error.to_string()))?;
    let order = Order { object, to, reason: wanted.reason, by: caller.id.clone() };
    let done = app.intake.relink(&order).await.map_err(refusal)?;
    let out = RelinkOut::of(&order, &done);
    let mut response = reply::of(&out)?;
    if let Some(quota) = admitted {
        quota.mark(response.headers_mut());
    }
    Ok(response)
}

fn refusal(error: RelinkError) -> ApiError {
    match error {
        RelinkError::Terms(refused @ TermsRefusal::Reason { .. }) => {
            ApiError::field("reason", refused.to_string())
        }
        RelinkError::Terms(refused) => ApiError::field("by", refused.to_string()),
        RelinkError::ObjectUnknown { object } => ApiError::ObjectUnknown(object.to_string()),
        RelinkError::Store(error) => error.into(),
    }
}
