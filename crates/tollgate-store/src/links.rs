//! Which account a Stripe object belongs to. Owns: the lookup table. Must not know: who may claim
//! an object. Links are written with the facts ([`crate::facts::save`]); the first one stays.

use std::collections::HashMap;

use tollgate_domain::Link;
use tollgate_domain::ids::ObjectId;

use crate::db::{Db, Tx};
use crate::error::StoreError;

/// The links of objects, in the transaction of a batch. Objects without a link are absent.
pub async fn find(
    tx: &mut Tx,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    let _ = (tx, objects);
    todo!()
}

/// The links of objects, outside a transaction.
pub async fn find_now(
    db: &Db,
    objects: &[ObjectId],
) -> Result<HashMap<ObjectId, Link>, StoreError> {
    let _ = (db, objects);
    todo!()
}
