//! Databases that cannot be opened say why, once, and in words.

use std::error::Error as _;
use std::net::TcpListener;
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};
use tollgate_store::{Db, DbOptions, StoreError};

use crate::database::{ROLE_PASSWORD, as_role, on_empty_postgres};

async fn refusal(url: &str) -> StoreError {
    let short = Duration::from_millis(300);
    let options =
        DbOptions { acquire_timeout: short, connect_timeout: short, ..DbOptions::default() };
    let error = Db::open(url, &options).await.unwrap_err();
    assert!(error.source().is_none(), "{error} would be said twice");
    error
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_that() {
    // Taken and given back, so that nobody listens on it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refusal(&format!("postgres://nobody@127.0.0.1:{port}/none")).await;
    let refused = "the database is unavailable: the connection failed: Connection refused";
    assert!(error.to_string().starts_with(refused), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_as_that() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = refusal(&format!("postgres://nobody@127.0.0.1:{port}/none")).await;
    let expected = "the database is unavailable: the connection failed: no answer within 300 ms";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postgres_says_is_told_without_the_lines_of_its_source() {
    on_empty_postgres(async |url: &str| {
        let role = format!("full_{}", std::process::id());
        let mut admin = PgConnection::connect(url).await.unwrap();
        let make = sqlx::AssertSqlSafe(format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT 0 PASSWORD '{ROLE_PASSWORD}'"
        ));
        admin.execute(sqlx::raw_sql(make)).await.unwrap();
        let full = refusal(&as_role(url, &role)).await;
        let drop = sqlx::AssertSqlSafe(format!("DROP ROLE {role}"));
        admin.execute(sqlx::raw_sql(drop)).await.unwrap();
        let expected = format!(
            "the database is unavailable: too many connections for role \"{role}\" (SQLSTATE 53300)"
        );
        assert_eq!((full.to_string(), full.reason()), (expected, "too_many_connections"));

        let (server, _) = url.rsplit_once('/').unwrap();
        let missing = refusal(&format!("{server}/no_such_database")).await;
        let expected =
            "the database is unavailable: database \"no_such_database\" does not exist (SQLSTATE 3D000)";
        assert_eq!((missing.to_string().as_str(), missing.reason()), (expected, "access"));
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.db");
    std::fs::write(&path, "these are notes and no database at all".repeat(40)).unwrap();
    let error = refusal(&format!("sqlite:{}", path.display())).await;
    let expected = "the database refused a statement: file is not a database (SQLite code 26)";
    assert_eq!(error.to_string(), expected);
}
