//! What events cost that wait for their owner. Owns: filling an inbox with them, and asking for all
//! that might look at them. Must not know: how the inbox is read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{EventId, ObjectId};
use tollgate_store::inbox::{
    self, BodyCodec, EventFilter, EventKey, EventStatus, NewEvent, Outcome, StoredBody,
};
use tollgate_store::{Db, DbOptions, StoreError, migrations};

use super::Bench;
use super::client::{self, Requests};
use super::figures::{median, millis, percent};
use super::place::Place;
use super::report::{WaitingFigures, WaitingReport};
use super::server::Server;
use crate::clock::Clock;

/// How many events wait.
const EVENTS: [usize; 2] = [1_000, 200_000];
/// Events written in one transaction.
const CHUNK: usize = 1_000;
/// Bytes of a body as it is stored.
const BODY_BYTES: usize = 735;
/// Days until an event that waits is given up.
const WAITING_DAYS: i64 = 30;
/// How often each single thing is done.
const TIMES: usize = 9;

/// Measures one server after the other.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<WaitingReport> {
    let mut inboxes = Vec::new();
    for events in EVENTS {
        inboxes.push(with(bench, place, events).await?);
    }
    Ok(WaitingReport { inboxes })
}

async fn with(bench: &Bench<'_>, place: &Place, events: usize) -> anyhow::Result<WaitingFigures> {
    let now = Clock::System.now();
    let database = place.database().await?;
    let db = Db::open(&database, &DbOptions::default()).await?;
    migrations::up(&db, now).await?;
    bench.note(&format!("waiting: writing {events} events"));
    for numbers in (0..events).collect::<Vec<_>>().chunks(CHUNK) {
        write(&db, numbers, now).await?;
    }
    let server = Server::start_settled(bench, place, &database).await?;
    bench.note("waiting: idle");
    let (before, begun) = (server.cpu(), Instant::now());
    tokio::time::sleep(bench.seconds()).await;
    let (used, idle) = (server.cpu().since(before), begun.elapsed());
    let share = |used: Duration| percent(used.as_secs_f64(), idle.as_secs_f64());
    let (server_share, database_share) = (used.server.map(share), used.database.map(share));
    bench.note("waiting: asking");
    let mut times = vec![
        ("GET /readyz", get(&server, "/readyz").await?),
        ("GET /metrics", get(&server, "/metrics").await?),
    ];
    server.stop().await?;
    times.extend(ask(&db, now).await?);
    times.push(("waking one of them", wake(&db, now).await?));
    db.close().await;
    Ok(WaitingFigures {
        events,
        idle_server_percent: server_share,
        idle_database_percent: database_share,
        times_ms: times,
    })
}

/// What counts, lists and looks up.
async fn ask(db: &Db, now: Timestamp) -> Result<Vec<(&'static str, f64)>, StoreError> {
    let waiting = EventFilter { status: Some(EventStatus::Waiting), ..EventFilter::default() };
    let any = EventFilter::default();
    let lease = now.plus_ms(60_000);
    Ok(vec![
        (
            "looking for what is due",
            time(async || inbox::claim(db, now, lease, "bench", 64).await).await?,
        ),
        ("looking for wakes", time(async || inbox::run_wakes(db, now, 1_000).await).await?),
        ("looking for one object", time(async || inbox::is_stuck(db, "in_wait7").await).await?),
        ("counting by status", time(async || inbox::count_open(db).await).await?),
        (
            "a page of those that wait",
            time(async || inbox::list(db, &waiting, None, 100).await).await?,
        ),
        ("a page of all", time(async || inbox::list(db, &any, None, 100).await).await?),
        ("events stats", time(async || inbox::stats(db, Timestamp::MIN).await).await?),
        ("the net under the wakes (6 h)", time(async || inbox::look_back_at_all(db).await).await?),
    ])
}

/// Lets the object of one event come about, finds that event and takes it for work.
async fn wake(db: &Db, now: Timestamp) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for number in 0..TIMES {
        let object = ObjectId::parse(&format!("in_wait{number}"))?;
        let begun = Instant::now();
        inbox::wake_for(db, &[object]).await?;
        let woken = inbox::run_wakes(db, now, 1_000).await?;
        let taken = inbox::claim(db, now, now.plus_ms(60_000), "bench", 64).await?;
        times.push(millis(begun.elapsed()));
        anyhow::ensure!((woken, taken.len()) == (1, 1), "one event wakes");
    }
    Ok(median(times))
}

async fn time<T>(work: impl AsyncFn() -> Result<T, StoreError>) -> Result<f64, StoreError> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        work().await?;
        times.push(millis(begun.elapsed()));
    }
    Ok(median(times))
}

async fn get(server: &Server, path: &str) -> anyhow::Result<f64> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let requests = Arc::new(Requests::new(vec![request.clone().into_bytes()], b"", false));
        let sample = client::burst(server.address, 1, &requests).await;
        let latency = sample.latencies_us.first();
        let latency = latency.ok_or_else(|| anyhow::anyhow!("{path} does not answer"))?;
        times.push(millis(Duration::from_micros(u64::from(*latency))));
    }
    Ok(median(times))
}

/// Writes events as the intake stores those whose owner is not known: each waits for an invoice, a
/// subscription and a customer of its own.
async fn write(db: &Db, numbers: &[usize], now: Timestamp) -> anyhow::Result<()> {
    let (mut events, mut waits) = (Vec::new(), Vec::new());
    for number in numbers {
        let id = EventId::parse(&format!("evt_wait{number}"))?;
        let key = EventKey { event: id, livemode: false, stripe_account: String::new() };
        let objects = ["in", "sub", "cus"].map(|kind| format!("{kind}_wait{number}"));
        let objects =
            objects.iter().map(|id| ObjectId::parse(id)).collect::<Result<Vec<_>, _>>()?;
        let ago = i64::try_from(*number).unwrap_or(0);
        events.push(NewEvent {
            key: key.clone(),
            event_type: "invoice.paid".into(),
            api_version: None,
            created_at: Some(now),
            signed_at: Some(now),
            received_at: now.plus_ms(-ago),
            object: objects.first().cloned(),
            body: StoredBody {
                bytes: Cow::Owned(vec![7; BODY_BYTES]),
                codec: BodyCodec::Plain,
                raw_len: 5_926,
            },
            outcome: Outcome {
                status: EventStatus::Waiting,
                account: None,
                reason: Some("no account is linked to its objects yet".to_owned()),
                attempts: 0,
                next_attempt_at: Some(now.plus_days(WAITING_DAYS)),
                processed_at: None,
                duration_us: Some(400),
            },
        });
        waits.push((key, objects));
    }
    let mut tx = db.begin().await?;
    inbox::insert(&mut tx, &events).await?;
    inbox::set_waits(&mut tx, &waits).await?;
    Ok(tx.commit().await?)
}
