//! How many checks are answered. Owns: the measurements of checks, alone and while events arrive.
//! Must not know: how they are sent or shown.

use std::sync::Arc;
use std::time::Duration;

use super::Bench;
use super::client::{self, Requests};
use super::figures::{CpuUsed, Figure, Pair, half_of, ratio};
use super::intake::Feeding;
use super::load::{self, Subscribers};
use super::place::Place;
use super::report::{CheckReport, MemoryReport, MixedReport};
use super::server::{self, Server};
use crate::clock::Clock;

/// What every reply to a check says, and what it says when the feature may be used.
const ANSWER: &[u8] = b"\"canAccess\":";
const GRANTED: &[u8] = b"\"canAccess\":true";
/// Longest time to make the accounts and to ask each question once.
const PREPARATION: Duration = Duration::from_mins(2);

/// A server with subscribed accounts, and a bare one beside it.
struct Asking {
    server: Server,
    checks: Arc<Requests>,
    granted: f64,
    hello_server: Server,
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
        Ok(Self {
            server,
            checks: Arc::new(Requests::new(checks, ANSWER, true)),
            granted: ratio(granted.into(), granted.saturating_add(denied).into()),
            hello_server: Server::start_hello(place).await?,
            hello: Arc::new(Requests::new(vec![load::hello()], b"hello", true)),
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await?;
        self.hello_server.stop().await
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
        many,
        one,
        memory: MemoryReport::of(warm, asking.server.memory()),
    };
    asking.stop().await?;
    Ok(report)
}

async fn rounds(bench: &Bench<'_>, asking: &Asking, connections: usize) -> anyhow::Result<Pair> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let time = bench.seconds();
    for round in 1..=bench.args.rounds {
        bench.note(&format!(
            "check: {connections} connections, round {round} of {}",
            bench.args.rounds
        ));
        bare.push(ask(&asking.hello_server, &asking.hello, connections, time).await?);
        ours.push(ask(&asking.server, &asking.checks, connections, time).await?);
    }
    Ok(Pair::of(&ours, &bare))
}

/// Measures checks while events arrive at half of what goes through (`known`, else a quick look).
pub(super) async fn measure_mixed(
    bench: &Bench<'_>,
    place: &Place,
    known: Option<f64>,
) -> anyhow::Result<MixedReport> {
    bench.note("mixed: starting");
    let asking = Asking::start(bench, place).await?;
    let Asking { server, checks, hello_server, hello, .. } = asking;
    let mut feeding = Feeding::warm(bench, server, 3).await?;
    let whole = known.unwrap_or(feeding.warm_per_second);
    let per_second = half_of(whole);
    let (mut ours, mut bare, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let (connections, time) = (bench.connections(), bench.seconds());
    for round in 1..=bench.args.rounds {
        bench.note(&format!("mixed: round {round} of {}", bench.args.rounds));
        let arriving = feeding.paced(per_second, time)?;
        let load =
            client::open_loop(feeding.server.address, connections, (per_second, time), &arriving);
        let (_, figure) = tokio::join!(load, ask(&hello_server, &hello, connections, time));
        bare.push(figure?);
        let arriving = feeding.paced(per_second, time)?;
        let load =
            client::open_loop(feeding.server.address, connections, (per_second, time), &arriving);
        let (sample, figure) = tokio::join!(load, ask(&feeding.server, &checks, connections, time));
        let mut figure = figure?;
        // The server's time went to events, too, and cannot be told apart.
        figure.server_cpu_us = None;
        ours.push(figure);
        events.push(Figure::of(&sample?, CpuUsed::default()));
    }
    feeding.server.stop().await?;
    hello_server.stop().await?;
    Ok(MixedReport { checks: Pair::of(&ours, &bare), events: Figure::median(&events), per_second })
}
