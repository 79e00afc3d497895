//! Reading Stripe as the truth. Owns: asking for objects, comparing them with what we know, and
//! runs that do so for everything: events that never came, then every object that may differ. Must
//! not know: what an object means; differences are found and repaired by deciding
//! (`tollgate_domain::drift`), through the intake like any event. Operator facts (waivers, grants,
//! boosts, overrides) are nobody's but ours: nothing here can touch them.
//!
//! A list says no more than which objects look different; each of those is then asked for by
//! itself, with what is known of it noted before the request is sent, and compared again. So an
//! object that changes while a list is walked is no difference, and nothing is repaired from a page
//! that was out of date when it came.

pub mod ask;
pub(crate) mod connected;
mod ends;
mod events;
pub mod named;
mod plans;
pub mod report;
mod run;
pub mod settle;
mod steps;
mod sweep;

use tollgate_store::StoreError;
use tollgate_stripe::client::StripeError;

pub use events::is_due;
pub use report::{Example, Report};
pub use run::{Begun, Kind, Order, Watcher, begin, carry_out, reconcile};
pub use settle::{Outcome, Settled, Take, Why, settle};
pub use steps::Step;

/// Why nothing, or not everything, was compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// No API key is configured.
    #[error("stripe.secret_key is not set; Stripe cannot be asked")]
    NoKey,
    /// More would end than one run may end without being asked.
    #[error(
        "{accounts} accounts would lose what they pay for, and a run ends at most {allowed} of them \
         without being asked; none of them was ended. `tollgate reconcile --dry-run` shows them, \
         `tollgate reconcile --allow-ends` ends them"
    )]
    TooManyEnds {
        /// Accounts that would lose what they pay for.
        accounts: u64,
        /// How many may.
        allowed: u64,
    },
    /// Nothing is known of the one account that is to be compared.
    #[error("there is no account {0}; a run over all accounts brings in those that are new")]
    UnknownAccount(tollgate_domain::ids::AccountId),
    /// Another run is under way.
    #[error("another reconciliation is running")]
    Busy,
    /// Another instance took the run over.
    #[error("the run was taken over by another instance")]
    LeaseLost,
    /// The engine is stopping; the run goes on later from where it is.
    #[error("the engine is stopping")]
    Stopping,
    /// Stripe did not answer as hoped.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// The database did not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something cannot be written as JSON; a defect of this program.
    #[error("what Stripe shows cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
    /// Something read could not be committed.
    #[error("what Stripe shows could not be committed")]
    NotCommitted,
}
