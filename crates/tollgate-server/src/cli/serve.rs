//! `tollgate serve`. Owns: starting and stopping the engine in production. Must not know: what runs
//! inside it.

use clap::Args;

use super::context::{Context, block_on, make_parent};
use super::output::print_line;
use super::{Ending, Outcome};
use crate::app::{App, RunningApp};
use crate::config::{self, Loaded, Origin};
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
    make_parent(loaded.config.database_url.expose())?;
    block_on(async {
        let running = App::start(loaded.config, context.clock.clone()).await?;
        print_line(format_args!("listening on http://{}", running.address));
        until_stopped(running).await
    })?
}

/// Serves until a signal, then drains.
pub(super) async fn until_stopped(running: RunningApp) -> Outcome {
    signal().await?;
    tracing::info!("stopping: requests in flight are finished first");
    tokio::select! {
        () = running.shutdown() => {}
        asked_again = signal() => {
            asked_again?;
            anyhow::bail!("stopped at once on a second signal");
        }
    }
    Ok(Ending::Done)
}

/// Waits for SIGTERM or Ctrl-C.
async fn signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
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
        prices = config.catalog.prices.len(),
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
    if config.catalog.prices.is_empty() {
        tracing::warn!(
            "no price is mapped to a plan: subscriptions grant nothing (set STRIPE_PRODUCT_PRICE_MAP or prices in the catalog)"
        );
    }
}
