//! What a PostgreSQL server says of itself. Owns: the question. Must not know: what is made of it.

use sqlx::Row as _;
use tollgate_domain::Timestamp;

use super::{Db, Lease};
use crate::error::StoreError;

/// A PostgreSQL server as a connection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStanding {
    /// It follows another server and takes no writes.
    pub standby: bool,
    /// Transactions of this connection may not write.
    pub read_only: bool,
    /// The settings that every connection asks for are in force.
    pub settings_in_force: bool,
    /// Connections it has in all.
    pub connections_max: i64,
    /// Its clock.
    pub now: Timestamp,
    /// Which database of which start of which server; the same by every way that leads there.
    pub identity: String,
}

const ASK: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', \
    current_setting('plan_cache_mode') = 'force_generic_plan', \
    CAST(current_setting('max_connections') AS BIGINT), \
    CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT), \
    current_database() || ' ' || CAST(extract(epoch FROM pg_postmaster_start_time()) AS TEXT)";

impl Db {
    /// What the server says of itself; `None` on SQLite, which has none.
    pub async fn server(&self) -> Result<Option<ServerStanding>, StoreError> {
        let Self::Postgres(db) = self else { return Ok(None) };
        let mut lease = Lease::take(db).await?;
        let asked = sqlx::query(ASK).persistent(false).fetch_one(lease.connection()).await;
        let row = lease.end(asked.map_err(StoreError::from)).await?;
        Ok(Some(ServerStanding {
            standby: row.try_get(0)?,
            read_only: row.try_get(1)?,
            settings_in_force: row.try_get(2)?,
            connections_max: row.try_get(3)?,
            now: Timestamp::from_millis(row.try_get(4)?),
            identity: row.try_get(5)?,
        }))
    }
}
