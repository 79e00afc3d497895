//! The servers measured. Owns: starting this program as a process of its own, and ending it. Must
//! not know: what is asked of it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::client::{self, Requests};
use super::figures::CpuUsed;
use super::place::Place;
use super::process::{self, Memory};
use super::{Bench, CATALOG, load};
use crate::config::MetricsListen;

/// Longest time a server may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// What a server does once at its start is over by then.
const SETTLE: Duration = Duration::from_secs(5);
/// The secret this run's events are signed with.
pub(super) const WEBHOOK_SECRET: &str = "whsec_tollgate_bench_0123456789abcdef";

/// A server in a process of its own; ended when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: u32,
    cluster: Option<u32>,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// From the start of the process to the first 200 of `/livez` (of the bare server: `/`).
    pub(super) ready_after: Duration,
}

impl Server {
    /// Starts `tollgate serve` on a database.
    pub(super) async fn start(
        bench: &Bench<'_>,
        place: &Place,
        database: &str,
    ) -> anyhow::Result<Self> {
        let mut command = command(bench, place.folder(), database)?;
        command.args(["serve", "--catalog", CATALOG, "--listen", "127.0.0.1:0"]);
        Self::spawn(command, place, b"GET /livez HTTP/1.1\r\nhost: bench\r\n\r\n").await
    }

    /// Starts it and lets what it does once at its start pass, so that none of that is measured: a server
    /// does not tell when it is done with it.
    pub(super) async fn start_settled(
        bench: &Bench<'_>,
        place: &Place,
        database: &str,
    ) -> anyhow::Result<Self> {
        let server = Self::start(bench, place, database).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(server)
    }

    /// Starts the bare server, which answers a check with so many bytes.
    pub(super) async fn start_hello(place: &Place, reply_bytes: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "hello", "--reply-bytes", &reply_bytes.to_string()]);
        Self::spawn(command, place, &load::hello()).await
    }

    async fn spawn(mut command: Command, place: &Place, probe: &[u8]) -> anyhow::Result<Self> {
        let log = place.folder().join("server.log");
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("the server to be measured cannot be started")?;
        let ready = async {
            let address = listening(&mut child).await?;
            let requests = Requests::new(vec![probe.to_vec()], b"", false);
            let reply = client::burst(address, 1, &Arc::new(requests)).await;
            anyhow::ensure!(reply.latencies_us.len() == 1, "it does not answer");
            Ok::<_, anyhow::Error>(address)
        };
        let address = match tokio::time::timeout(READY_TIMEOUT, ready).await {
            Ok(Ok(address)) => address,
            failed => {
                let why =
                    failed.err().map_or_else(|| "it ended".to_owned(), |late| late.to_string());
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                anyhow::bail!("the server to be measured is not ready: {why}\n{log}");
            }
        };
        let ready_after = begun.elapsed();
        let pid = child.id().context("the server to be measured has ended")?;
        Ok(Self { child, pid, cluster: place.cluster(), address, ready_after })
    }

    /// Processor time used so far, by it and by the database.
    pub(super) fn cpu(&self) -> CpuUsed {
        CpuUsed {
            server: process::cpu(self.pid),
            database: self.cluster.and_then(process::cpu_of_family),
        }
    }

    /// Its memory.
    pub(super) fn memory(&self) -> Option<Memory> {
        process::memory(self.pid)
    }

    /// Ends it at once; its data is not kept anyway.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

async fn listening(child: &mut Child) -> anyhow::Result<SocketAddr> {
    let stdout = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix("listening on http://") {
            return Ok(address.trim().parse()?);
        }
    }
    anyhow::bail!("it ended without listening")
}

/// Makes an API key in a database, by the same command an operator would use.
pub(super) async fn create_key(
    bench: &Bench<'_>,
    place: &Place,
    database: &str,
) -> anyhow::Result<String> {
    let mut command = command(bench, place.folder(), database)?;
    command.args(["keys", "create", "--name", "bench", "--scopes", "check", "--json"]);
    let output = command.output().await.context("no key can be made")?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "no key can be made: {told}");
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let key = reply.get("key").and_then(serde_json::Value::as_str);
    Ok(key.context("`keys create` printed no key")?.to_owned())
}

/// This program, with nothing of the caller's configuration: only what a deployment needs.
fn command(bench: &Bench<'_>, folder: &Path, database: &str) -> anyhow::Result<Command> {
    let prices: serde_json::Map<String, serde_json::Value> =
        tollgate_sandbox::sandbox_price_map(&bench.catalog)
            .into_iter()
            .map(|(plan, prices)| (plan, prices.into()))
            .collect();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .current_dir(folder)
        .env_clear()
        .env("DATABASE_URL", database)
        .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
        // What is measured goes to one address.
        .env("TOLLGATE__SERVER__METRICS_LISTEN", MetricsListen::BESIDE_API)
        .env("STRIPE_PRODUCT_PRICE_MAP", serde_json::to_string(&prices)?);
    Ok(command)
}
