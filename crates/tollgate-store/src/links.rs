//! Which account a Stripe object belongs to. Owns: the lookup table. Must not know: who may claim
//! an object. Links are written with the facts ([`crate::facts::save()`]); the first one stays.

use std::collections::HashMap;

use tollgate_domain::Link;
use tollgate_domain::ids::ObjectId;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Handle, Rows, statements};

statements! {
    FIND = "WITH {rows:object_id text} SELECT t.object_id, t.account_id, t.member_id \
        FROM r CROSS JOIN stripe_links t WHERE t.object_id = r.object_id";

    FIRST = "SELECT object_id FROM stripe_links WHERE object_id >= $1 AND object_id < $2 \
        ORDER BY object_id LIMIT $3";

    LAST = "SELECT object_id FROM stripe_links WHERE object_id >= $1 AND object_id < $2 \
        ORDER BY object_id DESC LIMIT $3";
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

async fn find_on(
    handle: Handle<'_>,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    if objects.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = Rows::of(objects).text(ObjectId::as_str);
    let mut links = HashMap::with_capacity(objects.len());
    for row in FIND.on(handle).rows(rows).fetch().await? {
        let mut cells = row.cells();
        let object: ObjectId = cells.key("stripe_links")?;
        let account = cells.key("stripe_links")?;
        let member = cells.opt_key("stripe_links")?;
        links.insert(object.clone(), Link { object, account, member });
    }
    Ok(links)
}

/// Some objects whose ids begin with a prefix (`cus_`): up to `limit` of the least ids and as many
/// of the greatest.
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
