//! Checkout sessions over the API. Owns: making, listing and expiring them. Must not know: how one
//! is paid.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use super::time::Timer;
use crate::object::Object;
use crate::object::session::{LineItem, Session};

mod collected;
pub(super) mod read;

const LIST: &str = "customer payment_intent subscription status created?{gt gte lt lte} \
     customer_details{email}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/checkout/sessions", read::FIELDS, create),
    Route::list("/v1/checkout/sessions", LIST, list),
    Route::get("/v1/checkout/sessions/{session}", retrieve),
    Route::post("/v1/checkout/sessions/{session}", "metadata{*}", update),
    Route::post("/v1/checkout/sessions/{session}/expire", "", expire),
    Route::list("/v1/checkout/sessions/{session}/line_items", "", list_line_items),
];

/// Open sessions run out by themselves.
pub(super) const TIMERS: &[Timer] = &[Timer {
    next: |sandbox| {
        let open = sandbox.world.objects.all::<Session>().filter(|one| one.status == "open");
        open.map(|session| (session.expires_at, session.id.clone())).min()
    },
    ring: |sandbox, id| {
        if let Some(session) = sandbox.world.objects.get::<Session>(id).cloned() {
            sandbox.run_out(session);
        }
    },
}];

impl Sandbox {
    /// A session can no longer be paid.
    fn run_out(&mut self, mut session: Session) -> Session {
        session.status = "expired";
        self.world.emit("checkout.session.expired", Object::Session(session.clone()));
        session
    }
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let session = read::session(sandbox, call.params)?;
    sandbox.world.keep(session.clone());
    Ok(session.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let span = Span::of(params, "created")?;
    let status = params.choice("status", &["open", "complete", "expired"])?;
    let of = |name: &str| params.text(name);
    let (customer, intent, subscription) =
        (of("customer"), of("payment_intent"), of("subscription"));
    let email = params.get("customer_details").and_then(|details| details.text("email"));
    let mut sessions = sandbox.world.objects.newest_first::<Session>();
    sessions.retain(|session| {
        span.has(session.created)
            && status.is_none_or(|status| session.status == status)
            && customer.is_none_or(|one| session.customer.as_deref() == Some(one))
            && intent.is_none_or(|one| session.payment_intent.as_deref() == Some(one))
            && subscription.is_none_or(|one| session.subscription.as_deref() == Some(one))
            && email.is_none_or(|one| session.email.as_deref() == Some(one))
    });
    page::objects(call, &sessions, Session::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Session>(call.id())?.show(call.version))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut session = sandbox.named::<Session>(call.id())?.clone();
    call.params.merge_metadata(&mut session.metadata);
    sandbox.world.keep(session.clone());
    Ok(session.show(call.version))
}

fn expire(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let session = sandbox.named::<Session>(call.id())?.clone();
    if session.status != "open" {
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout \
             Session has a status of {}.",
            session.status
        );
        return Err(ApiError::invalid(message));
    }
    Ok(sandbox.run_out(session).show(call.version))
}

fn list_line_items(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let session = sandbox.named::<Session>(call.id())?;
    let show = |line: &LineItem| line.show(call.version);
    page::page(call, "line_item", &session.terms.lines, |line| &line.id, show)
}
