//! A subscription that stands in the way of another one, as a refusal. Owns: its codes, and the ways
//! on in the form programs read. Must not know: how they were found.

use http::StatusCode;
use serde::Serialize;
use tollgate_domain::ids::SubscriptionId;
use tollgate_domain::subscription::SubscriptionStatus;

use crate::billing::present::{Existing, WayOn};

/// Where a change is asked for.
const CHANGE: &str = "/api/v1/billing/subscription/change";
/// Where an end is taken back, or a pause.
const RESUME: &str = "/api/v1/billing/subscription/resume";

/// The subscription that is there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ExistingSubscription)]
pub struct ExistingOut {
    /// Stripe's id.
    pub id: String,
    /// Stripe's status.
    pub status: String,
}

/// One thing that can be done instead.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WayOn)]
pub struct ActionOut {
    /// `pay` (send the customer to `url`), `portal` (the same), `resume` or `change` (call `path` with
    /// `method`).
    pub action: &'static str,
    /// Stripe's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Our route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'static str>,
    /// Its method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
}

impl ActionOut {
    fn page(action: &'static str, url: &str) -> Self {
        Self { action, url: Some(url.to_owned()), path: None, method: None }
    }

    const fn route(action: &'static str, path: &'static str) -> Self {
        Self { action, url: None, path: Some(path), method: Some("POST") }
    }
}

impl ExistingOut {
    pub(crate) fn of(id: &SubscriptionId, status: &SubscriptionStatus) -> Self {
        Self { id: id.to_string(), status: status.as_str().to_owned() }
    }
}

/// What can be done, the best first.
pub(crate) fn actions(existing: &Existing) -> Vec<ActionOut> {
    let shown = existing.ways.iter().map(|way| match way {
        WayOn::Pay(url) => ActionOut::page("pay", url),
        WayOn::Portal(url) => ActionOut::page("portal", url),
        WayOn::Resume => ActionOut::route("resume", RESUME),
        WayOn::Change => ActionOut::route("change", CHANGE),
    });
    shown.collect()
}

/// Status, code and title.
pub(super) const fn existing_row(
    status: &SubscriptionStatus,
) -> (StatusCode, &'static str, &'static str) {
    let (code, title) = match status {
        SubscriptionStatus::PastDue => ("subscription_past_due", "A payment has failed"),
        SubscriptionStatus::Unpaid => ("subscription_unpaid", "Invoices are unpaid"),
        SubscriptionStatus::Incomplete => ("subscription_incomplete", "The first payment is open"),
        SubscriptionStatus::Paused => ("subscription_paused", "The subscription is paused"),
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Unknown(_) => {
            ("already_subscribed", "There is a subscription already")
        }
    };
    (StatusCode::CONFLICT, code, title)
}

/// One for each code, for the documentation of the codes.
pub(super) fn examples() -> Vec<Existing> {
    use SubscriptionStatus::{Active, Incomplete, PastDue, Paused, Unpaid};
    let made = [Active, PastDue, Unpaid, Incomplete, Paused].map(|status| {
        let id = SubscriptionId::parse("sub_1").ok()?;
        Some(Existing { id, status, ways: Vec::new() })
    });
    made.into_iter().flatten().collect()
}

/// What happened and how to go on.
pub(super) fn existing_detail(existing: &Existing) -> String {
    let text = match existing.status {
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => {
            "The account has a subscription whose payment failed; it goes on when its invoice is \
             paid. `actions` leads there."
        }
        SubscriptionStatus::Incomplete => {
            "The account has a subscription whose first payment is open; it begins when that is \
             paid. `actions` leads there."
        }
        SubscriptionStatus::Paused => {
            "The account has a subscription that is paused; `actions` says how to wake it."
        }
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Unknown(_) => {
            "The account has a subscription; change it with POST \
             /api/v1/billing/subscription/change or in the portal."
        }
    };
    text.to_owned()
}
