//! The account over the API. Owns: what it says of itself. Must not know: what happens in it.

use serde_json::{Value, json};

use super::Sandbox;
use super::error::ApiError;
use super::route::{Call, Route};

pub(super) const ROUTES: &[Route] =
    &[Route::get("/v1/account", retrieve), Route::get("/v1/accounts/{account}", retrieve)];

/// The account itself, by its id or without.
fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    if !call.id().is_empty() && call.id() != sandbox.world.account {
        let message = format!(
            "The provided key does not have access to account '{}' (or that account does not \
             exist). Application access may have been revoked.",
            call.id()
        );
        let error = ApiError::invalid(message).code("account_invalid");
        return Err(ApiError { status: 403, ..error });
    }
    Ok(show(&sandbox.world.account))
}

fn show(id: &str) -> Value {
    json!({
        "id": id, "object": "account",
        "business_profile": {
            "mcc": null, "name": "Arrakis Trading", "product_description": null,
            "support_email": null, "support_phone": null, "support_url": null, "url": null,
        },
        "business_type": null, "charges_enabled": true, "country": "US",
        "default_currency": "usd", "details_submitted": true, "email": "owner@arrakis.example",
        "metadata": {}, "payouts_enabled": true,
        "settings": {
            "dashboard": {"display_name": "Arrakis Trading", "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": "ARRAKIS TRADING"},
        },
        "type": "standard",
    })
}
