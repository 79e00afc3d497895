//! `tollgate serve`. Owns: starting and stopping the engine in production. Must not know: what runs
//! inside it.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::task::JoinSet;

use super::context::{Context, block_on, make_parent, sqlite_path};
use super::output::print_line;
use super::{Ending, Outcome};
use crate::clock::Clock;
use crate::config::{self, Loaded, Origin, Sources};
use crate::run::{self, Leave, RunOptions, RunningApp};
use crate::sockets::Sockets;
use crate::telemetry;

/// How to serve.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints `listening on http://ADDRESS` when ready. SIGTERM or Ctrl-C finishes what is\n\
    in flight and stops with exit code 0; a second one stops at once. SIGHUP reads the configuration,\n\
    secrets and catalog anew without refusing a request; while it has faults the old one stays.\n\
    Sockets that systemd hands over are used: the first for the API, the second for the metrics."
)]
pub(super) struct ServeArgs {
    /// Listen here; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

pub(super) fn run(context: &Context, args: &ServeArgs) -> Outcome {
    let mut sources = context.sources.clone();
    sources.flags.listen.clone_from(&args.listen);
    let loaded = config::load(&sources)?;
    telemetry::start(&loaded.config.log);
    leave_no_core();
    log_summary(&loaded);
    warn_of_readable(&context.sources, loaded.config.database_url.expose());
    if context
        .dev_state()?
        .is_some_and(|dev| dev.database_url == loaded.config.database_url.expose())
    {
        tracing::warn!("this database was made by `tollgate dev` and holds its demo accounts");
    }
    make_parent(loaded.config.database_url.expose())?;
    // Taking events in keeps a thread busy for milliseconds at a time; in threads of its own it keeps no
    // check waiting.
    let work = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let handle = work.handle().clone();
    let ended = block_on(async {
        let mut signals = Signals::listen()?;
        let sockets = Sockets::inherited().context("the sockets handed over cannot be used")?;
        let options = RunOptions {
            sockets,
            tells_of_gaps: true,
            work: Some(handle),
            ..RunOptions::default()
        };
        let running = tokio::select! {
            started = run::start_with(loaded.config, Clock::System, options) => started?,
            () = signals.stop() => anyhow::bail!("stopped before it had started"),
        };
        print_line(format_args!("listening on http://{}", running.address));
        until_stopped(running, signals, Some(sources)).await
    });
    work.shutdown_background();
    ended?
}

/// Serves until a signal, then drains. The loss of a task the engine cannot do without ends it too,
/// as a failure, so that whoever runs it starts another. With `sources` the configuration can be read
/// anew meanwhile.
pub(super) async fn until_stopped(
    mut running: RunningApp,
    mut signals: Signals,
    sources: Option<Sources>,
) -> Outcome {
    let (mut starting, mut replaced) = (JoinSet::new(), JoinSet::new());
    let mut asked_again = false;
    let (lost, leave) = loop {
        tokio::select! {
            asked = signals.next() => match (asked, &sources) {
                (Asked::Stop(leave), _) => break (None, leave),
                // The terminal was closed.
                (Asked::Reload, None) => break (None, Leave::AtOnce),
                // Two engines at once are enough: the next one waits for the end of the first.
                (Asked::Reload, Some(_)) if !(starting.is_empty() && replaced.is_empty()) => {
                    asked_again = true;
                }
                (Asked::Reload, Some(sources)) => {
                    starting.spawn(reload(running.handed_over(), sources.clone()));
                }
            },
            task = running.lost() => break (Some(task), Leave::AtOnce),
            Some(started) = starting.join_next() => match started {
                Ok(Ok(new)) => {
                    let old = std::mem::replace(&mut running, new);
                    replaced.spawn(old.shutdown(Leave::TakenOver));
                }
                // Neither a fault, a defect nor a database that is away ends what runs.
                Ok(Err(error)) => tracing::error!("not reloaded, all stays as it was: {error:#}"),
                Err(error) => tracing::error!("not reloaded, all stays as it was: {error}"),
            },
            Some(_) = replaced.join_next() => tracing::info!("what ran before the reload has ended"),
        }
        if asked_again
            && starting.is_empty()
            && replaced.is_empty()
            && let Some(sources) = &sources
        {
            asked_again = false;
            starting.spawn(reload(running.handed_over(), sources.clone()));
        }
    };
    tracing::info!("stopping: requests in flight are finished first");
    let end = async {
        // One that is still on its way serves nobody.
        starting.shutdown().await;
        running.shutdown(leave).await;
        while replaced.join_next().await.is_some() {}
    };
    tokio::select! {
        () = end => {}
        () = signals.stop() => anyhow::bail!("stopped at once on a second signal"),
    }
    match lost {
        None => Ok(Ending::Done),
        Some(task) => anyhow::bail!(
            "the {} task ended unexpectedly; the log says why, and a new start is safe",
            task.as_str()
        ),
    }
}

/// Longest time for another engine to start.
const RELOAD_MAX: Duration = Duration::from_mins(1);

/// Starts another engine in the place of one, with everything read anew.
async fn reload(options: RunOptions, sources: Sources) -> anyhow::Result<RunningApp> {
    let loaded = config::load(&sources)?;
    log_summary(&loaded);
    let starting = run::start_with(loaded.config, Clock::System, options);
    let new = tokio::time::timeout(RELOAD_MAX, starting).await;
    let new = new.context("another engine did not start within a minute")??;
    tracing::info!(address = %new.address, "reloaded");
    Ok(new)
}

/// SIGTERM, Ctrl-C and SIGHUP. Made before anyone is told that the server is ready: until then they
/// end the process unheard.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen; needs a runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt, hang_up: signal(SignalKind::hangup())? })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop(Leave::Announced),
            // Whoever sits at the keyboard is not kept waiting.
            _ = self.interrupt.recv() => Asked::Stop(Leave::AtOnce),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }
}

/// Ctrl-C, where there is nothing else.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Asked {
        tokio::signal::ctrl_c().await.ok();
        Asked::Stop(Leave::AtOnce)
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop(Leave),
    Reload,
}

impl Signals {
    /// Waits for the next one at which a program without a configuration ends.
    pub(super) async fn end(&mut self) {
        self.next().await;
    }

    /// Waits for the next one that asks to stop.
    async fn stop(&mut self) {
        while self.next().await == Asked::Reload {}
    }
}

/// A core dump would hold every secret and every customer the process knows.
fn leave_no_core() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be switched off: one would hold secrets");
    }
}

/// A database file that others on this machine may read holds what customers bought.
fn warn_of_readable(sources: &Sources, database_url: &str) {
    let Some(path) = sqlite_path(database_url) else { return };
    if let Some(mode) = config::open_to_others(&sources.directory.join(&path)) {
        let path = path.display();
        tracing::warn!("{path} is readable by others (mode {mode:03o}): chmod 600 {path}*");
    }
}

fn log_summary(loaded: &Loaded) {
    let config = &loaded.config;
    for one in loaded.shown.iter().filter(|one| one.used && one.origin != Origin::Default) {
        let value = one.value.as_deref().unwrap_or_default();
        tracing::info!(setting = one.key, value, origin = %one.origin, "configured");
    }
    for warning in &loaded.warnings {
        tracing::warn!(origin = %warning.origin, mend = %warning.trouble.mend, "{}", warning.trouble.what);
    }
    tracing::info!(
        database = %config.database_url,
        catalog = %config.catalog.name,
        plans = config.catalog.plans.len(),
        prices = config.catalog.prices.len() + config.catalog.products.len(),
        webhook_secrets = config.webhook_secrets.len(),
        mode = config.stripe.mode.map_or("both", config::Livemode::as_str),
        billing = config.billing_enabled,
        "configuration validated"
    );
    if config.webhook_secrets.is_empty() {
        tracing::warn!(
            "no webhook secret is configured: webhooks are answered with 503 (set STRIPE_WEBHOOK_SECRET)"
        );
    }
    if !config.catalog.sells_anything() {
        tracing::warn!(
            "no price is mapped to a plan: subscriptions grant nothing (set STRIPE_PRODUCT_PRICE_MAP or prices in the catalog)"
        );
    }
}
