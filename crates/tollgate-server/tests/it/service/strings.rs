//! Strings that mean something to a database, a terminal or a parser, in every text that a caller or Stripe
//! can give: they are kept byte for byte or refused, and nothing fails.
//!
//! The fields are those of the OpenAPI document, so a new one is tried without being added here.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::StripeEvent;
use tollgate_server::scope::Scope;
use tollgate_store::inbox::{self, EventFilter, EventStatus};
use tollgate_store::journal::{self, JournalFilter};

use super::billing::shop::{CANCEL, SUCCESS, Shop};
use crate::cli::Place;
use crate::support::{Answer, Settings, TestApp, TestDatabase, on_both};

/// What is put everywhere.
const HOSTILE: [&str; 20] = [
    "'",
    "x'; DROP TABLE accounts; --",
    "a' OR '1'='1",
    "\"",
    "\\",
    "\\' OR 1=1 /*",
    "%",
    "_",
    "$1",
    "?1 :name @x",
    "\0",
    "before\0after",
    "line\r\nX-Second: line",
    "\u{202e}gpj.exe\u{2066}",
    "\u{feff}\u{200b}e\u{301}",
    "\u{1d54f}\u{1f600}\u{10ffff}",
    "\u{fffe}\u{ffff}",
    "</script>{{7*7}}${x}",
    "NULL",
    "",
];

/// A value that is taken, for a field that has to be there.
fn sample(field: &str) -> Value {
    match field {
        "accountId" | "id" => json!("acme"),
        "objectId" => json!("sub_1"),
        "sessionId" => json!("cs_test_1"),
        "reason" => json!("ten characters"),
        "tier" => json!("premium"),
        "successUrl" => json!(SUCCESS),
        "cancelUrl" => json!(CANCEL),
        "addOn" => json!("badge"),
        "feature" => json!("weekly_digest"),
        "catalog" => json!(""),
        "email" => json!("ann@example.com"),
        "checks" => json!([{"accountId": "acme", "feature": "weekly_digest"}]),
        "addOns" => json!([{}]),
        "Stripe-Signature" => json!("t=1,v1=0"),
        _ => panic!("no sample of `{field}`: add one"),
    }
}

/// A schema with its references followed.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let parts = ["oneOf", "allOf"].iter().find_map(|key| schema[*key].as_array());
    let named = |one: &&Value| one.get("$ref").is_some();
    let schema = parts.and_then(|parts| parts.iter().find(named)).unwrap_or(schema);
    match schema["$ref"].as_str() {
        Some(path) => &document[path_of(path)[0]][path_of(path)[1]][path_of(path)[2]],
        None => schema,
    }
}

fn path_of(reference: &str) -> [&str; 3] {
    let mut parts = reference.trim_start_matches("#/").splitn(3, '/');
    [(); 3].map(|()| parts.next().expect("components/schemas/NAME"))
}

fn is_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(known) => known == name,
        Value::Array(known) => known.iter().any(|known| known == name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// The bodies of a schema with a text in each place that takes one, and where it is.
fn bodies(document: &Value, schema: &Value, text: &str) -> Vec<(String, Value)> {
    let schema = resolved(document, schema);
    let fields = schema["properties"].as_object().expect("an object");
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let base: serde_json::Map<String, Value> =
        required.iter().map(|name| ((*name).to_owned(), sample(name))).collect();
    let mut made = Vec::new();
    for (name, field) in fields {
        let mut with = |place: String, value: Value| {
            let mut body = base.clone();
            body.insert(name.clone(), value);
            made.push((place, Value::Object(body)));
        };
        if is_type(field, "string") {
            with(name.clone(), json!(text));
        } else if is_type(field, "array") {
            let items = resolved(document, &field["items"]);
            if is_type(items, "string") {
                with(format!("{name}[0]"), json!([text]));
            } else {
                for (inside, item) in bodies(document, items, text) {
                    with(format!("{name}[0].{inside}"), json!([item]));
                }
            }
        }
    }
    // A name that nobody knows is a text of the caller's too.
    let mut unknown = base;
    unknown.insert(format!("field{text}"), json!(1));
    made.push(("a name".to_owned(), Value::Object(unknown)));
    made
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |done, byte| format!("{done}%{byte:02X}"))
}

/// One request with a text in one place.
pub(super) struct Attempt {
    pub(super) place: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// Every place of a route that takes a text, with it.
pub(super) fn attempts(
    document: &Value,
    path: &str,
    operation: &Value,
    text: &str,
) -> Vec<Attempt> {
    let none = Vec::new();
    let parameters = operation["parameters"].as_array().unwrap_or(&none);
    let schema = operation.pointer("/requestBody/content/application~1json/schema");
    let schema = schema.filter(|schema| !is_type(schema, "string"));
    // The request without anything that does not have to be there, and one place with the text.
    let request = |chosen: Option<&str>| {
        let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), Vec::new());
        for parameter in parameters {
            let name = parameter["name"].as_str().expect("a name");
            let here = chosen == Some(name);
            if !here && parameter["required"] != json!(true) {
                continue;
            }
            let value = if here {
                text.to_owned()
            } else {
                sample(name).as_str().expect("text").to_owned()
            };
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &encoded(&value)),
                Some("query") => query.push(format!("{name}={}", encoded(&value))),
                _ => headers.push((name.to_lowercase(), value)),
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        (path, headers)
    };
    let plain_body = || match schema {
        Some(schema) => bodies(document, schema, "")
            .pop()
            .map(|(_, body)| strip_unknown(body).to_string())
            .unwrap_or_default(),
        None => String::new(),
    };
    let mut made = Vec::new();
    for parameter in parameters {
        let name = parameter["name"].as_str().expect("a name");
        let (path, headers) = request(Some(name));
        // What no client can send as a header never arrives.
        if headers.iter().all(|(_, value)| http::HeaderValue::from_str(value).is_ok()) {
            made.push(Attempt { place: name.to_owned(), path, headers, body: plain_body() });
        }
    }
    if let Some(schema) = schema {
        for (place, body) in bodies(document, schema, text) {
            let (path, headers) = request(None);
            made.push(Attempt { place, path, headers, body: body.to_string() });
        }
    }
    made
}

fn strip_unknown(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !name.starts_with("field"));
    }
    body
}

/// Stripe's own refusal of what we passed on is one, whatever status says so.
fn is_refused_or_done(answer: &Answer) -> bool {
    answer.status < 500 || (answer.status == 502 && answer.field("code") == "stripe_error")
}

on_both! {
    async fn every_text_of_the_api_is_taken_or_refused_and_nothing_fails(database: &TestDatabase) {
        let no_limit = |name: &str| (format!("TOLLGATE__RATE__{name}_PER_MIN"), "none".to_owned());
        let environment = ["ADMIN", "PUBLIC", "CHECK"].map(no_limit);
        let shop = Shop::open_with(database, environment.into()).await;
        let app = &shop.app;
        let key = app.make_key(&[Scope::Check, Scope::Billing, Scope::Admin], None).await;
        let document = app.request("GET", "/openapi.json", &[], "").await.json();
        let mut tried = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                for text in HOSTILE {
                    for attempt in attempts(&document, path, operation, text) {
                        let mut headers = vec![("x-api-key", key.as_str())];
                        headers.push(("content-type", "application/json"));
                        let own = attempt.headers.iter();
                        headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
                        let method = method.to_uppercase();
                        let answer = app.request(&method, &attempt.path, &headers, attempt.body).await;
                        assert!(
                            is_refused_or_done(&answer),
                            "{method} {path}, {} = {text:?}: {} {}",
                            attempt.place,
                            answer.status,
                            answer.text
                        );
                        tried.insert(format!("{method} {path} {}", attempt.place));
                    }
                }
            }
        }
        for place in [
            "PUT /admin/accounts/{id}/email email",
            "PUT /admin/accounts/{id}/email id",
            "POST /admin/relink reason",
            "GET /admin/findings cursor",
            "POST /api/v1/billing/checkout addOns[0].addOn",
            "POST /api/v1/feature-check/batch checks[0].feature",
            "POST /api/v1/billing/webhook Stripe-Signature",
        ] {
            assert!(tried.contains(place), "{place} is not among {tried:#?}");
        }
        assert_eq!(app.request("GET", "/readyz", &[], "").await.status, 200, "every table is there");
        shop.close().await;
    }

    async fn what_people_say_is_kept_byte_for_byte_or_refused(database: &TestDatabase) {
        let environment = vec![("TOLLGATE__RATE__ADMIN_PER_MIN".into(), "none".into())];
        let app = TestApp::start_with(database, Settings { environment, ..Settings::default() }).await;
        let key = app.make_key(&[Scope::Admin], None).await;
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
        let events = app.scenario("checkout", "acme");
        app.deliver_all(&events).await;
        let object = texts_of(&events).into_iter().find(|text| text.starts_with("sub_"));
        let object = object.expect("a subscription");
        let mut kept = BTreeSet::new();
        for (number, text) in (0_usize..).zip(HOSTILE) {
            let account = format!("reader{number}");
            let email = format!("ann{text}@example.com");
            let path = format!("/admin/accounts/{account}/email");
            let body = json!({"email": email}).to_string();
            let answer = app.request("PUT", &path, &headers, body).await;
            match answer.status {
                200 => assert_eq!(answer.json()["email"], json!(email)),
                other => assert_eq!(other, 400, "{text:?}: {}", answer.text),
            }
            let reason = format!("because {text} was said");
            let order = json!({"accountId": account, "objectId": object, "reason": reason});
            let answer = app.request("POST", "/admin/relink", &headers, order.to_string()).await;
            if answer.status == 400 {
                continue;
            }
            assert_eq!(answer.status, 200, "{text:?}: {}", answer.text);
            let account = Some(AccountId::parse(&account).expect("an id"));
            let filter = JournalFilter { account, ..JournalFilter::default() };
            let rows = journal::list(&app.app().engine.db, &filter, None, 100).await;
            let rows = rows.expect("a journal").0;
            let details = rows.iter().flat_map(|row| &row.details);
            assert_eq!(details.filter(|(_, value)| *value == reason).count(), 1, "{rows:#?}");
            kept.insert(text);
        }
        // Marks of SQL and of JSON are text like any other.
        for text in ["'", "x'; DROP TABLE accounts; --", "\\", "\"", "%", "_", "$1"] {
            assert!(kept.contains(text), "{text:?} is refused");
        }
        app.stop().await;
    }

    async fn whatever_stripe_says_in_any_text_is_taken_and_kept_byte_for_byte(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let place = Place::on(database);
        let mut sent: Vec<(String, String)> = Vec::new();
        // Events of one kind of object are read alike.
        let mut tried = BTreeSet::new();
        for scenario in ["checkout", "cancel"] {
            let events = app.scenario(scenario, "acme");
            app.deliver_all(&events).await;
            for event in &events {
                let event: Value = serde_json::from_str(&event.body).expect("JSON");
                let mut leaves = Vec::new();
                pointers(&event, String::new(), &mut leaves);
                let object = event["data"]["object"]["object"].to_string();
                leaves.retain(|pointer| pointer != "/id" && tried.insert((object.clone(), pointer.clone())));
                for pointer in &leaves {
                    for text in ["before\0after", HOSTILE[sent.len() % HOSTILE.len()]] {
                        let id = format!("evt_hostile_{}", sent.len());
                        let mut event = event.clone();
                        event["id"] = json!(id);
                        *event.pointer_mut(pointer).expect("a leaf") = json!(text);
                        let body = event.to_string();
                        let answer = app.deliver(&body).await;
                        let case = format!("{pointer} of {} = {text:?}", event["type"]);
                        assert_eq!(answer.status, 200, "{case}: {}", answer.text);
                        // Without a usable type or version it is no event, and kept under another id.
                        sent.push((answer.field("eventId"), body));
                    }
                }
            }
        }
        // An event fails where a field holds what it cannot, never because a statement was refused.
        for status in [EventStatus::Failed, EventStatus::Dead] {
            let filter = EventFilter { status: Some(status), ..EventFilter::default() };
            let rows = inbox::list(&app.app().engine.db, &filter, None, 10_000).await;
            for row in rows.expect("the inbox is read").0 {
                let reason = row.outcome.reason.expect("a reason");
                let known = [" is garbled", " is missing", "no event: "];
                assert!(known.iter().any(|part| reason.contains(part)), "{}: {reason}", row.event_type);
            }
        }
        assert!(sent.len() > 200, "{} events", sent.len());
        // One of each string.
        for (id, body) in sent.iter().step_by(sent.len() / HOSTILE.len() - 1) {
            let mut command = place.command("events show --raw");
            let shown = command.arg(id).output().expect("it runs");
            assert!(shown.status.success(), "{id} of {body}: {shown:?}");
            let shown = String::from_utf8(shown.stdout).expect("text");
            assert_eq!(shown.trim_end_matches('\n'), body);
        }
        assert_eq!(app.request("GET", "/readyz", &[], "").await.status, 200);
        app.stop().await;
    }

    async fn every_text_of_the_command_line_is_taken_or_refused_and_nothing_fails(database: &TestDatabase) {
        let place = Place::on(database);
        place.done("migrate up");
        let commands: [(&[&str], &[&str]); 20] = [
            (&["check"], &["weekly_digest"]),
            (&["check", "acme"], &[]),
            (&["why"], &[]),
            (&["why", "acme"], &[]),
            (&["timeline"], &[]),
            (&["events", "list", "--type"], &[]),
            (&["events", "list", "--account"], &[]),
            (&["events", "list", "--cursor"], &[]),
            (&["events", "show"], &[]),
            (&["events", "replay"], &[]),
            (&["findings", "--account"], &[]),
            (&["findings", "--code"], &[]),
            (&["duplicates"], &[]),
            (&["regrade", "--account", "acme", "--reason"], &[]),
            (&["regrade", "--account", "acme", "--reason", "ten characters", "--by"], &[]),
            (&["relink", "--to", "acme", "--reason", "ten characters"], &[]),
            (&["relink", "sub_1", "--reason", "ten characters", "--to"], &[]),
            (&["relink", "sub_1", "--to", "acme", "--reason"], &[]),
            (&["keys", "revoke"], &[]),
            (&["keys", "rotate"], &[]),
        ];
        // An argument cannot hold NUL, and one that begins with `-` is none.
        for text in HOSTILE.into_iter().filter(|text| !text.contains('\0')) {
            for (before, after) in commands {
                let mut command = place.command("");
                let ended = command.args(before).arg(text).args(after).output().expect("it runs");
                let told = String::from_utf8_lossy(&ended.stderr).into_owned();
                assert!(ended.status.code().is_some_and(|code| code <= 3), "{before:?} {text:?}: {told}");
                for inside in ["panicked", "database", "sqlx", "SQL", "syntax error", "UTF8"] {
                    assert!(!told.contains(inside), "{before:?} {text:?}: {told}");
                }
            }
            let mut command = place.command("keys create --scopes check --json --name");
            let made = command.arg(text).output().expect("it runs");
            if made.status.success() {
                let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
                let listed = place.done("keys list --json").json();
                let rows = listed["data"].as_array().expect("keys");
                let named: Vec<_> = rows.iter().filter(|row| row["id"] == made["id"]).collect();
                assert_eq!(named[0]["name"], json!(text));
            } else {
                assert!(made.status.code().is_some_and(|code| code <= 3), "{text:?}: {made:?}");
            }
        }
    }
}

/// Where the texts of a JSON value are.
fn pointers(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(here),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                pointers(item, format!("{here}/{place}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(field, format!("{here}/{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every text in the bodies of events.
fn texts_of(events: &[StripeEvent]) -> Vec<String> {
    let mut texts = Vec::new();
    for event in events {
        let event: Value = serde_json::from_str(&event.body).expect("JSON");
        let mut leaves = Vec::new();
        pointers(&event, String::new(), &mut leaves);
        let text = |pointer: &String| event.pointer(pointer)?.as_str().map(str::to_owned);
        texts.extend(leaves.iter().filter_map(text));
    }
    texts
}
