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

    BE_THERE = "INSERT INTO leases (name, owner, held_until, generation) VALUES ($1, $2, $3, 1) \
        ON CONFLICT (name) DO UPDATE SET held_until = excluded.held_until";

    FORGET_ABSENT = "DELETE FROM leases WHERE name LIKE $1 AND held_until <= $2";

    LEAVE = "DELETE FROM leases WHERE name = $1";

    COUNT_THERE = "SELECT COUNT(*) FROM leases WHERE name LIKE $1 AND held_until > $2";
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

/// Says until when somebody is at a place, and forgets those who have not said so for too long. Any
/// number can be there; it is no right to do anything.
pub async fn be_there(
    db: &Db,
    place: &'static str,
    who: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    let (own, all) = (name_at(place, who), name_at(place, "%"));
    let call = BE_THERE.on(db.writer()).text(&own).prose(who);
    call.bigint(until.millis()).execute().await?;
    let call = FORGET_ABSENT.on(db.writer()).text(&all);
    call.bigint(now.millis()).execute().await.map(|_| ())
}

/// Says that somebody has left.
pub async fn leave(db: &Db, place: &'static str, who: &str) -> Result<(), StoreError> {
    LEAVE.on(db.writer()).text(&name_at(place, who)).execute().await.map(|_| ())
}

/// Whether anybody is at a place.
pub async fn is_anybody_there(
    db: &Db,
    place: &'static str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let all = name_at(place, "%");
    let row = COUNT_THERE.on(db).text(&all).bigint(now.millis()).fetch_one().await?;
    row.map_or(Ok(false), |row| Ok(row.cells().bigint()? > 0))
}

/// The name of a row; with `%` the pattern of all at a place.
fn name_at(place: &str, who: &str) -> String {
    format!("{place} {who}")
}
