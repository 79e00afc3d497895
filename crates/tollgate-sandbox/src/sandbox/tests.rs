//! Tests of the stand-in. Owns: calling it as a client does. One file per resource below.

use serde_json::Value;

use super::{ApiReply, ApiRequest, Method, Params, Sandbox, SandboxOptions};
use crate::version::ApiVersion;

mod adjustments;
mod calls;
mod catalog;
mod clocks;
mod customers;
mod destinations;
mod entitlements;
mod hostile;
mod invoices;
mod payments;
mod portal;
mod schedules;
mod sessions;
mod setup;
mod subscription_changes;
mod subscriptions;
mod time;

/// When the tests begin: 2026-11-02T10:00:00Z.
pub(super) const START: i64 = 1_793_613_600;

/// An account with the products and prices of a catalog.
pub(super) fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(SandboxOptions { now: START, ..SandboxOptions::default() });
    sandbox.stock(&catalog());
    sandbox
}

pub(super) fn catalog() -> tollgate_domain::Catalog {
    let catalog = tollgate_domain::catalog::builtin("sietch").unwrap();
    let prices = crate::sandbox_price_map(&catalog);
    catalog.with_prices(&prices).unwrap()
}

/// A request by its line (`POST /v1/customers`) and its form.
pub(super) fn request(line: &str, form: &str) -> ApiRequest {
    let (method, path) = line.split_once(' ').unwrap();
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        other => panic!("{other}"),
    };
    ApiRequest::new(method, path, Params::from_form(form).unwrap())
}

/// Calls and gives the body of the reply, which must be 200.
pub(super) fn ok(sandbox: &mut Sandbox, line: &str, form: &str) -> Value {
    let reply = sandbox.call(&request(line, form));
    assert_eq!(reply.status, 200, "{line} {form}: {:#}", reply.body);
    reply.body
}

/// Calls in a version and gives the body of the reply, which must be 200.
pub(super) fn ok_in(sandbox: &mut Sandbox, version: ApiVersion, line: &str, form: &str) -> Value {
    let reply = sandbox.call(&ApiRequest { version: Some(version), ..request(line, form) });
    assert_eq!(reply.status, 200, "{line} {form}: {:#}", reply.body);
    reply.body
}

/// Calls, must be refused, and gives status and `code/param` (without code: the type).
pub(super) fn refused(sandbox: &mut Sandbox, line: &str, form: &str) -> (u16, String) {
    let before = (sandbox.world.happenings.len(), sandbox.world.now);
    let reply = sandbox.call(&request(line, form));
    assert_eq!(before, (sandbox.world.happenings.len(), sandbox.world.now), "{line}: it acted");
    (reply.status, fault(&reply))
}

/// `code/param` of a refusal.
pub(super) fn fault(reply: &ApiReply) -> String {
    let error = &reply.body["error"];
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    let code = error["code"].as_str().or_else(|| error["type"].as_str()).unwrap();
    format!("{code}/{}", error["param"].as_str().unwrap_or_default())
}

/// The text at a path such as `items.data.0.id`.
pub(super) fn text(value: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(value, |value, part| match part.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(part),
    });
    found
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {path}: {value:#}"))
        .to_owned()
}

/// The ids in a list.
pub(super) fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|one| text(one, "id")).collect()
}

/// The types of the events since there were `from`.
pub(super) fn kinds(sandbox: &Sandbox, from: usize) -> Vec<&'static str> {
    sandbox.happenings()[from..].iter().map(super::Happening::kind).collect()
}
