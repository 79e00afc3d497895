//! `GET /openapi.json`. Owns: the description of the interface, from the types that make it.

mod billing;
mod closed_sets;
mod refusals;

use axum::response::Response;
use bytes::Bytes;
use utoipa::OpenApi;

use self::closed_sets::ClosedSets;
use self::refusals::Refusals;
use super::{
    admin, billing as api_billing, checks, entitlements, error, health, plans, reply, timeline,
    webhooks,
};

/// The description of every public route.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Tollgate",
        description = "Billing and entitlements for Stripe: may this account use this feature now, \
            how much of it, and why?",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        routes::check, routes::batch, routes::entitlements, routes::timeline, routes::plans,
        routes::features, routes::webhook, routes::catalog_plan, routes::duplicates, routes::resolve_duplicates, routes::set_email, routes::findings, routes::reconcile, routes::reconcile_runs, routes::relink, routes::live, routes::ready,
        routes::health, routes::security_txt,
        billing::checkout, billing::sync, billing::portal, billing::portal_by_get, billing::subscription, billing::change,
        billing::preview, billing::cancel, billing::resume, billing::invoices,
    ),
    components(schemas(
        checks::CheckIn<'static>, checks::CheckOut<'static>, checks::BatchIn<'static>,
        entitlements::EntitlementsOut<'static>, timeline::TimelineOut<'static>,
        plans::PlansOut<'static>, plans::FeaturesOut<'static>, webhooks::WebhookOut<'static>,
        admin::catalog::ProposalIn, admin::catalog::WhatIfOut<'static>,
        admin::duplicates::DuplicatesOut, admin::duplicates::ResolveIn,
        admin::duplicates::ResolvedOut, admin::email::EmailIn, admin::email::EmailOut, admin::findings::FindingsOut, admin::relink::RelinkIn, admin::relink::RelinkOut, admin::reconcile::OrderIn, admin::reconcile::BegunOut, admin::reconcile::RunsOut, health::Health,
        error::Problem,
        api_billing::checkout::CheckoutIn, api_billing::checkout::CheckoutOut<'static>,
        api_billing::checkout::SyncOut<'static>, api_billing::portal::PortalIn,
        api_billing::portal::PortalOut<'static>, api_billing::subscription::SubscriptionOut,
        api_billing::subscription::ChangeIn, api_billing::subscription::CancelIn,
        api_billing::subscription::ResumeIn, api_billing::subscription::PreviewOut<'static>,
        api_billing::invoices::InvoicesOut<'static>,
    )),
    servers((url = "/", description = "This engine")),
    modifiers(&Keys, &Refusals, &ClosedSets),
    tags(
        (name = "checks", description = "May this account use this feature?"),
        (name = "catalog", description = "What can be had"),
        (name = "billing", description = "Buy, change and end, with Stripe"),
        (name = "webhooks", description = "What Stripe sends"),
        (name = "admin", description = "For operators"),
        (name = "health", description = "How the engine is"),
        (name = "security", description = "Whom to tell of a weakness"),
    )
)]
pub struct Document;

/// What a batch is answered with; it is put together without this type.
#[derive(utoipa::ToSchema)]
#[schema(as = FeatureCheckBatchResult)]
#[expect(dead_code, reason = "the macro reads its fields")]
struct BatchOut {
    /// An answer for each check, in their order.
    results: Vec<checks::CheckOut<'static>>,
}

/// The two ways to send a key.
struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::SecurityScheme;
        use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder};
        let components = document.components.get_or_insert_with(Default::default);
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("tg_…").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("apiKey", SecurityScheme::ApiKey(header));
    }
}

/// The document as JSON text.
pub fn text() -> String {
    Document::openapi().to_pretty_json().unwrap_or_default()
}

/// `GET /openapi.json`
pub async fn document() -> Response {
    static TEXT: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| text().into());
    reply::json(TEXT.clone())
}

/// One function per route, for its description only; the handlers take raw requests, so that the
/// hot ones pay for nothing they do not use.
#[expect(dead_code, reason = "the macro reads their attributes")]
mod routes {
    use super::{BatchOut, admin, checks, entitlements, error, health, plans, timeline, webhooks};

    #[utoipa::path(
        post, path = "/api/v1/feature-check", tag = "checks", summary = "Ask about one feature",
        description = "Also at /api/v1/check.",
        request_body = checks::CheckIn<'static>,
        responses(
            (status = 200, description = "The answer, with its reason and until when it holds", body = checks::CheckOut<'static>),
            (status = 400, description = "`invalid_request`, `invalid_json`, `unknown_feature`, `feature_not_metered`", body = error::Problem),
            (status = 401, description = "`key_missing`, `key_invalid`", body = error::Problem),
            (status = 403, description = "`scope_missing`, `account_forbidden`", body = error::Problem),
            (status = 429, description = "`rate_limited`", body = error::Problem),
            (status = 503, description = "`revision_not_reached`, `database_unavailable`", body = error::Problem),
        ),
        security(("bearer" = ["check"]), ("apiKey" = ["check"]))
    )]
    fn check() {}

    #[utoipa::path(
        post, path = "/api/v1/feature-check/batch", tag = "checks",
        summary = "Ask about up to 100 features; replies `{results: []}` in order",
        request_body = checks::BatchIn<'static>,
        responses(
            (status = 200, description = "The answers, in the order of the checks", body = BatchOut),
            (status = 400, body = error::Problem, description = "The faulty check is named: `invalid_request`, `unknown_feature`, `feature_not_metered`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 503, body = error::Problem, description = "`revision_not_reached`"),
        ),
        security(("bearer" = ["check"]), ("apiKey" = ["check"]))
    )]
    fn batch() {}

    #[utoipa::path(
        get, path = "/api/v1/entitlements", tag = "checks", summary = "Everything an account may",
        params(
            ("accountId" = String, Query, description = "The account; communityId, tenantId, userId mean the same"),
            ("at" = Option<String>, Query, description = "As of this instant, RFC 3339"),
            ("minRevision" = Option<u64>, Query, description = "From this revision or a later one"),
            ("explain" = Option<bool>, Query, description = "Say what was considered"),
            ("If-None-Match" = Option<String>, Header, description = "Entity tag of a known answer"),
        ),
        responses(
            (status = 200, description = "Plan, features and limits of the account at the instant asked for", body = entitlements::EntitlementsOut<'static>, headers(("ETag" = String))),
            (status = 304, description = "The answer is the known one"),
            (status = 400, body = error::Problem, description = "`invalid_request`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 503, body = error::Problem, description = "`revision_not_reached`"),
        ),
        security(("bearer" = ["check"]), ("apiKey" = ["check"]))
    )]
    fn entitlements() {}

    #[utoipa::path(
        get, path = "/api/v1/accounts/{id}/timeline", tag = "checks",
        summary = "The plan in each span of time, past and forecast",
        params(
            ("id" = String, Path, description = "The account"),
            ("from" = Option<String>, Query, description = "First instant; 30 days ago unless said"),
            ("to" = Option<String>, Query, description = "Instant after the last; in 30 days unless said"),
        ),
        responses(
            (status = 200, description = "The spans in order, without gaps; those after `now` are a forecast", body = timeline::TimelineOut<'static>),
            (status = 400, body = error::Problem, description = "`invalid_request`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
        ),
        security(("bearer" = ["check"]), ("apiKey" = ["check"]))
    )]
    fn timeline() {}

    #[utoipa::path(
        get, path = "/api/v1/plans", tag = "catalog", summary = "All plans",
        responses(
            (status = 200, description = "Every plan of the catalog, the lowest first", body = plans::PlansOut<'static>),
            (status = 429, body = error::Problem, description = "`rate_limited`"),
        )
    )]
    fn plans() {}

    #[utoipa::path(
        get, path = "/api/v1/features", tag = "catalog", summary = "All features",
        responses(
            (status = 200, description = "Every feature of the catalog", body = plans::FeaturesOut<'static>),
            (status = 429, body = error::Problem, description = "`rate_limited`"),
        )
    )]
    fn features() {}

    #[utoipa::path(
        post, path = "/api/v1/billing/webhook", tag = "webhooks", summary = "Take one Stripe event in",
        description = "A 200 means that the event is committed. Also at /api/billing/webhook, \
            /api/v1/stripe/webhook, /api/webhooks/stripe and /webhooks/stripe.",
        params(("Stripe-Signature" = String, Header, description = "t=…,v1=…")),
        request_body(content = String, content_type = "application/json"),
        responses(
            (status = 200, description = "The event is committed; the status says what became of it", body = webhooks::WebhookOut<'static>),
            (status = 400, body = error::Problem, description = "`invalid_signature`"),
            (status = 413, body = error::Problem, description = "`body_too_large`"),
            (status = 429, body = error::Problem, description = "`rate_limited`: too many without a right signature"),
            (status = 503, body = error::Problem, description = "`not_committed`, `webhook_not_configured`"),
            (status = 415, body = error::Problem, description = "`unsupported_encoding`"),
        )
    )]
    fn webhook() {}

    #[utoipa::path(
        get, path = "/admin/duplicates", tag = "admin",
        summary = "Accounts with two live subscriptions that give plans",
        responses(
            (status = 200, description = "The accounts, each with its subscriptions", body = admin::duplicates::DuplicatesOut),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`"),
        ),
        security(("bearer" = ["admin:read"]), ("apiKey" = ["admin:read"]))
    )]
    fn duplicates() {}

    #[utoipa::path(
        post, path = "/admin/duplicates/{accountId}/resolve", tag = "admin",
        summary = "End all subscriptions of an account that give plans but one",
        description = "With dryRun it says what would be ended and what is unused of each.",
        params(("accountId" = String, Path, description = "The account")),
        request_body = admin::duplicates::ResolveIn,
        responses(
            (status = 200, description = "What was ended, or with dryRun would be", body = admin::duplicates::ResolvedOut),
            (status = 400, body = error::Problem, description = "`invalid_request`, `invalid_json`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`, `account_forbidden`"),
            (status = 404, body = error::Problem, description = "`subscription_not_found`: none of them is `keep`"),
            (status = 503, body = error::Problem, description = "`config_missing`, `stripe_unavailable`"),
        ),
        security(("bearer" = ["admin"]), ("apiKey" = ["admin"]))
    )]
    fn resolve_duplicates() {}

    #[utoipa::path(
        get, path = "/admin/findings", tag = "admin",
        summary = "What an operator must hear of",
        description = "Paid and granting nothing, contradictory, stale, given up. A finding closes by \
            itself when its cause is gone.",
        params(
            ("code" = Option<String>, Query, description = "Of this code only"),
            ("accountId" = Option<String>, Query, description = "Of this account only"),
            ("state" = Option<String>, Query, description = "`open` (unless said), `closed` or `all`"),
            ("limit" = Option<u64>, Query, description = "1 to 100; 25 unless said"),
            ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ),
        responses(
            (status = 200, description = "One page of findings, the newest first", body = admin::findings::FindingsOut),
            (status = 400, body = error::Problem, description = "`invalid_request`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`, `account_forbidden`"),
        ),
        security(("bearer" = ["admin:read"]), ("apiKey" = ["admin:read"]))
    )]
    fn findings() {}

    #[utoipa::path(
        put, path = "/admin/accounts/{id}/email", tag = "admin",
        summary = "Set the verified e-mail of an account",
        description = "A customer nobody claims belongs to the one account with its e-mail, where \
            `identity.match_email` is on. Set only addresses whose owner has proved them. An account \
            that is not known yet begins with this. The journal says that it changed, not to what.",
        params(("id" = String, Path, description = "The account")),
        request_body = admin::email::EmailIn,
        responses(
            (status = 200, description = "The e-mail as it is now", body = admin::email::EmailOut),
            (status = 400, body = error::Problem, description = "`invalid_request`, `invalid_json`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`, `account_forbidden`"),
        ),
        security(("bearer" = ["admin"]), ("apiKey" = ["admin"]))
    )]
    fn set_email() {}

    #[utoipa::path(
        post, path = "/admin/relink", tag = "admin", summary = "Give a Stripe object to an account",
        description = "With all that belongs to it: a subscription with its sessions, invoices, \
            payments and refunds; a customer with what the account it leaves has of it. Written to \
            both accounts' journals. Later claims and replays of old events do not move it back.",
        request_body = admin::relink::RelinkIn,
        responses(
            (status = 200, description = "The object and the accounts it left and joined", body = admin::relink::RelinkOut),
            (status = 400, body = error::Problem, description = "`invalid_request`, `invalid_json`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`"),
            (status = 404, body = error::Problem, description = "`object_unknown`"),
        ),
        security(("bearer" = ["admin"]), ("apiKey" = ["admin"]))
    )]
    fn relink() {}

    #[utoipa::path(
        post, path = "/admin/reconcile", tag = "admin", summary = "Compare with Stripe",
        description = "Brings in events that never came, then compares every object and repairs what \
            differs (not with dryRun). Goes on after the reply. Own facts are never touched.",
        request_body = admin::reconcile::OrderIn,
        responses(
            (status = 202, description = "The comparison has begun", body = admin::reconcile::BegunOut),
            (status = 400, body = error::Problem, description = "`invalid_request`, `invalid_json`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`"),
            (status = 409, body = error::Problem, description = "`reconciliation_running`"),
            (status = 503, body = error::Problem, description = "`stripe_not_configured`, `stripe_unavailable`"),
        ),
        security(("bearer" = ["admin"]), ("apiKey" = ["admin"]))
    )]
    fn reconcile() {}

    #[utoipa::path(
        get, path = "/admin/reconcile/runs", tag = "admin",
        summary = "Comparisons with Stripe and what they found, the newest first",
        params(
            ("limit" = Option<u64>, Query, description = "1 to 100; 20 unless said"),
            ("before" = Option<String>, Query, description = "Those that began before this instant"),
        ),
        responses(
            (status = 200, description = "One page of comparisons", body = admin::reconcile::RunsOut),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`"),
        ),
        security(("bearer" = ["admin:read"]), ("apiKey" = ["admin:read"]))
    )]
    fn reconcile_runs() {}

    #[utoipa::path(
        post, path = "/admin/catalog/plan", tag = "admin",
        summary = "What a proposed catalog would do to every account",
        description = "Who gains, who loses, who would be over a limit. The body is JSON, or (as \
            application/toml) the text of the catalog with at, samples and cursor in the query. Nothing \
            is changed. With very many accounts a reply covers those it had time for, and nextCursor \
            leads to the rest.",
        request_body = admin::catalog::ProposalIn,
        responses(
            (status = 200, description = "Who gains, who loses, who would be over a limit", body = admin::catalog::WhatIfOut<'static>),
            (status = 400, body = error::Problem, description = "`invalid_catalog` with every fault, `invalid_request`, `invalid_json`"),
            (status = 401, body = error::Problem, description = "`key_missing`, `key_invalid`"),
            (status = 403, body = error::Problem, description = "`scope_missing`"),
            (status = 429, body = error::Problem, description = "`rate_limited`"),
        ),
        security(("bearer" = ["admin:read"]), ("apiKey" = ["admin:read"]))
    )]
    fn catalog_plan() {}

    #[utoipa::path(
        get, path = "/livez", tag = "health", summary = "The process answers",
        responses((status = 200, description = "It does"))
    )]
    fn live() {}

    #[utoipa::path(
        get, path = "/readyz", tag = "health", summary = "The engine can take requests",
        responses((status = 200, description = "It can, or not yet: the components say why", body = health::Health), (status = 503, description = "It cannot: the components say why", body = health::Health))
    )]
    fn ready() {}

    #[utoipa::path(
        get, path = "/health", tag = "health", summary = "How every component stands",
        responses(
            (status = 200, description = "Every component works, or the engine answers without one of them", body = health::Health),
            (status = 429, body = error::Problem, description = "`rate_limited`"),
            (status = 503, description = "The engine cannot answer", body = health::Health),
        )
    )]
    fn health() {}

    #[utoipa::path(
        get, path = "/.well-known/security.txt", tag = "security", summary = "Whom to tell of a weakness",
        description = "RFC 9116. It is there when `server.security_contact` is set.",
        responses(
            (status = 200, description = "Contact, Expires and perhaps Policy, a line each", body = String, content_type = "text/plain"),
            (status = 404, body = error::Problem, description = "`not_found`"),
        )
    )]
    fn security_txt() {}
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every `$ref` of a part of the document.
    fn references<'d>(part: &'d Value, found: &mut Vec<&'d str>) {
        match part {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_answer_is_described_and_every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(&text()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut ids = std::collections::BTreeSet::new();
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id), "{id} is there twice");
                for (status, response) in operation["responses"].as_object().expect("responses") {
                    let description = response["description"].as_str().unwrap_or_default();
                    assert!(!description.is_empty(), "{method} {path}: {status}");
                }
                let named = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                for name in named {
                    let is_there =
                        parameters.iter().any(|one| one["name"] == name && one["in"] == "path");
                    assert!(is_there, "{method} {path}: {name}");
                }
            }
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let place = reference.strip_prefix('#').expect("a place in this document");
            assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
        }
    }
}
