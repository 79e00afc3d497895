//! Keys that are bound to one account, on every route of the API: none reaches another account, or
//! all of them. The routes are those of the OpenAPI document, so a new one has to be added here.

use serde_json::{Value, json};
use tollgate_server::scope::Scope;

use crate::support::{Answer, Settings, TestApp, TestDatabase, on_both};

/// What is sent to a route.
#[derive(Clone, Copy)]
enum Body {
    None,
    /// An object with this beside the account.
    Named(fn() -> Value),
    /// Exactly this; the account is in the path, or all accounts are meant.
    Just(fn() -> Value),
}

/// What a bound key may do with a route.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It asks about the one account that is named.
    Named,
    /// It is refused: the route is about all accounts, or about several.
    Nobody,
    /// It is told of its own account only.
    Own,
}

/// Every route that needs a key.
const ROUTES: [(&str, &str, Body, Reach); 20] = [
    ("put", "/admin/accounts/{id}/email", Body::Just(|| json!({"email": "a@b.c"})), Reach::Named),
    ("post", "/admin/catalog/plan", Body::Just(|| json!({"catalog": ""})), Reach::Nobody),
    ("get", "/admin/duplicates", Body::None, Reach::Own),
    (
        "post",
        "/admin/duplicates/{accountId}/resolve",
        Body::Just(|| json!({"dryRun": true})),
        Reach::Named,
    ),
    ("get", "/admin/findings", Body::None, Reach::Named),
    ("post", "/admin/reconcile", Body::Named(|| json!({"dryRun": true})), Reach::Named),
    ("get", "/admin/reconcile/runs", Body::None, Reach::Nobody),
    (
        "post",
        "/admin/relink",
        Body::Named(|| json!({"objectId": "sub_1", "reason": "ten characters"})),
        Reach::Nobody,
    ),
    ("get", "/api/v1/accounts/{id}/timeline", Body::None, Reach::Named),
    (
        "post",
        "/api/v1/billing/checkout",
        Body::Named(
            || json!({"tier": "premium", "successUrl": "http://localhost/a", "cancelUrl": "http://localhost/b"}),
        ),
        Reach::Named,
    ),
    ("get", "/api/v1/billing/invoices", Body::None, Reach::Named),
    (
        "post",
        "/api/v1/billing/portal",
        Body::Named(|| json!({"returnUrl": "http://localhost/a"})),
        Reach::Named,
    ),
    ("get", "/api/v1/billing/portal", Body::None, Reach::Named),
    ("get", "/api/v1/billing/subscription", Body::None, Reach::Named),
    ("post", "/api/v1/billing/subscription/cancel", Body::Named(|| json!({})), Reach::Named),
    (
        "post",
        "/api/v1/billing/subscription/change",
        Body::Named(|| json!({"tier": "elite"})),
        Reach::Named,
    ),
    (
        "post",
        "/api/v1/billing/subscription/preview",
        Body::Named(|| json!({"tier": "elite"})),
        Reach::Named,
    ),
    ("post", "/api/v1/billing/subscription/resume", Body::Named(|| json!({})), Reach::Named),
    ("get", "/api/v1/entitlements", Body::None, Reach::Named),
    (
        "post",
        "/api/v1/feature-check",
        Body::Named(|| json!({"feature": "max_members"})),
        Reach::Named,
    ),
];
/// Routes whose request names no account by itself, with the test that shows their binding.
const ELSEWHERE: [(&str, &str); 2] = [
    // The account is the session's: `a_bound_key_cannot_tell_anothers_session_from_none`.
    ("post", "/api/v1/billing/checkout/{sessionId}/sync"),
    // Each check of the batch names one.
    ("post", "/api/v1/feature-check/batch"),
];

/// What is told, without the id of the request.
fn said(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body["requestId"] = Value::Null;
    (answer.status, body)
}

const SCOPES: [Scope; 3] = [Scope::Check, Scope::Billing, Scope::Admin];

async fn ask(
    app: &TestApp,
    key: &str,
    (method, path, body): (&str, &str, Body),
    account: &str,
) -> Answer {
    let named = format!("{path}?accountId={account}");
    let (path, body) = match body {
        Body::None if path.contains("{id}") => (path.replace("{id}", account), String::new()),
        Body::None => (named, String::new()),
        Body::Named(fields) => {
            let mut fields = fields();
            fields["accountId"] = json!(account);
            (path.to_owned(), fields.to_string())
        }
        Body::Just(fields) => {
            let path = path.replace("{id}", account).replace("{accountId}", account);
            (path, fields().to_string())
        }
    };
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    app.request(&method.to_uppercase(), &path, &headers, body).await
}

#[tokio::test]
async fn every_route_that_needs_a_key_is_looked_at() {
    let database = TestDatabase::sqlite();
    let app = TestApp::start(&database).await;
    let document = app.request("GET", "/openapi.json", &[], "").await.json();
    let mut open = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let keyed = operation["security"].as_array().is_some_and(|needs| !needs.is_empty());
            let here = ROUTES.iter().any(|(m, p, ..)| (*m, *p) == (method, path));
            let elsewhere = ELSEWHERE.contains(&(method, path));
            if keyed && !here && !elsewhere {
                open.push(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(open, Vec::<String>::new(), "add them to ROUTES");
    app.stop().await;
}

on_both! {
    async fn an_object_of_another_account_is_as_unknown_as_none(database: &TestDatabase) {
        let environment = vec![("STRIPE_SECRET_KEY".into(), "sk_test_tollgate_bound_keys".into())];
        let app = TestApp::start_with(database, Settings { environment, ..Settings::default() }).await;
        for account in ["acme", "other"] {
            app.deliver_all(&app.scenario("checkout", account)).await;
        }
        let bound = app.make_key(&SCOPES, Some("acme")).await;
        let free = app.make_key(&SCOPES, None).await;
        let invoices = "/api/v1/billing/invoices?accountId=other";
        let theirs = app.request("GET", invoices, &[("x-api-key", &free)], "").await.json();
        let invoice = theirs["data"][0]["id"].as_str().expect("an invoice").to_owned();
        let subscription = theirs["data"][0]["subscriptionId"].as_str().expect("its subscription").to_owned();
        let headers = [("x-api-key", bound.as_str()), ("content-type", "application/json")];
        let keep = |id: &str| json!({"keep": id, "dryRun": true}).to_string();
        let page = |id: &str| format!("/api/v1/billing/invoices?accountId=acme&cursor={id}");
        let resolve = "/admin/duplicates/acme/resolve";
        let paged = [page(&invoice), page("in_nothing")];
        for (method, paths, bodies) in [
            ("GET", [paged[0].as_str(), paged[1].as_str()], [String::new(), String::new()]),
            ("POST", [resolve, resolve], [keep(&subscription), keep("sub_nothing")]),
        ] {
            let [theirs, none] = [0, 1].map(|at| (paths[at], bodies[at].clone()));
            let theirs = app.request(method, theirs.0, &headers, theirs.1).await;
            let none = app.request(method, none.0, &headers, none.1).await;
            assert!((400..500).contains(&none.status), "{}", none.text);
            assert_eq!(said(&theirs), said(&none), "{method} {}", paths[0]);
        }
        app.stop().await;
    }

    async fn a_bound_key_reaches_its_account_and_no_other(database: &TestDatabase) {
        let environment = vec![
            ("TOLLGATE__RATE__ADMIN_PER_MIN".into(), "none".into()),
            ("TOLLGATE__RATE__BILLING_PER_MIN".into(), "none".into()),
        ];
        let app = TestApp::start_with(database, Settings { environment, ..Settings::default() }).await;
        for account in ["acme", "other"] {
            app.deliver_all(&app.scenario("checkout", account)).await;
        }
        let (bound, free) = (app.make_key(&SCOPES, Some("acme")).await, app.make_key(&SCOPES, None).await);
        let mut wrong = Vec::new();
        for (method, path, body, reach) in ROUTES {
            let route = (method, path, body);
            let forbidden = |answer: &Answer| (answer.status, answer.json()["code"].as_str()) == (403, Some("account_forbidden"));
            let own = ask(&app, &bound, route, "acme").await;
            let other = ask(&app, &bound, route, "other").await;
            let unbound = ask(&app, &free, route, "other").await;
            let (sees_own, sees_other) = (!forbidden(&own), !forbidden(&other));
            let as_it_should = match reach {
                Reach::Named => sees_own && !sees_other,
                Reach::Nobody => !sees_own && !sees_other,
                Reach::Own => !own.text.contains("other"),
            };
            // Nor can it tell an account that is there from one that is not.
            let nobody = ask(&app, &bound, route, "nobody").await;
            let alike = reach != Reach::Named || said(&nobody) == said(&other);
            if !as_it_should || !alike || forbidden(&unbound) {
                wrong.push(format!("{method} {path}: own {} {}, other {} {}, unbound {}", own.status, own.text, other.status, other.text, unbound.status));
            }
        }
        // All accounts at once, by a route that can be about one.
        let headers = [("x-api-key", bound.as_str()), ("content-type", "application/json")];
        let all = app.request("POST", "/admin/reconcile", &headers, "{\"dryRun\":true}").await;
        assert_eq!((all.status, all.field("code").as_str()), (403, "account_forbidden"));
        let batch = json!({"checks": [{"accountId": "acme", "feature": "max_members"}, {"accountId": "other", "feature": "max_members"}]});
        let batch = app.request("POST", "/api/v1/feature-check/batch", &headers, batch.to_string()).await;
        assert_eq!(batch.status, 403, "{}", batch.text);
        assert_eq!(wrong, Vec::<String>::new());
        app.stop().await;
    }
}
