//! `/.well-known/security.txt`: there when it is set whom to tell, and never about to expire.

use tollgate_domain::Timestamp;

use crate::support::{NOW, Settings, TestApp, TestDatabase};

const PATH: &str = "/.well-known/security.txt";

async fn with(variables: &[(&str, &str)]) -> (TestApp, TestDatabase) {
    let database = TestDatabase::sqlite();
    let set = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment = variables.iter().map(set).collect();
    let app = TestApp::start_with(&database, Settings { environment, ..Settings::default() }).await;
    (app, database)
}

#[tokio::test]
async fn whoever_finds_a_weakness_is_told_whom_to_tell() {
    let (app, _database) = with(&[
        (
            "TOLLGATE__SERVER__SECURITY_CONTACT",
            "mailto:security@example.com,https://example.com/report",
        ),
        ("TOLLGATE__SERVER__SECURITY_POLICY", "https://example.com/policy"),
    ])
    .await;
    let answer = app.request("GET", PATH, &[], "").await;
    assert_eq!(
        (answer.status, answer.headers["content-type"].to_str().unwrap()),
        (200, "text/plain; charset=utf-8")
    );
    let lines: Vec<&str> = answer.text.lines().collect();
    let [first, second, expires, policy] = lines.as_slice() else { panic!("{}", answer.text) };
    assert_eq!(*first, "Contact: mailto:security@example.com");
    assert_eq!(*second, "Contact: https://example.com/report");
    assert_eq!(*policy, "Policy: https://example.com/policy");
    let expires = Timestamp::parse(expires.strip_prefix("Expires: ").unwrap()).unwrap();
    let now = Timestamp::parse(NOW).unwrap();
    assert!(now.plus_days(90) < expires && expires < now.plus_days(365), "{expires}");
    assert!(answer.text.ends_with('\n'));

    let head = app.request("HEAD", PATH, &[], "").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    let other = app.request("POST", PATH, &[], "").await;
    assert_eq!((other.status, other.field("code").as_str()), (405, "method_not_allowed"));
    app.stop().await;
}

#[tokio::test]
async fn without_anybody_to_tell_there_is_no_security_txt() {
    let (app, _database) = with(&[]).await;
    let answer = app.request("GET", PATH, &[], "").await;
    assert_eq!((answer.status, answer.field("code").as_str()), (404, "not_found"));
    app.stop().await;
}
