//! What an error tells of the inside: nothing, whatever went wrong. Every refusal that any test of the service
//! meets is looked at too (`assert_discreet`).

use http_body_util::BodyExt as _;
use serde_json::Value;
use tollgate_server::api::error::ApiError;
use tollgate_server::scope::Scope;

use super::strings::attempts;
use crate::support::{INSIDE, Settings, TestApp, TestDatabase, run_sql_on};

/// A cause as a database or a panic gives it.
const CAUSE: &str = "error returned from database: relation \"accounts\" does not exist, SELECT a FROM \
                     accounts at crates/x/src/y.rs:7, postgres://u:p@h/d";

async fn body_of(error: &ApiError) -> String {
    let body = error.render("req_1").into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test]
async fn no_error_of_the_table_tells_its_cause() {
    let with_cause =
        [ApiError::Internal(CAUSE.to_owned()), ApiError::DatabaseUnavailable(CAUSE.to_owned())];
    for error in &with_cause {
        assert_eq!(error.private_cause(), Some(CAUSE), "the log is told");
    }
    for error in ApiError::all().iter().chain(&with_cause) {
        let body = body_of(error).await;
        for inside in INSIDE {
            assert!(!body.contains(inside), "{body} tells {inside:?}");
        }
    }
    let document = tollgate_server::api::openapi::text();
    for inside in INSIDE {
        assert!(!document.contains(inside), "/openapi.json tells {inside:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_its_tables_fails_every_route_and_no_answer_tells_of_it() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let no_limit = |name: &str| (format!("TOLLGATE__RATE__{name}_PER_MIN"), "none".to_owned());
    let mut environment: Vec<_> = ["ADMIN", "BILLING", "CHECK"].map(no_limit).into();
    // Nobody listens there: billing fails at the database before it would call.
    environment.push(("STRIPE_SECRET_KEY".into(), "sk_test_tollgate_discreet".into()));
    environment.push(("TOLLGATE__STRIPE__API_BASE".into(), "http://127.0.0.1:9".into()));
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    let key = app.make_key(&[Scope::Check, Scope::Billing, Scope::Admin], None).await;
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    // Known to the table of keys from now on.
    assert_eq!(app.request("GET", "/admin/findings", &headers, "").await.status, 200);
    let document: Value =
        serde_json::from_str(&tollgate_server::api::openapi::text()).expect("JSON");
    run_sql_on(&database.url(), "ALTER SCHEMA public RENAME TO elsewhere").await;
    let mut failed = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for attempt in attempts(&document, path, operation, "reader") {
                let method = method.to_uppercase();
                // The answer is looked at where it is received.
                let answer = app.request(&method, &attempt.path, &headers, attempt.body).await;
                failed += usize::from(answer.status >= 500);
            }
        }
    }
    let answer = app.deliver(&app.scenario("checkout", "acme")[0].body).await;
    assert_eq!((answer.status, answer.field("code").as_str()), (503, "not_committed"));
    assert!(failed >= 10, "{failed} answers failed");
    app.stop().await;
}
