//! The sandbox on a network. Owns: listening, the route list, starting and stopping. Must not know:
//! what Stripe does (the sandbox does).
//!
//! One process, one account, one lock: a call is microseconds of work, and the same calls at the
//! same times give the same bytes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tollgate_domain::{Catalog, Timestamp};
use tower_service::Service as _;

use crate::sandbox::{ApiRequest, Method, Params, Sandbox, SandboxOptions, WebhookEndpoint};

mod access;
mod api;
mod clock;
mod connection;
mod control;
mod courier;
mod deed;
mod faults;
mod guard;
mod journal;
mod listen;
mod pages;
mod plan;
mod post;
mod stand;
mod story;

pub use clock::SandboxClock;
pub use connection::ServerLimits;
use connection::{BODY_BYTES_MAX, TimedBody, TimedStream};
pub use courier::{Attempt, Outcome};
use deed::Deed;
pub use faults::{Fault, FaultRule};
use journal::Journal;
pub use journal::ahead_of_machine_ms;
pub use plan::DeliveryPlan;
use stand::{Stand, lock};
pub use story::{Story, StoryError};

/// Pause after a connection could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What is served where.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The clock it lives by.
    pub clock: SandboxClock,
    /// The account.
    pub sandbox: Sandbox,
    /// What stories are told about.
    pub catalog: Catalog,
    /// Where everything that is done to the account is kept; what an earlier run kept is done
    /// again first. Without one, the account is gone at the end.
    pub journal: Option<PathBuf>,
    /// How events are delivered from the start.
    pub plan: DeliveryPlan,
    /// What a peer may take.
    pub limits: ServerLimits,
}

impl ServerOptions {
    /// An account that sells a catalog, on a free port of the loopback.
    pub fn new(catalog: &Catalog, clock: SandboxClock, seed: u64) -> Self {
        let now = clock.now().unix_seconds();
        let mut sandbox = Sandbox::new(SandboxOptions { seed, now, ..SandboxOptions::default() });
        sandbox.stock(catalog);
        let listen = ([127, 0, 0, 1], 0).into();
        let plan = DeliveryPlan::default();
        let limits = ServerLimits::default();
        Self { listen, clock, sandbox, catalog: catalog.clone(), journal: None, plan, limits }
    }

    /// The same with a clock that stands still; for tests.
    pub fn standing(catalog: &Catalog, at: Timestamp, seed: u64) -> Self {
        Self::new(catalog, SandboxClock::standing(at), seed)
    }
}

/// Why the sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The journal cannot be read or written.
    #[error("the sandbox's journal cannot be used: {0}")]
    Journal(io::Error),
}

/// A sandbox that is being served.
#[derive(Debug)]
pub struct RunningSandbox {
    /// Where it listens.
    pub address: SocketAddr,
    stand: Arc<Stand>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts to serve.
pub async fn start(mut options: ServerOptions) -> Result<RunningSandbox, ServerError> {
    let refused = |cause| ServerError::Listen { address: options.listen, cause };
    let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let journal = remember(&mut options)?;
    let site = format!("http://{address}");
    options.sandbox.set_pages_base(&site);
    let account = (options.sandbox, options.catalog);
    let stand = Arc::new(Stand::new(account, options.clock, journal, site));
    lock(&stand.courier).plan = options.plan;
    let (stop, stopped) = watch::channel(false);
    let tasks = vec![
        tokio::spawn(serve(listener, router(Arc::clone(&stand)), options.limits, stopped.clone())),
        tokio::spawn(Arc::clone(&stand).deliver(stopped)),
    ];
    Ok(RunningSandbox { address, stand, stop, tasks })
}

/// Does again what the journal keeps, if there is one; the clock is not behind it afterwards.
fn remember(options: &mut ServerOptions) -> Result<Option<Journal>, ServerError> {
    let Some(path) = &options.journal else { return Ok(None) };
    let (journal, entries) = Journal::open(path).map_err(ServerError::Journal)?;
    let Some(first) = entries.first() else { return Ok(Some(journal)) };
    options.sandbox.begin_at(first.at.div_euclid(1000));
    for entry in &entries {
        let now = Timestamp::from_millis(entry.at);
        options.sandbox.advance_to(now.unix_seconds());
        options.sandbox.world.requests = entry.requests;
        if let Err(error) = entry.deed.perform(&mut options.sandbox, &options.catalog, now) {
            tracing::warn!(%error, "something the sandbox remembers cannot be done again");
        }
    }
    if let Some(last) = entries.last() {
        options.clock.catch_up(last.ahead, Timestamp::from_millis(last.at));
    }
    Ok(Some(journal))
}

impl RunningSandbox {
    /// Its address as a base for requests: `http://127.0.0.1:12111`.
    pub fn url(&self) -> &str {
        &self.stand.site
    }

    /// Its clock.
    pub fn clock(&self) -> &SandboxClock {
        &self.stand.clock
    }

    /// The account itself. What is done to it directly is delivered at the latest by
    /// [`Self::settled`]; prefer [`Self::with`], which also brings it up to its clock's time.
    pub fn sandbox(&self) -> Arc<Mutex<Sandbox>> {
        Arc::clone(&self.stand.sandbox)
    }

    /// Does something with the account at its present; what happens by it is delivered.
    pub fn with<T>(&self, act: impl FnOnce(&mut Sandbox) -> T) -> T {
        self.stand.with(act)
    }

    /// Moves the clock ahead: everything that becomes due happens and is delivered.
    pub fn advance(&self, by: Duration) -> Timestamp {
        self.stand.advance(by)
    }

    /// The endpoint of an application of ours: found by its description, or made for all events,
    /// and led to an address.
    pub fn register(&self, description: &str, url: &str) -> Option<WebhookEndpoint> {
        let call = |path: &str, pairs: &[(&str, &str)]| {
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let params = Params::from_form(&form).unwrap_or_default();
            self.stand.answer(&ApiRequest::new(Method::Post, path, params), &form);
        };
        let find = || {
            let all = self.with(|sandbox| sandbox.endpoints());
            all.into_iter().find(|one| one.description.as_deref() == Some(description))
        };
        match find() {
            Some(endpoint) if endpoint.url == url => {}
            Some(endpoint) => {
                call(&format!("/v1/webhook_endpoints/{}", endpoint.id), &[("url", url)]);
            }
            None => call(
                "/v1/webhook_endpoints",
                &[("url", url), ("enabled_events[]", "*"), ("description", description)],
            ),
        }
        find()
    }

    /// The stories of the demonstration become part of the account and are delivered. Once is
    /// enough: they end now, so that later they are other events.
    pub fn tell_demo(&self) {
        if let Err(error) = self.stand.perform(Deed::Demo, None) {
            tracing::warn!(%error, "the demonstration cannot be told");
        }
    }

    /// Waits until every delivery that is due has been made. With a plan that holds deliveries
    /// back, until those under way are made.
    pub async fn settled(&self) {
        self.stand.settled().await;
    }

    /// How events are delivered from now on.
    pub fn plan_deliveries(&self, plan: DeliveryPlan) {
        lock(&self.stand.courier).plan = plan;
        self.stand.wake();
    }

    /// Every attempt to deliver that is remembered, oldest first.
    pub fn attempts(&self) -> Vec<Attempt> {
        lock(&self.stand.courier).attempts_since(0).cloned().collect()
    }

    /// Sends an event once more to every endpoint that wants it. `false` where there is none.
    pub fn resend(&self, event: &str) -> bool {
        self.stand.resend(event, None)
    }

    /// Lets requests go wrong. `false` where there are too many rules already.
    pub fn add_fault(&self, rule: FaultRule) -> bool {
        lock(&self.stand.faults).add(rule)
    }

    /// Requests go well from now on.
    pub fn clear_faults(&self) {
        lock(&self.stand.faults).clear();
    }

    /// From now on a key opens another account than the one that is served.
    pub fn give_account(&self, key: &str, account: Sandbox) {
        lock(&self.stand.accounts).give(key, account);
    }

    /// Connects another account to the one that is served: its keys reach it where a request names
    /// it in the `Stripe-Account` header. Its events are delivered to nobody by themselves. Returns
    /// its id, `acct_…`.
    pub fn connect(&self, account: Sandbox) -> String {
        let id = account.account().to_owned();
        lock(&self.stand.accounts).connect(account);
        id
    }

    /// Ends the connection of an account: its name opens nothing any more.
    pub fn disconnect(&self, account: &str) {
        lock(&self.stand.accounts).disconnect(account);
    }

    /// Does something with a connected account at the present; `None` where there is none.
    pub fn with_connected<T>(
        &self,
        account: &str,
        act: impl FnOnce(&mut Sandbox) -> T,
    ) -> Option<T> {
        let now = self.stand.clock.now().unix_seconds();
        lock(&self.stand.accounts).connected(account, now).map(act)
    }

    /// Stops to listen and to deliver.
    pub async fn shutdown(self) {
        self.stop.send(true).ok();
        for task in self.tasks {
            task.await.ok();
        }
    }
}

fn router(stand: Arc<Stand>) -> Router {
    let own = control::routes()
        .merge(pages::routes())
        .layer(axum::middleware::from_fn(guard::own_site_only));
    let api = Router::new()
        .route("/v1/{*path}", any(api::serve))
        .route("/v2/{*path}", any(api::serve))
        .route(listen::PATH, get(listen::open))
        .layer(axum::middleware::from_fn(guard::no_site));
    Router::new()
        .merge(api)
        .merge(own)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(stand)
}

/// Accepts connections until `stop`; those that are open then get the drain time and are cut.
async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        stream.set_nodelay(true).ok();
        let service = Front { router: router.clone(), limits };
        let io = TokioIo::new(TimedStream::new(stream, &limits));
        let connection = http.serve_connection(io, service).with_upgrades();
        let mut stopped = stop.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                _ = connection.as_mut() => true,
                _ = stopped.wait_for(|stopped| *stopped) => false,
            };
            if !ended {
                connection.as_mut().graceful_shutdown();
                connection.await.ok();
            }
            drop(slot);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(limits.drain, ended).await.ok();
    connections.shutdown().await;
}

/// The router for one connection; it can also cut the connection instead of answering.
#[derive(Debug, Clone)]
struct Front {
    router: Router,
    limits: ServerLimits,
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let request = request.map(|body| TimedBody::new(body, &self.limits));
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let response = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.extensions().get::<api::CutOff>().is_some() {
                return Err(io::Error::other("cut by a script"));
            }
            Ok(response)
        })
    }
}
