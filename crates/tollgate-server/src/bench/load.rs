//! What is sent. Owns: the stream of lives whose events arrive, and requests as bytes. Must not
//! know: how they are sent, what comes back.

use std::io::Write as _;

use anyhow::Context as _;
use tollgate_domain::catalog::FeatureKind;
use tollgate_domain::ids::AccountId;
use tollgate_domain::{Catalog, Timestamp};
use tollgate_sandbox::load::{Load, LoadEvent, STEPS_COUNT};
use tollgate_sandbox::{ScenarioOptions, delivery};
use tollgate_stripe::SigningSecret;

use super::Bench;
use super::server::WEBHOOK_SECRET;

/// More customers than any run gets to; they are made one by one.
const CUSTOMERS_MAX: usize = 1 << 24;

/// The first steps of a life: subscription, first payment, checkout.
pub(super) const BEGINNING_STEPS: usize = 3;

/// An endless stream of events: customers begin their lives one after the other, and so many are
/// alive at the same time that events of `accounts` of them are mixed. Once the first ones have
/// ended, every step of a life is as frequent as every other.
#[derive(Debug)]
pub(super) struct Lives {
    load: Load,
    /// Customers that begin between two steps of one life.
    stride: usize,
    /// Events of one life.
    steps: usize,
    at: Position,
    /// Where the last requests began.
    from: Position,
}

/// The event that comes next: what the customer who began so many ago does now.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    begun: usize,
    step: usize,
}

impl Lives {
    /// Lives of other customers for every seed.
    pub(super) fn new(bench: &Bench<'_>, now: Timestamp, seed: u64) -> anyhow::Result<Self> {
        let account = AccountId::parse("bench")?;
        let options = ScenarioOptions { seed, ..ScenarioOptions::new(account, now) };
        let load = Load::new(&bench.catalog, &options, CUSTOMERS_MAX)?;
        let stride = (bench.accounts() / STEPS_COUNT).max(1);
        let (at, from) = (Position::default(), Position::default());
        Ok(Self { load, stride, steps: STEPS_COUNT, at, from })
    }

    /// Checks of every feature of some customers' accounts, in an order without pattern.
    pub(super) fn checks(
        &self,
        customers: impl IntoIterator<Item = usize>,
        catalog: &Catalog,
        key: &str,
    ) -> Vec<Vec<u8>> {
        let accounts = customers.into_iter().map(|customer| self.load.account(customer));
        checks(accounts, catalog, key)
    }

    /// The beginnings of lives, until the first plan is paid. One follows the other, and only a few are mixed.
    pub(super) fn beginnings(bench: &Bench<'_>, now: Timestamp, seed: u64) -> anyhow::Result<Self> {
        Ok(Self { stride: 1, steps: BEGINNING_STEPS, ..Self::new(bench, now, seed)? })
    }

    /// How many events come before all steps are equally frequent.
    pub(super) const fn ramp(&self) -> usize {
        self.stride * STEPS_COUNT * (STEPS_COUNT - 1) / 2
    }

    /// The next so many signed requests.
    pub(super) fn requests(
        &mut self,
        count: usize,
        now: Timestamp,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let secret = SigningSecret::parse(WEBHOOK_SECRET, "bench").context("the secret")?;
        self.from = self.at;
        Ok(self.take(count).map(|event| webhook(&event, &secret, now)).collect())
    }

    /// Only so many of the last requests were sent: the next ones begin with the first that was not. Without
    /// it lives would have gaps, and an event whose predecessors are missing costs more.
    pub(super) fn only_sent(&mut self, count: usize) {
        self.at = self.from;
        for _ in 0..count {
            self.advance();
        }
    }

    /// The place of the next event in the load.
    fn advance(&mut self) -> usize {
        loop {
            if self.at.step >= self.steps {
                self.at = Position { begun: self.at.begun + 1, step: 0 };
            }
            let step = self.at.step;
            self.at.step += 1;
            if let Some(customer) = self.at.begun.checked_sub(step * self.stride) {
                return step * CUSTOMERS_MAX + customer;
            }
            // Nobody has lived that long yet.
            self.at.step = self.steps;
        }
    }
}

impl Iterator for Lives {
    type Item = LoadEvent;

    fn next(&mut self) -> Option<LoadEvent> {
        let place = self.advance();
        self.load.event(place)
    }
}

fn webhook(event: &LoadEvent, secret: &SigningSecret, now: Timestamp) -> Vec<u8> {
    let signature = delivery::signature(secret, &event.body, now);
    let mut request = format!(
        "POST /api/v1/billing/webhook HTTP/1.1\r\nhost: bench\r\naccept: */*; q=0.5, application/xml\r\n\
         cache-control: no-cache\r\ncontent-type: application/json; charset=utf-8\r\n\
         user-agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n\
         stripe-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        event.body.len(),
    )
    .into_bytes();
    request.extend_from_slice(event.body.as_bytes());
    request
}

/// The bodies of the next so many events, with their mean lengths raw and as they are stored.
pub(super) fn body_sizes(lives: &mut Lives, count: usize) -> (u64, u64) {
    let (mut raw, mut stored, mut seen) = (0, 0, 0_usize);
    for event in lives.take(count) {
        raw += event.body.len();
        stored += crate::intake::squeeze::squeeze(event.body.as_bytes()).bytes.len();
        seen += 1;
    }
    let mean = |sum: usize| u64::try_from(sum / seen.max(1)).unwrap_or(u64::MAX);
    (mean(raw), mean(stored))
}

/// Customers with a subscription: how they are made, and what may be asked about them.
#[derive(Debug)]
pub(super) struct Subscribers {
    load: Load,
    accounts: usize,
}

impl Subscribers {
    /// So many customers.
    pub(super) fn new(bench: &Bench<'_>, now: Timestamp) -> anyhow::Result<Self> {
        let account = AccountId::parse("bench")?;
        let options = ScenarioOptions { seed: 1, ..ScenarioOptions::new(account, now) };
        let accounts = bench.accounts();
        Ok(Self { load: Load::new(&bench.catalog, &options, accounts)?, accounts })
    }

    /// The first three steps of each life: checkout, subscription, first payment.
    pub(super) fn arrivals(&self, now: Timestamp) -> anyhow::Result<Vec<Vec<u8>>> {
        let secret = SigningSecret::parse(WEBHOOK_SECRET, "bench").context("the secret")?;
        let events =
            (0..self.accounts * BEGINNING_STEPS).filter_map(|index| self.load.event(index));
        Ok(events.map(|event| webhook(&event, &secret, now)).collect())
    }

    /// Every feature of every account, in an order without pattern but the same every time.
    pub(super) fn checks(&self, catalog: &Catalog, key: &str) -> Vec<Vec<u8>> {
        let accounts = (0..self.accounts).map(|customer| self.load.account(customer));
        checks(accounts, catalog, key)
    }
}

fn checks(accounts: impl Iterator<Item = String>, catalog: &Catalog, key: &str) -> Vec<Vec<u8>> {
    let asked = |feature: &&tollgate_domain::catalog::Feature| {
        !matches!(feature.kind, FeatureKind::Metered(_))
    };
    let features = || catalog.features.values().filter(asked);
    let mut requests: Vec<Vec<u8>> = accounts
        .flat_map(|account| {
            features().map(move |feature| check(key, &account, feature.key.as_str()))
        })
        .collect();
    fastrand::Rng::with_seed(7).shuffle(&mut requests);
    requests
}

fn check(key: &str, account: &str, feature: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(96);
    write!(body, r#"{{"accountId":"{account}","feature":"{feature}"}}"#).ok();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len(),
        path = super::hello::CHECK,
    )
    .into_bytes();
    request.append(&mut body);
    request
}

/// The least the bare server can be asked.
pub(super) fn hello() -> Vec<u8> {
    b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n".to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_comes_next() {
        let account = AccountId::parse("bench").expect("an id");
        let catalog = tollgate_domain::catalog::builtin("sietch").expect("a catalog");
        let now = Timestamp::from_millis(1_790_000_000_000);
        let options = ScenarioOptions::new(account, now);
        let load = Load::new(&catalog, &options, CUSTOMERS_MAX).expect("a load");
        let (at, from) = (Position::default(), Position::default());
        let mut lives = Lives { load, stride: 3, steps: STEPS_COUNT, at, from };
        let all = lives.requests(200, now).expect("requests");
        lives.only_sent(70);
        assert!(lives.requests(50, now).expect("requests")[..] == all[70..120]);
        lives.only_sent(0);
        assert!(lives.requests(80, now).expect("requests")[..] == all[70..150]);
    }
}
