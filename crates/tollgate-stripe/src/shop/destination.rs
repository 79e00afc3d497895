//! Event destinations over API v2, as far as they differ from webhook endpoints. Owns: their fields,
//! and the types of thin events one of ours is sent.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::endpoint::{Endpoint, EndpointWish, MadeEndpoint, Payload, SecretText};
use super::{CATALOG, Metadata, key};
use crate::client::{ApiPath, Form, Operation, StripeClient, StripeError};
use crate::thin::{EVENTS_NOT_MADE_TYPE, thin_event_types};

const PATH: &str = "/v2/core/event_destinations";
const URL: &str = "webhook_endpoint.url";
const SECRET: &str = "webhook_endpoint.signing_secret";
/// Most pages of destinations read; Stripe allows sixteen destinations.
const PAGES_MAX: usize = 10;

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(default)]
    event_payload: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    enabled_events: Vec<String>,
    metadata: Option<Metadata>,
    webhook_endpoint: Option<Webhook>,
}

#[derive(Default, Deserialize)]
struct Webhook {
    url: Option<String>,
    signing_secret: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Raw>,
    next_page_url: Option<String>,
}

impl Raw {
    fn endpoint(self) -> Endpoint {
        let metadata = self.metadata.unwrap_or_default();
        Endpoint {
            id: self.id,
            payload: Payload::Thin,
            url: self.webhook_endpoint.and_then(|webhook| webhook.url).unwrap_or_default(),
            api_version: None,
            enabled: self.status == "enabled",
            events: self.enabled_events.into_iter().collect(),
            catalog: metadata.get(CATALOG).cloned(),
            secret_print: metadata.get(super::endpoint::PRINT).cloned(),
        }
    }
}

/// Whether types are those a thin destination of ours is sent. That events were not made is told to
/// accounts that are admitted to it only.
pub(super) fn has_our_events(events: &BTreeSet<String>) -> bool {
    let ours = thin_event_types();
    let extra = usize::from(events.contains(EVENTS_NOT_MADE_TYPE));
    events.len() == ours.len().saturating_add(extra)
        && ours.iter().all(|name| events.contains(name))
}

/// The account's destinations for thin events.
pub(super) async fn list(client: &StripeClient) -> Result<Vec<Endpoint>, StripeError> {
    let operation = Operation::get("event_destinations.list");
    let mut found = Vec::new();
    let mut page: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let form = Form::new().with("include[0]", URL).with_some("page", page.as_deref());
        let fetched = client.call(operation, &ApiPath::new(PATH), &form, None).await?;
        let Page { data, next_page_url } = fetched.json()?;
        found.extend(data.into_iter().filter(|one| one.event_payload == "thin").map(Raw::endpoint));
        page = next_page_url.as_deref().and_then(page_of);
        if page.is_none() {
            break;
        }
    }
    Ok(found)
}

/// The page that an address of the next page names. The address itself is not called.
fn page_of(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    Form::from_encoded(query).get("page").map(str::to_owned)
}

fn with_events(mut form: Form, told_of_failures: bool) -> Form {
    let failures = told_of_failures.then(|| EVENTS_NOT_MADE_TYPE.to_owned());
    for (place, name) in thin_event_types().into_iter().chain(failures).enumerate() {
        form = form.with(format!("enabled_events[{place}]"), name);
    }
    form
}

/// Whether Stripe refused the types; then the account is not admitted to one of them.
fn refuses_types(error: &StripeError) -> bool {
    matches!(error, StripeError::Refused { refusal } if refusal.status == 400)
}

/// Makes a destination for thin events.
pub(super) async fn create(
    client: &StripeClient,
    wish: EndpointWish<'_>,
) -> Result<MadeEndpoint, StripeError> {
    match create_with(client, wish, true).await {
        Err(error) if refuses_types(&error) => create_with(client, wish, false).await,
        made => made,
    }
}

async fn create_with(
    client: &StripeClient,
    wish: EndpointWish<'_>,
    told_of_failures: bool,
) -> Result<MadeEndpoint, StripeError> {
    let form = Form::new()
        .with("name", "Tollgate")
        .with("description", "Tollgate")
        .with("type", "webhook_endpoint")
        .with("event_payload", "thin")
        .with("webhook_endpoint[url]", wish.url)
        .with("include[0]", URL)
        .with("include[1]", SECRET)
        .with_map("metadata", [(CATALOG, wish.catalog)]);
    let form = with_events(form, told_of_failures);
    let key = key("destination", &form, &wish.generation.to_string());
    let operation = Operation::post("event_destinations.create");
    let fetched = client.call(operation, &ApiPath::new(PATH), &form, key.as_ref()).await?;
    let mut raw: Raw = fetched.json()?;
    let secret = raw.webhook_endpoint.as_mut().and_then(|webhook| webhook.signing_secret.take());
    let secret = secret.ok_or(StripeError::Garbled {
        what: "this is no event destination with its secret",
        request_id: None,
    })?;
    Ok(MadeEndpoint { endpoint: raw.endpoint(), secret: SecretText::new(secret) })
}

/// Gives a destination exactly the events that have effects, and switches it on.
pub(super) async fn update(
    client: &StripeClient,
    id: &str,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let with = |told_of_failures| with_events(Form::new(), told_of_failures);
    match change(client, id, with(true), nonce).await {
        Err(error) if refuses_types(&error) => {
            change(client, id, with(false), nonce).await?;
        }
        changed => {
            changed?;
        }
    }
    switch(client, id, "/enable", nonce).await
}

/// Changes a destination.
pub(super) async fn change(
    client: &StripeClient,
    id: &str,
    form: Form,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let form = form.with("include[0]", URL);
    let key = key("destination", &form, &format!("{id} {nonce}"));
    let operation = Operation::post("event_destinations.update");
    let path = ApiPath::new(PATH).id(id);
    let fetched = client.call(operation, &path, &form, key.as_ref()).await?;
    fetched.json::<Raw>().map(Raw::endpoint)
}

/// Switches a destination on or off (`/enable`, `/disable`).
pub(super) async fn switch(
    client: &StripeClient,
    id: &str,
    word: &'static str,
    nonce: &str,
) -> Result<Endpoint, StripeError> {
    let key = key("destination", &Form::new(), &format!("{id} {word} {nonce}"));
    let operation = Operation::post("event_destinations.switch");
    let path = ApiPath::new(PATH).id(id).then(word);
    let fetched = client.call(operation, &path, &Form::new(), key.as_ref()).await?;
    fetched.json::<Raw>().map(Raw::endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_named_by_its_address() {
        let url = "/v2/core/event_destinations?include%5B0%5D=x&page=ed_1";
        assert_eq!(page_of(url).as_deref(), Some("ed_1"));
        assert_eq!(page_of("/v2/core/event_destinations"), None);
    }

    #[test]
    fn our_events_are_ours_with_and_without_what_few_accounts_are_told() {
        let mut events: BTreeSet<String> = thin_event_types().into_iter().collect();
        assert!(has_our_events(&events));
        events.insert(EVENTS_NOT_MADE_TYPE.to_owned());
        assert!(has_our_events(&events));
        events.insert("v1.charge.succeeded".to_owned());
        assert!(!has_our_events(&events));
    }
}
