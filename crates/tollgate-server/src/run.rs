//! Starting and stopping. Owns: the order in which the parts come up and go down. Must not know:
//! what any part does inside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tollgate_store::{Db, DbOptions, Durability, StoreError, migrations};

use crate::api;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, MetricsListen};
use crate::intake::squeeze;
use crate::listener::{self, ListenerLimits, ListenerStop};
use crate::sockets::{Refused, Sockets};
use crate::stripe::binding::{self, ModeError};
use crate::supervisor::{self, OnTurn, TaskKind};
use crate::{feed, findings, workers};

/// Listeners cut off what is open at the drain time, and get so long for it.
const LISTENERS_SPARE: Duration = Duration::from_secs(1);
/// An idle connection of an engine that has been replaced is closed after this.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// For the last words to the database, once everything has ended.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Whether workers run by themselves; tests turn them by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Background {
    /// They do.
    #[default]
    On,
    /// They do not, and the cache is never trusted.
    Off,
}

/// How an engine runs.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Whether workers run by themselves.
    pub background: Background,
    /// Told of every turn of every task.
    pub on_turn: Option<OnTurn>,
    /// How the database is opened; as configured when there is nothing here.
    pub database: Option<DbOptions>,
    /// Sockets that are open already.
    pub sockets: Sockets,
    /// The database is one that backups are made of, so a gap in its service is told of.
    pub tells_of_gaps: bool,
    /// Where writers and workers run; beside the connections where nothing is said.
    pub work: Option<Handle>,
}

/// How an engine takes its leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It says that it is not ready, and serves on for `http.lame_duck_ms`, so that whoever sends it
    /// requests can turn to another instance; then it stops.
    Announced,
    /// It stops.
    AtOnce,
    /// Another engine serves on the same sockets: it accepts nothing more, and stops when its
    /// connections have ended, each with its next answer, or after five seconds.
    TakenOver,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mode set is not the one of the database.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {cause}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The setting that asks for it.
        setting: &'static str,
        /// Why not.
        cause: std::io::Error,
    },
}

/// An engine whose queue is written and nothing else: for commands that take something in.
#[derive(Debug)]
pub struct QueueOnly {
    /// What is there.
    pub app: Arc<App>,
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<()>>,
}

impl QueueOnly {
    /// Starts the writers.
    pub fn start(config: Config, clock: Clock, db: Db) -> Self {
        let app = App::build(config, clock, db, None);
        let (stop, stopped) = watch::channel(false);
        let writers = app.queue.write(&app.intake, &app.supervisor, &stopped);
        Self { app, stop, writers }
    }

    /// Ends them after the batch they are at, and closes the database.
    pub async fn end(self) {
        self.stop.send_replace(true);
        for writer in self.writers {
            writer.await.ok();
        }
        self.app.engine.db.close().await;
    }
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
    sockets: Sockets,
    work: Option<Handle>,
    close: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    stop_writers: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    writers: Vec<JoinHandle<()>>,
}

/// Opens the database, brings its schema up to date, and starts everything.
pub async fn start(config: Config, clock: Clock) -> Result<RunningApp, StartError> {
    start_with(config, clock, RunOptions::default()).await
}

/// [`start`], in another way than usual.
pub async fn start_with(
    config: Config,
    clock: Clock,
    options: RunOptions,
) -> Result<RunningApp, StartError> {
    let how = options.database.unwrap_or_else(|| config.database.options());
    let db = open_with(&config, &clock, &how).await?;
    let mut config = config;
    binding::settle_mode(&mut config.stripe, &db).await?;
    let app = App::build(config, clock, db, options.on_turn);
    app.keys.reload(&app.engine.db, app.clock.now()).await?;
    if options.background == Background::On {
        if options.tells_of_gaps {
            workers::presence::tell_of_a_gap(&app).await?;
        }
        workers::presence::announce(&app).await?;
    }
    let sockets = options.sockets;
    // The last thing that can fail: from here on the sockets are this engine's.
    let opened = match open_sockets(&sockets, &app.config) {
        Ok(opened) => opened,
        Err(refused) => {
            workers::presence::leave(&app).await.ok();
            app.engine.db.close().await;
            return Err(refused);
        }
    };
    let (stop, stopped) = watch::channel(false);
    let (close, closed) = watch::channel(false);
    let (stop_writers, writers_stopped) = watch::channel(false);
    let work = options.work;
    let writers = {
        let _there = work.as_ref().map(Handle::enter);
        app.queue.write(&app.intake, &app.supervisor, &writers_stopped)
    };
    let ends = ListenerStop { close: closed, drain: stopped.clone() };
    let [mut address, mut metrics_address] = [None; 2];
    let mut listeners = Vec::new();
    for (kind, found, socket) in opened {
        let router = if kind == TaskKind::Api {
            address = Some(found);
            api::router(Arc::clone(&app))
        } else {
            tracing::info!(address = %found, "metrics are served");
            metrics_address = Some(found);
            api::metrics_router(Arc::clone(&app))
        };
        listeners.push(listen(&app, kind, socket, router, &ends));
    }
    let address = address.unwrap_or(app.config.listen);
    let workers = match options.background {
        Background::Off => Vec::new(),
        Background::On => start_workers(&app, &stopped, work.as_ref()),
    };
    Ok(RunningApp {
        app,
        address,
        metrics_address,
        sockets,
        work,
        close,
        stop,
        stop_writers,
        listeners,
        workers,
        writers,
    })
}

/// The background work there is something to do for.
fn start_workers(
    app: &Arc<App>,
    stop: &watch::Receiver<bool>,
    work: Option<&Handle>,
) -> Vec<JoinHandle<()>> {
    let _there = work.map(Handle::enter);
    let mut tasks = vec![
        worker(TaskKind::Feed, app, stop, feed::follow),
        worker(TaskKind::Retry, app, stop, workers::retry::run),
        worker(TaskKind::Schedule, app, stop, workers::schedule::run),
        worker(TaskKind::Journals, app, stop, workers::journals::run),
        worker(TaskKind::Retention, app, stop, workers::retention::run),
        worker(TaskKind::Log, app, stop, workers::episodes::run),
        worker(TaskKind::Presence, app, stop, workers::presence::run),
        worker(TaskKind::Findings, app, stop, findings::review_after_catalog_change),
    ];
    if app.stripe.is_some() {
        tasks.push(worker(TaskKind::Refetch, app, stop, workers::refetch::run));
        tasks.push(worker(TaskKind::Reconcile, app, stop, workers::reconcile::run));
    }
    tasks
}

fn worker<F: Future<Output = ()> + Send + 'static>(
    kind: TaskKind,
    app: &Arc<App>,
    stop: &watch::Receiver<bool>,
    run: fn(Arc<App>, watch::Receiver<bool>) -> F,
) -> JoinHandle<()> {
    let (own, stopped) = (Arc::clone(app), stop.clone());
    let make = move || run(Arc::clone(&own), stopped.clone());
    app.supervisor.spawn(kind, stop.clone(), make)
}

impl RunningApp {
    /// Starts the background work of an engine that was started without it.
    pub fn begin_background_work(&mut self) {
        if self.workers.is_empty() {
            let stop = self.stop.subscribe();
            self.workers = start_workers(&self.app, &stop, self.work.as_ref());
        }
    }

    /// Waits until a task has ended without which the process must not go on.
    pub async fn lost(&self) -> TaskKind {
        self.app.supervisor.lost().await
    }

    /// What an engine needs that is to take over: the sockets it listens on, and where it works.
    pub fn handed_over(&self) -> RunOptions {
        let (sockets, work) = (self.sockets.clone(), self.work.clone());
        RunOptions { sockets, work, ..RunOptions::default() }
    }

    /// Stops: no new connections, open requests finish, workers end, the database is closed. What
    /// is still at work after the drain time is cut off.
    pub async fn shutdown(mut self, leave: Leave) {
        self.app.begin_to_stop();
        if leave == Leave::Announced {
            tokio::time::sleep(Duration::from_millis(self.app.config.http.lame_duck_ms)).await;
        }
        // Nobody accepts from here on; whoever comes is told at once, not at the end of a queue.
        drop(self.sockets);
        let drain = Duration::from_millis(self.app.config.http.drain_ms);
        let mut deadline = Instant::now() + drain;
        if leave != Leave::TakenOver {
            // Told first: a listener that closes for good serves its queue before.
            self.stop.send_replace(true);
        }
        self.close.send_replace(true);
        if leave == Leave::TakenOver {
            let ended = futures_util::future::join_all(&mut self.listeners);
            tokio::time::timeout(TAKEOVER_MAX, ended).await.ok();
            self.listeners.retain(|listener| !listener.is_finished());
            deadline = Instant::now() + drain;
            self.stop.send_replace(true);
        }
        tokio::join!(
            // They keep to the drain time themselves, and need a moment to say what they cut.
            supervisor::end(self.listeners, "listeners", deadline + LISTENERS_SPARE),
            supervisor::end(self.workers, "workers", deadline),
            self.app.supervisor.end_runs(deadline),
        );
        // Every request has its answer by now, so the writers have nothing left to commit.
        self.stop_writers.send_replace(true);
        supervisor::end(self.writers, "writers", deadline + LISTENERS_SPARE).await;
        let close = async {
            workers::presence::leave(&self.app).await.ok();
            self.app.keys.flush_used(&self.app.engine.db).await.ok();
            self.app.engine.db.close().await;
        };
        if tokio::time::timeout(CLOSING_TIME, close).await.is_err() {
            tracing::warn!(
                "the database does not answer: its connections are given up, and when keys were \
                 used last is not kept"
            );
        }
    }
}

/// Opens the database, with its schema up to date and its dictionary in place.
pub async fn open(config: &Config, clock: &Clock) -> Result<Db, StoreError> {
    open_with(config, clock, &config.database.options()).await
}

async fn open_with(config: &Config, clock: &Clock, options: &DbOptions) -> Result<Db, StoreError> {
    let db = Db::open(config.database_url.expose(), options).await?;
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

/// The sockets the configuration asks for, with where they are.
fn open_sockets(
    sockets: &Sockets,
    config: &Config,
) -> Result<Vec<(TaskKind, SocketAddr, TcpListener)>, StartError> {
    let api = (TaskKind::Api, config.listen);
    let MetricsListen::Apart { address, chosen } = config.metrics_listen else {
        return open_all(sockets, &[api]);
    };
    let opened = open_all(sockets, &[api, (TaskKind::Metrics, address)]);
    match opened {
        // Nobody asked for it there: two servers on one machine are no reason to refuse the second.
        Err(StartError::Listen { setting: METRICS_SETTING, cause, .. }) if !chosen => {
            tracing::error!(
                %address,
                %cause,
                "/metrics is not served: its default address cannot be listened on. Set \
                 server.metrics_listen to a free one, to api or to off"
            );
            open_all(sockets, &[api])
        }
        opened => opened,
    }
}

/// What says where `/metrics` is served.
const METRICS_SETTING: &str = "server.metrics_listen";

fn open_all(
    sockets: &Sockets,
    wanted: &[(TaskKind, SocketAddr)],
) -> Result<Vec<(TaskKind, SocketAddr, TcpListener)>, StartError> {
    let refused = |Refused { kind, address, cause }| {
        let setting =
            if kind == TaskKind::Metrics { METRICS_SETTING } else { "server.listen or --listen" };
        StartError::Listen { address, setting, cause }
    };
    let opened = sockets.open(wanted).map_err(refused)?;
    let opened = wanted.iter().zip(opened).map(|(&(kind, address), socket)| {
        let found = socket.local_addr().map_err(|cause| Refused { kind, address, cause });
        found.map(|found| (kind, found, socket)).map_err(refused)
    });
    opened.collect()
}

fn listen(
    app: &Arc<App>,
    kind: TaskKind,
    socket: TcpListener,
    router: axum::Router,
    ends: &ListenerStop,
) -> JoinHandle<()> {
    let http = &app.config.http;
    let limits = ListenerLimits {
        connections_max: http.connections_max,
        connections_per_address_max: http.connections_per_address_max,
        trusted_proxies: http.trusted_proxies.clone(),
        write_timeout: Duration::from_millis(http.write_timeout_ms),
        header_timeout: Duration::from_millis(http.header_timeout_ms),
        keep_alive: Duration::from_millis(http.keep_alive_ms),
        drain: Duration::from_millis(http.drain_ms),
    };
    let (front, open) = (Arc::clone(app), app.connections.clone());
    let serve = listener::serve(socket, limits, open, ends.clone(), move |peer, admission| {
        front.supervisor.turn(kind);
        api::front(Arc::clone(&front), router.clone(), peer, admission)
    });
    app.supervisor.spawn_once(kind, ends.close.clone(), serve)
}
