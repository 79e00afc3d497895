//! `tollgate sandbox`. Owns: running the stand-in for Stripe alone, and the commands that control one
//! that runs. Must not know: what the stand-in does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Uri;
use serde_json::{Value, json};
use tollgate_sandbox::server::{self, SandboxClock, ServerOptions};

use super::at;
use super::context::{Context, block_on};
use super::dev_state::with_sandbox_prices;
use super::http_client::{HttpClient, parse_address};
use super::output::{FAINT, GOOD, print_json, print_line, styled};
use super::serve::Signals;
use super::{Ending, Outcome, Usage};
use crate::config;
use crate::telemetry;

/// The port a sandbox alone listens on.
const PORT: u16 = 12_111;

/// How to run, or what to do with the one that runs.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "tollgate sandbox --port 12111\n\
    tollgate sandbox clock advance 25h\n\
    tollgate sandbox card acme declined\n\
    stripe trigger invoice.paid --api-base http://127.0.0.1:12111 --api-key sk_test_tollgate_sandbox\n\n\
    `tollgate dev` runs one beside the engine; the commands find it by themselves."
)]
pub(super) struct SandboxArgs {
    #[command(subcommand)]
    command: Option<SandboxCommand>,
    /// Listen on this port of 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Other numbers give other ids; the same calls with the same number give the same ids
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    seed: u64,
    /// Keep what happens in this file, and go on from there the next time
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum SandboxCommand {
    /// Show the clock of the sandbox that runs, or move it
    Clock {
        #[command(subcommand)]
        command: Option<ClockCommand>,
        #[command(flatten)]
        place: Place,
    },
    /// Let a customer pay with another card from now on
    Card {
        /// The account or member it is for, or a customer's id
        #[arg(value_name = "ACCOUNT|cus_…")]
        customer: String,
        /// The card: good, declined, asks-to-confirm or disputed
        card: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Let time pass: renewals, trial ends, retries and the rest happen and are delivered
    Advance {
        /// How long, such as 25h, +25h or 1d12h
        #[arg(value_parser = at::span_ahead, value_name = "SPAN")]
        by: i64,
    },
}

/// Which sandbox is meant.
#[derive(Debug, Args)]
struct Place {
    /// The sandbox [default: TOLLGATE_SANDBOX_URL, else the one of `tollgate dev`]
    #[arg(long, global = true, value_parser = parse_address)]
    url: Option<Uri>,
}

pub(super) fn run(context: &Context, args: &SandboxArgs) -> Outcome {
    match &args.command {
        None => serve(context, args),
        Some(SandboxCommand::Clock { command, place }) => {
            let remote = Remote::find(context, place.url.as_ref())?;
            block_on(clock(context, &remote, command.as_ref()))?
        }
        Some(SandboxCommand::Card { customer, card, place }) => {
            let remote = Remote::find(context, place.url.as_ref())?;
            let body = json!({"customer": customer, "card": card});
            let told = block_on(remote.post("/card", &body))??;
            let paying = told.get("customer").and_then(Value::as_str).unwrap_or_default();
            context
                .output
                .either(&told, || format!("{paying} pays with this card from now on: {card}"))?;
            Ok(Ending::Done)
        }
    }
}

fn serve(context: &Context, args: &SandboxArgs) -> Outcome {
    let config = config::load(&context.sources)?.config;
    telemetry::start(&config.log);
    let catalog = with_sandbox_prices(config.catalog)?;
    let mut options = ServerOptions::new(&catalog, SandboxClock::running(0), args.seed);
    options.listen = SocketAddr::from(([127, 0, 0, 1], args.port));
    options.journal = args.keep.as_ref().map(|file| context.path(file));
    block_on(async {
        let mut signals = Signals::listen()?;
        let sandbox = server::start(options).await.context("the sandbox does not start")?;
        print_line(format_args!("listening on {}", sandbox.url()));
        let dashboard = format!("open {}/ in a browser to see it", sandbox.url());
        print_line(styled(FAINT, dashboard));
        signals.end().await;
        sandbox.shutdown().await;
        Ok(Ending::Done)
    })?
}

/// A sandbox that runs, reached over its control routes.
#[derive(Debug)]
pub(super) struct Remote {
    base: String,
    client: HttpClient,
}

impl Remote {
    /// The sandbox named by an argument, by the environment, or left by `tollgate dev`.
    fn find(context: &Context, given: Option<&Uri>) -> anyhow::Result<Self> {
        let base = match (given, context.variable("TOLLGATE_SANDBOX_URL")?) {
            (Some(given), _) => given.to_string(),
            (None, Some(text)) => {
                let read = parse_address(&text);
                read.map_err(|error| Usage(format!("TOLLGATE_SANDBOX_URL: {error}")))?.to_string()
            }
            (None, None) => context
                .dev_state()?
                .and_then(|dev| dev.sandbox_url)
                .unwrap_or_else(|| format!("http://127.0.0.1:{PORT}")),
        };
        Ok(Self::at(&base))
    }

    /// The sandbox at an address.
    pub(super) fn at(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), client: HttpClient::new() }
    }

    /// Its own address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    fn address(&self, path: &str) -> anyhow::Result<Uri> {
        Ok(format!("{}/_sandbox{path}", self.base).parse()?)
    }

    /// Whether a sandbox answers there.
    pub(super) async fn is_up(&self) -> bool {
        let Ok(address) = self.address("") else { return false };
        let Ok(answer) = self.client.get(&address).await else { return false };
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        told.get("sandbox").is_some()
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.client.get(&self.address(path)?).await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// `POST` of a JSON body; a refusal is an error with its reason.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, told) = self.client.post_json(&self.address(path)?, body).await?;
        if status.is_success() {
            return Ok(told);
        }
        let why = told.get("error").and_then(Value::as_str).unwrap_or("no reason was told");
        Err(Usage(why.to_owned()).into())
    }
}

async fn clock(context: &Context, remote: &Remote, command: Option<&ClockCommand>) -> Outcome {
    let Some(ClockCommand::Advance { by }) = command else {
        let told = remote.get("/clock").await?;
        context.output.either(&told, || now(&told))?;
        return Ok(Ending::Done);
    };
    let by = Duration::from_millis(u64::try_from(*by).unwrap_or_default());
    let told = remote.post("/clock", &json!({"advanceS": by.as_secs()})).await?;
    let delivered = remote.post("/deliveries/settle", &json!({})).await?;
    if context.output.is_json() {
        print_json(&json!({"clock": told, "deliveries": delivered}))?;
        return Ok(Ending::Done);
    }
    let events = told.get("events").and_then(Value::as_u64).unwrap_or_default();
    let plural = if events == 1 { "" } else { "s" };
    print_line(now(&told));
    print_line(styled(FAINT, format_args!("{events} event{plural} happened meanwhile")));
    Ok(Ending::Done)
}

fn now(told: &Value) -> String {
    let text = told.get("now").and_then(Value::as_str).unwrap_or_default();
    let ahead = told.get("aheadMs").and_then(Value::as_i64).unwrap_or_default();
    if ahead == 0 {
        return format!("it is {}", styled(GOOD, text));
    }
    format!("it is {}, {} ahead of this machine", styled(GOOD, text), at::spoken(ahead))
}
