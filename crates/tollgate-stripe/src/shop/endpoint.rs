//! Webhook endpoints, and destinations of thin events, which are endpoints too. Owns: making one,
//! keeping it as it should be, and telling whether its secret was saved. Must not know: the fields
//! that destinations have instead.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{CATALOG, Metadata, destination, key, read_all};
use crate::client::{ApiPath, Fetched, Form, Operation, PINNED_VERSION, StripeClient, StripeError};
use crate::observe::EVENT_TYPES;

/// Metadata: a part of the hash of the secret, written once the secret is saved.
pub(super) const PRINT: &str = "tollgate_secret";
/// Most endpoints read; Stripe allows sixteen.
const ENDPOINTS_READ_MAX: usize = 100;

/// The form of the events an endpoint is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// With the object in them.
    Snapshot,
    /// With a reference to the object.
    Thin,
}

impl Payload {
    /// Stripe's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Thin => "thin",
        }
    }
}

/// A webhook endpoint, without its secret, which is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `we_…` or `ed_…`.
    pub id: String,
    /// The form of its events.
    pub payload: Payload,
    /// Where events go.
    pub url: String,
    /// The version its events have; `None`: the account's. Thin events have none.
    pub api_version: Option<String>,
    /// Whether events are sent.
    pub enabled: bool,
    /// The types sent.
    pub events: BTreeSet<String>,
    /// The catalog it was made for, when we made it.
    pub catalog: Option<String>,
    /// The print of its secret, when that was saved.
    pub secret_print: Option<String>,
}

impl Endpoint {
    /// Whether it gets exactly the events that have effects.
    pub fn has_our_events(&self) -> bool {
        match self.payload {
            Payload::Snapshot => {
                self.events.len() == EVENT_TYPES.len()
                    && EVENT_TYPES.iter().all(|name| self.events.contains(*name))
            }
            Payload::Thin => destination::has_our_events(&self.events),
        }
    }

    /// Whether its events have the version requests are made with.
    pub fn has_our_version(&self) -> bool {
        self.payload == Payload::Thin || self.api_version.as_deref() == Some(PINNED_VERSION)
    }
}

/// An endpoint's secret, on its way into a file. Has no printable form.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(masked)")
    }
}

/// An endpoint that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeEndpoint {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its secret.
    pub secret: SecretText,
}

/// The endpoint that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct EndpointWish<'w> {
    /// The form its events are to have.
    pub payload: Payload,
    /// Where events are to go.
    pub url: &'w str,
    /// The catalog it is made for.
    pub catalog: &'w str,
    /// Counts endpoints whose secret was lost: another number makes another endpoint.
    pub generation: usize,
}

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(default)]
    url: String,
    api_version: Option<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    enabled_events: Vec<String>,
    metadata: Option<Metadata>,
    secret: Option<String>,
}

impl Raw {
    fn endpoint(self) -> Endpoint {
        let metadata = self.metadata.unwrap_or_default();
        Endpoint {
            id: self.id,
            payload: Payload::Snapshot,
            url: self.url,
            api_version: self.api_version,
            enabled: self.status == "enabled",
            events: self.enabled_events.into_iter().collect(),
            catalog: metadata.get(CATALOG).cloned(),
            secret_print: metadata.get(PRINT).cloned(),
        }
    }
}

/// What tells a secret from others without telling it: the first half of its SHA-256. A secret has
/// far too many bits to be found from it.
pub fn secret_print(secret: &str) -> String {
    let print = hex::encode(Sha256::digest(secret.trim()));
    print.chars().take(32).collect()
}

/// Every endpoint of the account. A key that may not read destinations has none of ours.
pub async fn list_endpoints(client: &StripeClient) -> Result<Vec<Endpoint>, StripeError> {
    let operation = Operation::get("webhook_endpoints.list");
    let path = ApiPath::new("/v1/webhook_endpoints");
    let (items, _) = client.list(operation, &path, &Form::new(), ENDPOINTS_READ_MAX).await?;
    let mut all: Vec<Endpoint> = read_all::<Raw>(&items)?.into_iter().map(Raw::endpoint).collect();
    match destination::list(client).await {
        Ok(destinations) => all.extend(destinations),
        Err(StripeError::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

fn garbled() -> StripeError {
    StripeError::Garbled { what: "this is no webhook endpoint", request_id: None }
}

fn with_events(mut form: Form) -> Form {
    for (place, name) in EVENT_TYPES.iter().enumerate() {
        form = form.with(format!("enabled_events[{place}]"), *name);
    }
    form
}

/// Makes an endpoint with exactly the events that have effects, in the pinned version. The same
/// wish within a day gives the same endpoint and the same secret again: a secret whose answer was
/// lost, or that was not saved, is got back.
pub async fn create_endpoint(
    client: &StripeClient,
    wish: EndpointWish<'_>,
) -> Result<MadeEndpoint, StripeError> {
    if wish.payload == Payload::Thin {
        return destination::create(client, wish).await;
    }
    let form = Form::new()
        .with("url", wish.url)
        .with("api_version", PINNED_VERSION)
        .with("description", "Tollgate")
        .with_map("metadata", [(CATALOG, wish.catalog)]);
    let form = with_events(form);
    let key = key("endpoint", &form, &wish.generation.to_string());
    let operation = Operation::post("webhook_endpoints.create");
    let path = ApiPath::new("/v1/webhook_endpoints");
    let fetched = client.call(operation, &path, &form, key.as_ref()).await?;
    let mut raw: Raw = fetched.json()?;
    let secret = raw.secret.take().ok_or_else(garbled)?;
    Ok(MadeEndpoint { endpoint: raw.endpoint(), secret: SecretText(secret) })
}

/// Gives an endpoint exactly the events that have effects, and switches it on.
pub async fn update_endpoint(
    client: &StripeClient,
    endpoint: &Endpoint,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let id = endpoint.id.as_str();
    if endpoint.payload == Payload::Thin {
        return destination::update(client, id, nonce).await;
    }
    change(client, id, &with_events(Form::new().with("disabled", "false")), nonce).await
}

/// Notes at Stripe that an endpoint's secret was saved here.
pub async fn note_secret(
    client: &StripeClient,
    endpoint: &Endpoint,
    secret: &SecretText,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let print = secret_print(secret.expose());
    let form = Form::new().with_map("metadata", [(PRINT, print.as_str())]);
    match endpoint.payload {
        Payload::Snapshot => change(client, &endpoint.id, &form, nonce).await,
        Payload::Thin => destination::change(client, &endpoint.id, form, nonce).await,
    }
}

/// Switches an endpoint off.
pub async fn disable_endpoint(
    client: &StripeClient,
    endpoint: &Endpoint,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let id = endpoint.id.as_str();
    match endpoint.payload {
        Payload::Snapshot => change(client, id, &Form::new().with("disabled", "true"), nonce).await,
        Payload::Thin => destination::switch(client, id, "/disable", nonce).await,
    }
}

async fn change(
    client: &StripeClient,
    id: &str,
    form: &Form,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let path = ApiPath::new("/v1/webhook_endpoints").id(id);
    let key = key("endpoint", form, &format!("{id} {nonce}"));
    let operation = Operation::post("webhook_endpoints.update");
    let fetched: Fetched = client.call(operation, &path, form, key.as_ref()).await?;
    fetched.json::<Raw>().map(Raw::endpoint)
}
