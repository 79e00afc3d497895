//! Databases for tests. Owns: making and dropping them. Must not know: what is tested.

use std::future::Future;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use tollgate_domain::Timestamp;
use tollgate_store::{Db, DbOptions, StoreError, Tx, migrations};

/// When the tests' databases are made.
pub(crate) fn start() -> Timestamp {
    Timestamp::parse("2026-11-21T10:00:00Z").unwrap()
}

/// The password of the roles that tests make: a server may ask everybody for one.
pub(crate) const ROLE_PASSWORD: &str = "made_by_a_test";

/// The same database as a role that a test made with [`ROLE_PASSWORD`].
pub(crate) fn as_role(url: &str, role: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let place = rest.split_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{role}:{ROLE_PASSWORD}@{place}")
}

/// A database with the present schema.
pub(crate) struct Case {
    db: Db,
    url: String,
}

impl Deref for Case {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Case {
    /// The same database through other connections, as another process has it.
    pub(crate) async fn reopen(&self) -> Db {
        self.reopen_with(&DbOptions::default()).await
    }

    /// The same, opened in another way than usual.
    pub(crate) async fn reopen_with(&self, options: &DbOptions) -> Db {
        Db::open(&self.url, options).await.unwrap()
    }

    /// Runs SQL that the store has no function for.
    pub(crate) async fn sql(&self, sql: &str) {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
        match &self.db {
            Db::Postgres(_) => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                connection.execute(sql).await.unwrap();
            }
            Db::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                connection.execute(sql).await.unwrap();
            }
        }
    }

    /// The one number that a query returns.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.db {
            Db::Postgres(_) => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            Db::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }
}

/// Runs work in a transaction and commits it, once.
pub(crate) async fn write<T>(
    db: &Db,
    work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut tx = db.begin().await?;
    let value = work(&mut tx).await?;
    tx.commit().await?;
    Ok(value)
}

async fn open(url: String) -> Case {
    let db = Db::open(&url, &DbOptions::default()).await.unwrap();
    migrations::up(&db, start()).await.unwrap();
    Case { db, url }
}

/// Runs a case on an SQLite file of its own.
pub(crate) async fn on_sqlite(case: impl AsyncFnOnce(&Case)) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let db = open(url).await;
    case(&db).await;
    db.close().await;
}

/// Runs a case on a PostgreSQL database of its own, or says that it cannot.
pub(crate) async fn on_postgres(case: impl AsyncFnOnce(&Case)) {
    on_empty_postgres(async |url: &str| {
        let db = open(url.to_owned()).await;
        case(&db).await;
        db.close().await;
    })
    .await;
}

/// Runs a case with the address of a PostgreSQL database that holds nothing.
pub(crate) async fn on_empty_postgres(case: impl AsyncFnOnce(&str)) {
    let Some(server) = server() else { return };
    let name = name();
    let admin = sqlx::PgPool::connect(&server).await.unwrap();
    run(&admin, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    let (address, _) = server.rsplit_once('/').unwrap();
    let outcome = AssertUnwindSafe(case(&format!("{address}/{name}"))).catch_unwind().await;
    run(&admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn run(admin: &sqlx::PgPool, sql: String) -> impl Future<Output = ()> {
    let admin = admin.clone();
    async move {
        admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
    }
}

fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("tollgate_test_{}_{number}", std::process::id())
}

/// The server's address. Without one a test passes on a developer's machine, saying that it was
/// skipped, and fails where all must run.
#[expect(clippy::disallowed_methods, reason = "tests are told of their servers by the environment")]
fn server() -> Option<String> {
    if let Ok(url) = std::env::var("TOLLGATE_TEST_POSTGRES_URL") {
        return Some(url);
    }
    let is = |name, value| std::env::var(name).as_deref() == Ok(value);
    let required = is("CI", "true") || is("TOLLGATE_TEST_REQUIRE_POSTGRES", "1");
    assert!(!required, "TOLLGATE_TEST_POSTGRES_URL is not set, and PostgreSQL is required here");
    eprintln!("skipped: postgres (TOLLGATE_TEST_POSTGRES_URL is not set)");
    None
}
