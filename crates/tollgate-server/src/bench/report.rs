//! What a run found. Owns: its shape as JSON and as text. Must not know: how it was measured.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use serde::Serialize;
use tokio::time::Instant;

mod growth;

pub(super) use growth::{GrowthReport, GrowthSize};

use super::BenchArgs;
use super::figures::{Figure, Pair, median, millis};
use super::place::Place;
use super::process::Memory;

/// Everything a run found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it was measured.
    pub settings: Settings,
    /// Where.
    pub machine: Machine,
    /// Time to the first answer, memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<StartupReport>,
    /// Accounts that are not in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold: Option<ColdReport>,
    /// Events that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingReport>,
    /// The same work with more and more behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<GrowthReport>,
    /// Events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intake: Option<IntakeReport>,
    /// Checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckReport>,
    /// Checks while events arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed: Option<MixedReport>,
}

/// What the run was told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Connections that send at the same time.
    pub connections: u16,
    /// Longest time of one measurement.
    pub seconds: u32,
    /// Accounts asked about, and accounts whose events are mixed.
    pub accounts: u32,
    /// Measurements of which the median counts.
    pub rounds: u32,
}

/// Where a run took place.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Cores, shared by load, server and database.
    pub cores: usize,
    /// The database and its version.
    pub engine: String,
    /// Median time of a write of 4 KiB that survives a crash, in milliseconds.
    pub durable_write_ms: f64,
    /// Size of this program, in bytes.
    pub binary_bytes: u64,
    /// Its version.
    pub version: &'static str,
}

/// Memory of the server, in KiB.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryReport {
    /// Before the load.
    pub before_kib: Option<u64>,
    /// After it.
    pub after_kib: Option<u64>,
    /// Most ever.
    pub peak_kib: Option<u64>,
}

/// Time to the first answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartupReport {
    /// On a new database, its schema included, in milliseconds.
    pub fresh_ms: f64,
    /// On one that is there, in milliseconds.
    pub known_ms: f64,
    /// Idle.
    pub memory: MemoryReport,
}

/// Loads of accounts that are not in memory, their resolution included.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColdReport {
    /// Invoices, observations and purchases that the account with the long past has, each.
    pub long_facts: usize,
    /// The same of the account it is compared with.
    pub short_facts: usize,
    /// How many of the long past are loaded for a check, by kind.
    pub loaded: BTreeMap<&'static str, usize>,
    /// For a check.
    pub checks: Growth,
    /// For a check of an instant long ago.
    pub past: Growth,
    /// For an event, under the account's lock.
    pub events: Growth,
}

/// How the time of a load grows with the past of an account.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// An account with less in its past.
    pub short: Figure,
    /// An account with much in it.
    pub long: Figure,
    /// Ratio of their median times.
    pub growth: f64,
}

/// Servers with events that wait for their owner.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingReport {
    /// With few of them, and with many.
    pub inboxes: Vec<WaitingFigures>,
}

/// What an inbox costs in which so many events wait.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingFigures {
    /// Events that wait.
    pub events: usize,
    /// How much of one core the server uses while nothing happens, in percent.
    pub idle_server_percent: Option<f64>,
    /// The same of the database's own processes.
    pub idle_database_percent: Option<f64>,
    /// Times of single things in milliseconds, each a median, by what is done.
    pub times_ms: Vec<(&'static str, f64)>,
}

/// Events in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IntakeReport {
    /// New events, as many as go through.
    pub closed: Figure,
    /// A quarter of all deliveries known already, mixed in with new ones.
    pub mixed: Figure,
    /// New events beside the same rows written straight into the database (latency: a batch's).
    pub limit: Pair,
    /// The same events again, beside the first delivery.
    pub known: Pair,
    /// 1000 events a second; latency from when each was to be sent.
    pub open: Figure,
    /// 1000 connections at once with one event each; the greatest latency is when all were answered.
    pub burst: Figure,
    /// Mean length of a body.
    pub body_bytes: u64,
    /// Mean length of a body as it is stored.
    pub stored_bytes: u64,
    /// Their ratio.
    pub squeeze_ratio: f64,
    /// The server's memory.
    pub memory: MemoryReport,
}

/// Checks.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// Different questions: accounts by features.
    pub questions: usize,
    /// Share of them that were answered with yes.
    pub granted: f64,
    /// Mean length of a reply's body, and of that of the bare handler.
    pub reply_bytes: usize,
    /// Over all connections.
    pub many: Asked,
    /// Over one connection.
    pub one: Asked,
    /// The server's memory.
    pub memory: MemoryReport,
}

/// Checks beside what a bare axum server does.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Beside a handler that reads the same headers and body and answers as many bytes.
    pub bare: Pair,
    /// Beside a GET that is answered with `hello`.
    pub hello: Pair,
}

/// Checks while events arrive, beside a bare axum handler under the same load of events.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MixedReport {
    /// As many as are answered.
    pub checks: Pair,
    /// At a pace; latency from when each was to be sent.
    pub paced: Pair,
    /// That pace.
    pub paced_per_second: u32,
    /// The events.
    pub events: Figure,
    /// Events a second that were to arrive.
    pub per_second: u32,
}

impl Settings {
    pub(super) const fn of(args: &BenchArgs) -> Self {
        let BenchArgs { connections, seconds, accounts, rounds, .. } = *args;
        Self { connections, seconds, accounts, rounds }
    }
}

impl MemoryReport {
    pub(super) fn of(before: Option<Memory>, after: Option<Memory>) -> Self {
        Self {
            before_kib: before.map(|memory| memory.now_kib),
            after_kib: after.map(|memory| memory.now_kib),
            peak_kib: after.map(|memory| memory.peak_kib),
        }
    }
}

impl Machine {
    pub(super) async fn look(place: &Place) -> anyhow::Result<Self> {
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            engine: place.engine().await?,
            durable_write_ms: durable_write(place)?,
            binary_bytes: std::fs::metadata(std::env::current_exe()?)?.len(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// How long the disk takes to keep 4 KiB: the floor under a commit on it.
fn durable_write(place: &Place) -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(place.folder())?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(millis(begun.elapsed()));
    }
    Ok(median(times))
}

impl Report {
    pub(super) const fn new(settings: Settings, machine: Machine) -> Self {
        Self {
            settings,
            machine,
            startup: None,
            cold: None,
            waiting: None,
            growth: None,
            intake: None,
            check: None,
            mixed: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, engine, durable_write_ms, binary_bytes, version } = &self.machine;
        let Settings { connections, seconds, accounts, rounds } = &self.settings;
        writeln!(
            f,
            "tollgate {version} on {engine}, {cores} cores shared by load, server and database"
        )?;
        writeln!(
            f,
            "{connections} connections, {accounts} accounts, {rounds} rounds of at most {seconds} s; \
             durable write {durable_write_ms:.2} ms; program {} KiB",
            binary_bytes / 1024
        )?;
        if let Some(startup) = &self.startup {
            startup.fmt(f)?;
        }
        if let Some(cold) = &self.cold {
            cold.fmt(f)?;
        }
        if let Some(waiting) = &self.waiting {
            waiting.fmt(f)?;
        }
        if let Some(growth) = &self.growth {
            growth.fmt(f)?;
        }
        if let Some(intake) = &self.intake {
            intake.fmt(f)?;
        }
        if let Some(check) = &self.check {
            check.fmt(f)?;
        }
        if let Some(mixed) = &self.mixed {
            mixed.fmt(f)?;
        }
        Ok(())
    }
}

/// The heading of a block of figures.
fn heading(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    writeln!(
        f,
        "\n{name:<34}{:>10}{:>9}{:>9}{:>9}{:>8}{:>9}{:>9}",
        "per s", "p50 ms", "p99 ms", "max ms", "failed", "CPU us", "DB us"
    )
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, figure: &Figure) -> fmt::Result {
    let cpu = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
    let Figure { per_second, p50_ms, p99_ms, max_ms, failed, .. } = figure;
    let (server, database) = (cpu(figure.server_cpu_us), cpu(figure.database_cpu_us));
    writeln!(
        f,
        "  {name:<32}{per_second:>10.0}{p50_ms:>9.2}{p99_ms:>9.2}{max_ms:>9.2}{failed:>8}{server:>9}{database:>9}"
    )
}

fn memory(f: &mut fmt::Formatter<'_>, memory: &MemoryReport) -> fmt::Result {
    let mib = |kib: Option<u64>| kib.map_or_else(|| "-".to_owned(), |kib| (kib / 1024).to_string());
    let MemoryReport { before_kib, after_kib, peak_kib } = memory;
    let (before, after, peak) = (mib(*before_kib), mib(*after_kib), mib(*peak_kib));
    writeln!(f, "  memory before {before} MiB, after {after} MiB, peak {peak} MiB")
}

impl fmt::Display for StartupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fresh_ms, known_ms, .. } = self;
        writeln!(
            f,
            "\nstartup\n  first answer after {fresh_ms:.0} ms on a new database, {known_ms:.0} ms on a known one"
        )?;
        memory(f, &self.memory)
    }
}

impl fmt::Display for ColdReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { long_facts, short_facts, loaded, checks, past, events } = self;
        heading(f, "cold")?;
        for (name, growth) in [("check", checks), ("check long ago", past), ("event", events)] {
            row(f, &format!("{name}, {short_facts} of each kind"), &growth.short)?;
            row(f, &format!("{name}, {long_facts} of each kind"), &growth.long)?;
            writeln!(f, "  {:.2} times the time of the shorter past", growth.growth)?;
        }
        let loaded = loaded.iter().map(|(kind, count)| format!("{count} {kind}"));
        writeln!(f, "  loaded for a check: {}", loaded.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for WaitingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nwaiting")?;
        for inbox in &self.inboxes {
            let share = |share: Option<f64>| {
                share.map_or_else(|| "-".to_owned(), |share| format!("{share:.2} %"))
            };
            let (server, database) =
                (share(inbox.idle_server_percent), share(inbox.idle_database_percent));
            let WaitingFigures { events, times_ms, .. } = inbox;
            writeln!(f, "  {events} events: idle, server {server} of a core, database {database}")?;
            for (name, time) in times_ms {
                writeln!(f, "    {name:<32}{time:>10.2} ms")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for IntakeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(f, "intake")?;
        row(f, "new events", &self.closed)?;
        row(f, "the same again", &self.known.ours)?;
        row(f, "one in four known", &self.mixed)?;
        row(f, "limit: rows in batches of 200", &self.limit.other)?;
        row(f, "1000 events a second", &self.open)?;
        row(f, "1000 connections at once", &self.burst)?;
        if let Some(us) = self.closed.cpu_us() {
            writeln!(f, "  server and database together {us:.1} us a new event")?;
        }
        let (limit, known) = (self.limit.rate_ratio, self.known.rate_ratio);
        writeln!(f, "  new events {limit:.2} of the limit; known events {known:.2} of new ones")?;
        let Self { body_bytes, stored_bytes, squeeze_ratio, .. } = self;
        writeln!(
            f,
            "  bodies of {body_bytes} bytes stored in {stored_bytes}: {squeeze_ratio:.1} to 1"
        )?;
        memory(f, &self.memory)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(f, "check")?;
        for (name, asked) in [("", &self.many), (", one connection", &self.one)] {
            row(f, &format!("check{name}"), &asked.bare.ours)?;
            row(f, &format!("bare handler{name}"), &asked.bare.other)?;
            row(f, &format!("bare hello{name}"), &asked.hello.other)?;
        }
        for (name, asked) in [("", &self.many), (" over one connection", &self.one)] {
            for (other, pair) in [("handler", &asked.bare), ("hello", &asked.hello)] {
                let (rate, p99) = (pair.rate_ratio, pair.p99_ratio);
                writeln!(f, "  {rate:.2} of the bare {other}{name}, p99 {p99:.2} times its")?;
            }
        }
        let Self { questions, granted, reply_bytes, .. } = self;
        writeln!(
            f,
            "  {questions} different questions, a share of {granted:.2} answered with yes, \
             in {reply_bytes} bytes"
        )?;
        memory(f, &self.memory)
    }
}

impl fmt::Display for MixedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(f, "mixed")?;
        row(f, "check", &self.checks.ours)?;
        row(f, "bare handler", &self.checks.other)?;
        row(f, &format!("check, {} a second", self.paced_per_second), &self.paced.ours)?;
        row(f, &format!("bare handler, {} a second", self.paced_per_second), &self.paced.other)?;
        row(f, &format!("events, {} a second", self.per_second), &self.events)?;
        let (rate, p99) = (self.checks.rate_ratio, self.checks.p99_ratio);
        writeln!(
            f,
            "  {rate:.2} of the bare handler under the same events, p99 {p99:.2} times its"
        )?;
        writeln!(f, "  p99 {:.2} times its at that pace", self.paced.p99_ratio)
    }
}
