//! `GET /admin/findings`: what an operator must hear of. Owns: its JSON and pages. Must not know:
//! when a finding is due.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tollgate_domain::FindingCode;
use tollgate_store::findings::{self, FindingFilter, FindingKey, ListedFinding};

use crate::api::auth::Reach;
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::limits::Class;
use crate::api::query::Query;
use crate::api::reply;
use crate::app::App;
use crate::scope::Scope;

/// Findings on a page unless asked otherwise.
const LIMIT_DEFAULT: u64 = 25;
/// Most findings on a page.
const LIMIT_MAX: u64 = 100;

/// Findings, by code and object.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Findings)]
pub struct FindingsOut {
    /// One page.
    pub data: Vec<FindingOut>,
    /// For `cursor` of the next request; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One finding.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Finding)]
pub struct FindingOut {
    /// What kind of matter; a stable code.
    pub code: &'static str,
    /// `open` or `closed`.
    pub state: &'static str,
    /// The account; missing where it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The object it is about.
    pub subject: String,
    /// Other objects concerned.
    pub objects: Vec<String>,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
    /// When its cause was gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_at: Option<String>,
    /// What it means.
    pub meaning: &'static str,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl From<ListedFinding> for FindingOut {
    fn from(listed: ListedFinding) -> Self {
        let ListedFinding { account, finding } = listed;
        Self {
            code: finding.code.as_str(),
            state: if finding.closed_at.is_none() { "open" } else { "closed" },
            account_id: account.map(|account| account.to_string()),
            subject: finding.subject,
            objects: finding.objects,
            since: finding.since.to_string(),
            closed_at: finding.closed_at.map(|at| at.to_string()),
            meaning: finding.code.meaning(),
            detail: finding.detail,
            remedy: finding.code.remedy(),
        }
    }
}

/// `GET /admin/findings`
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = app.authenticate(Head::of(&request), Scope::AdminRead, Reach::Named).await?;
    let admitted = app.admit(Class::Admin, &caller.id)?;
    let mut query = Query::parse(request.uri().query());
    let account = query.optional_account();
    let (code, state) = (query.text("code"), query.text("state"));
    let (limit, cursor) = (query.number("limit").unwrap_or(LIMIT_DEFAULT), query.text("cursor"));
    query.finish()?;
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be from 1 to {LIMIT_MAX}")));
    }
    if let Some(account) = &account {
        caller.may_ask_about(account.as_str())?;
    }
    let account = account.or_else(|| caller.bound_account().cloned());
    let code = code.as_deref().map(FindingCode::parse).transpose();
    let (open, closed) = match state.as_deref() {
        None | Some("open") => (true, false),
        Some("closed") => (false, true),
        Some("all") => (true, true),
        Some(_) => return Err(ApiError::field("state", "must be open, closed or all")),
    };
    let filter = FindingFilter {
        code: code.map_err(|error| ApiError::field("code", error.to_string()))?,
        account,
        open,
        closed,
        after: cursor.as_deref().map(read_cursor).transpose()?,
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let asked = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let mut found = findings::list(&app.engine.db, &filter, asked).await?;
    let more = found.len() > most;
    found.truncate(most);
    let next_cursor = found.last().filter(|_| more).map(|last| cursor_of(&last.place()));
    let data = found.into_iter().map(FindingOut::from).collect();
    let body = serde_json::to_vec(&FindingsOut { data, next_cursor })
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    let mut response = reply::json(body.into());
    if let Some(admitted) = admitted {
        admitted.mark(response.headers_mut());
    }
    Ok(response)
}

/// A place in the list as an opaque text.
fn cursor_of(place: &FindingKey) -> String {
    hex::encode(format!("{}\n{}", place.account, place.key))
}

fn read_cursor(text: &str) -> Result<FindingKey, ApiError> {
    let unknown = || ApiError::field("cursor", "is not one that a reply gave");
    let bytes = hex::decode(text).map_err(|_| unknown())?;
    let text = String::from_utf8(bytes).map_err(|_| unknown())?;
    let (account, key) = text.split_once('\n').ok_or_else(unknown)?;
    Ok(FindingKey { key: key.to_owned(), account: account.to_owned() })
}
