//! Events over API v2. Owns: listing and fetching them in the thin form. Must not know: how
//! deliveries are made.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::event::Happening;
use crate::thin::PREFIX;

/// Most types in one request, as Stripe has it.
const TYPES_MAX: usize = 20;

pub(super) const ROUTES: &[Route] = &[
    Route::get_by("/v2/core/events", "object_id types[] created?{gt gte lt lte} limit page", list),
    Route::get_by("/v2/core/events/{event}", "", retrieve),
];

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (object, types) = (call.params.text("object_id"), call.params.texts("types"));
    if types.len() > TYPES_MAX {
        let message = format!("You may pass at most {TYPES_MAX} types.");
        return Err(ApiError::invalid(message).param("types"));
    }
    let wanted = |event: &&Happening| {
        span.has(event.created())
            && object.is_none_or(|id| event.related_object().get("id").is_some_and(|its| its == id))
            && (types.is_empty()
                || types.iter().any(|name| name.strip_prefix(PREFIX) == Some(event.kind())))
    };
    let events: Vec<(String, &Happening)> =
        sandbox.listed_events().filter(wanted).map(|event| (event.thin_id(), event)).collect();
    page::page_v2(call, &events, |(id, _)| id.as_str(), |(_, event)| event.show_thin())
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let found = sandbox.listed_events().find(|event| event.thin_id() == call.id());
    let event = found.ok_or_else(|| ApiError::missing_resource("event", call.id()))?;
    Ok(event.show_thin())
}
