//! Buying and changing, with Stripe. Owns: the order of the steps between our rows and Stripe's
//! objects. Must not know: HTTP, the rules (the domain's), Stripe's field names.
//!
//! Everything that makes an object at Stripe goes through [`call`]: what is to be made is written
//! down first, the idempotency key is derived from that row, and whoever finds the row later goes
//! on where the first one stopped. So a process may die between any two steps, or twenty may take
//! the same step at once, and there is one object.

pub mod apply;
pub mod call;
pub mod checkout;
pub mod customer;
pub mod duplicates;
pub mod error;
pub mod gate;
mod pending;
pub mod portal;
pub mod present;
pub mod prices;
pub mod subscription;
pub mod sync;

pub use error::BillingError;

use tollgate_stripe::StripeClient;

use crate::app::App;

impl App {
    /// The way to Stripe, where billing is on and there is a key.
    pub(crate) fn billing(&self) -> Result<&StripeClient, BillingError> {
        if !self.config.billing_enabled {
            return Err(BillingError::Disabled);
        }
        self.stripe.as_ref().ok_or(BillingError::NotConfigured)
    }
}

/// An id of our own: a prefix and 32 random hexadecimal digits.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{:032x}", fastrand::u128(..))
}
