//! The sandbox on a network. Owns: listening, the route list, starting and stopping. Must not know:
//! what Stripe does (the sandbox does).
//!
//! One process, one account, one lock: a call is microseconds of work, and the same calls at the
//! same times give the same bytes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tollgate_domain::{Catalog, Timestamp};
use tower_service::Service as _;

use crate::sandbox::{Sandbox, SandboxOptions};

mod api;
mod clock;
mod courier;
mod faults;
mod listen;
mod plan;
mod post;
mod stand;

pub use clock::SandboxClock;
pub use courier::{Attempt, Outcome};
pub use faults::{Fault, FaultRule};
pub use plan::DeliveryPlan;
use stand::{Stand, lock};

/// Most connections at once; beyond it new ones wait in the kernel.
const CONNECTIONS_MAX: usize = 512;
/// Longest time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time open requests get to finish at a stop.
const DRAIN: Duration = Duration::from_secs(2);

/// What is served where.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The clock it lives by.
    pub clock: SandboxClock,
    /// The account.
    pub sandbox: Sandbox,
}

impl ServerOptions {
    /// An account on a free port of the loopback.
    pub fn new(sandbox: Sandbox, clock: SandboxClock) -> Self {
        Self { listen: ([127, 0, 0, 1], 0).into(), clock, sandbox }
    }

    /// An account that sells a catalog, on a free port, with a clock that stands still; for tests.
    pub fn standing(catalog: &Catalog, at: Timestamp, seed: u64) -> Self {
        let now = at.unix_seconds();
        let mut sandbox = Sandbox::new(SandboxOptions { seed, now, ..SandboxOptions::default() });
        sandbox.stock(catalog);
        Self::new(sandbox, SandboxClock::standing(at))
    }
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
pub async fn start(options: ServerOptions) -> io::Result<RunningSandbox> {
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let site = format!("http://{address}");
    let stand = Arc::new(Stand::new(options.sandbox, options.clock, site));
    let (stop, stopped) = watch::channel(false);
    let tasks = vec![
        tokio::spawn(serve(listener, router(Arc::clone(&stand)), stopped.clone())),
        tokio::spawn(Arc::clone(&stand).deliver(stopped)),
    ];
    Ok(RunningSandbox { address, stand, stop, tasks })
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
        let now = self.stand.clock.advance(by);
        self.stand.with(|_| ());
        now
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

    /// Stops to listen and to deliver.
    pub async fn shutdown(self) {
        self.stop.send(true).ok();
        for task in self.tasks {
            task.await.ok();
        }
    }
}

fn router(stand: Arc<Stand>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(api::serve))
        .route(listen::PATH, get(listen::open))
        .with_state(stand)
}

/// Accepts connections until `stop`.
async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        stream.set_nodelay(true).ok();
        let service = Front { router: router.clone() };
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            connection.await.ok();
            drop(slot);
        });
    }
    drop(listener);
    tokio::time::timeout(DRAIN, graceful.shutdown()).await.ok();
}

/// The router for one connection; it can also cut the connection instead of answering.
#[derive(Debug, Clone)]
struct Front {
    router: Router,
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
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
