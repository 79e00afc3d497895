//! Disputes. Owns: reading and answering them over the API, and their beginning and end by the
//! will of who plays the bank. Must not know: what was bought.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::adjustment::{Dispute, EVIDENCE};
use crate::object::charge::Charge;

const LIST: &str = "charge payment_intent created?{gt gte lt lte}";

pub(super) const ROUTES: &[Route] = &[
    Route::list("/v1/disputes", LIST, list),
    Route::get("/v1/disputes/{dispute}", retrieve),
    Route::post("/v1/disputes/{dispute}", "metadata{*} submit evidence{*}", update),
    Route::post("/v1/disputes/{dispute}/close", "", close),
];

/// What whoever plays the bank does with a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeMove {
    /// The cardholder disputes it.
    Open,
    /// The bank asks first, and takes no money yet.
    Inquire,
    /// The open dispute ends for us.
    Won,
    /// The open dispute ends against us.
    Lost,
}

/// Why a charge cannot be disputed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisputeError {
    /// No charge has this id.
    #[error("there is no charge {0}")]
    NoCharge(String),
    /// No money moved.
    #[error("the charge {0} did not succeed")]
    NotPaid(String),
    /// A dispute of it is open or was lost.
    #[error("the charge {0} is disputed already")]
    Disputed(String),
    /// No dispute of it is open.
    #[error("the charge {0} has no open dispute")]
    NoDispute(String),
}

/// What tests and the control API say in evidence to end a dispute, as with Stripe's test cards.
const WINNING: &str = "winning_evidence";
const LOSING: &str = "losing_evidence";

fn is_closed(dispute: &Dispute) -> bool {
    matches!(dispute.status, "won" | "lost" | "warning_closed")
}

impl Sandbox {
    /// Opens or ends a dispute of a charge; gives the dispute's id.
    pub fn dispute(&mut self, charge: &str, what: DisputeMove) -> Result<String, DisputeError> {
        let id = || charge.to_owned();
        let known = self.world.objects.get::<Charge>(charge);
        let known = known.ok_or_else(|| DisputeError::NoCharge(id()))?;
        if !known.succeeded() {
            return Err(DisputeError::NotPaid(id()));
        }
        let disputes = self.world.objects.newest_first::<Dispute>();
        let newest = disputes.into_iter().find(|dispute| dispute.charge == charge).cloned();
        self.world.by_itself();
        match (what, newest) {
            (DisputeMove::Open | DisputeMove::Inquire, Some(newest))
                if newest.status != "won" && newest.status != "warning_closed" =>
            {
                Err(DisputeError::Disputed(id()))
            }
            (DisputeMove::Open | DisputeMove::Inquire, _) => {
                let inquiry = what == DisputeMove::Inquire;
                let made = self.world.question(charge, "fraudulent", inquiry);
                made.ok_or_else(|| DisputeError::NoCharge(id()))
            }
            (DisputeMove::Won | DisputeMove::Lost, Some(open)) if !is_closed(&open) => {
                Ok(self.end_dispute(&open, what == DisputeMove::Won).id)
            }
            (DisputeMove::Won | DisputeMove::Lost, _) => Err(DisputeError::NoDispute(id())),
        }
    }

    /// A dispute ends.
    fn end_dispute(&mut self, before: &Dispute, won: bool) -> Dispute {
        let status = match (before.is_inquiry(), won) {
            (true, _) => "warning_closed",
            (false, true) => "won",
            (false, false) => "lost",
        };
        let ended = Dispute { status, ..before.clone() };
        let events = (Object::Dispute(before.clone()), Object::Dispute(ended.clone()));
        self.world.emit_change("charge.dispute.closed", events.0, events.1);
        if status != "won" {
            return ended;
        }
        let reinstated = Dispute { funds_reinstated: true, ..ended.clone() };
        let events = (Object::Dispute(ended), Object::Dispute(reinstated.clone()));
        self.world.emit_change("charge.dispute.funds_reinstated", events.0, events.1);
        reinstated
    }
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (charge, intent) = (call.params.text("charge"), call.params.text("payment_intent"));
    let mut disputes = sandbox.world.objects.newest_first::<Dispute>();
    disputes.retain(|dispute| {
        span.has(dispute.created)
            && charge.is_none_or(|charge| dispute.charge == charge)
            && intent.is_none_or(|intent| dispute.payment_intent == intent)
    });
    page::objects(call, &disputes, Dispute::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Dispute>(call.id())?.show(call.version))
}

/// Something can still be said to a dispute.
fn open(sandbox: &Sandbox, id: &str) -> Result<Dispute, ApiError> {
    let dispute = sandbox.named::<Dispute>(id)?.clone();
    if is_closed(&dispute) {
        return Err(ApiError::invalid("This dispute is already closed."));
    }
    Ok(dispute)
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = open(sandbox, call.id())?;
    let mut dispute = before.clone();
    call.params.merge_metadata(&mut dispute.metadata);
    let evidence = call.params.get("evidence");
    for (name, value) in evidence.map(super::Params::children).unwrap_or_default() {
        if !EVIDENCE.contains(&name.as_str()) {
            return Err(ApiError::unknown_param(value.path()));
        }
        let value = value.value().unwrap_or_default().to_owned();
        dispute.evidence.insert(name.clone(), value);
    }
    if call.params.boolean("submit")?.unwrap_or(evidence.is_some()) && evidence.is_some() {
        dispute.submissions = dispute.submissions.saturating_add(1);
        dispute.status = if dispute.is_inquiry() { "warning_under_review" } else { "under_review" };
    }
    if dispute != before {
        let events = (Object::Dispute(before), Object::Dispute(dispute.clone()));
        sandbox.world.emit_change("charge.dispute.updated", events.0, events.1);
    }
    let says = |word: &str| dispute.evidence.values().any(|value| value == word);
    if dispute.submissions > 0 && (says(WINNING) || says(LOSING)) {
        dispute = sandbox.end_dispute(&dispute, says(WINNING));
    }
    Ok(dispute.show(call.version))
}

fn close(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let dispute = open(sandbox, call.id())?;
    Ok(sandbox.end_dispute(&dispute, false).show(call.version))
}
