//! A stateful stand-in for one Stripe account, as pure state. Owns: the state, its settings, and
//! the way into it: calls of the API, time passing, and what people do on Stripe's own pages. No
//! network, no clock, no randomness but from the seed: the same calls give the same bytes. Must
//! not know: who calls and how.

use tollgate_domain::Catalog;

use crate::event::Happening;
use crate::id::Ids;
use crate::object::stored::Stored as _;
use crate::offer;
use crate::version::ApiVersion;
use crate::world::World;

mod account;
mod balance_transactions;
mod billing;
mod cards;
mod charges;
mod checkout;
mod clocks;
mod customers;
mod deliveries;
mod destinations;
mod disputes;
mod endpoints;
mod entitlements;
mod error;
mod events;
mod expand;
mod idempotency;
mod invoice_items;
mod invoice_payments;
mod invoices;
mod page;
mod pages;
mod params;
mod payment_intents;
mod payment_methods;
mod portal;
mod prices;
mod products;
mod refunds;
mod request;
mod route;
mod schedules;
mod sessions;
mod setup_intents;
mod shape;
mod subscriptions;
#[cfg(test)]
mod tests;
mod thin_events;
mod time;
mod truth;

pub use cards::Card;
pub use checkout::{CheckoutOutcome, CheckoutPage, PageLine, PageResult};
pub use deliveries::DeliveryState;
pub use disputes::{DisputeError, DisputeMove};
pub use endpoints::WebhookEndpoint;
pub use pages::PageError;
pub use params::{Params, ParamsError};
pub use portal::act::PortalAct;
pub use portal::visit::{PortalChoice, PortalInvoice, PortalItem, PortalPage, PortalSubscription};
pub use request::{ApiReply, ApiRequest, Method};
pub use truth::{
    AdjustmentTruth, CustomerTruth, InvoiceTruth, ItemTruth, SessionTruth, SubscriptionTruth,
};

/// What becomes of a subscription whose last retry failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinalAction {
    /// It is cancelled.
    #[default]
    Cancel,
    /// It becomes `unpaid`; invoices are drafted and not collected.
    Unpaid,
    /// It stays `past_due`.
    PastDue,
    /// It is paused.
    Pause,
}

/// The settings one has on Stripe's dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of a subscription whose last retry failed.
    pub final_action: FinalAction,
    /// Days between the attempts to collect an invoice.
    pub retry_after_days: Vec<i64>,
    /// The account's version: of requests and endpoints that name none.
    pub default_version: ApiVersion,
    /// How long the invoice of a renewal stays a draft, in seconds.
    pub finalize_after_s: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            final_action: FinalAction::Cancel,
            retry_after_days: vec![3, 5, 7],
            default_version: ApiVersion::Endive,
            finalize_after_s: crate::time::HOUR,
        }
    }
}

/// How a sandbox begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SandboxOptions {
    /// Other seeds give other ids.
    pub seed: u64,
    /// The time it begins at, in Unix seconds.
    pub now: i64,
    /// The account's settings.
    pub settings: Settings,
}

/// One Stripe account.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(crate) world: World,
    pub(crate) settings: Settings,
    keys: idempotency::Keys,
    deliveries: deliveries::Deliveries,
    endpoints: Vec<WebhookEndpoint>,
    /// Where the pages are that Stripe would show.
    pages_base: Option<String>,
    /// What the secrets of webhooks are derived from, where not from the account's seed.
    secrets: Option<Ids>,
    /// The test clock that is being moved; what goes by no clock stands still meanwhile.
    moving: Option<String>,
}

impl Sandbox {
    /// An empty account.
    pub fn new(options: SandboxOptions) -> Self {
        let account = Ids::new(&format!("sandbox/{}", options.seed)).make("acct_1", 15, "account");
        let ids = (Ids::new(&account), Ids::new(&format!("{account}/events")));
        let mut world = World::new(&account, ids, options.settings.default_version);
        world.now = options.now;
        Self {
            world,
            settings: options.settings,
            keys: idempotency::Keys::default(),
            deliveries: deliveries::Deliveries::default(),
            endpoints: Vec::new(),
            pages_base: None,
            secrets: None,
            moving: None,
        }
    }

    /// The catalog's products and prices exist from now on, under the ids and lookup keys the
    /// scenarios use. Makes no events.
    pub fn stock(&mut self, catalog: &Catalog) {
        for price in offer::all(catalog) {
            self.world.objects.put((*price.product).clone().into_object());
            self.world.objects.put(price.into_object());
        }
    }

    /// Its id, `acct_…`.
    pub fn account(&self) -> &str {
        &self.world.account
    }

    /// The time, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.world.now
    }

    /// The account begins at another time; only before anything has happened to it.
    pub(crate) fn begin_at(&mut self, at: i64) {
        self.world.now = at;
    }

    /// All events so far, in the order they were made.
    pub fn happenings(&self) -> &[Happening] {
        &self.world.happenings
    }

    /// What became of an event's deliveries so far.
    pub fn record_delivery(&mut self, event: &str, state: DeliveryState) {
        self.deliveries.record(event, state);
    }

    /// A story told by a scenario becomes part of the state and of the events.
    pub fn adopt(&mut self, happenings: Vec<Happening>) {
        self.world.adopt(happenings);
    }
}
