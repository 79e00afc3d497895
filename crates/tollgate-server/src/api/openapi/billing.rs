//! The billing routes, described. Owns: one function per route, for its attributes only.
#![expect(dead_code, reason = "the macro reads their attributes")]

use crate::api::billing::{checkout, invoices, portal, subscription};
use crate::api::error::Problem;

#[utoipa::path(
    post, path = "/api/v1/billing/checkout", tag = "billing", summary = "Buy a plan",
    description = "Replies with the session of the pending purchase when the same one is asked for \
        again; another purchase takes its place. Also at /api/v1/billing/checkout/session.",
    request_body = checkout::CheckoutIn,
    responses(
        (status = 200, description = "The session, with the address of Stripe's page", body = checkout::CheckoutOut<'static>),
        (status = 400, description = "`invalid_request`, `redirect_not_allowed`, `unknown_plan`, `plan_not_self_serve`, `interval_not_offered`, `plan_not_sold_by_unit`, `too_many_units`", body = Problem),
        (status = 401, description = "`key_missing`, `key_invalid`", body = Problem),
        (status = 403, description = "`scope_missing`, `account_forbidden`", body = Problem),
        (status = 409, description = "`already_subscribed`, `subscription_past_due`, `subscription_unpaid`, `subscription_incomplete`, `subscription_paused`, `not_managed`, `price_currency_mismatch`, `wrong_key_mode`", body = Problem),
        (status = 502, description = "`stripe_error`", body = Problem),
        (status = 503, description = "`stripe_unavailable`, `config_missing`, `billing_disabled`, `price_mapping_missing`, `missing_price_id`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn checkout() {}

#[utoipa::path(
    post, path = "/api/v1/billing/checkout/{sessionId}/sync", tag = "billing",
    summary = "Apply a session now",
    description = "For the page customers come back to: reads the session from Stripe and applies it, \
        whether or not its event has arrived. A session of another account than the key's is not found.",
    params(("sessionId" = String, Path, description = "Stripe's session, `cs_…`")),
    responses(
        (status = 200, description = "The session is applied as Stripe has it now", body = checkout::SyncOut<'static>),
        (status = 404, description = "`checkout_session_not_found`", body = Problem),
        (status = 409, description = "`wrong_key_mode`", body = Problem),
        (status = 410, description = "`checkout_session_expired`", body = Problem),
        (status = 503, description = "`stripe_unavailable`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn sync() {}

#[utoipa::path(
    post, path = "/api/v1/billing/portal", tag = "billing", summary = "A way into the customer portal",
    description = "GET with accountId and returnUrl does the same.",
    request_body = portal::PortalIn,
    responses(
        (status = 200, description = "The address of Stripe's page, good for a short while", body = portal::PortalOut<'static>),
        (status = 400, description = "`invalid_request`, `redirect_not_allowed`", body = Problem),
        (status = 404, description = "`customer_not_found`", body = Problem),
        (status = 409, description = "`not_managed`", body = Problem),
        (status = 503, description = "`stripe_unavailable`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn portal() {}

#[utoipa::path(
    get, path = "/api/v1/billing/portal", tag = "billing", summary = "The same, for a link",
    params(
        ("accountId" = String, Query, description = "The account; communityId, tenantId, userId mean the same"),
        ("returnUrl" = Option<String>, Query, description = "Where the portal leads back to; `stripe.portal_return_url` unless said"),
    ),
    responses(
        (status = 200, description = "The address of Stripe's page, good for a short while", body = portal::PortalOut<'static>),
        (status = 400, description = "`invalid_request`, `redirect_not_allowed`", body = Problem),
        (status = 404, description = "`customer_not_found`", body = Problem),
        (status = 409, description = "`not_managed`", body = Problem),
        (status = 503, description = "`stripe_unavailable`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn portal_by_get() {}

#[utoipa::path(
    get, path = "/api/v1/billing/subscription", tag = "billing",
    summary = "What an account has and pays for",
    params(
        ("accountId" = String, Query, description = "The account; communityId, tenantId, userId mean the same"),
        ("minRevision" = Option<u64>, Query, description = "From this revision or a later one"),
    ),
    responses(
        (status = 200, description = "The plan in force, its subscription and what is pending", body = subscription::SubscriptionOut),
        (status = 400, description = "`invalid_request`", body = Problem),
        (status = 503, description = "`revision_not_reached`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn subscription() {}

#[utoipa::path(
    post, path = "/api/v1/billing/subscription/change", tag = "billing", summary = "Change the plan",
    description = "`auto` takes effect at once when the total rises on the same interval, else at the \
        period end. What is not in effect yet is in pendingChange.",
    request_body = subscription::ChangeIn,
    responses(
        (status = 200, description = "The subscription after the change", body = subscription::SubscriptionOut),
        (status = 400, description = "`invalid_request`, `unknown_plan`, `plan_not_self_serve`, `interval_not_offered`, `plan_not_sold_by_unit`, `too_many_units`", body = Problem),
        (status = 402, description = "`payment_failed`", body = Problem),
        (status = 404, description = "`subscription_not_found`", body = Problem),
        (status = 409, description = "`not_managed`, `price_currency_mismatch`, `wrong_key_mode`", body = Problem),
        (status = 503, description = "`stripe_unavailable`, `price_mapping_missing`, `missing_price_id`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn change() {}

#[utoipa::path(
    post, path = "/api/v1/billing/subscription/preview", tag = "billing",
    summary = "What a change would cost",
    description = "Takes what /change takes, and changes nothing.",
    request_body = subscription::ChangeIn,
    responses(
        (status = 200, description = "Lines and totals of the change, as Stripe computes them", body = subscription::PreviewOut<'static>),
        (status = 400, description = "`invalid_request`, `unknown_plan`, `plan_not_self_serve`, `interval_not_offered`, `plan_not_sold_by_unit`, `too_many_units`", body = Problem),
        (status = 404, description = "`subscription_not_found`", body = Problem),
        (status = 409, description = "`not_managed`, `price_currency_mismatch`", body = Problem),
        (status = 503, description = "`stripe_unavailable`, `price_mapping_missing`, `missing_price_id`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn preview() {}

#[utoipa::path(
    post, path = "/api/v1/billing/subscription/cancel", tag = "billing", summary = "End the subscription",
    request_body = subscription::CancelIn,
    responses(
        (status = 200, description = "The subscription with its end", body = subscription::SubscriptionOut),
        (status = 404, description = "`subscription_not_found`", body = Problem),
        (status = 409, description = "`not_managed`", body = Problem),
        (status = 503, description = "`stripe_unavailable`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn cancel() {}

#[utoipa::path(
    post, path = "/api/v1/billing/subscription/resume", tag = "billing",
    summary = "Take an end back, or wake a paused subscription",
    request_body = subscription::ResumeIn,
    responses(
        (status = 200, description = "The subscription without its end or pause", body = subscription::SubscriptionOut),
        (status = 404, description = "`subscription_not_found`", body = Problem),
        (status = 402, description = "`payment_failed`", body = Problem),
        (status = 409, description = "`nothing_to_resume`, `not_managed`", body = Problem),
        (status = 503, description = "`stripe_unavailable`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn resume() {}

#[utoipa::path(
    get, path = "/api/v1/billing/invoices", tag = "billing", summary = "Invoices, newest first",
    params(
        ("accountId" = String, Query, description = "The account; communityId, tenantId, userId mean the same"),
        ("limit" = Option<u64>, Query, description = "1 to 100; 25 unless said"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, description = "One page of invoices", body = invoices::InvoicesOut<'static>),
        (status = 400, description = "`invalid_request`", body = Problem),
    ),
    security(("bearer" = ["billing"]), ("apiKey" = ["billing"]))
)]
pub(super) fn invoices() {}
