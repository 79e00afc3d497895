//! What the same work costs with more and more behind it. Owns: filling a database size by size, and
//! measuring at each. Must not know: how rows are written, how events are sent.
//!
//! The database is filled by customers who buy a plan, decided, numbered and hashed as the intake does
//! it and written through the store: accounts, facts, journals, links and inbox are what they would be.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Context as _;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::EventId;
use tollgate_store::inbox::{
    self, BodyCodec, EventKey, EventStatus, NewEvent, Outcome, StoredBody,
};
use tollgate_store::{Db, DbOptions, accounts, migrations};

use super::Bench;
use super::client::{self, Requests};
use super::figures::Figure;
use super::intake::{self, Feeding};
use super::limit::{Batch, Side};
use super::load::{BEGINNING_STEPS, Lives};
use super::place::Place;
use super::report::{GrowthReport, GrowthSize};
use super::server::{self, Server};
use crate::clock::Clock;

/// Seed of the lives behind the work; those that are measured have others.
const SEED: u64 = 201;
/// Events in one transaction.
const BATCH: usize = 2_000;
/// Events without effects written in one transaction.
const CHUNK: u64 = 1_000;
/// Bytes of a body as it is stored.
const BODY_BYTES: usize = 735;
/// What every answer to a check says.
const ANSWER: &[u8] = b"\"canAccess\":";

/// A database that is filled further and further.
struct Filling {
    database: String,
    db: Db,
    /// What is known of the last customers; away while their next batch is prepared.
    side: Option<Side>,
    /// Events written.
    events: u64,
    /// Events that servers took while they were measured.
    served: u64,
    /// Customers whose lives have begun.
    customers: usize,
}

/// Measures one size after the other.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<GrowthReport> {
    let now = Clock::System.now();
    let database = place.database().await?;
    let db = Db::open(&database, &DbOptions::default()).await?;
    migrations::up(&db, now).await?;
    let side = Some(Side::new(Lives::beginnings(bench, now, SEED)?));
    let mut filling = Filling { database, db, side, events: 0, served: 0, customers: 0 };
    let mut sizes = bench.args.sizes.clone();
    sizes.sort_unstable();
    let mut report = GrowthReport { sizes: Vec::new() };
    for (seed, size) in (SEED + 1..).zip(&sizes) {
        bench.note(&format!("growth: writing the lives of {size} accounts"));
        filling.fill(bench, usize::try_from(*size)?).await?;
        report.sizes.push(filling.measure(bench, place, seed).await?);
    }
    if filling.inbox_rows() < bench.args.inbox_rows {
        bench.note(&format!("growth: filling the inbox up to {} events", bench.args.inbox_rows));
        filling.fill_inbox(bench.args.inbox_rows, now).await?;
        report.sizes.push(filling.measure(bench, place, SEED - 1).await?);
    }
    filling.db.close().await;
    Ok(report)
}

impl Filling {
    const fn inbox_rows(&self) -> u64 {
        self.events.saturating_add(self.served)
    }

    /// Goes on until so many customers have bought a plan. One batch is prepared while another is written.
    async fn fill(&mut self, bench: &Bench<'_>, customers: usize) -> anyhow::Result<()> {
        let now = Clock::System.now();
        let catalog = Arc::new(bench.catalog.clone());
        let wanted = u64::try_from(customers.saturating_mul(BEGINNING_STEPS))?;
        let mut ready: Option<Batch> = None;
        let mut left = usize::try_from(wanted.saturating_sub(self.events))?;
        while left > 0 {
            let count = left.min(BATCH);
            left -= count;
            let mut side = self.side.take().context("what is known of the last customers")?;
            let catalog = Arc::clone(&catalog);
            let prepared = tokio::task::spawn_blocking(move || {
                let batch = side.prepare(&catalog, now, count);
                side.forget_others(&batch);
                (side, batch)
            });
            let (prepared, written) = tokio::join!(prepared, write(&self.db, ready.as_ref()));
            self.events += written?;
            let (side, batch) = prepared?;
            (self.side, ready) = (Some(side), Some(batch));
        }
        self.events += write(&self.db, ready.as_ref()).await?;
        self.customers = customers;
        Ok(())
    }

    /// Writes events without effects until there are so many in all.
    async fn fill_inbox(&mut self, wanted: u64, now: Timestamp) -> anyhow::Result<()> {
        while self.inbox_rows() < wanted {
            let count = CHUNK.min(wanted - self.inbox_rows());
            let events = (0..count).map(|number| without_effects(self.events + number, now));
            let events = events.collect::<anyhow::Result<Vec<_>>>()?;
            let mut tx = self.db.begin().await?;
            inbox::insert(&mut tx, &events).await?;
            tx.commit().await?;
            self.events += count;
        }
        Ok(())
    }

    async fn measure(
        &mut self,
        bench: &Bench<'_>,
        place: &Place,
        seed: u64,
    ) -> anyhow::Result<GrowthSize> {
        let (accounts, inbox_rows) = (accounts::count(&self.db).await?, self.inbox_rows());
        bench.note(&format!("growth: measuring with {accounts} accounts, {inbox_rows} events"));
        let key = server::create_key(bench, place, &self.database).await?;
        let server = Server::start_settled(bench, place, &self.database).await?;
        let mut feeding = Feeding::warm(bench, server, seed).await?;
        let mut new = Vec::new();
        for _ in 0..bench.args.rounds {
            new.push(intake::new_events(bench, &mut feeding).await?.0);
        }
        let Feeding { server, .. } = feeding;
        let taken: u64 = new.iter().map(|figure| figure.count).sum();
        let before = Lives::new(bench, Clock::System.now(), seed)?.ramp();
        self.served += taken + u64::try_from(before)?;
        let asked = bench.accounts().min(self.customers);
        let customers = (0..asked).map(|number| number * self.customers / asked.max(1));
        let lives = Lives::new(bench, Clock::System.now(), SEED)?;
        let requests = lives.checks(customers, &bench.catalog, &key);
        let once = Arc::new(Requests::new(requests.clone(), ANSWER, false));
        let first = check(bench, &server, &once).await?;
        let requests = Arc::new(Requests::new(requests, ANSWER, true));
        let mut again = Vec::new();
        for _ in 0..bench.args.rounds {
            again.push(check(bench, &server, &requests).await?);
        }
        server.stop().await?;
        Ok(GrowthSize {
            accounts,
            inbox_rows,
            intake: Figure::median(&new),
            first_checks: first,
            checks: Figure::median(&again),
        })
    }
}

/// Writes a batch, where there is one; returns how many events it has.
async fn write(db: &Db, batch: Option<&Batch>) -> anyhow::Result<u64> {
    let Some(batch) = batch else { return Ok(0) };
    batch.write(db).await?;
    Ok(u64::try_from(batch.len())?)
}

async fn check(
    bench: &Bench<'_>,
    server: &Server,
    requests: &Arc<Requests>,
) -> anyhow::Result<Figure> {
    let before = server.cpu();
    let (address, connections) = (server.address, bench.connections());
    let sample = client::closed_loop(address, connections, bench.seconds(), requests).await?;
    Ok(Figure::of(&sample, server.cpu().since(before)))
}

/// An event as the intake stores one of a type that has no effects.
fn without_effects(number: u64, now: Timestamp) -> anyhow::Result<NewEvent<'static>> {
    let event = EventId::parse(&format!("evt_idle{number}"))?;
    Ok(NewEvent {
        key: EventKey { event, livemode: false, stripe_account: String::new() },
        event_type: "charge.updated".into(),
        api_version: None,
        created_at: Some(now),
        signed_at: Some(now),
        received_at: now,
        object: None,
        body: StoredBody {
            bytes: Cow::Owned(vec![7; BODY_BYTES]),
            codec: BodyCodec::Plain,
            raw_len: 5_926,
        },
        outcome: Outcome {
            status: EventStatus::Ignored,
            account: None,
            reason: Some("type_without_effects".to_owned()),
            attempts: 1,
            next_attempt_at: None,
            processed_at: Some(now),
            duration_us: Some(1),
        },
    })
}
