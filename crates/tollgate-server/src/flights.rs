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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;
    use tollgate_domain::{Catalog, Facts, Timestamp};

    use super::*;
    use crate::cache::EntitlementCache;

    /// Loads that are counted, and held up until they are let go.
    struct Loads {
        flights: Flights,
        account: AccountId,
        catalog: Catalog,
        begun: AtomicUsize,
        gate: Semaphore,
    }

    impl Loads {
        fn new() -> Self {
            Self {
                flights: Flights::default(),
                account: AccountId::parse("acme").unwrap(),
                catalog: tollgate_domain::catalog::builtin("sietch").unwrap(),
                begun: AtomicUsize::new(0),
                gate: Semaphore::new(0),
            }
        }

        fn open(&self) {
            self.gate.add_permits(1_000);
        }

        fn begun(&self) -> usize {
            self.begun.load(Ordering::SeqCst)
        }

        async fn ask(&self, ticket: Ticket) -> Loaded {
            let load = async {
                self.begun.fetch_add(1, Ordering::SeqCst);
                self.gate.acquire().await.unwrap().forget();
                let facts = Facts::unknown(self.account.clone());
                let now = Timestamp::from_millis(0);
                let resolution = tollgate_domain::resolve(&facts, &self.catalog, now);
                Ok(Arc::new(Entry::new(resolution, &self.catalog)))
            };
            self.flights.load(&self.account, ticket, load).await
        }
    }

    /// Polls once; the work waits for the gate.
    async fn begin(work: &mut (impl Future + Unpin)) {
        let mut work = std::pin::Pin::new(work);
        poll_fn(|context| {
            assert!(work.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn those_who_ask_together_share_one_load_and_later_ones_do_not() {
        let loads = Loads::new();
        let ticket = EntitlementCache::new(1).begin_fill("acme");
        let mut first = Box::pin(loads.ask(ticket));
        begin(&mut first).await;
        let mut others: Vec<_> = (0..63).map(|_| Box::pin(loads.ask(ticket))).collect();
        for other in &mut others {
            begin(other).await;
        }
        loads.open();
        let entry = first.await.unwrap();
        assert!(
            join_all(others).await.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), &entry))
        );
        assert_eq!(loads.begun(), 1);
        loads.ask(ticket).await.unwrap();
        assert_eq!(loads.begun(), 2);
    }

    #[tokio::test]
    async fn whoever_goes_away_leaves_the_load_to_the_others() {
        let loads = Loads::new();
        let ticket = EntitlementCache::new(1).begin_fill("acme");
        let (mut first, mut second) = (Box::pin(loads.ask(ticket)), Box::pin(loads.ask(ticket)));
        begin(&mut first).await;
        begin(&mut second).await;
        drop(first);
        loads.open();
        assert!(second.await.is_ok());
        assert!(loads.flights.0.lock().unwrap().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn a_load_begun_before_the_account_was_raised_is_not_joined() {
        let loads = Loads::new();
        let cache = EntitlementCache::new(1);
        let mut before = Box::pin(loads.ask(cache.begin_fill("acme")));
        begin(&mut before).await;
        cache.raise("acme");
        let mut after = Box::pin(loads.ask(cache.begin_fill("acme")));
        begin(&mut after).await;
        assert_eq!(loads.begun(), 2);
        loads.open();
        assert!(before.await.is_ok() && after.await.is_ok());
    }
}
