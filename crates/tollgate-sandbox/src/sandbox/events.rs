//! Events over the API. Owns: listing and fetching them, and asking for another delivery. Must not
//! know: how deliveries are made.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::event::Happening;
use crate::time::DAY;

/// How long events can be listed, in seconds.
const KEPT_SECONDS: i64 = 30 * DAY;

pub(super) const ROUTES: &[Route] = &[
    Route::list("/v1/events", "type types[] created?{gt gte lt lte} delivery_success", list),
    Route::get("/v1/events/{event}", retrieve),
    Route::post("/v1/events/{event}/retry", "webhook_endpoint for_stripecli account", retrieve),
];

impl Sandbox {
    /// The events the API still shows, newest first.
    pub(super) fn listed_events(&self) -> impl Iterator<Item = &Happening> {
        let oldest = self.world.now.saturating_sub(KEPT_SECONDS);
        self.world.happenings.iter().rev().filter(move |event| event.created >= oldest)
    }

    fn show_event(&self, event: &Happening) -> Value {
        let pending = self.deliveries.pending(&event.id);
        event.show(self.settings.default_version, pending)
    }
}

/// Whether an event is of a type, which may end in `*`.
fn is_of(event: &Happening, kind: &str) -> bool {
    kind.strip_suffix('*').map_or(event.kind == kind, |start| event.kind.starts_with(start))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (kind, kinds) = (call.params.text("type"), call.params.texts("types"));
    if kind.is_some() && !kinds.is_empty() {
        let message = "You may pass either `type` or `types`, but not both.";
        return Err(ApiError::invalid(message).param("types"));
    }
    let delivered = call.params.boolean("delivery_success")?;
    let wanted = |event: &Happening| {
        span.has(event.created)
            && kind.is_none_or(|kind| is_of(event, kind))
            && (kinds.is_empty() || kinds.iter().any(|kind| is_of(event, kind)))
            && delivered.is_none_or(|wanted| sandbox.deliveries.succeeded(&event.id) == wanted)
    };
    let events: Vec<&Happening> = sandbox.listed_events().collect();
    let show = |event: &&Happening| sandbox.show_event(event);
    page::page_of(call, "event", &events, |event| wanted(event), |event| event.id(), show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let found = sandbox.listed_events().find(|event| event.id == call.id());
    let event = found.ok_or_else(|| ApiError::missing_resource("event", call.id()))?;
    Ok(sandbox.show_event(event))
}
