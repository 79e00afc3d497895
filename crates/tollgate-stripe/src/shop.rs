//! Setting an account up: what is for sale, where events go, what customers may do by themselves.
//! Owns: the fields of products, prices, webhook endpoints and portal configurations. Must not
//! know: what a catalog wants of them, when a step is done.
//!
//! What we make carries metadata that says so; nothing without it is ever changed. Everything made
//! has a name of its own at Stripe (a product its id, a price its lookup key), so that no second
//! one can come of a call whose answer was lost. A change is made with a key that also holds the
//! run's nonce: Stripe repeats its answer to a known key without doing anything, and the same
//! change can be wanted again an hour later.

mod account;
mod destination;
mod endpoint;
mod portal;
mod stock;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tollgate_domain::catalog::stock::Mark;

use crate::client::{Form, IdempotencyKey, StripeError};

pub use account::{Account, fetch_account, fetch_account_id};
pub use endpoint::{
    Endpoint, EndpointWish, MadeEndpoint, Payload, SecretText, create_endpoint, disable_endpoint,
    list_endpoints, note_secret, secret_print, update_endpoint,
};
pub use portal::{
    Portal, PortalProduct, PortalQuantity, PortalWish, create_portal, list_portals, update_portal,
};
pub use stock::{
    PRICES_READ_MAX, PriceWish, ShopError, add_currencies, create_price, create_product,
    fetch_stock, show_first, update_product, use_price, withdraw_price, withdraw_product,
};

/// Name of the catalog something was made for.
const CATALOG: &str = "tollgate_catalog";
/// The plan's id, `badge` or `boost`.
const PLAN: &str = "tollgate_plan";

/// Metadata, in which values are texts.
type Metadata = BTreeMap<String, String>;

fn mark_of(metadata: Option<&Metadata>) -> Option<Mark> {
    let metadata = metadata?;
    Some(Mark { catalog: metadata.get(CATALOG)?.clone(), key: metadata.get(PLAN)?.clone() })
}

fn with_mark(form: Form, mark: &Mark) -> Form {
    form.with_map("metadata", [(CATALOG, mark.catalog.as_str()), (PLAN, mark.key.as_str())])
}

/// A key that is the same for the same call: its name, its form, and a nonce where a repetition is
/// to be done again.
fn key(what: &str, form: &Form, nonce: &str) -> Option<IdempotencyKey> {
    let mut hash = Sha256::new();
    for part in [what, &form.encoded(), nonce] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    IdempotencyKey::parse(&format!("tollgate-{what}-{}", hex::encode(hash.finalize()))).ok()
}

/// The elements of a list.
fn read_all<T: DeserializeOwned>(items: &[Box<RawValue>]) -> Result<Vec<T>, StripeError> {
    let read = items.iter().map(|item| serde_json::from_str(item.get()));
    read.collect::<Result<_, _>>().map_err(|_| StripeError::Garbled {
        what: "an element of the list is not what was asked for",
        request_id: None,
    })
}

/// A reference that may be an id or the object itself.
fn id_of(reference: &Value) -> Option<String> {
    let id = reference.as_str().or_else(|| reference.get("id")?.as_str())?;
    Some(id.to_owned())
}
