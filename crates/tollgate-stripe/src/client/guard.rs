//! The guard in front of every call. Owns: when it is asked. Must not know: what is known of the
//! account, or where that is kept.
//!
//! A key of another account, or of the other mode, opens a world in which nothing we know exists,
//! and every "not found" in it would look like an end. So the first call of a client asks the guard,
//! and none leaves until the guard has admitted the key. What the guard itself has to ask of Stripe
//! goes by the client it is given, which is not guarded.

use std::fmt;
use std::pin::Pin;

use crate::client::StripeClient;
use crate::client::error::StripeError;

/// What a guard answers, later.
pub type Admission<'a> = Pin<Box<dyn Future<Output = Result<(), StripeError>> + Send + 'a>>;

/// Decides whether a client may be used.
pub trait AccountGuard: fmt::Debug + Send + Sync {
    /// Admits the client's key, or says why not. An error is not remembered: the next call asks
    /// again.
    fn admit<'a>(&'a self, client: &'a StripeClient) -> Admission<'a>;
}
