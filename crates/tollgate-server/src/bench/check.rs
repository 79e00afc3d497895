//! How many checks are answered. Owns: the measurements of checks, alone and while events arrive.
//! Must not know: how they are sent or shown.

use std::sync::Arc;
use std::time::Duration;

use super::Bench;
use super::client::{self, Requests, Sample};
use super::figures::{CpuUsed, Figure, Pair, half_of, ratio};
use super::intake::Feeding;
use super::load::{self, Subscribers};
use super::place::Place;
use super::report::{Asked, CheckReport, MemoryReport, MixedReport};
use super::server::{self, Server};
use crate::clock::Clock;

/// What every reply to a check says, and what it says when the feature may be used.
const ANSWER: &[u8] = b"\"canAccess\":";
const GRANTED: &[u8] = b"\"canAccess\":true";
/// Longest time to make the accounts and to ask each question once.
const PREPARATION: Duration = Duration::from_mins(2);
/// Replies whose length is looked at.
const REPLIES: usize = 1000;
/// Checks a second that are asked at a pace while events arrive.
const PACED_PER_SECOND: u32 = 1000;

/// A server with subscribed accounts, and a bare one beside it.
struct Asking {
    server: Server,
    checks: Arc<Requests>,
    granted: f64,
    reply_bytes: usize,
    bare_server: Server,
    /// The same requests for the bare server.
    same: Arc<Requests>,
    hello: Arc<Requests>,
}

impl Asking {
    async fn start(bench: &Bench<'_>, place: &Place) -> anyhow::Result<Self> {
        let database = place.database().await?;
        let key = server::create_key(bench, place, &database).await?;
        let server = Server::start(bench, place, &database).await?;
        let now = Clock::System.now();
        let subscribers = Subscribers::new(bench, now)?;
        let arrivals = Requests::new(subscribers.arrivals(now)?, b"\"received\":true", false);
        let connections = bench.connections();
        let address = server.address;
        let sample =
            client::closed_loop(address, connections, PREPARATION, &Arc::new(arrivals)).await?;
        anyhow::ensure!(
            sample.refused + sample.broken + sample.unexpected == 0,
            "accounts could not be made: {sample:?}"
        );
        // Each question once, so that what is measured is not the first look into the database.
        let checks = subscribers.checks(&bench.catalog, &key);
        let warm = Arc::new(Requests::new(checks.clone(), GRANTED, false));
        let sample = client::closed_loop(address, connections, PREPARATION, &warm).await?;
        anyhow::ensure!(sample.refused + sample.broken == 0, "checks were refused: {sample:?}");
        let granted = u32::try_from(sample.latencies_us.len()).unwrap_or(u32::MAX);
        let denied = u32::try_from(sample.unexpected).unwrap_or(u32::MAX);
        let first = checks.get(..REPLIES.min(checks.len())).unwrap_or_default();
        let reply_bytes = client::mean_body_bytes(address, first).await?;
        Ok(Self {
            server,
            granted: ratio(granted.into(), granted.saturating_add(denied).into()),
            reply_bytes,
            bare_server: Server::start_hello(place, reply_bytes).await?,
            same: Arc::new(Requests::new(checks.clone(), b"", true)),
            checks: Arc::new(Requests::new(checks, ANSWER, true)),
            hello: Arc::new(Requests::new(vec![load::hello()], b"hello", true)),
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await?;
        self.bare_server.stop().await
    }
}

/// Requests in a closed loop against a server.
async fn ask(
    server: &Server,
    requests: &Arc<Requests>,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Figure> {
    let before = server.cpu();
    let sample = client::closed_loop(server.address, connections, time, requests).await?;
    let mut figure = Figure::of(&sample, server.cpu().since(before));
    // Neither of the two asks the database here; what that does meanwhile is its own.
    figure.database_cpu_us = None;
    Ok(figure)
}

/// Measures checks alone.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<CheckReport> {
    bench.note("check: starting");
    let asking = Asking::start(bench, place).await?;
    let warm = asking.server.memory();
    let many = rounds(bench, &asking, bench.connections()).await?;
    let one = rounds(bench, &asking, 1).await?;
    let report = CheckReport {
        questions: asking.checks.bytes.len(),
        granted: asking.granted,
        reply_bytes: asking.reply_bytes,
        many,
        one,
        memory: MemoryReport::of(warm, asking.server.memory()),
    };
    asking.stop().await?;
    Ok(report)
}

async fn rounds(bench: &Bench<'_>, asking: &Asking, connections: usize) -> anyhow::Result<Asked> {
    let (mut ours, mut bare, mut hello) = (Vec::new(), Vec::new(), Vec::new());
    let time = bench.seconds();
    for round in 1..=bench.args.rounds {
        bench.note(&format!(
            "check: {connections} connections, round {round} of {}",
            bench.args.rounds
        ));
        hello.push(ask(&asking.bare_server, &asking.hello, connections, time).await?);
        bare.push(ask(&asking.bare_server, &asking.same, connections, time).await?);
        ours.push(ask(&asking.server, &asking.checks, connections, time).await?);
    }
    Ok(Asked { bare: Pair::of(&ours, &bare), hello: Pair::of(&ours, &hello) })
}

/// Events that arrive at a pace while checks are asked.
struct Arriving {
    feeding: Feeding,
    connections: usize,
    pace: (u32, Duration),
}

impl Arriving {
    /// Sends events while checks are asked; returns what became of both. The server's time goes to both
    /// and cannot be told apart.
    async fn during(
        &mut self,
        asking: impl Future<Output = std::io::Result<Sample>>,
    ) -> anyhow::Result<(Figure, Figure)> {
        let requests = self.feeding.paced(self.pace.0, self.pace.1)?;
        let address = self.feeding.server.address;
        let load = client::open_loop(address, self.connections, self.pace, &requests);
        let (sample, asked) = tokio::join!(load, asking);
        let figure = |sample| Figure::of(&sample, CpuUsed::default());
        Ok((figure(asked?), figure(sample?)))
    }
}

/// Measures checks while events arrive at half of what goes through (`known`, else a quick look): as
/// many as are answered, and at a pace.
pub(super) async fn measure_mixed(
    bench: &Bench<'_>,
    place: &Place,
    known: Option<f64>,
) -> anyhow::Result<MixedReport> {
    bench.note("mixed: starting");
    let asking = Asking::start(bench, place).await?;
    let Asking { server, checks, bare_server, same, .. } = asking;
    let (ours_at, bare_at) = (server.address, bare_server.address);
    let feeding = Feeding::warm(bench, server, 3).await?;
    let per_second = half_of(known.unwrap_or(feeding.warm_per_second));
    let (connections, time) = (bench.connections(), bench.seconds());
    let mut arriving = Arriving { feeding, connections, pace: (per_second, time) };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let (mut ours_paced, mut bare_paced) = (Vec::new(), Vec::new());
    let mut events = Vec::new();
    for round in 1..=bench.args.rounds {
        bench.note(&format!("mixed: round {round} of {}", bench.args.rounds));
        for (address, requests, closed, paced) in [
            (bare_at, &same, &mut bare, &mut bare_paced),
            (ours_at, &checks, &mut ours, &mut ours_paced),
        ] {
            let asked = client::closed_loop(address, connections, time, requests);
            let (figure, beside) = arriving.during(asked).await?;
            closed.push(figure);
            events.push(beside);
            let pace = (PACED_PER_SECOND, time);
            let asked = client::open_loop(address, connections, pace, requests);
            let (figure, beside) = arriving.during(asked).await?;
            paced.push(figure);
            events.push(beside);
        }
    }
    arriving.feeding.server.stop().await?;
    bare_server.stop().await?;
    Ok(MixedReport {
        checks: Pair::of(&ours, &bare),
        paced: Pair::of(&ours_paced, &bare_paced),
        paced_per_second: PACED_PER_SECOND,
        events: Figure::median(&events),
        per_second,
    })
}
