//! Which account a Stripe object belongs to, by which group and why. Owns: the lookup table. Must
//! not know: who may claim an object, which of two reasons is the stronger one.
//!
//! One row for each object. The row of the object that stands for a group (its root) also says why
//! the group belongs to the account and, where it follows a customer, whom.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, EventId, ObjectId};
use tollgate_domain::owner::{Basis, Claimed, Link};

use crate::accounts::{AccountHead, read_head};
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Cells, Handle, Row, Rows, statements};

const TABLE: &str = "stripe_links";

macro_rules! columns {
    () => {
        "t.object_id, t.account_id, t.root_id, g.basis, g.follows, t.gone_at"
    };
}

statements! {
    FIND = concat!("WITH {rows:object_id text} SELECT ", columns!(), " \
        FROM r CROSS JOIN stripe_links t CROSS JOIN stripe_links g \
        WHERE t.object_id = r.object_id AND g.object_id = t.root_id");

    /// With the heads of their accounts, all of one instant.
    WITH_HEADS = concat!("WITH {rows:object_id text} SELECT ", columns!(), ", \
            a.account_id, a.revision, a.sequence, a.journal_hash, a.due_at \
        FROM r CROSS JOIN stripe_links t CROSS JOIN stripe_links g CROSS JOIN accounts a \
        WHERE t.object_id = r.object_id AND g.object_id = t.root_id \
            AND a.account_id = t.account_id");

    /// All objects of groups, for moving them.
    GROUPS = concat!("WITH {rows:root_id text} SELECT ", columns!(), " \
        FROM r CROSS JOIN stripe_links g CROSS JOIN stripe_links t \
        WHERE g.object_id = r.root_id AND g.root_id = g.object_id AND t.object_id = g.object_id \
        UNION ALL SELECT ", columns!(), " \
        FROM r CROSS JOIN stripe_links g CROSS JOIN stripe_links t \
        WHERE g.object_id = r.root_id AND t.root_id = g.object_id AND t.root_id <> t.object_id");

    FOLLOWERS = "WITH {rows:object_id text} SELECT t.object_id \
        FROM r CROSS JOIN stripe_links t WHERE t.follows = r.object_id";

    /// A row that is there already means that another transaction was first.
    INSERT = "WITH {rows:object_id text, account_id text, root_id text, basis text, \
            follows text, gone_at bigint} \
        INSERT INTO stripe_links (object_id, account_id, root_id, basis, follows, gone_at) \
        SELECT object_id, account_id, root_id, basis, follows, gone_at FROM r";

    UPDATE = "WITH {rows:object_id text, account_id text, root_id text, basis text, \
            follows text, gone_at bigint} \
        UPDATE stripe_links SET account_id = r.account_id, root_id = r.root_id, \
            basis = r.basis, follows = r.follows, gone_at = r.gone_at \
        FROM r WHERE stripe_links.object_id = r.object_id";

    /// What people gave to an account, by what stands for its group.
    RELINKED = "SELECT t.object_id, t.account_id, t.root_id, t.basis, t.follows, t.gone_at \
        FROM stripe_links t WHERE t.object_id > $1 AND t.basis LIKE 'relinked:%' \
        ORDER BY t.object_id LIMIT $2";

    FIRST = "SELECT l.object_id FROM stripe_links l WHERE l.object_id >= $1 AND l.object_id < $2 \
            AND NOT EXISTS (SELECT 1 FROM connected_objects c WHERE c.object_id = l.object_id) \
        ORDER BY l.object_id LIMIT $3";

    LAST = "SELECT l.object_id FROM stripe_links l WHERE l.object_id >= $1 AND l.object_id < $2 \
            AND NOT EXISTS (SELECT 1 FROM connected_objects c WHERE c.object_id = l.object_id) \
        ORDER BY l.object_id DESC LIMIT $3";
}

/// The links of objects, in the transaction of a batch. Objects without a link are absent.
pub async fn find(
    tx: &mut Tx,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    find_on(tx.into(), objects).await
}

/// The links of objects, outside a transaction.
pub async fn find_now(
    db: &Db,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    find_on(db.into(), objects).await
}

/// The links of objects and the heads of their accounts, outside a transaction and of one instant.
pub async fn find_with_heads(
    db: &Db,
    objects: &[ObjectId],
) -> Result<(HashMap<ObjectId, Link>, HashMap<AccountId, AccountHead>), StoreError> {
    let (mut links, mut heads) = (HashMap::new(), HashMap::new());
    if objects.is_empty() {
        return Ok((links, heads));
    }
    let rows = Rows::of(objects).text(ObjectId::as_str);
    for row in WITH_HEADS.on(db).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let (object, link) = read_cells(&mut cells)?;
        links.insert(object, link);
        let head = read_head(&mut cells)?;
        heads.insert(head.account.clone(), head);
    }
    Ok((links, heads))
}

async fn find_on(
    handle: Handle<'_>,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    if objects.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Rows::of(objects).text(ObjectId::as_str);
    FIND.on(handle).rows(rows).fetch().await?.iter().map(read).collect()
}

/// All links of the groups that these roots stand for, and of the groups that follow one of them
/// where it stands for a customer, directly or by another.
pub async fn groups(
    tx: &mut Tx,
    roots: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    let mut seen: BTreeSet<ObjectId> = roots.iter().cloned().collect();
    let mut next: Vec<ObjectId> = seen.iter().cloned().collect();
    while !next.is_empty() {
        let rows = Rows::of(&next).text(ObjectId::as_str);
        let found = FOLLOWERS.on(&mut *tx).rows(rows).fetch().await?;
        let found = found.iter().map(|row| row.cells().key(TABLE));
        let found = found.collect::<Result<Vec<ObjectId>, _>>()?;
        next = found.into_iter().filter(|root| seen.insert(root.clone())).collect();
    }
    if seen.is_empty() {
        return Ok(HashMap::new());
    }
    let all: Vec<ObjectId> = seen.into_iter().collect();
    let rows = Rows::of(&all).text(ObjectId::as_str);
    GROUPS.on(tx).rows(rows).fetch().await?.iter().map(read).collect()
}

/// Writes the links of objects that have none yet. [`StoreError::Conflict`]: another transaction
/// linked one of them meanwhile, and what was decided by its absence is to be decided again.
pub async fn insert(tx: &mut Tx, links: &[&Link]) -> Result<(), StoreError> {
    if links.is_empty() {
        return Ok(());
    }
    let sorted = sorted(links);
    INSERT.on(tx).rows(rows(&sorted)).execute().await.map(|_| ())
}

/// Writes links that say something else than before. The accounts before and after must be locked.
pub async fn update(tx: &mut Tx, links: &[&Link]) -> Result<(), StoreError> {
    if links.is_empty() {
        return Ok(());
    }
    let sorted = sorted(links);
    UPDATE.on(tx).rows(rows(&sorted)).execute().await.map(|_| ())
}

/// By rising key, so that batches of several instances cannot lock each other out.
fn sorted<'l>(links: &[&'l Link]) -> Vec<&'l Link> {
    let mut sorted = links.to_vec();
    sorted.sort_unstable_by(|a, b| a.object.cmp(&b.object));
    sorted
}

pub(crate) fn rows<'r>(links: &'r [&'r Link]) -> Rows<'r, &'r Link> {
    let is_root = |link: &&Link| link.object == link.root;
    Rows::of(links)
        .text(|link| link.object.as_str())
        .text(|link| link.account.as_str())
        .text(|link| link.root.as_str())
        .made_text(move |link| {
            if is_root(link) { Cow::Owned(write_basis(&link.basis)) } else { Cow::Borrowed("") }
        })
        .opt_text(move |link| match &link.basis {
            Basis::Followed(customer) if is_root(link) => Some(customer.as_str()),
            Basis::Followed(_)
            | Basis::Relinked { .. }
            | Basis::Claimed(_)
            | Basis::Matched
            | Basis::Met => None,
        })
        .opt_bigint(|link| link.gone_at.map(Timestamp::millis))
}

/// `relinked:<ms>`, `claimed:<ms>:<edited><named>:<event>`, `followed`, `matched`, `met`.
fn write_basis(basis: &Basis) -> String {
    match basis {
        Basis::Relinked { at } => format!("relinked:{}", at.millis()),
        Basis::Claimed(claimed) => {
            let Claimed { at, edited, named, event } = claimed;
            format!("claimed:{}:{}{}:{event}", at.millis(), u8::from(*edited), u8::from(*named))
        }
        Basis::Followed(_) => "followed".to_owned(),
        Basis::Matched => "matched".to_owned(),
        Basis::Met => "met".to_owned(),
    }
}

fn read_basis(text: &str, follows: Option<ObjectId>) -> Option<Basis> {
    let millis = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    match (text, follows) {
        ("followed", Some(customer)) => Some(Basis::Followed(customer)),
        ("matched", _) => Some(Basis::Matched),
        ("met", _) => Some(Basis::Met),
        _ => {
            if let Some(at) = text.strip_prefix("relinked:") {
                return Some(Basis::Relinked { at: millis(at)? });
            }
            let mut parts = text.strip_prefix("claimed:")?.splitn(3, ':');
            let (at, flags, event) = (parts.next()?, parts.next()?, parts.next()?);
            let (edited, named) = (flags.starts_with('1'), flags.ends_with('1'));
            let event = EventId::parse(event).ok()?;
            Some(Basis::Claimed(Claimed { named, at: millis(at)?, edited, event }))
        }
    }
}

fn read(row: &Row) -> Result<(ObjectId, Link), StoreError> {
    read_cells(&mut row.cells())
}

fn read_cells(cells: &mut Cells<'_>) -> Result<(ObjectId, Link), StoreError> {
    let object: ObjectId = cells.key(TABLE)?;
    let account = cells.key(TABLE)?;
    let root = cells.key(TABLE)?;
    let basis = read_reason(cells, &object)?;
    let gone_at = cells.opt_instant()?;
    Ok((object.clone(), Link { object, account, root, basis, gone_at }))
}

fn read_reason(cells: &mut Cells<'_>, object: &ObjectId) -> Result<Basis, StoreError> {
    let text = cells.text()?.to_owned();
    let follows = cells.opt_key(TABLE)?;
    read_basis(&text, follows).ok_or_else(|| StoreError::Corrupt {
        table: TABLE,
        reason: format!("{text:?} is no basis"),
        row: object.to_string(),
    })
}

/// The objects that stand for a group which a person gave to an account, after one, at most `limit`.
pub async fn relinked_after(
    db: &Db,
    after: Option<&ObjectId>,
    limit: u32,
) -> Result<Vec<Link>, StoreError> {
    let call = RELINKED.on(db).text(after.map_or("", ObjectId::as_str));
    let rows = call.bigint(i64::from(limit)).fetch().await?;
    rows.iter().map(|row| read(row).map(|(_, link)| link)).collect()
}

/// Some objects of our own Stripe account whose ids begin with a prefix (`cus_`): up to `limit` of
/// the least ids and as many of the greatest. Those of connected accounts prove nothing of a key.
pub async fn sample(db: &Db, prefix: &str, limit: u32) -> Result<Vec<ObjectId>, StoreError> {
    // Ids are ASCII, so every one that begins with the prefix is below this.
    let beyond = format!("{prefix}\u{7f}");
    let mut found: Vec<ObjectId> = Vec::new();
    for rows in [
        FIRST.on(db).text(prefix).text(&beyond).bigint(i64::from(limit)).fetch().await?,
        LAST.on(db).text(prefix).text(&beyond).bigint(i64::from(limit)).fetch().await?,
    ] {
        for row in rows {
            let object = row.cells().key("stripe_links")?;
            if !found.contains(&object) {
                found.push(object);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_basis_comes_back_as_it_was_written() {
        let (at, event) =
            (Timestamp::from_millis(1_700_000_000_123), EventId::parse("evt_a:1").unwrap());
        let claimed =
            |edited, named| Basis::Claimed(Claimed { at, edited, named, event: event.clone() });
        let customer = ObjectId::parse("cus_1").unwrap();
        for basis in [
            Basis::Relinked { at },
            claimed(false, false),
            claimed(true, false),
            claimed(false, true),
            Basis::Followed(customer.clone()),
            Basis::Matched,
            Basis::Met,
        ] {
            let follows = matches!(basis, Basis::Followed(_)).then(|| customer.clone());
            assert_eq!(read_basis(&write_basis(&basis), follows), Some(basis));
        }
        for text in ["", "claimed", "claimed:x:00:evt_1", "claimed:1:00", "followed", "relinked:"] {
            assert_eq!(read_basis(text, None), None, "{text}");
        }
    }
}
