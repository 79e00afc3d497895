//! The schema. Owns: the migrations and their runner. Must not know: what the tables mean.

use tollgate_domain::Timestamp;

use crate::db::Db;
use crate::error::StoreError;

/// How one migration stands in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number, from 1.
    pub version: u32,
    /// Its name.
    pub name: &'static str,
    /// When it was applied; `None`: not yet.
    pub applied_at: Option<Timestamp>,
}

/// Applies what is missing, each migration in a transaction of its own; safe to start in several
/// processes at once. Returns the versions applied by this call.
pub async fn up(db: &Db, now: Timestamp) -> Result<Vec<u32>, StoreError> {
    let _ = (db, now);
    todo!()
}

/// Takes back all migrations above a version, newest first. Returns the versions taken back.
pub async fn down(db: &Db, to: u32) -> Result<Vec<u32>, StoreError> {
    let _ = (db, to);
    todo!()
}

/// All known migrations and whether they are applied.
pub async fn status(db: &Db) -> Result<Vec<MigrationStatus>, StoreError> {
    let _ = db;
    todo!()
}

/// Refuses a database whose schema is not the one of this version.
pub async fn check(db: &Db) -> Result<(), StoreError> {
    let _ = db;
    todo!()
}

/// The SQL of all migrations above the applied ones, for reading before it is run.
pub async fn plan(db: &Db) -> Result<String, StoreError> {
    let _ = db;
    todo!()
}
