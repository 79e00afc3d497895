//! How many events go in. Owns: the measurements of the intake and their order. Must not know:
//! how they are sent or shown.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Bench;
use super::client::{self, Requests, Sample};
use super::figures::{CpuUsed, Figure, Pair, enough_for, number, ratio};
use super::limit::Limit;
use super::load::{self, Lives};
use super::place::Place;
use super::report::{IntakeReport, MemoryReport};
use super::server::Server;
use crate::clock::Clock;

/// What the reply to a new event says, and to a known one.
const PROCESSED: &[u8] = b"\"status\":\"processed\"";
const DUPLICATE: &[u8] = b"\"status\":\"duplicate\"";
/// Events a second in the open loop.
const OPEN_PER_SECOND: u32 = 1000;
/// Connections that arrive at the same moment.
const BURST_CONNECTIONS: usize = 1000;
/// Most events made ready for one measurement: a gigabyte of them.
const EVENTS_MAX: usize = 170_000;
/// New events sent before one that is known already, where both are mixed: a quarter is known.
const NEW_PER_KNOWN: usize = 3;
/// How many more events are sent, for each connection, before one is sent again: it is known by then.
const APART_PER_CONNECTION: usize = 16;
/// Bodies whose sizes are looked at.
const BODIES: usize = 2_200;

/// A server with its stream of events.
pub(super) struct Feeding {
    pub(super) server: Server,
    lives: Lives,
    /// Events a second it took while warming up.
    pub(super) warm_per_second: f64,
}

impl Feeding {
    /// Lets the first lives pass, so that every step of a life is as frequent as every other.
    pub(super) async fn warm(bench: &Bench<'_>, server: Server, seed: u64) -> anyhow::Result<Self> {
        let mut lives = Lives::new(bench, Clock::System.now(), seed)?;
        let requests = lives.requests(lives.ramp(), Clock::System.now())?;
        let (sample, sent) =
            send(bench, &server, requests, PROCESSED, Duration::from_mins(1)).await?;
        lives.only_sent(sent.len());
        let warm = Figure::of(&sample, CpuUsed::default());
        anyhow::ensure!(warm.failed == 0, "{} of the first events were refused", warm.failed);
        Ok(Self { server, lives, warm_per_second: warm.per_second })
    }

    /// The next requests of an open loop.
    pub(super) fn paced(
        &mut self,
        per_second: u32,
        time: Duration,
    ) -> anyhow::Result<Arc<Requests>> {
        let count = u64::from(per_second).saturating_mul(time.as_secs());
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let requests = self.lives.requests(count, Clock::System.now())?;
        Ok(Arc::new(Requests::new(requests, PROCESSED, false)))
    }
}

/// Sends requests in a closed loop; returns the processor time they took, too.
async fn send(
    bench: &Bench<'_>,
    server: &Server,
    requests: Vec<Vec<u8>>,
    marker: &'static [u8],
    time: Duration,
) -> anyhow::Result<(Sample, Vec<Vec<u8>>)> {
    let requests = Arc::new(Requests::new(requests, marker, false));
    let sample = client::closed_loop(server.address, bench.connections(), time, &requests).await?;
    let taken = requests.taken();
    let mut bytes = Arc::try_unwrap(requests).map(|requests| requests.bytes).unwrap_or_default();
    bytes.truncate(taken);
    Ok((sample, bytes))
}

/// Measures the intake.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<IntakeReport> {
    bench.note("intake: starting");
    let database = place.database().await?;
    let server = Server::start(bench, place, &database).await?;
    let idle = server.memory();
    let mut feeding = Feeding::warm(bench, server, 2).await?;
    let mut limit = Limit::start(bench, place).await?;
    let (mut first, mut again, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.args.rounds {
        bench.note(&format!("intake: round {round} of {}", bench.args.rounds));
        let (new, known) = round_of(bench, &mut feeding).await?;
        first.push(new);
        again.push(known);
        bare.push(limit.measure(bench.seconds()).await?);
    }
    limit.close().await;
    bench.note("intake: a quarter known");
    let mixed = mixed_with_known(bench, &mut feeding).await?;
    bench.note("intake: 1000 events a second");
    let open = paced(bench, &mut feeding).await?;
    bench.note("intake: 1000 connections at once");
    let burst = burst(bench, &mut feeding).await?;
    let (body_bytes, stored_bytes) = load::body_sizes(&mut feeding.lives, BODIES);
    let after = feeding.server.memory();
    feeding.server.stop().await?;
    let limit = Pair::of(&first, &bare);
    Ok(IntakeReport {
        closed: limit.ours.clone(),
        known: Pair::of(&again, &first),
        limit,
        mixed,
        open,
        burst,
        body_bytes,
        stored_bytes,
        squeeze_ratio: ratio(number(body_bytes), number(stored_bytes)),
        memory: MemoryReport::of(idle, after),
    })
}

/// New events as fast as they go through, then the same ones again.
async fn round_of(bench: &Bench<'_>, feeding: &mut Feeding) -> anyhow::Result<(Figure, Figure)> {
    let (new, sent) = new_events(bench, feeding).await?;
    let server = &feeding.server;
    let before = server.cpu();
    let (sample, _) = send(bench, server, sent, DUPLICATE, bench.seconds()).await?;
    let known = Figure::of(&sample, server.cpu().since(before));
    Ok((new, known))
}

/// New events as fast as they go through; returns those that were sent, too.
pub(super) async fn new_events(
    bench: &Bench<'_>,
    feeding: &mut Feeding,
) -> anyhow::Result<(Figure, Vec<Vec<u8>>)> {
    let count = enough_for(feeding.warm_per_second, bench.args.seconds).min(EVENTS_MAX);
    let requests = feeding.lives.requests(count, Clock::System.now())?;
    let server = &feeding.server;
    let before = server.cpu();
    let (sample, sent) = send(bench, server, requests, PROCESSED, bench.seconds()).await?;
    let figure = Figure::of(&sample, server.cpu().since(before));
    feeding.lives.only_sent(sent.len());
    Ok((figure, sent))
}

/// New events with known ones mixed in, as fast as they go through.
async fn mixed_with_known(bench: &Bench<'_>, feeding: &mut Feeding) -> anyhow::Result<Figure> {
    let mut rounds = Vec::new();
    for round in 0..bench.args.rounds {
        let count = enough_for(feeding.warm_per_second, bench.args.seconds).min(EVENTS_MAX);
        let new = count / (NEW_PER_KNOWN + 1) * NEW_PER_KNOWN;
        let new = feeding.lives.requests(new, Clock::System.now())?;
        let apart = bench.connections().saturating_mul(APART_PER_CONNECTION);
        let (bytes, known) = mix(new, apart, u64::from(round));
        let requests = Arc::new(Requests::with_others(bytes, PROCESSED, (known, DUPLICATE)));
        let before = feeding.server.cpu();
        let (address, connections) = (feeding.server.address, bench.connections());
        let sample = client::closed_loop(address, connections, bench.seconds(), &requests).await?;
        rounds.push(Figure::of(&sample, feeding.server.cpu().since(before)));
        feeding.lives.only_sent(requests.taken_of_ours());
    }
    Ok(Figure::median(&rounds))
}

/// Requests with earlier ones repeated among them, each at least so far behind the first. Returns the
/// places of those that are repeated, too.
fn mix(new: Vec<Vec<u8>>, apart: usize, seed: u64) -> (Vec<Vec<u8>>, HashSet<usize>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mixed: Vec<Vec<u8>> =
        Vec::with_capacity(new.len() / NEW_PER_KNOWN * (NEW_PER_KNOWN + 1));
    let mut known = HashSet::new();
    for (number, request) in new.into_iter().enumerate() {
        mixed.push(request);
        let before = mixed.len().saturating_sub(apart);
        if number % NEW_PER_KNOWN == NEW_PER_KNOWN - 1
            && before > 0
            && let Some(again) = mixed.get(random.usize(0..before)).cloned()
        {
            known.insert(mixed.len());
            mixed.push(again);
        }
    }
    (mixed, known)
}

async fn paced(bench: &Bench<'_>, feeding: &mut Feeding) -> anyhow::Result<Figure> {
    let mut rounds = Vec::new();
    for _ in 0..bench.args.rounds {
        let pace = (OPEN_PER_SECOND, bench.seconds());
        let requests = feeding.paced(pace.0, pace.1)?;
        let before = feeding.server.cpu();
        let connections = bench.connections();
        let sample =
            client::open_loop(feeding.server.address, connections, pace, &requests).await?;
        rounds.push(Figure::of(&sample, feeding.server.cpu().since(before)));
    }
    Ok(Figure::median(&rounds))
}

async fn burst(bench: &Bench<'_>, feeding: &mut Feeding) -> anyhow::Result<Figure> {
    let mut rounds = Vec::new();
    for _ in 0..bench.args.rounds {
        let requests = feeding.lives.requests(BURST_CONNECTIONS, Clock::System.now())?;
        let requests = Arc::new(Requests::new(requests, PROCESSED, false));
        let before = feeding.server.cpu();
        let sample = client::burst(feeding.server.address, BURST_CONNECTIONS, &requests).await;
        rounds.push(Figure::of(&sample, feeding.server.cpu().since(before)));
    }
    Ok(Figure::median(&rounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_repeated_and_never_too_early() {
        let new: Vec<Vec<u8>> =
            (0..9_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
        let (mixed, known) = mix(new.clone(), 100, 1);
        let mut first = std::collections::HashMap::new();
        for (place, request) in mixed.iter().enumerate() {
            let met = *first.entry(request).or_insert(place);
            assert_eq!(known.contains(&place), met != place);
            assert!(met == place || place - met >= 100, "{met} {place}");
        }
        assert_eq!(first.len(), new.len());
        assert!((2_950..=3_000).contains(&known.len()), "{}", known.len());
    }
}
