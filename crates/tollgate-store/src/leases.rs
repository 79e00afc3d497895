//! Work that one instance does at a time. Owns: named leases and their generations. Must not know:
//! what the work is.

use tollgate_domain::Timestamp;

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::statements;
use crate::wire;

statements! {
    TAKE = "INSERT INTO leases (name, owner, held_until, generation) VALUES ($1, $2, $4, 1) \
        ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, \
            held_until = excluded.held_until, generation = leases.generation + 1 \
            WHERE leases.held_until <= $3 \
        RETURNING generation";

    RENEW = "UPDATE leases SET held_until = $4 \
        WHERE name = $1 AND owner = $2 AND generation = $3";

    RELEASE = "UPDATE leases SET held_until = 0 \
        WHERE name = $1 AND owner = $2 AND generation = $3";

    HOLD = "INSERT INTO leases (name, owner, held_until, generation) VALUES ($1, $2, $4, 1) \
        ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, \
            held_until = excluded.held_until, generation = leases.generation + 1 \
            WHERE leases.held_until <= $3 OR leases.owner = excluded.owner";

    LET_GO = "UPDATE leases SET held_until = 0 WHERE name = $1 AND owner = $2";

    HELD_UNTIL = "SELECT held_until FROM leases WHERE name = $1";
}

/// A lease in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Of what.
    pub name: &'static str,
    /// Whose.
    pub owner: String,
    /// Tells it from every other time it was taken.
    pub generation: u64,
}

/// Takes a lease nobody holds; `None` while somebody does.
pub async fn take(
    db: &Db,
    name: &'static str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let call = TAKE.on(db.writer()).text(name).prose(owner);
    let row = call.bigint(now.millis()).bigint(until.millis()).fetch_one().await?;
    row.map(|row| {
        let generation = wire::uncount(row.cells().bigint()?);
        Ok(Lease { name, owner: owner.to_owned(), generation })
    })
    .transpose()
}

/// Holds a lease for longer; `false`: it was lost to another.
pub async fn renew(db: &Db, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
    let call = RENEW.on(db.writer()).text(lease.name).prose(&lease.owner);
    let call = call.bigint(wire::count(lease.generation)).bigint(until.millis());
    Ok(call.execute().await? > 0)
}

/// Gives a lease back.
pub async fn release(db: &Db, lease: &Lease) -> Result<(), StoreError> {
    let call = RELEASE.on(db.writer()).text(lease.name).prose(&lease.owner);
    call.bigint(wire::count(lease.generation)).execute().await.map(|_| ())
}

/// Takes a lease nobody else holds, or holds one's own for longer; nothing while somebody else does.
/// For a lease that says who is there, and is no right to do anything.
pub async fn hold(
    db: &Db,
    name: &'static str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    let call = HOLD.on(db.writer()).text(name).prose(owner);
    call.bigint(now.millis()).bigint(until.millis()).execute().await.map(|_| ())
}

/// Gives such a lease back.
pub async fn let_go(db: &Db, name: &'static str, owner: &str) -> Result<(), StoreError> {
    LET_GO.on(db.writer()).text(name).prose(owner).execute().await.map(|_| ())
}

/// Until when somebody holds a lease; `None`: nobody ever did.
pub async fn held_until(db: &Db, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let row = HELD_UNTIL.on(db.writer()).text(name).fetch_one().await?;
    row.map(|row| Ok(Timestamp::from_millis(row.cells().bigint()?))).transpose()
}
