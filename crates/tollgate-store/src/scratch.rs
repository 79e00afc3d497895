//! Databases made for one purpose and dropped after it, such as a measurement. Owns: making and
//! dropping them on a PostgreSQL server, and what the engine says of itself. Must not know:
//! tables.

use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::error::StoreError;

/// What a PostgreSQL server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Such as `15.18`.
    pub version: String,
    /// The process behind the connection that asked, on the server's machine; it has ended since
    /// then or will soon.
    pub process: i32,
}

/// A connection that is kept until it is dropped, so that its process can be looked at.
pub async fn backend<T>(
    url: &str,
    look: impl FnOnce(&Backend) -> T,
) -> Result<(Backend, T), StoreError> {
    let mut connection = connect(url).await?;
    let (version, process): (String, i32) =
        sqlx::query_as("SELECT current_setting('server_version'), pg_backend_pid()")
            .fetch_one(&mut connection)
            .await?;
    let backend = Backend { version, process };
    let seen = look(&backend);
    connection.close().await?;
    Ok((backend, seen))
}

/// Makes an empty database on the server of an address; returns the address of the new one. The
/// name consists of lower-case letters, digits and underscores.
pub async fn create(url: &str, name: &str) -> Result<String, StoreError> {
    check(name)?;
    let address = named(url, name)?;
    let mut connection = connect(url).await?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    connection.close().await?;
    Ok(address)
}

/// Drops a database made by [`create`], whoever is connected to it; one that is gone already is
/// no error.
pub async fn remove(url: &str, name: &str) -> Result<(), StoreError> {
    check(name)?;
    let mut connection = connect(url).await?;
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    connection.execute(AssertSqlSafe(drop)).await?;
    Ok(connection.close().await?)
}

/// The version of the SQLite that is built in.
pub async fn sqlite_version() -> Result<String, StoreError> {
    let options = SqliteConnectOptions::new().in_memory(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let version = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(version)
}

async fn connect(url: &str) -> Result<PgConnection, StoreError> {
    // The text of the driver's error may hold the address, and that a password.
    let options = PgConnectOptions::from_str(url).map_err(|_| no_address())?;
    Ok(PgConnection::connect_with(&options).await?)
}

fn no_address() -> StoreError {
    StoreError::Address {
        reason: "expected the address of a PostgreSQL server such as \
                 postgres://user@localhost:5432/postgres"
            .to_owned(),
    }
}

/// A name that needs no quotes.
fn check(name: &str) -> Result<(), StoreError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=63).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(StoreError::Address { reason: format!("{name:?} is no plain name for a database") })
}

/// The address with another database.
fn named(url: &str, name: &str) -> Result<String, StoreError> {
    let (scheme, rest) = url.split_once("://").ok_or_else(no_address)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, format!("?{query}")),
        None => (rest, String::new()),
    };
    let server = rest.split_once('/').map_or(rest, |(server, _)| server);
    Ok(format!("{scheme}://{server}/{name}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_same_server_is_named() {
        for (url, expected) in [
            ("postgres://a:b@h:5/postgres", "postgres://a:b@h:5/x"),
            ("postgres://h", "postgres://h/x"),
            (
                "postgresql://h/db?sslmode=disable&host=/run",
                "postgresql://h/x?sslmode=disable&host=/run",
            ),
        ] {
            assert_eq!(named(url, "x").unwrap(), expected);
        }
        assert!(named("h/db", "x").is_err());
    }

    #[test]
    fn only_plain_names_are_used() {
        assert!(check("tollgate_bench_1").is_ok());
        for name in ["", "a b", "a\"", "A", "a;drop", &"a".repeat(64)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
