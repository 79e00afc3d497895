//! The composition root. Owns: how the parts are put together, started and stopped. Must not know:
//! what any part does inside.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_domain::catalog::FeatureKind;
use tollgate_store::{Db, DbOptions, Durability, StoreError, migrations};
use tollgate_stripe::SigningSecret;

use crate::api::auth::{Caller, KeyTable};
use crate::api::cors::Cors;
use crate::api::error::ApiError;
use crate::api::limits::{Class, Limits, Quota};
use crate::api::{self, Front};
use crate::cache::EntitlementCache;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Engine;
use crate::feed::{self, Freshness};
use crate::intake::{Intake, IntakeParts, Queue, squeeze};
use crate::listener::{self, ConnectionCount, ListenerLimits};
use crate::metrics::{Metrics, ReasonLabel};
use crate::scope::Scope;
use crate::workers;

/// Everything a request can reach.
#[derive(Debug)]
pub struct App {
    /// The checked configuration.
    pub config: Config,
    /// The present.
    pub clock: Clock,
    /// Reads.
    pub engine: Engine,
    /// Writes.
    pub intake: Arc<Intake>,
    /// The queue in front of the writes.
    pub queue: Queue,
    /// Live API keys.
    pub keys: KeyTable,
    /// Secrets of webhook signatures.
    pub secrets: Vec<SigningSecret>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Cross-origin rules.
    pub cors: Cors,
    /// Open connections.
    pub connections: ConnectionCount,
    limits: Limits,
    features: HashMap<String, (usize, FeatureKind)>,
    stopping: AtomicBool,
}

impl App {
    /// The caller behind a request, if it has the scope.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Arc<Caller>, ApiError> {
        let now = self.clock.now();
        let caller = self.keys.authenticate(headers, scope, &self.engine.db, now).await?;
        self.keys.note_used(&caller.id, now);
        Ok(caller)
    }

    /// Counts a request against its quota.
    pub fn admit(&self, class: Class, caller: &str) -> Result<Option<Quota>, ApiError> {
        self.limits.admit(class, caller).map_err(|quota| {
            let label = ReasonLabel { reason: quota.class };
            self.metrics.rate_limited.get_or_create(&label).inc();
            ApiError::RateLimited(quota)
        })
    }

    /// Where a feature stands in the catalog, and its kind.
    pub fn feature_position(&self, key: &str) -> Option<(usize, FeatureKind)> {
        self.features.get(key).copied()
    }

    /// Whether the engine is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Whether workers run by themselves; tests turn them by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// They do.
    On,
    /// They do not, and the cache is never trusted.
    Off,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
}

/// A running engine.
#[derive(Debug)]
pub struct RunningApp {
    /// What is running.
    pub app: Arc<App>,
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where the metrics listen, when apart.
    pub metrics_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    writers: Vec<JoinHandle<()>>,
}

impl App {
    /// Opens the database, brings its schema up to date, and starts everything.
    pub async fn start(config: Config, clock: Clock) -> Result<RunningApp, StartError> {
        Self::start_with(config, clock, Background::On).await
    }

    /// [`App::start`], with or without background work.
    pub async fn start_with(
        config: Config,
        clock: Clock,
        background: Background,
    ) -> Result<RunningApp, StartError> {
        let db = open(&config, &clock).await?;
        let (app, writers) = Self::build(config, clock, db);
        app.keys.reload(&app.engine.db, app.clock.now()).await?;
        let (stop, stopped) = watch::channel(false);
        let router = api::router(Arc::clone(&app));
        let (address, main) = listen(&app, app.config.listen, router, stopped.clone())?;
        let mut listeners = vec![main];
        let mut metrics_address = None;
        if let Some(wanted) = app.config.metrics_listen {
            let router = api::metrics_router(Arc::clone(&app));
            let (found, task) = listen(&app, wanted, router, stopped.clone())?;
            metrics_address = Some(found);
            listeners.push(task);
        }
        let workers = match background {
            Background::Off => Vec::new(),
            Background::On => vec![
                tokio::spawn(feed::follow(Arc::clone(&app), stopped.clone())),
                tokio::spawn(workers::retry::run(Arc::clone(&app), stopped.clone())),
                tokio::spawn(workers::schedule::run(Arc::clone(&app), stopped)),
            ],
        };
        Ok(RunningApp { app, address, metrics_address, stop, listeners, workers, writers })
    }

    /// Puts the parts together without listening anywhere; for the command line and tests.
    pub fn build(config: Config, clock: Clock, db: Db) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let secrets = config.signing_secrets();
        let catalog = Arc::new(config.catalog.clone());
        let metrics = Arc::new(Metrics::new());
        let cache = Arc::new(EntitlementCache::new(config.cache.accounts_max));
        let mut limits = config.intake.clone();
        if config.database_url.is_sqlite() {
            limits.writers = 1;
        }
        let intake = Arc::new(Intake::new(IntakeParts {
            db: db.clone(),
            catalog: Arc::clone(&catalog),
            clock: clock.clone(),
            cache: Arc::clone(&cache),
            metrics: Arc::clone(&metrics),
            limits,
            workers: config.workers.clone(),
            instance: format!("{}-{:08x}", std::process::id(), fastrand::u32(..)),
        }));
        let (queue, writers) = Queue::start(&intake);
        let features = catalog.features.values().enumerate();
        let features = features.map(|(at, f)| (f.key.to_string(), (at, f.kind))).collect();
        let engine = Engine {
            db,
            catalog,
            clock: clock.clone(),
            cache,
            freshness: Arc::new(Freshness::default()),
            metrics: Arc::clone(&metrics),
        };
        let app = Arc::new(Self {
            cors: Cors::new(&config.http.cors_origins),
            limits: Limits::new(&config.rate),
            keys: KeyTable::default(),
            connections: ConnectionCount::default(),
            stopping: AtomicBool::new(false),
            engine,
            intake,
            queue,
            secrets,
            metrics,
            features,
            clock,
            config,
        });
        (app, writers)
    }
}

impl RunningApp {
    /// Stops: no new connections, open requests finish, workers end, the database is closed.
    pub async fn shutdown(self) {
        self.app.stopping.store(true, Ordering::Release);
        self.stop.send(true).ok();
        for listener in self.listeners {
            listener.await.ok();
        }
        for worker in self.workers {
            worker.await.ok();
        }
        // Every request has its answer by now, so the writers have nothing left to commit.
        for writer in self.writers {
            writer.abort();
        }
        self.app.keys.flush_used(&self.app.engine.db).await.ok();
        self.app.engine.db.close().await;
    }
}

/// Opens the database, with its schema up to date and its dictionary in place.
pub async fn open(config: &Config, clock: &Clock) -> Result<Db, StoreError> {
    let db = Db::open(config.database_url.expose(), &DbOptions::default()).await?;
    let applied = migrations::up(&db, clock.now()).await?;
    if !applied.is_empty() {
        tracing::info!(?applied, "schema brought up to date");
    }
    migrations::check(&db).await?;
    squeeze::keep_dictionary(&db).await?;
    if let Durability::Weak { setting, value } = db.durability().await? {
        tracing::error!(
            setting,
            value,
            "the database may lose acknowledged events in a crash; change this setting"
        );
    }
    Ok(db)
}

fn listen(
    app: &Arc<App>,
    wanted: SocketAddr,
    router: axum::Router,
    stopped: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let refused = |cause| StartError::Listen { address: wanted, cause };
    let socket = listener::bind(wanted).map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    let http = &app.config.http;
    let limits = ListenerLimits {
        connections_max: http.connections_max,
        header_timeout: Duration::from_millis(http.header_timeout_ms),
        keep_alive: Duration::from_millis(http.keep_alive_ms),
        drain: Duration::from_millis(http.drain_ms),
    };
    let (front, open) = (Arc::clone(app), app.connections.clone());
    let task = tokio::spawn(listener::serve(socket, limits, open, stopped, move |peer| {
        Front::new(Arc::clone(&front), router.clone(), peer)
    }));
    Ok((address, task))
}
