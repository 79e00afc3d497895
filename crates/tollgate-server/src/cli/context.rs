//! What commands start from. Owns: loading the configuration for a command, opening the database,
//! finding what `tollgate dev` left. Must not know: any single command.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tollgate_sandbox::server::SandboxClock;
use tollgate_store::{Db, DbOptions, migrations};
use tollgate_stripe::StripeClient;
use tollgate_stripe::client::{AccountGuard, ClientOptions, Patience, SecretKey};

use super::dev_state::{DevState, JOURNAL, stripe_of_dev, with_sandbox_prices};
use super::output::Output;
use super::{Global, Start};
use crate::clock::Clock;
use crate::config::{self, Config, Flags, Loaded, Sources};
use crate::stripe::DatabaseGuard;

/// How long a command goes on with one call to Stripe.
const PATIENCE: Duration = Duration::from_mins(1);

/// What every command is given.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// Where it prints.
    pub(super) output: Output,
    /// The time.
    pub(super) clock: Clock,
    /// Where the configuration is looked for.
    pub(super) sources: Sources,
    program: String,
}

impl Context {
    pub(super) fn new(global: &Global, start: Start, output: Output) -> anyhow::Result<Self> {
        let directory = std::env::current_dir().context("the working directory cannot be found")?;
        let flags =
            Flags { config: global.config.clone(), catalog: global.catalog.clone(), listen: None };
        let sources = Sources { directory, environment: start.environment, flags };
        let clock = clock_of_dev(&sources)?;
        Ok(Self { output, clock, sources, program: start.program })
    }

    /// The configuration as written.
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        Ok(config::load(&self.sources)?)
    }

    /// The configuration for commands that look into a database: where it is the one that
    /// `tollgate dev` uses, its catalog, its sandbox and the sandbox's prices count as they do there.
    pub(super) fn load_for_data(&self) -> anyhow::Result<Config> {
        let loaded = self.load()?;
        let Some(dev) = self.dev_state()? else { return Ok(loaded.config) };
        if dev.database_url != loaded.config.database_url.expose() {
            return Ok(loaded.config);
        }
        let mut sources = self.sources.clone();
        sources.flags.catalog = sources.flags.catalog.or(dev.catalog);
        let mut config = config::load(&sources)?.config;
        config.catalog = with_sandbox_prices(config.catalog)?;
        config.catalog_overlay.sandbox_prices = true;
        if let Some(sandbox) = &dev.sandbox_url {
            config.stripe = stripe_of_dev(sandbox)?;
        }
        Ok(config)
    }

    /// What `tollgate dev` left in this directory.
    pub(super) fn dev_state(&self) -> anyhow::Result<Option<DevState>> {
        DevState::read(&self.sources.directory)
    }

    /// A variable of the environment or of `.env`; `None` where it is blank.
    pub(super) fn variable(&self, name: &str) -> anyhow::Result<Option<String>> {
        let text = self.load()?.environment.get(name).unwrap_or_default().trim().to_owned();
        Ok((!text.is_empty()).then_some(text))
    }

    /// This program as it was called, for commands that are told to be typed.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// A path of the working directory.
    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sources.directory.join(path)
    }

    /// Opens the database for a command that reads or changes data. The schema must be this
    /// version's.
    pub(super) async fn open(&self, config: &Config) -> anyhow::Result<Db> {
        let db = self.connect(config, false).await?;
        migrations::check(&db).await.with_context(|| {
            format!("the database {} cannot be used as it is", config.database_url)
        })?;
        Ok(db)
    }

    /// Opens the database, made and brought up to this version's schema where it is not there yet.
    pub(super) async fn open_or_create(&self, config: &Config) -> anyhow::Result<Db> {
        let db = self.connect(config, true).await?;
        migrations::up(&db, self.clock.now()).await.with_context(|| {
            format!("the schema of {} cannot be brought up", config.database_url)
        })?;
        Ok(db)
    }

    /// Opens the database if it is there and holds something; makes none.
    pub(super) async fn open_if_begun(&self, config: &Config) -> anyhow::Result<Option<Db>> {
        if sqlite_path(config.database_url.expose()).is_some_and(|path| !path.exists()) {
            return Ok(None);
        }
        let db = self.connect(config, false).await?;
        let begun = migrations::status(&db).await?.iter().any(|step| step.applied_at.is_some());
        db.close().await;
        if begun { self.open(config).await.map(Some) } else { Ok(None) }
    }

    /// Opens the database; one that is not there or holds nothing yet is made and brought up. One
    /// with an older schema is refused: bringing that up is an act of its own.
    pub(super) async fn open_or_begin(&self, config: &Config) -> anyhow::Result<Db> {
        let db = self.connect(config, true).await?;
        let steps = migrations::status(&db).await?;
        db.close().await;
        if steps.iter().all(|step| step.applied_at.is_none()) {
            self.open_or_create(config).await
        } else {
            self.open(config).await
        }
    }

    /// The way to Stripe, patient as a command may be, for keys of the database's account only.
    pub(super) async fn stripe(&self, config: &Config) -> anyhow::Result<StripeClient> {
        let key = config.stripe.secret_key.as_ref().context(
            "no key for Stripe's API: set STRIPE_SECRET_KEY, or run `tollgate setup stripe`",
        )?;
        self.stripe_with(config, SecretKey::parse(key.expose())?).await
    }

    /// The same with a key that is not configured yet.
    pub(super) async fn stripe_with(
        &self,
        config: &Config,
        key: SecretKey,
    ) -> anyhow::Result<StripeClient> {
        let guard = self.guard(config).await?;
        let options = ClientOptions {
            account: config.stripe.account.clone(),
            guard: guard.map(|guard| Arc::new(guard) as Arc<dyn AccountGuard>),
            patience: Patience { total: PATIENCE, ..Patience::background() },
            ..ClientOptions::new(config.stripe.api_base.clone(), key)
        };
        Ok(StripeClient::new(&options)?)
    }

    /// Whoever keeps keys of other accounts from being used with the configured database; `None`
    /// while there is no database yet.
    async fn guard(&self, config: &Config) -> anyhow::Result<Option<DatabaseGuard>> {
        let path = sqlite_path(config.database_url.expose());
        if path.is_some_and(|path| !self.path(path).exists()) {
            return Ok(None);
        }
        let why = "whether the key belongs to the database's Stripe account cannot be told";
        let db = self.connect(config, false).await.context(why)?;
        let steps = migrations::status(&db).await.context(why)?;
        if steps.iter().all(|step| step.applied_at.is_none()) {
            return Ok(None);
        }
        migrations::check(&db).await.context(why)?;
        Ok(Some(DatabaseGuard::new(db, &config.catalog)))
    }

    /// Connects without looking at the schema.
    pub(super) async fn connect(&self, config: &Config, create: bool) -> anyhow::Result<Db> {
        let url = config.database_url.expose();
        if create {
            make_parent(url)?;
        } else if let Some(path) = sqlite_path(url)
            && !path.exists()
        {
            anyhow::bail!(
                "there is no database at {}; `tollgate migrate up` makes it, `tollgate dev` and \
                 `tollgate serve` do too (set DATABASE_URL for another one)",
                path.display()
            );
        }
        let options = DbOptions { create_if_missing: create, ..config.database.options() };
        Db::open(url, &options)
            .await
            .with_context(|| format!("the database {} cannot be opened", config.database_url))
    }
}

/// Where commands look into the database of `tollgate dev`, they live at its time: its clock can
/// have been moved ahead, and is not taken back when it stops.
fn clock_of_dev(sources: &Sources) -> anyhow::Result<Clock> {
    let Some(dev) = DevState::read(&sources.directory)? else { return Ok(Clock::System) };
    // A configuration at fault is told by the command itself.
    let same = config::load(sources)
        .is_ok_and(|loaded| loaded.config.database_url.expose() == dev.database_url);
    if !same {
        return Ok(Clock::System);
    }
    let journal = sources.directory.join(JOURNAL);
    let ahead_ms = tollgate_sandbox::server::ahead_of_machine_ms(&journal)
        .with_context(|| format!("{JOURNAL} cannot be read"))?;
    Ok(if ahead_ms > 0 { Clock::Sandbox(SandboxClock::running(ahead_ms)) } else { Clock::System })
}

/// The file of a SQLite address; `None` for PostgreSQL and databases in memory.
pub(super) fn sqlite_path(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split('?').next().unwrap_or(rest);
    (!path.is_empty() && !path.contains(":memory:")).then(|| PathBuf::from(path))
}

/// Makes a folder that only its owner may look into, with those above it, where it is missing.
pub(super) fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the folder of a SQLite file where it is missing.
pub(super) fn make_parent(url: &str) -> anyhow::Result<()> {
    let parent = sqlite_path(url).and_then(|path| path.parent().map(Path::to_path_buf));
    match parent {
        Some(parent) if !parent.as_os_str().is_empty() => make_private_folder(&parent)
            .with_context(|| format!("the folder {} cannot be made", parent.display())),
        _ => Ok(()),
    }
}

/// Runs a command's future on a runtime of its own. What hangs in the background when it is done is
/// not waited for.
pub(super) fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(output)
}
