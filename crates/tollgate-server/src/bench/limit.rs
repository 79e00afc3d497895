//! The limit of the database: the rows the intake writes, written by nothing but the store. Owns:
//! preparing them and writing them in batches from two sides. Must not know: HTTP.
//!
//! Everything that is not writing is done before the clock starts: reading and squeezing bodies,
//! deciding, numbering, hashing. So this is what is left when all of our own work costs nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use tollgate_domain::ids::AccountId;
use tollgate_domain::owner::{self, Directory as _, Links, Owner};
use tollgate_domain::{Catalog, Facts, Link, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::inbox::{EventStatus, NewEvent, Outcome};
use tollgate_store::{Db, DbOptions, StoreError, changes, inbox, links, migrations};

use super::client::Sample;
use super::figures::{CpuUsed, Figure};
use super::load::Lives;
use super::place::Place;
use super::{Bench, process};
use crate::clock::Clock;
use crate::config::StripeConfig;
use crate::intake::{Content, read, squeeze};
use crate::unit_of_work::ledger::{Effects, Ledger};

/// Events in one transaction.
const BATCH: usize = 200;
/// Batches each side has ready for one measurement.
const BATCHES: usize = 110;
/// Name of this writer in the change feed.
const INSTANCE: &str = "bench";

/// Two sides that write, each about accounts of its own, as two instances would.
pub(super) struct Limit {
    db: Db,
    cluster: Option<u32>,
    sides: [Side; 2],
    catalog: Catalog,
}

/// What one side knows of the accounts it writes about.
pub(super) struct Side {
    lives: Lives,
    facts: BTreeMap<AccountId, Facts>,
    heads: HashMap<AccountId, AccountHead>,
    links: Links,
}

/// One transaction, ready to be written.
pub(super) struct Batch {
    links: Vec<Link>,
    effects: Effects,
    events: Vec<NewEvent<'static>>,
}

impl Limit {
    /// A database of its own, with the first lives already in it.
    pub(super) async fn start(bench: &Bench<'_>, place: &Place) -> anyhow::Result<Self> {
        let now = Clock::System.now();
        let db = Db::open(&place.database().await?, &DbOptions::default()).await?;
        migrations::up(&db, now).await?;
        let side = |seed| Lives::new(bench, now, seed).map(Side::new);
        let catalog = bench.catalog.clone();
        let mut limit =
            Self { db, cluster: place.cluster(), sides: [side(101)?, side(102)?], catalog };
        let ramp = limit.sides.iter().map(|side| side.lives.ramp()).max().unwrap_or_default();
        let warm = limit.prepare(ramp.div_ceil(BATCH));
        limit.write(warm, Duration::from_mins(1)).await?;
        Ok(limit)
    }

    fn prepare(&mut self, batches: usize) -> [Vec<Batch>; 2] {
        let now = Clock::System.now();
        let catalog = &self.catalog;
        let prepare = |side: &mut Side| side.prepare(catalog, now, BATCH);
        self.sides.each_mut().map(|side| (0..batches).map(|_| prepare(side)).collect())
    }

    /// Writes for at most so long. The latency is a batch's.
    pub(super) async fn measure(&mut self, time: Duration) -> anyhow::Result<Figure> {
        let batches = self.prepare(BATCHES);
        let look = || CpuUsed {
            server: process::cpu(std::process::id()),
            database: self.cluster.and_then(process::cpu_of_family),
        };
        let before = look();
        let sample = self.write(batches, time).await?;
        Ok(Figure::of(&sample, look().since(before)))
    }

    async fn write(&self, [a, b]: [Vec<Batch>; 2], time: Duration) -> anyhow::Result<Sample> {
        let begun = Instant::now();
        let (db, end) = (&self.db, begun + time);
        let (a, b) = tokio::try_join!(write_side(db, a, end), write_side(db, b, end))?;
        let elapsed = begun.elapsed();
        Ok(Sample { latencies_us: [a, b].concat(), elapsed, ..Sample::default() })
    }

    /// Ends the connections.
    pub(super) async fn close(self) {
        self.db.close().await;
    }
}

/// Writes one batch after the other; the latency of each event is its batch's.
async fn write_side(db: &Db, batches: Vec<Batch>, end: Instant) -> Result<Vec<u32>, StoreError> {
    let mut latencies = Vec::new();
    for batch in batches {
        let begun = Instant::now();
        // A batch left out would leave gaps in what later ones build on: those after the end are
        // still written, only not counted.
        batch.write(db).await?;
        if begun < end {
            let us = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
            latencies.extend(std::iter::repeat_n(us, batch.events.len()));
        }
    }
    Ok(latencies)
}

impl Batch {
    /// How many events it has.
    pub(super) const fn len(&self) -> usize {
        self.events.len()
    }

    /// Writes it in one transaction.
    pub(super) async fn write(&self, db: &Db) -> Result<(), StoreError> {
        let mut tx = db.begin().await?;
        links::insert(&mut tx, &self.links.iter().collect::<Vec<_>>()).await?;
        self.effects.write(&mut tx).await?;
        inbox::insert(&mut tx, &self.events).await?;
        changes::append(&mut tx, INSTANCE, &self.effects.changed).await?;
        tx.commit().await
    }
}

impl Side {
    pub(super) fn new(lives: Lives) -> Self {
        Self { lives, facts: BTreeMap::new(), heads: HashMap::new(), links: Links::default() }
    }

    /// Forgets all accounts but those of a batch: of lives that follow one another, no event of others is to come.
    pub(super) fn forget_others(&mut self, batch: &Batch) {
        let kept: HashSet<&AccountId> = batch.effects.changed.iter().map(|(one, _)| one).collect();
        self.facts.retain(|account, _| kept.contains(account));
        self.heads.retain(|account, _| kept.contains(account));
    }

    /// The next transaction, of so many events.
    pub(super) fn prepare(&mut self, catalog: &Catalog, now: Timestamp, count: usize) -> Batch {
        let mut ledger = Ledger::new(catalog, false, now);
        ledger.heads = std::mem::take(&mut self.heads);
        let (mut links, mut events) = (Vec::new(), Vec::with_capacity(count));
        while events.len() < count {
            let Some(event) = self.lives.next() else { break };
            events.extend(self.enter(
                event.body.as_bytes(),
                catalog,
                (&mut ledger, &mut links),
                now,
            ));
        }
        let effects = ledger.finish();
        self.heads = ledger.heads;
        Batch { links, effects, events }
    }

    /// Decides about one event as the intake would. `None` for one without an owner, which the
    /// load has none of.
    fn enter(
        &mut self,
        body: &[u8],
        catalog: &Catalog,
        (ledger, links): (&mut Ledger<'_>, &mut Vec<Link>),
        now: Timestamp,
    ) -> Option<NewEvent<'static>> {
        let ours = StripeConfig::default();
        let reading = read::read(body, &ours);
        let Content::Effect(seen) = &reading.content else { return None };
        let Owner::Found(owner) = owner::choose(seen, &self.links) else {
            return None;
        };
        let facts = self
            .facts
            .entry(owner.account.clone())
            .or_insert_with(|| Facts::unknown(owner.account.clone()));
        let decision = tollgate_domain::decide(seen, &owner, facts, catalog);
        let new = owner.links.links.iter().filter(|link| self.links.link(&link.object).is_none());
        links.extend(new.cloned());
        self.links.apply(&owner.links);
        let account = owner.account;
        ledger.decide(decision, facts).ok()?;
        let outcome = Outcome {
            status: EventStatus::Processed,
            account: Some(account),
            reason: None,
            attempts: 1,
            next_attempt_at: None,
            processed_at: Some(now),
            duration_us: Some(1),
        };
        Some(NewEvent {
            key: reading.key,
            event_type: Cow::Owned(reading.event_type),
            api_version: reading.api_version.map(Cow::Owned),
            created_at: reading.created_at,
            signed_at: Some(now),
            received_at: now,
            object: reading.object,
            body: squeeze::squeeze(body),
            outcome,
        })
    }
}
