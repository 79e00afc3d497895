//! Refunds over the API. Owns: giving money back, in part or whole, and taking that back while it
//! is pending. Must not know: what was bought.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::route::{Call, Route};
use super::time::Timer;
use crate::object::Object;
use crate::object::adjustment::Refund;
use crate::object::charge::Charge;
use crate::object::payment_intent::PaymentIntent;
use crate::object::test_method::Behavior;

const CREATE: &str = "charge payment_intent amount reason metadata{*} instructions_email";
const LIST: &str = "charge payment_intent created?{gt gte lt lte}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/refunds", CREATE, create),
    Route::list("/v1/refunds", LIST, list),
    Route::get("/v1/refunds/{refund}", retrieve),
    Route::post("/v1/refunds/{refund}", "metadata{*}", update),
    Route::post("/v1/refunds/{refund}/cancel", "", cancel),
];

/// How long a refund takes that is not immediate, in seconds.
const ON_ITS_WAY_SECONDS: i64 = 60;

/// Pending refunds arrive, and those that cannot fail, by themselves.
pub(super) const TIMERS: &[Timer] = &[Timer {
    next: |sandbox| {
        let refunds = sandbox.world.objects.all::<Refund>();
        let due = refunds.filter(|refund| sandbox.end_of(refund).is_some());
        due.map(|one| (one.created.saturating_add(ON_ITS_WAY_SECONDS), one.id.clone())).min()
    },
    ring: |sandbox, id| {
        if let Some(refund) = sandbox.world.objects.get::<Refund>(id).cloned()
            && let Some(status) = sandbox.end_of(&refund)
        {
            sandbox.change_refund(&refund, status);
        }
    },
}];

impl Sandbox {
    /// The status a refund is going to have; `None` where it keeps its own.
    fn end_of(&self, refund: &Refund) -> Option<&'static str> {
        let charge = self.world.objects.get::<Charge>(&refund.charge)?;
        match (charge.method.behavior, refund.status) {
            (Behavior::RefundPends, "pending") => Some("succeeded"),
            (Behavior::RefundFails, "succeeded") => Some("failed"),
            _ => None,
        }
    }

    /// A refund comes to another status, also in its charge, and that is told.
    fn change_refund(&mut self, before: &Refund, status: &'static str) -> Refund {
        let refund = Refund { status, ..before.clone() };
        let kind = if status == "failed" { "refund.failed" } else { "refund.updated" };
        let events = (Object::Refund(before.clone()), Object::Refund(refund.clone()));
        if let Some(mut charge) = self.world.objects.get::<Charge>(&refund.charge).cloned() {
            for known in charge.refunds.iter_mut().filter(|known| known.id == refund.id) {
                known.clone_from(&refund);
            }
            self.world.keep(charge);
        }
        self.world.emit_change("charge.refund.updated", events.0.clone(), events.1.clone());
        self.world.emit_change(kind, events.0, events.1);
        refund
    }
}

/// The charge a refund is asked for.
fn charge(sandbox: &Sandbox, params: &Params) -> Result<Charge, ApiError> {
    if let Some(charge) = sandbox.referred::<Charge>(params, "charge")? {
        return Ok(charge.clone());
    }
    let Some(intent) = sandbox.referred::<PaymentIntent>(params, "payment_intent")? else {
        let message = "One of the following params should be provided for this request: \
                       payment_intent or charge.";
        return Err(ApiError::invalid(message).code("parameter_missing"));
    };
    let charge = intent.charge.as_ref().and_then(|id| sandbox.world.objects.get::<Charge>(id));
    let charge = charge.filter(|charge| charge.succeeded());
    charge.cloned().ok_or_else(|| {
        let message = format!(
            "This PaymentIntent ({}) does not have a successful charge to refund.",
            intent.id
        );
        ApiError::invalid(message).param("payment_intent")
    })
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let charge = charge(sandbox, params)?;
    let rest = charge.captured_minor.saturating_sub(charge.refunded_minor());
    if !charge.succeeded() || rest <= 0 {
        let message = format!("Charge {} has already been refunded.", charge.id);
        return Err(ApiError::invalid(message).code("charge_already_refunded"));
    }
    let open = |dispute: &crate::object::adjustment::Dispute| {
        dispute.charge == charge.id && !dispute.is_inquiry() && dispute.status != "won"
    };
    if sandbox.world.objects.all().any(open) {
        let message = format!("Charge {} has been charged back; cannot issue a refund.", charge.id);
        return Err(ApiError::invalid(message).code("charge_disputed"));
    }
    let amount_minor = params.amount("amount")?.unwrap_or(rest);
    if amount_minor == 0 || amount_minor > rest {
        let message = format!(
            "Refund amount ({amount_minor}) is greater than unrefunded amount on charge ({rest}), \
             or is zero."
        );
        return Err(ApiError::invalid(message).code("amount_too_large").param("amount"));
    }
    let reasons = ["duplicate", "fraudulent", "requested_by_customer"];
    let pends = charge.method.behavior == Behavior::RefundPends;
    let refund = Refund {
        id: sandbox.world.new_long_id("re_3"),
        amount_minor,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        customer: charge.customer.clone(),
        payment_method: charge.payment_method.clone(),
        status: if pends { "pending" } else { "succeeded" },
        reason: params.choice("reason", &reasons)?,
        metadata: params.metadata(),
        created: sandbox.world.now,
    };
    let before = charge.clone();
    let mut charge = charge;
    charge.refunds.push(refund.clone());
    let events = (Object::Charge(before), Object::Charge(charge));
    sandbox.world.emit_change("charge.refunded", events.0, events.1);
    sandbox.world.emit("refund.created", Object::Refund(refund.clone()));
    Ok(refund.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (charge, intent) = (call.params.text("charge"), call.params.text("payment_intent"));
    let mut refunds = sandbox.world.objects.newest_first::<Refund>();
    refunds.retain(|refund| {
        span.has(refund.created)
            && charge.is_none_or(|charge| refund.charge == charge)
            && intent.is_none_or(|intent| refund.payment_intent == intent)
    });
    page::objects(call, &refunds, Refund::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Refund>(call.id())?.show(call.version))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = sandbox.named::<Refund>(call.id())?.clone();
    let mut refund = before.clone();
    call.params.merge_metadata(&mut refund.metadata);
    if refund != before {
        let status = refund.status;
        refund = sandbox.change_refund(&refund, status);
    }
    Ok(refund.show(call.version))
}

fn cancel(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let refund = sandbox.named::<Refund>(call.id())?.clone();
    if refund.status != "pending" {
        let message =
            format!("This refund's status is {}, so it cannot be canceled.", refund.status);
        return Err(ApiError::invalid(message));
    }
    Ok(sandbox.change_refund(&refund, "canceled").show(call.version))
}
