//! Event destinations over API v2. Owns: making, changing, switching, deleting and listing them.
//! Must not know: how deliveries are made.
//!
//! A destination is a webhook endpoint under another name that may also want thin events. Its
//! address and its secret are shown only to who asks for them, the secret once.

use serde_json::{Value, json};
use tollgate_domain::Timestamp;

use super::Sandbox;
use super::endpoints::{ENDPOINTS_MAX, WebhookEndpoint, check_url};
use super::error::ApiError;
use super::page;
use super::params::Params;
use super::route::{Call, Route};
use crate::thin::{EventForm, PREFIX, with_milliseconds};
use crate::version::ApiVersion;

const NOUN: &str = "event destination";
const URL: &str = "webhook_endpoint.url";
const SECRET: &str = "webhook_endpoint.signing_secret";

const CREATE: &str = "name! description enabled_events![] event_payload! type! include[] \
    events_from[] metadata{*} snapshot_api_version webhook_endpoint!{url!}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v2/core/event_destinations", CREATE, create),
    Route::get_by("/v2/core/event_destinations", "include[] limit page", list),
    Route::get_by("/v2/core/event_destinations/{destination}", "include[]", retrieve),
    Route::post(
        "/v2/core/event_destinations/{destination}",
        "name description enabled_events[] include[] metadata{*} webhook_endpoint{url}",
        update,
    ),
    Route::post("/v2/core/event_destinations/{destination}/disable", "", disable),
    Route::post("/v2/core/event_destinations/{destination}/enable", "", enable),
    Route::delete("/v2/core/event_destinations/{destination}", "", delete),
];

/// What a destination has that an endpoint made over API v1 has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) updated: i64,
}

fn show(endpoint: &WebhookEndpoint, label: &Label, include: &[&str]) -> Value {
    let mut webhook = serde_json::Map::new();
    if include.contains(&URL) {
        webhook.insert("url".to_owned(), endpoint.url.as_str().into());
    }
    if include.contains(&SECRET) {
        webhook.insert("signing_secret".to_owned(), endpoint.secret.as_str().into());
    }
    let time = |seconds| with_milliseconds(Timestamp::from_unix_seconds(seconds));
    let version = endpoint.api_version.map(ApiVersion::as_str);
    json!({
        "id": endpoint.id,
        "object": "v2.core.event_destination",
        "created": time(endpoint.created),
        "description": endpoint.description.as_deref().unwrap_or_default(),
        "enabled_events": endpoint.enabled_events,
        "event_payload": endpoint.form.as_str(),
        "events_from": ["@self"],
        "livemode": false,
        "metadata": endpoint.metadata,
        "name": label.name,
        "snapshot_api_version": version,
        "status": if endpoint.enabled { "enabled" } else { "disabled" },
        "status_details": (!endpoint.enabled).then(|| json!({"disabled": {"reason": "user"}})),
        "type": "webhook_endpoint",
        "updated": time(label.updated),
        "webhook_endpoint": webhook,
    })
}

/// The types a destination may want: in the thin form those of v1 objects have a prefix, and those
/// of v2 objects are there too.
fn wanted(params: &Params, form: EventForm) -> Result<Vec<String>, ApiError> {
    let names = params.texts("enabled_events");
    if names.is_empty() {
        return Err(ApiError::missing_param("enabled_events"));
    }
    let fits = |name: &&str| match form {
        EventForm::Snapshot => !name.starts_with(PREFIX) && !name.starts_with("v2."),
        EventForm::Thin => *name == "*" || name.starts_with(PREFIX) || name.starts_with("v2.core."),
    };
    if let Some(odd) = names.iter().find(|name| !fits(name)) {
        let message = format!("{odd} is not an event type of {} payloads.", form.as_str());
        return Err(ApiError::invalid(message).param("enabled_events"));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    if sandbox.endpoints.len() >= ENDPOINTS_MAX {
        let message = format!("You have reached the maximum of {ENDPOINTS_MAX} destinations.");
        return Err(ApiError::invalid(message));
    }
    params.choice("type", &["webhook_endpoint"])?;
    let form = match params.choice("event_payload", &["snapshot", "thin"])? {
        Some("thin") => EventForm::Thin,
        Some(_) | None => EventForm::Snapshot,
    };
    let version = params.text("snapshot_api_version");
    if version.is_some() && form == EventForm::Thin {
        let message = "snapshot_api_version is for snapshot payloads only.";
        return Err(ApiError::invalid(message).param("snapshot_api_version"));
    }
    let api_version = version.map(|text| {
        let found = ApiVersion::not_after(text);
        found.ok_or_else(|| {
            let message = format!("Invalid API version: {text}");
            ApiError::invalid(message).param("snapshot_api_version")
        })
    });
    let webhook = params.get("webhook_endpoint");
    let url = webhook.and_then(|webhook| webhook.text("url")).unwrap_or_default();
    check_url(url, "webhook_endpoint[url]")?;
    let enabled_events = wanted(params, form)?;
    let now = sandbox.world.now;
    let id = sandbox.world.new_long_id("ed_test_6");
    let label = Label { name: params.required("name")?.to_owned(), updated: now };
    let endpoint = WebhookEndpoint {
        url: url.to_owned(),
        secret: sandbox.webhook_secret(&id),
        id,
        form,
        api_version: api_version.transpose()?,
        enabled_events,
        enabled: true,
        description: params.text("description").map(str::to_owned),
        metadata: params.metadata(),
        created: now,
        label: Some(label.clone()),
    };
    let shown = show(&endpoint, &label, &params.texts("include"));
    sandbox.endpoints.push(endpoint);
    Ok(shown)
}

impl Sandbox {
    fn destination(&mut self, id: &str) -> Result<(&mut WebhookEndpoint, Label), ApiError> {
        let found = self.endpoints.iter_mut().find(|one| one.id == id && one.label.is_some());
        let found = found.and_then(|one| one.label.clone().map(|label| (one, label)));
        found.ok_or_else(|| ApiError::missing_resource(NOUN, id))
    }
}

/// A secret is shown when it is made and never again.
fn without_secret<'a>(call: &Call<'a>) -> Vec<&'a str> {
    let mut include = call.params.texts("include");
    include.retain(|name| *name != SECRET);
    include
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let include = without_secret(call);
    let all: Vec<(&WebhookEndpoint, &Label)> = sandbox
        .endpoints
        .iter()
        .rev()
        .filter_map(|one| one.label.as_ref().map(|label| (one, label)))
        .collect();
    page::page_v2(call, &all, |(one, _)| one.id.as_str(), |(one, label)| show(one, label, &include))
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let include = without_secret(call);
    let (endpoint, label) = sandbox.destination(call.id())?;
    Ok(show(endpoint, &label, &include))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let now = sandbox.world.now;
    let include = without_secret(call);
    let params = call.params;
    let (endpoint, mut label) = sandbox.destination(call.id())?;
    let mut changed = endpoint.clone();
    if let Some(name) = params.text("name") {
        name.clone_into(&mut label.name);
    }
    if params.has("enabled_events") {
        changed.enabled_events = wanted(params, changed.form)?;
    }
    if let Some(url) = params.get("webhook_endpoint").and_then(|webhook| webhook.text("url")) {
        check_url(url, "webhook_endpoint[url]")?;
        url.clone_into(&mut changed.url);
    }
    params.write_text("description", &mut changed.description);
    params.merge_metadata(&mut changed.metadata);
    label.updated = now;
    changed.label = Some(label.clone());
    *endpoint = changed;
    Ok(show(endpoint, &label, &include))
}

fn disable(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    switch(sandbox, call, false)
}

fn enable(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    switch(sandbox, call, true)
}

fn switch(sandbox: &mut Sandbox, call: &Call<'_>, on: bool) -> Result<Value, ApiError> {
    let now = sandbox.world.now;
    let (endpoint, label) = sandbox.destination(call.id())?;
    let label = Label { updated: now, ..label };
    endpoint.enabled = on;
    endpoint.label = Some(label.clone());
    Ok(show(endpoint, &label, &[]))
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let id = sandbox.destination(call.id())?.0.id.clone();
    sandbox.endpoints.retain(|one| one.id != id);
    Ok(json!({"id": id, "object": "v2.core.event_destination"}))
}
