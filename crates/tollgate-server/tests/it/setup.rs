//! `tollgate plan diff/push/pull` and `tollgate setup stripe` against the sandbox over HTTP: what
//! they make, that a second run changes nothing, and that a run that broke off anywhere is finished.

mod push;
mod stripe;

use std::path::Path;

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::{Catalog, builtin, builtin_text};
use tollgate_sandbox::sandbox::{ApiRequest, Method, Params};
use tollgate_sandbox::server::{self, Fault, FaultRule, RunningSandbox, ServerOptions};
use tollgate_sandbox::{Sandbox, SandboxOptions};
use tollgate_server::catalog_sync::Push;
use tollgate_stripe::client::{ApiBase, ClientOptions, SecretKey};
use tollgate_stripe::shop::fetch_stock;
use tollgate_stripe::{EVENT_TYPES, StripeClient};

use crate::cli::{Ended, Place};

const KEY: &str = "sk_test_tollgate_setup_0123456789";
const HOOK: &str = "https://billing.example.com/api/v1/billing/webhook";

/// A Stripe account with nothing in it.
async fn empty_account() -> RunningSandbox {
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    let catalog = builtin("sietch").unwrap();
    let mut options = ServerOptions::standing(&catalog, now, 1);
    let nothing = SandboxOptions { now: now.unix_seconds(), ..SandboxOptions::default() };
    options.sandbox = Sandbox::new(nothing);
    server::start(options).await.unwrap()
}

/// A directory whose commands reach the account.
fn place(account: &RunningSandbox) -> Place {
    Place::with(&[("STRIPE_API_BASE", account.url()), ("STRIPE_SECRET_KEY", KEY)])
}

fn call(account: &RunningSandbox, method: Method, path: &str, form: &str) -> Value {
    let params = Params::from_form(form).unwrap();
    let reply = account.with(|sandbox| sandbox.call(&ApiRequest::new(method, path, params)));
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body
}

fn list(account: &RunningSandbox, path: &str) -> Vec<Value> {
    let body = call(account, Method::Get, path, "limit=100");
    body["data"].as_array().unwrap().clone()
}

fn happened(account: &RunningSandbox) -> usize {
    account.with(|sandbox| sandbox.happenings().len())
}

/// What is for sale, without the ids Stripe chooses.
fn for_sale(account: &RunningSandbox) -> Vec<Value> {
    let mut all: Vec<Value> = list(account, "/v1/prices")
        .into_iter()
        .map(|price| {
            json!([
                price["lookup_key"],
                price["unit_amount"],
                price["currency"],
                price["recurring"]["interval"],
                price["product"],
                price["active"],
                price["metadata"],
            ])
        })
        .collect();
    let products = list(account, "/v1/products").into_iter().map(|product| {
        json!([product["id"], product["name"], product["active"], product["metadata"]])
    });
    all.extend(products);
    all.sort_by_key(ToString::to_string);
    all
}

fn own_catalog(place: &Place, from: &str, to: &str) {
    let text = builtin_text("saas").unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(place.path().join("catalog.toml"), text.replacen(from, to, 1)).unwrap();
}

fn settled(place: &Place, options: &str) -> Ended {
    let ended = place.run(&format!("plan diff --json {options}"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json()["settled"], true);
    ended
}
