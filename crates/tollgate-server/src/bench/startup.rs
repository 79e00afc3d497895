//! How soon it answers and how small it is. Owns: these measurements. Must not know: how they are
//! shown.

use super::Bench;
use super::figures::{median, millis};
use super::place::Place;
use super::report::{MemoryReport, StartupReport};
use super::server::Server;

/// Measures starts on a new database and on one that is there.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<StartupReport> {
    let (mut fresh, mut known) = (Vec::new(), Vec::new());
    let mut memory = None;
    for round in 1..=bench.args.rounds {
        bench.note(&format!("startup: round {round} of {}", bench.args.rounds));
        let database = place.database().await?;
        let server = Server::start(bench, place, &database).await?;
        fresh.push(millis(server.ready_after));
        server.stop().await?;
        let server = Server::start(bench, place, &database).await?;
        known.push(millis(server.ready_after));
        memory = server.memory();
        server.stop().await?;
    }
    Ok(StartupReport {
        fresh_ms: median(fresh),
        known_ms: median(known),
        memory: MemoryReport::of(memory, memory),
    })
}
