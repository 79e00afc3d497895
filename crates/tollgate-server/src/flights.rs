//! Loads under way. Owns: that an account nobody has in memory is loaded once, however many ask for
//! it together. Must not know: what a load does.
//!
//! Whoever asks joins a load that may still tell everything committed so far: one begun after the
//! account was last raised, and within the bound of staleness.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio::time::Instant;
use tollgate_domain::ids::AccountId;
use tollgate_store::StoreError;

use crate::cache::{Entry, Ticket};
use crate::freshness::STALENESS_MAX;

/// What a load comes to.
type Loaded = Result<Arc<Entry>, Arc<StoreError>>;

/// Loads under way by account.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<AccountId, Arc<Flight>>>);

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    begun: Instant,
    loaded: OnceCell<Loaded>,
}

impl Flights {
    /// The result of a load of the account: of one under way, else of this one. It is made by one of
    /// those who wait for it; when that one goes away, another makes it.
    pub async fn load(
        &self,
        account: &AccountId,
        ticket: Ticket,
        load: impl Future<Output = Result<Arc<Entry>, StoreError>>,
    ) -> Loaded {
        let joined = self.join(account, ticket);
        joined.flight.loaded.get_or_init(|| async { load.await.map_err(Arc::new) }).await.clone()
    }

    fn join<'a>(&'a self, account: &'a AccountId, ticket: Ticket) -> Joined<'a> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |flight: &&Arc<Flight>| {
            flight.ticket == ticket
                && !flight.loaded.initialized()
                && flight.begun.elapsed() < STALENESS_MAX
        };
        if let Some(flight) = flights.get(account).filter(fits) {
            return Joined { flights: self, account, flight: Arc::clone(flight) };
        }
        let loaded = OnceCell::new();
        let flight = Arc::new(Flight { ticket, begun: Instant::now(), loaded });
        flights.insert(account.clone(), Arc::clone(&flight));
        Joined { flights: self, account, flight }
    }
}

/// One of those who wait for a load.
struct Joined<'a> {
    flights: &'a Flights,
    account: &'a AccountId,
    flight: Arc<Flight>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = flights.get(self.account).is_some_and(|known| Arc::ptr_eq(known, &self.flight));
        // The map's and this one's: nobody else waits.
        let last = Arc::strong_count(&self.flight) <= 2;
        if ours && (last || self.flight.loaded.initialized()) {
            flights.remove(self.account);
        }
    }
}
