//! What became of deliveries. Owns: how many deliveries of an event are still to be made and
//! whether any failed, as far as the API shows it. Must not know: how deliveries are made.

use std::collections::BTreeMap;

/// The deliveries of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryState {
    /// Endpoints that have not taken it yet.
    pub pending: usize,
    /// An attempt has failed and none succeeded since.
    pub failed: bool,
}

/// The deliveries of all events.
#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries(BTreeMap<String, DeliveryState>);

impl Deliveries {
    pub(super) fn record(&mut self, event: &str, state: DeliveryState) {
        self.0.insert(event.to_owned(), state);
    }

    pub(super) fn pending(&self, event: &str) -> usize {
        self.0.get(event).map_or(0, |state| state.pending)
    }

    /// Whether every endpoint has taken the event; so it is where there are no endpoints.
    pub(super) fn succeeded(&self, event: &str) -> bool {
        self.0.get(event).is_none_or(|state| state.pending == 0 && !state.failed)
    }
}
