//! The sandbox inside `tollgate dev`. Owns: starting it beside the engine, and leading its events to
//! the engine. Must not know: what the engine does with them.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tollgate_domain::Catalog;
use tollgate_sandbox::server::{
    self, DeliveryPlan, Outcome, RunningSandbox, SandboxClock, ServerError, ServerOptions,
};

use crate::api::webhooks;

/// What the endpoint of the engine is called.
const DESCRIPTION: &str = "tollgate dev";
/// How many ports are tried after the first one.
const PORTS_TRIED: u16 = 100;

/// Starts the sandbox on the first free port from one on; 0 takes any. What an earlier run kept in
/// its journal is there again.
pub(super) async fn start(
    catalog: &Catalog,
    journal: PathBuf,
    secrets: &str,
    port: u16,
) -> anyhow::Result<RunningSandbox> {
    let mut port = port;
    let mut left = PORTS_TRIED;
    loop {
        let mut options = ServerOptions::new(catalog, SandboxClock::running(0), 0);
        options.listen = SocketAddr::from(([127, 0, 0, 1], port));
        options.sandbox.set_webhook_secrets(secrets);
        options.journal = Some(journal.clone());
        // What became due meanwhile waits for the engine.
        options.plan.hold = true;
        match server::start(options).await {
            Err(ServerError::Listen { cause, .. })
                if cause.kind() == std::io::ErrorKind::AddrInUse && left > 0 && port != 0 =>
            {
                port = port.checked_add(1).context("no port is free for the sandbox")?;
                left = left.saturating_sub(1);
            }
            started => return started.context("the sandbox does not start"),
        }
    }
}

/// The secret the engine is to expect; `address` is where it will listen, or will be told later.
pub(super) fn lead(sandbox: &RunningSandbox, address: SocketAddr) -> anyhow::Result<String> {
    let url = format!("http://{address}{}", webhooks::PATH);
    let endpoint = sandbox.register(DESCRIPTION, &url);
    endpoint.map(|one| one.secret).context("the sandbox has no room for the engine's endpoint")
}

/// Begins to deliver, tells the demonstration once, and waits until the engine has taken it in.
pub(super) async fn tell_demo(sandbox: &RunningSandbox) -> anyhow::Result<()> {
    sandbox.plan_deliveries(DeliveryPlan::default());
    if !sandbox.with(|account| account.happenings().is_empty()) {
        return Ok(());
    }
    sandbox.tell_demo();
    sandbox.settled().await;
    let attempts = sandbox.attempts();
    let Some(refused) = attempts.iter().find(|one| !one.outcome.is_success()) else {
        return Ok(());
    };
    let why = match &refused.outcome {
        Outcome::Answered { status, body } => format!("http {status}: {body}"),
        Outcome::Unanswered { why } => why.clone(),
        Outcome::Lost => "lost".to_owned(),
    };
    anyhow::bail!("the demo accounts cannot be made: {} {}: {why}", refused.kind, refused.event)
}
