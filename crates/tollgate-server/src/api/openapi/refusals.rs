//! What every route of a kind may refuse with, described. Owns: adding these codes to the routes'
//! own. Must not know: any single route.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response};

/// Status and codes.
type Codes = (&'static str, &'static [&'static str]);

/// Of every route but those of health.
const ANY: &[Codes] = &[("500", &["internal"]), ("503", &["stopping", "timeout"])];
/// Of routes for callers, whose number is limited.
const CALLED: &[Codes] = &[("400", &["invalid_request"]), ("429", &["rate_limited"])];
/// Of routes that need a key.
const KEYED: &[Codes] = &[
    ("401", &["key_missing", "key_invalid"]),
    ("403", &["scope_missing", "account_forbidden"]),
    ("503", &["database_unavailable"]),
];
/// Of routes that take a JSON body.
const WITH_BODY: &[Codes] = &[("400", &["invalid_json"]), ("413", &["body_too_large"])];
/// Of routes that sell, change or end at Stripe.
const SELLING: &[Codes] = &[
    ("409", &["wrong_key_mode", "connected_account"]),
    ("502", &["stripe_error"]),
    ("503", &["billing_disabled", "config_missing", "stripe_unavailable", "billing_contended"]),
];
/// Of routes that need Stripe's API key.
const WITH_KEY_OF_STRIPE: &[Codes] =
    &[("503", &["stripe_wrong_account", "stripe_wrong_mode", "stripe_account_unproven"])];

/// Completes every route's refusals.
pub(super) struct Refusals;

impl utoipa::Modify for Refusals {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                for codes in due(path, operation) {
                    add(operation, codes);
                }
            }
        }
    }
}

/// What a route may refuse with beside what its own description says.
fn due(path: &str, operation: &Operation) -> Vec<Codes> {
    let is = |tag: &str| operation.tags.iter().flatten().any(|known| known == tag);
    if is("health") {
        return Vec::new();
    }
    let mut due = ANY.to_vec();
    if !is("webhooks") {
        due.extend(CALLED);
        due.extend(WITH_BODY.iter().filter(|_| operation.request_body.is_some()));
    }
    due.extend(KEYED.iter().filter(|_| operation.security.is_some()));
    let sells = is("billing") || path.starts_with("/admin/duplicates/");
    due.extend(SELLING.iter().filter(|_| sells));
    due.extend(WITH_KEY_OF_STRIPE.iter().filter(|_| sells || path == "/admin/reconcile"));
    due
}

fn add(operation: &mut Operation, (status, codes): Codes) {
    let known = operation.responses.responses.entry(status.to_owned());
    let response = known.or_insert_with(|| {
        let problem = RefOr::T(Content::new(Some(Ref::from_schema_name("Problem"))));
        let mut response = Response::new("");
        response.content.insert("application/json".to_owned(), problem);
        RefOr::T(response)
    });
    let RefOr::T(response) = response else { return };
    for code in codes {
        let code = format!("`{code}`");
        if !response.description.contains(&code) {
            let joint = if response.description.is_empty() { "" } else { ", " };
            response.description = format!("{}{joint}{code}", response.description);
        }
    }
}
