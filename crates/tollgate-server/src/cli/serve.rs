//! `tollgate serve`. Owns: starting and stopping the engine in production. Must not know: what runs
//! inside it.

use clap::Args;

use super::context::{Context, block_on, make_parent};
use super::output::print_line;
use super::{Ending, Outcome};
use crate::clock::Clock;
use crate::config::{self, Loaded, Origin};
use crate::run::{self, RunningApp};
use crate::telemetry;

/// How to serve.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints `listening on http://ADDRESS` when ready. SIGTERM or Ctrl-C finishes what is\n\
    in flight and stops with exit code 0; a second one stops at once."
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
    log_summary(&loaded);
    if context
        .dev_state()?
        .is_some_and(|dev| dev.database_url == loaded.config.database_url.expose())
    {
        tracing::warn!("this database was made by `tollgate dev` and holds its demo accounts");
    }
    make_parent(loaded.config.database_url.expose())?;
    block_on(async {
        let mut signals = Signals::listen()?;
        let running = tokio::select! {
            started = run::start(loaded.config, Clock::System) => started?,
            () = signals.next() => anyhow::bail!("stopped before it had started"),
        };
        print_line(format_args!("listening on http://{}", running.address));
        until_stopped(running, signals).await
    })?
}

/// Serves until a signal, then drains. The loss of a task the engine cannot do without ends it too,
/// as a failure, so that whoever runs it starts another.
pub(super) async fn until_stopped(running: RunningApp, mut signals: Signals) -> Outcome {
    let lost = tokio::select! {
        () = signals.next() => None,
        task = running.lost() => Some(task),
    };
    tracing::info!("stopping: requests in flight are finished first");
    tokio::select! {
        () = running.shutdown() => {}
        () = signals.next() => anyhow::bail!("stopped at once on a second signal"),
    }
    match lost {
        None => Ok(Ending::Done),
        Some(task) => anyhow::bail!(
            "the {} task ended unexpectedly; the log says why, and a new start is safe",
            task.as_str()
        ),
    }
}

/// SIGTERM and Ctrl-C. Made before anyone is told that the server is ready: until then they end
/// the process unheard.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen; needs a runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
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

    pub(super) async fn next(&mut self) {
        tokio::signal::ctrl_c().await.ok();
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
