//! `tollgate dev`. Owns: an engine and a sandbox that work at once on a fresh machine: generated
//! secrets, demo accounts, a line to try. Must not know: how events look, what runs inside the two.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use tollgate_domain::catalog::Allowance;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::demo::{self, DemoAccount};
use tollgate_sandbox::server::RunningSandbox;
use tollgate_store::{accounts, keys as stored};

use super::Outcome;
use super::context::{Context, block_on, make_parent, make_private_folder};
use super::dev_state::{
    DATABASE_URL, DevState, FILE, JOURNAL, LOCK, SECRETS, stripe_of_dev, with_sandbox_prices,
    write_private,
};
use super::keys::{self, Wanted};
use super::output::{
    FAINT, GOOD, NOTICE, STRONG, print_json, print_line, print_note, styled, table,
};
use super::serve::{Signals, until_stopped};
use crate::api::webhooks;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{
    self, Config, DatabaseUrl, Loaded, LogFormat, MetricsListen, Origin, Secret, WebhookSecret,
};
use crate::keys::{KeyEnvironment, SecretHash, random_bytes};
use crate::run::{self, Background, Leave, RunOptions, RunningApp, StartError};
use crate::scope::Scope;
use crate::telemetry;

mod stand_in;

/// How to run.
#[derive(Debug, Args)]
#[command(
    after_help = "Everything is kept under ./.tollgate/. In another terminal of this directory, `tollgate why`,\n\
    `tollgate trigger` and the others find it by themselves."
)]
pub(super) struct DevArgs {
    /// Listen on this port of 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Let the sandbox listen on this port; 0 takes a free one [default: the next free one]
    #[arg(long)]
    sandbox_port: Option<u16>,
    /// Throw away what earlier runs left
    #[arg(long)]
    reset: bool,
}

pub(super) fn run(context: &Context, args: &DevArgs) -> Outcome {
    // Held until this run ends; the system gives it free however that happens.
    let _held = hold(context)?;
    if args.reset {
        reset(context)?;
    }
    let loaded = config::load(&context.sources)?;
    note_other_database(&loaded);
    let left = context.dev_state()?;
    let config = dev_config(loaded, args.port)?;
    telemetry::start(&config.log);
    make_parent(config.database_url.expose())?;
    block_on(async {
        let signals = Signals::listen()?;
        let port = args.sandbox_port.unwrap_or(match args.port {
            0 => 0,
            port => port.saturating_add(1),
        });
        let journal = context.path(JOURNAL);
        let secrets = sandbox_secrets(&context.path(SECRETS))?;
        let sandbox = stand_in::start(&config.catalog, journal, &secrets, port).await?;
        let engine = match engine(context, config, &sandbox, left).await {
            Ok(engine) => engine,
            Err(error) => {
                sandbox.shutdown().await;
                return Err(error);
            }
        };
        let ended = until_stopped(engine, signals, None).await;
        sandbox.shutdown().await;
        ended
    })?
}

/// Takes the directory for one run, so that no two write the same files.
fn hold(context: &Context) -> anyhow::Result<File> {
    let path = context.path(LOCK);
    let failed = || format!("{} cannot be written", path.display());
    if let Some(folder) = path.parent() {
        make_private_folder(folder).with_context(failed)?;
    }
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).with_context(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        Err(TryLockError::WouldBlock) => {
            let at = DevState::read(&context.sources.directory).ok().flatten();
            let at = at.map_or_else(String::new, |state| format!(" at {}", state.url));
            anyhow::bail!(
                "`tollgate dev` is running in this directory already{at}: use that one, stop it, or \
                 run another one in another directory"
            )
        }
    }
}

/// Starts the engine at the sandbox's time and as its client and endpoint, and tells what there is.
async fn engine(
    context: &Context,
    mut config: Config,
    sandbox: &RunningSandbox,
    left: Option<DevState>,
) -> anyhow::Result<RunningApp> {
    config.stripe = stripe_of_dev(sandbox.url())?;
    let secret = stand_in::lead(sandbox, config.listen)?;
    config.webhook_secrets.push(WebhookSecret {
        label: "dev".to_owned(),
        secret: Secret::new(&secret),
        not_after: None,
    });
    let clock = Clock::Sandbox(sandbox.clock().clone());
    // Comparing with the sandbox begins when its events have come in: nothing is missed until then.
    let options = RunOptions { background: Background::Off, ..RunOptions::default() };
    let mut running = run::start_with(config, clock, options).await.map_err(explain)?;
    match settle(context, &mut running, sandbox, (left, secret)).await {
        Ok(()) => Ok(running),
        Err(error) => {
            running.shutdown(Leave::AtOnce).await;
            Err(error)
        }
    }
}

async fn settle(
    context: &Context,
    running: &mut RunningApp,
    sandbox: &RunningSandbox,
    (left, webhook_secret): (Option<DevState>, String),
) -> anyhow::Result<()> {
    let db = &running.app.engine.db;
    if left.is_none() && !accounts::list(db, None, 1).await?.is_empty() {
        anyhow::bail!("{}", not_ours());
    }
    stand_in::lead(sandbox, running.address)?;
    let key = key(&running.app, left.map(|left| left.key)).await?;
    let state = DevState {
        url: format!("http://{}", running.address),
        sandbox_url: Some(sandbox.url().to_owned()),
        database_url: DATABASE_URL.to_owned(),
        webhook_secret,
        key,
        catalog: chosen_catalog(context),
    };
    state.write(&context.sources.directory)?;
    stand_in::tell_demo(sandbox).await?;
    running.begin_background_work();
    let demo = demo::accounts(&running.app.config.catalog, running.app.clock.now())?;
    welcome(context, running, &state, &demo).await
}

fn not_ours() -> String {
    let database = DATABASE_URL.trim_start_matches("sqlite:");
    format!(
        "{database} holds accounts that `tollgate dev` did not make; run it in another directory"
    )
}

/// `dev` keeps to its own database; the other commands follow the configuration.
fn note_other_database(loaded: &Loaded) {
    let shown = loaded.shown.iter().find(|one| one.key == "database.url");
    if let Some(other) = shown.filter(|one| one.origin != Origin::Default) {
        let text = format!(
            "{} sets another database: dev does not use it, but `tollgate why` and the others do",
            other.origin
        );
        print_note(styled(NOTICE, text));
    }
}

/// What this directory's webhook secrets are derived from; made at its first run.
fn sandbox_secrets(path: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
        Ok(_) | Err(_) => {}
    }
    let text = hex::encode(random_bytes::<32>()?);
    write_private(path, &text)?;
    Ok(text)
}

/// Throws away what `dev` made, and nothing else: `serve` uses the same file by default.
fn reset(context: &Context) -> anyhow::Result<()> {
    let database = DATABASE_URL.trim_start_matches("sqlite:");
    if !context.path(FILE).exists() && context.path(database).exists() {
        anyhow::bail!("{}", not_ours());
    }
    let files = ["", "-wal", "-shm"].map(|end| format!("{database}{end}"));
    for file in files.iter().map(String::as_str).chain([FILE, JOURNAL, SECRETS]) {
        match std::fs::remove_file(context.path(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{file} cannot be removed"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The configuration as written, but on the embedded database, for the sandbox's events alone.
fn dev_config(loaded: Loaded, port: u16) -> anyhow::Result<Config> {
    let default =
        |key: &str| loaded.shown.iter().any(|one| one.key == key && one.origin == Origin::Default);
    let (level, format) = (default("log.level"), default("log.format"));
    let mut config = loaded.config;
    config.database_url = DatabaseUrl::new(DATABASE_URL.to_owned());
    config.listen = ([127, 0, 0, 1], port).into();
    config.metrics_listen = MetricsListen::BesideApi;
    config.catalog = with_sandbox_prices(config.catalog)?;
    config.catalog_overlay.sandbox_prices = true;
    if level {
        "warn".clone_into(&mut config.log.level);
    }
    if format {
        config.log.format = LogFormat::Pretty;
    }
    Ok(config)
}

fn explain(error: StartError) -> anyhow::Error {
    let taken = matches!(&error, StartError::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse);
    let error = anyhow::Error::new(error);
    if taken { error.context("the port is taken; choose another with --port") } else { error }
}

/// The catalog of the command line; a path is made absolute, so that other commands find it too.
fn chosen_catalog(context: &Context) -> Option<String> {
    let chosen = context.sources.flags.catalog.as_deref()?;
    let path = context.path(Path::new(chosen));
    Some(if path.is_file() { path.display().to_string() } else { chosen.to_owned() })
}

/// The key an earlier run left, if the database still knows it, else a new one.
async fn key(app: &App, left: Option<String>) -> anyhow::Result<String> {
    let db = &app.engine.db;
    let now = app.clock.now();
    if let Some(text) = left
        && let Some(parsed) = crate::keys::parse(&text)
    {
        let (known, _) = stored::find_all_live(db, now).await?;
        let same = |hash: &[u8; 32]| SecretHash::from_bytes(*hash).verify(&parsed.secret_hash);
        if known.iter().any(|key| key.id == parsed.id && same(&key.secret_hash)) {
            return Ok(text);
        }
    }
    let wanted = Wanted {
        name: "dev".to_owned(),
        scopes: Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect(),
        account: None,
        expires_at: None,
    };
    let key = keys::insert(db, KeyEnvironment::Dev, &wanted, now).await?;
    app.keys.reload(db, now).await?;
    Ok(key.text.expose().to_owned())
}

async fn welcome(
    context: &Context,
    running: &RunningApp,
    state: &DevState,
    accounts: &[DemoAccount],
) -> anyhow::Result<()> {
    let app = &running.app;
    let account = accounts.first().map_or("acme", |demo| demo.account.as_str());
    let feature = feature(app, account).await?;
    let curl = format!(
        "curl -s {}/api/v1/feature-check -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \
         -d '{{\"accountId\":\"{account}\",\"feature\":\"{feature}\"}}'",
        state.url, state.key
    );
    let docs = format!("{}/docs", state.url);
    if context.output.is_json() {
        return print_json(&serde_json::json!({
            "url": state.url,
            "docs": docs,
            "sandbox": state.sandbox_url,
            "key": state.key,
            "webhookUrl": format!("{}{}", state.url, webhooks::PATH),
            "webhookSecret": state.webhook_secret,
            "curl": curl,
            "accounts": accounts.iter().map(|demo| demo.account.as_str()).collect::<Vec<_>>(),
        }));
    }
    let program = context.program();
    let rows = accounts
        .iter()
        .map(|demo| vec![demo.account.to_string(), demo.description.to_owned()])
        .collect();
    print_line(format_args!("listening on {}\n", styled(GOOD, &state.url)));
    print_line(format_args!("  docs      {docs}"));
    print_line(format_args!("  stripe    {}", state.sandbox_url.as_deref().unwrap_or_default()));
    print_line(format_args!("  key       {}", state.key));
    print_line(format_args!("  webhooks  {}{}", state.url, webhooks::PATH));
    print_line(format_args!("  secret    {}", state.webhook_secret));
    print_line(format_args!("\n{}\n\n{curl}", styled(STRONG, "May acme use it?")));
    print_line(format_args!("\n{}\n", styled(STRONG, "In another terminal, in this directory")));
    for next in [
        format!("{program} why {account}"),
        format!("{program} trigger scenario dunning --account {account}"),
        format!("{program} why {account} --at +26h"),
        format!("{program} sandbox clock advance 26h"),
        format!("{program} timeline {account}"),
        format!("{program} events list"),
    ] {
        print_line(format_args!("  {next}"));
    }
    print_line(format_args!(
        "\n{}\n{}",
        styled(STRONG, "Demo accounts"),
        table(&["account", "what it shows"], rows)
    ));
    let last = styled(FAINT, "Ctrl-C stops; what happened is kept (--reset throws it away)");
    print_line(format_args!("\n{last}"));
    Ok(())
}

/// A feature the account has and the default plan lacks.
async fn feature(app: &App, account: &str) -> anyhow::Result<String> {
    let facts = app.engine.load(&AccountId::parse(account)?, 0).await?;
    let resolution = tollgate_domain::resolve(&facts, &app.config.catalog, app.clock.now());
    let catalog = &app.config.catalog;
    let default = catalog.plan(catalog.default_plan);
    let has = |key: &&tollgate_domain::ids::FeatureKey| {
        !default.is_some_and(|plan| plan.allowances.contains_key(*key))
    };
    let allowances = &resolution.allowances;
    let switched = allowances.iter().filter(|(_, allowance)| **allowance == Allowance::On);
    let found = switched.map(|(key, _)| key).rev().find(has).or_else(|| allowances.keys().next());
    Ok(found.map_or_else(|| "unknown".to_owned(), ToString::to_string))
}
