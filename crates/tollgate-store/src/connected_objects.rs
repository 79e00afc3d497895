//! Objects of connected Stripe accounts. Owns: in which account each of them is found. Must not
//! know: which accounts are ours, how Stripe is asked.
//!
//! Stripe's ids are unique over all accounts, and an object stays where it was made: the account
//! that is noted first is kept. Objects of our own account are absent.

use std::collections::{BTreeMap, HashMap};

use tollgate_domain::ids::ObjectId;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Rows, statements};

const TABLE: &str = "connected_objects";

statements! {
    NOTE = "WITH {rows:object_id text, stripe_account text} \
        INSERT INTO connected_objects (object_id, stripe_account) \
        SELECT object_id, stripe_account FROM r WHERE true \
        ON CONFLICT (object_id) DO NOTHING";

    FIND = "WITH {rows:object_id text} SELECT t.object_id, t.stripe_account \
        FROM r CROSS JOIN connected_objects t WHERE t.object_id = r.object_id";
}

/// Notes in which connected account (`acct_…`) objects are found, in the transaction of the events
/// that told of them.
pub async fn note(tx: &mut Tx, objects: &BTreeMap<&ObjectId, &str>) -> Result<(), StoreError> {
    if objects.is_empty() {
        return Ok(());
    }
    let sorted: Vec<(&ObjectId, &str)> = objects.iter().map(|(id, at)| (*id, *at)).collect();
    let rows = Rows::of(&sorted).text(|(id, _)| id.as_str()).prose(|(_, account)| account);
    NOTE.on(tx).rows(rows).execute().await.map(|_| ())
}

/// Which of some objects are of a connected account, and of which (`acct_…`).
pub async fn find(db: &Db, objects: &[ObjectId]) -> Result<HashMap<ObjectId, String>, StoreError> {
    let mut found = HashMap::new();
    if objects.is_empty() {
        return Ok(found);
    }
    let rows = Rows::of(objects).text(ObjectId::as_str);
    for row in FIND.on(db).rows(rows).fetch().await? {
        let mut cells = row.cells();
        found.insert(cells.key(TABLE)?, cells.prose()?.into_owned());
    }
    Ok(found)
}
