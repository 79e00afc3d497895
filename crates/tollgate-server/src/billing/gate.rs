//! One at a time per account, within this process. Owns: the gates. Must not know: what is done
//! behind one.
//!
//! A courtesy, not the guarantee: it spares Stripe calls that would only be answered with the first
//! one's result. Across processes, and without it, the rows and idempotency keys see to that there
//! is one object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;
use tollgate_domain::ids::AccountId;

/// Gates remembered before those nobody waits at are forgotten.
const GATES_MAX: usize = 1024;

/// The gates of all accounts.
#[derive(Debug, Default)]
pub struct Gates {
    known: Mutex<HashMap<AccountId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Gates {
    /// Waits until nobody else of this process is behind the account's gate.
    pub async fn enter(&self, account: &AccountId) -> OwnedMutexGuard<()> {
        let gate = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() > GATES_MAX {
                known.retain(|_, gate| gate.strong_count() > 0);
            }
            let found = known.get(account).and_then(Weak::upgrade);
            found.unwrap_or_else(|| {
                let gate = Arc::new(tokio::sync::Mutex::new(()));
                known.insert(account.clone(), Arc::downgrade(&gate));
                gate
            })
        };
        gate.lock_owned().await
    }
}
