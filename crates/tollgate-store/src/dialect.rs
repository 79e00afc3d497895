//! Where the two databases part. Owns: every fork, with its reason. Must not know: tables.

/// Which database a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL 14 or newer.
    Postgres,
    /// SQLite 3.35 or newer.
    Sqlite,
}
