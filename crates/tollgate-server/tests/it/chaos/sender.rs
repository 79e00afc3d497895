//! A sender as patient as Stripe: every event is sent until it is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::ScenarioOptions;
use tollgate_sandbox::load::Load;
use tollgate_server::clock::Clock;
use tollgate_stripe::SigningSecret;

use crate::support::{SECRET, catalog};

/// Events to be sent, and what became of them.
#[derive(Debug)]
pub(super) struct Post {
    all: usize,
    queue: Mutex<VecDeque<(String, String)>>,
    /// Acknowledgements by event id: how often, and with which statuses.
    acknowledged: Mutex<BTreeMap<String, Vec<String>>>,
    progress: watch::Sender<usize>,
    refused: watch::Sender<usize>,
    /// Nothing new is sent for now.
    held: watch::Sender<bool>,
    /// How far the sender's clock is ahead of the engine's.
    ahead_ms: AtomicI64,
}

/// The events of so many customers' lives, in order.
pub(super) fn lives(customers: usize) -> Vec<(String, String)> {
    let account = AccountId::parse("load").expect("an id");
    let options = ScenarioOptions::new(account, Clock::System.now());
    let load = Load::new(&catalog(), &options, customers).expect("a load");
    load.events().map(|event| (event.id, event.body)).collect()
}

impl Post {
    pub(super) fn new(events: Vec<(String, String)>) -> Arc<Self> {
        Arc::new(Self {
            all: events.len(),
            queue: Mutex::new(events.into()),
            acknowledged: Mutex::new(BTreeMap::new()),
            progress: watch::channel(0).0,
            refused: watch::channel(0).0,
            held: watch::channel(false).0,
            ahead_ms: AtomicI64::new(0),
        })
    }

    /// Sends everything over so many connections to the instances, wherever they are now.
    pub(super) async fn send(
        self: &Arc<Self>,
        connections: usize,
        to: &[watch::Receiver<SocketAddr>],
    ) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..connections {
            let (post, to) = (Arc::clone(self), to[number % to.len()].clone());
            tasks.spawn(async move { post.send_from(to).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("a sender ends well");
        }
    }

    async fn send_from(&self, to: watch::Receiver<SocketAddr>) {
        let secret = SigningSecret::parse(SECRET, "test").expect("a secret");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut held = self.held.subscribe();
        loop {
            held.wait_for(|held| !held).await.expect("the post lives");
            let Some((id, body)) = self.queue.lock().expect("the queue").pop_front() else {
                return;
            };
            let at = Clock::System.now().plus_ms(self.ahead_ms.load(Ordering::Relaxed));
            let request = delivery(*to.borrow(), &secret, &body, at);
            if let Some(status) = answer(client.request(request).await).await {
                self.note(id, status);
                continue;
            }
            self.refused.send_modify(|count| *count += 1);
            self.queue.lock().expect("the queue").push_back((id, body));
            tokio::task::yield_now().await;
        }
    }

    fn note(&self, id: String, status: String) {
        let mut acknowledged = self.acknowledged.lock().expect("the ledger");
        acknowledged.entry(id).or_default().push(status);
        let count = acknowledged.len();
        drop(acknowledged);
        self.progress.send_replace(count);
    }

    /// Waits until so many different events are acknowledged.
    pub(super) async fn acknowledged(&self, count: usize) {
        let mut progress = self.progress.subscribe();
        progress.wait_for(|reached| *reached >= count).await.expect("the sender lives");
    }

    /// Sends nothing new until it goes on.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Goes on with sending.
    pub(super) fn go_on(&self) {
        self.held.send_replace(false);
    }

    /// Puts the sender's clock ahead of the engine's.
    pub(super) fn set_ahead_ms(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Waits for the next acknowledgement, if there is one to come.
    pub(super) async fn next_acknowledged(&self) {
        let all = self.all;
        let before = *self.progress.borrow();
        self.acknowledged((before + 1).min(all)).await;
    }

    /// How often an event was not acknowledged.
    pub(super) fn refused(&self) -> usize {
        *self.refused.borrow()
    }

    /// Waits until that has happened so often.
    pub(super) async fn refused_so_often(&self, count: usize) {
        let mut refused = self.refused.subscribe();
        refused.wait_for(|reached| *reached >= count).await.expect("the sender lives");
    }

    /// The acknowledgements.
    pub(super) fn ledger(&self) -> BTreeMap<String, Vec<String>> {
        self.acknowledged.lock().expect("the ledger").clone()
    }
}

/// Sends one delivery signed with a secret; the status of its acknowledgement, if it has one.
pub(super) async fn sign_and_send(to: SocketAddr, secret: &str, body: &str) -> Option<String> {
    let secret = SigningSecret::parse(secret, "test").expect("a secret");
    let client = Client::builder(TokioExecutor::new()).build_http();
    answer(client.request(delivery(to, &secret, body, Clock::System.now())).await).await
}

fn delivery(
    to: SocketAddr,
    secret: &SigningSecret,
    body: &str,
    at: Timestamp,
) -> http::Request<Full<bytes::Bytes>> {
    let signature = tollgate_stripe::sign(secret, body.as_bytes(), at);
    http::Request::post(format!("http://{to}/webhooks/stripe"))
        .header("stripe-signature", signature)
        .body(Full::new(bytes::Bytes::from(body.to_owned())))
        .expect("a request")
}

/// The status of an acknowledgement; `None` for anything that is none.
async fn answer(
    response: Result<http::Response<hyper::body::Incoming>, hyper_util::client::legacy::Error>,
) -> Option<String> {
    let response = response.ok()?;
    let acknowledged = response.status() == http::StatusCode::OK;
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&body).ok()?;
    acknowledged.then(|| json["status"].as_str().unwrap_or("none").to_owned())
}
