//! Starting and stopping. Owns: the order in which the parts come up and go down. Must not know:
//! what any part does inside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_store::{Db, DbOptions, Durability, StoreError, migrations};

use crate::api::{self, Front};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::intake::squeeze;
use crate::listener::{self, ListenerLimits};
use crate::{feed, findings, workers};

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

/// Opens the database, brings its schema up to date, and starts everything.
pub async fn start(config: Config, clock: Clock) -> Result<RunningApp, StartError> {
    start_with(config, clock, Background::On).await
}

/// [`start`], with or without background work.
pub async fn start_with(
    config: Config,
    clock: Clock,
    background: Background,
) -> Result<RunningApp, StartError> {
    let db = open(&config, &clock).await?;
    let (app, writers) = App::build(config, clock, db);
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
            tokio::spawn(workers::refetch::run(Arc::clone(&app), stopped.clone())),
            tokio::spawn(workers::reconcile::run(Arc::clone(&app), stopped.clone())),
            tokio::spawn(workers::schedule::run(Arc::clone(&app), stopped.clone())),
            tokio::spawn(findings::review_after_catalog_change(Arc::clone(&app), stopped)),
        ],
    };
    Ok(RunningApp { app, address, metrics_address, stop, listeners, workers, writers })
}

impl RunningApp {
    /// Stops: no new connections, open requests finish, workers end, the database is closed.
    pub async fn shutdown(self) {
        self.app.begin_to_stop();
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
