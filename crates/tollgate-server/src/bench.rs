//! `tollgate bench`. Owns: what is measured and in which order. Must not know: HTTP, how a server
//! is started (`bench::server`), how results look (`bench::report`).
//!
//! The server under test is this very program as a process of its own, on a database of its own,
//! so that its processor time and memory can be told from the load's. Beside it, in the same run
//! and with the same client, stand a bare axum server and the writing of the same rows straight
//! into the database: machines differ and their days differ, ratios hold.

mod check;
mod client;
mod cold;
mod figures;
mod growth;
mod hello;
mod intake;
mod limit;
mod load;
mod place;
mod process;
mod report;
mod server;
mod startup;
mod waiting;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tollgate_domain::Catalog;

use place::Place;
pub use report::Report;
use report::{Machine, Settings};

/// Name of the catalog measured with.
const CATALOG: &str = "sietch";

/// What `tollgate bench` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t = Subject::All)]
    pub subject: Subject,
    /// `sqlite`, or the address of a PostgreSQL server on which a database may be made and dropped
    #[arg(long, value_name = "sqlite|URL", default_value = "sqlite")]
    pub database: String,
    /// Connections that send at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub connections: u16,
    /// Longest time of one measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: u32,
    /// Accounts asked about, and accounts whose events arrive at the same time
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(11..=200_000))]
    pub accounts: u32,
    /// How often each measurement is made; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// Accounts behind the work, one size after the other (growth)
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1_000, 100_000],
        value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub sizes: Vec<u32>,
    /// Events in the inbox at the last size; those beyond the accounts' own had no effects (growth)
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    pub inbox_rows: u64,
    /// Where the SQLite file is kept while measuring; memory disks make commits look free
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// With how many bytes the bare server answers a check
    #[arg(long, hide = true, default_value_t = 0)]
    pub reply_bytes: usize,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Signed events: as many as go through, 1000 a second, 1000 connections at once
    Intake,
    /// Feature checks, beside a bare axum server that reads the same requests
    Check,
    /// Feature checks while events arrive at half the rate that goes through
    Mixed,
    /// Time to the first answer, memory, size
    Startup,
    /// Loads of an account to which much has happened, beside one to which little has
    Cold,
    /// A server in whose inbox 1 000 and 200 000 events wait for their owner
    Waiting,
    /// Events and checks with 1 000 and with 100 000 accounts behind them; takes minutes, so not in all
    Growth,
    /// All but growth
    All,
    /// A bare axum server, to compare with
    #[value(hide = true)]
    Hello,
}

impl Subject {
    const fn includes(self, part: Self) -> bool {
        let in_all = !matches!(part, Self::Growth);
        matches!(self, Self::All) && in_all || self as u8 == part as u8
    }
}

/// What the parts of a run share.
struct Bench<'a> {
    args: &'a BenchArgs,
    catalog: Catalog,
    /// Tells whoever waits what is being done.
    note: &'a dyn Fn(&str),
}

impl Bench<'_> {
    fn note(&self, text: &str) {
        (self.note)(text);
    }

    fn connections(&self) -> usize {
        usize::from(self.args.connections)
    }

    fn accounts(&self) -> usize {
        usize::try_from(self.args.accounts).unwrap_or(usize::MAX)
    }

    fn seconds(&self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.args.seconds))
    }
}

/// Measures, and returns what was found. `note` is told what is being done.
pub fn run(args: &BenchArgs, note: &dyn Fn(&str)) -> anyhow::Result<Report> {
    // One thread sends: two cores are shared by load, server and database, and a second sending
    // thread would only take from them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let catalog = tollgate_domain::catalog::builtin(CATALOG).context("the catalog is missing")?;
    let prices = tollgate_sandbox::sandbox_price_map(&catalog);
    let bench = Bench { args, catalog: catalog.with_prices(&prices)?, note };
    runtime.block_on(measure(&bench))
}

/// Serves the bare server until the process that started it goes away.
pub fn serve_hello(args: &BenchArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(hello::serve(SocketAddr::from(([127, 0, 0, 1], 0)), args.reply_bytes))
}

async fn measure(bench: &Bench<'_>) -> anyhow::Result<Report> {
    let place = Place::make(bench.args).await?;
    // Whatever ends it, nothing stays: servers end when they are dropped, databases are dropped.
    let done = tokio::select! {
        done = measure_at(bench, &place) => done,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(Into::into).and_then(|()| anyhow::bail!("interrupted"))
        }
    };
    let removed = place.remove().await;
    let report = done?;
    removed?;
    Ok(report)
}

async fn measure_at(bench: &Bench<'_>, place: &Place) -> anyhow::Result<Report> {
    let subject = bench.args.subject;
    let mut report = Report::new(Settings::of(bench.args), Machine::look(place).await?);
    if subject.includes(Subject::Startup) {
        report.startup = Some(startup::measure(bench, place).await?);
    }
    if subject.includes(Subject::Cold) {
        report.cold = Some(cold::measure(bench, place).await?);
    }
    if subject.includes(Subject::Waiting) {
        report.waiting = Some(waiting::measure(bench, place).await?);
    }
    if subject.includes(Subject::Growth) {
        report.growth = Some(growth::measure(bench, place).await?);
    }
    if subject.includes(Subject::Intake) {
        report.intake = Some(intake::measure(bench, place).await?);
    }
    if subject.includes(Subject::Check) {
        report.check = Some(check::measure(bench, place).await?);
    }
    if subject.includes(Subject::Mixed) {
        let known = report.intake.as_ref().map(|intake| intake.closed.per_second);
        report.mixed = Some(check::measure_mixed(bench, place, known).await?);
    }
    Ok(report)
}
