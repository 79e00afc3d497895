//! Webhook endpoints over the API. Owns: making, changing, deleting and listing them, and which
//! events each wants. Must not know: how deliveries are made.

use serde_json::{Value, json};

use super::Sandbox;
use super::destinations::Label;
use super::error::ApiError;
use super::page;
use super::params::Params;
use super::route::{Call, Route};
use crate::id::Ids;
use crate::object::Metadata;
use crate::thin::{EventForm, PREFIX};
use crate::version::ApiVersion;

/// As many as Stripe allows.
pub(super) const ENDPOINTS_MAX: usize = 16;
/// Types that `*` leaves out; they must be asked for by name.
const ONLY_BY_NAME: [&str; 1] = ["invoice_payment.attempt_required"];

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/webhook_endpoints",
        "url! enabled_events![] api_version connect description metadata{*}",
        create,
    ),
    Route::list("/v1/webhook_endpoints", "", list),
    Route::get("/v1/webhook_endpoints/{endpoint}", retrieve),
    Route::post(
        "/v1/webhook_endpoints/{endpoint}",
        "url enabled_events[] disabled description metadata{*}",
        update,
    ),
    Route::delete("/v1/webhook_endpoints/{endpoint}", "", delete),
];

/// Where events are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// Its id, `we_…`; `ed_…` where it is an event destination of API v2.
    pub id: String,
    /// In which form it is sent events.
    pub form: EventForm,
    /// Where events are sent.
    pub url: String,
    /// What they are signed with, `whsec_…`.
    pub secret: String,
    /// The version it asked for when it was made; `None` for the account's.
    pub api_version: Option<ApiVersion>,
    /// The types it wants; `*` for all.
    pub enabled_events: Vec<String>,
    /// Whether events are sent at all.
    pub enabled: bool,
    /// What its owner says of it.
    pub description: Option<String>,
    pub(super) metadata: Metadata,
    pub(super) created: i64,
    /// What it has as an event destination; `None` for one made over API v1.
    pub(super) label: Option<Label>,
}

impl WebhookEndpoint {
    /// Whether an event of a type is sent to it.
    pub fn wants(&self, kind: &str) -> bool {
        let named = |one: &str| match self.form {
            EventForm::Snapshot => one == kind,
            EventForm::Thin => one.strip_prefix(PREFIX) == Some(kind),
        };
        let asked = |one: &String| named(one) || (one == "*" && !ONLY_BY_NAME.contains(&kind));
        self.enabled && self.enabled_events.iter().any(asked)
    }

    fn show(&self) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version.map(ApiVersion::as_str),
            "application": null,
            "created": self.created,
            "description": self.description,
            "enabled_events": self.enabled_events,
            "livemode": false,
            "metadata": self.metadata,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "url": self.url,
        })
    }

    fn fill(&mut self, params: &Params) -> Result<(), ApiError> {
        if let Some(url) = params.text("url") {
            check_url(url, "url")?;
            url.clone_into(&mut self.url);
        }
        if params.has("enabled_events") {
            let wanted: Vec<String> =
                params.texts("enabled_events").into_iter().map(str::to_owned).collect();
            if wanted.is_empty() {
                return Err(ApiError::missing_param("enabled_events"));
            }
            self.enabled_events = wanted;
        }
        if params.has("description") {
            self.description = params.text("description").map(str::to_owned);
        }
        if let Some(disabled) = params.boolean("disabled")? {
            self.enabled = !disabled;
        }
        params.merge_metadata(&mut self.metadata);
        Ok(())
    }
}

/// Refuses an address that is none.
pub(super) fn check_url(url: &str, param: &str) -> Result<(), ApiError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    let message = "Invalid URL: An explicit scheme (such as https) must be provided.";
    Err(ApiError::invalid(message).code("url_invalid").param(param))
}

impl Sandbox {
    /// Every webhook endpoint and event destination, oldest first.
    pub fn endpoints(&self) -> Vec<WebhookEndpoint> {
        self.endpoints.clone()
    }

    fn endpoint(&self, id: &str) -> Result<usize, ApiError> {
        let of_v1 = |one: &WebhookEndpoint| one.id == id && one.label.is_none();
        let found = self.endpoints.iter().position(of_v1);
        found.ok_or_else(|| ApiError::missing_resource("webhook endpoint", id))
    }
}

impl Sandbox {
    /// Secrets of endpoints made from now on are derived from this text. Without one they follow from
    /// the seed, so that two sandboxes with one seed have the same.
    pub fn set_webhook_secrets(&mut self, from: &str) {
        self.secrets = Some(Ids::new(from));
    }

    pub(crate) fn webhook_secret(&self, endpoint: &str) -> String {
        self.secrets.as_ref().unwrap_or(&self.world.ids).make("whsec_", 32, endpoint)
    }
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    if sandbox.endpoints.len() >= ENDPOINTS_MAX {
        let message = format!("You have reached the maximum of {ENDPOINTS_MAX} webhook endpoints.");
        return Err(ApiError::invalid(message));
    }
    let api_version = match call.params.text("api_version") {
        None => None,
        Some(text) => Some(ApiVersion::not_after(text).ok_or_else(|| {
            ApiError::invalid(format!("Invalid API version: {text}")).param("api_version")
        })?),
    };
    let id = sandbox.world.new_long_id("we_1");
    let mut endpoint = WebhookEndpoint {
        url: String::new(),
        secret: sandbox.webhook_secret(&id),
        id,
        form: EventForm::Snapshot,
        api_version,
        enabled_events: Vec::new(),
        enabled: true,
        description: None,
        metadata: Metadata::new(),
        created: sandbox.world.now,
        label: None,
    };
    endpoint.fill(call.params)?;
    let mut shown = endpoint.show();
    // The one time it is ever told.
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("secret".to_owned(), endpoint.secret.as_str().into());
    }
    sandbox.endpoints.push(endpoint);
    Ok(shown)
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let of_v1 = |one: &&WebhookEndpoint| one.label.is_none();
    let newest_first: Vec<&WebhookEndpoint> =
        sandbox.endpoints.iter().rev().filter(of_v1).collect();
    page::page(call, "webhook endpoint", &newest_first, |one| &one.id, |one| one.show())
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let place = sandbox.endpoint(call.id())?;
    Ok(sandbox.endpoints.get(place).map_or(Value::Null, WebhookEndpoint::show))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let place = sandbox.endpoint(call.id())?;
    let Some(endpoint) = sandbox.endpoints.get_mut(place) else { return Ok(Value::Null) };
    let mut changed = endpoint.clone();
    changed.fill(call.params)?;
    *endpoint = changed;
    Ok(endpoint.show())
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let place = sandbox.endpoint(call.id())?;
    let gone = sandbox.endpoints.remove(place);
    Ok(json!({"id": gone.id, "object": "webhook_endpoint", "deleted": true}))
}
