//! The accept loop. Owns: how many connections may be open at once and from one address, the deadlines
//! of heads, writes and idle connections, draining. Must not know: routes, where a socket comes from.
//!
//! `axum::serve` has no deadline for request headers nor for writing, so a peer that sends one byte
//! a second, or never reads, would hold a connection for ever. Here a message that has begun must
//! have its whole head within `header_timeout_ms`, a peer that takes nothing of an answer for
//! `write_timeout_ms` is cut off, and an idle connection is closed after `keep_alive_ms`. Where no
//! connection is free the next peers get an answer that says so, and are not kept.

mod deadlines;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::deadlines::{Answered, Deadlines, Noted, Progress};
use crate::address_block::address_block;
use crate::config::Cidr;
use crate::episodes::Episodes;

/// Longest head of a request, and most of a body that is read ahead.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most connections that are accepted after the end: more than the kernel keeps.
const WAITING_MAX: usize = 8_192;
/// Pause after a connection could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// For a peer that has just connected to send its first request, at a stop.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// Most peers at once that are told that no connection is free; more are cut off without a word.
const REFUSED_MAX: usize = 64;
/// For such a peer to send a request and take the answer.
const REFUSED_TIME: Duration = Duration::from_secs(2);

/// Limits of the accept loop.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections at once from one address, or one IPv6 network.
    pub connections_per_address_max: usize,
    /// Addresses that may have more: those of proxies, where many clients meet.
    pub trusted_proxies: Vec<Cidr>,
    /// Longest time in which a peer takes nothing of what it is sent.
    pub write_timeout: Duration,
    /// Longest time from the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// Longest time a connection may stay idle.
    pub keep_alive: Duration,
    /// Longest time open requests get to finish at a stop.
    pub drain: Duration,
}

/// How many connections are open; shared with the metrics.
#[derive(Debug, Clone, Default)]
pub struct ConnectionCount(Arc<AtomicUsize>);

impl ConnectionCount {
    /// The number now.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a connection may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// Too many are open.
    Full,
    /// Too many are open from its address.
    AddressFull,
}

/// When a listener ends.
#[derive(Debug, Clone)]
pub struct ListenerStop {
    /// No connection is accepted from now on; those that are open go on.
    pub close: watch::Receiver<bool>,
    /// Open connections end after the request they are at.
    pub drain: watch::Receiver<bool>,
}

/// Serves connections until it is told to close, and then those that are open until it is told to
/// drain.
///
/// `make` is called once per connection with the peer's address. A connection that is not admitted
/// gets one answer of what it makes.
pub async fn serve<S, B, F>(
    listener: TcpListener,
    limits: ListenerLimits,
    open: ConnectionCount,
    mut stop: ListenerStop,
    make: F,
) where
    F: Fn(SocketAddr, Admission) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let graceful = GracefulShutdown::new();
    let slots = Slots::of(&limits);
    let refused = Arc::new(Semaphore::new(REFUSED_MAX));
    let mut connections = JoinSet::new();
    let unheard = Arc::new(watch::channel(0).0);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX);
    let begin = |connections: &mut JoinSet<()>, (stream, peer): (TcpStream, SocketAddr)| {
        stream.set_nodelay(true).ok();
        let progress = Arc::new(Progress::default());
        let io = TokioIo::new(Noted::new(stream, Arc::clone(&progress)));
        let unheard = Unheard::new(&unheard);
        match slots.take(peer.ip()) {
            Ok(slot) => {
                let mut deadlines = Deadlines::new(Arc::clone(&progress), &limits);
                let service = noted(make(peer, Admission::Admitted), progress, unheard);
                let connection = graceful.watch(http.serve_connection(io, service));
                let counted = Counted::new(&open);
                connections.spawn(async move {
                    let mut connection = pin!(connection);
                    poll_fn(|context| match connection.as_mut().poll(context) {
                        Poll::Ready(_) => Poll::Ready(()),
                        Poll::Pending => deadlines.poll_passed(context),
                    })
                    .await;
                    drop((counted, slot));
                });
            }
            Err(why) => {
                let service = noted(make(peer, why), progress, unheard);
                let Ok(place) = Arc::clone(&refused).try_acquire_owned() else { return };
                let mut once = http.clone();
                let connection = once.keep_alive(false).serve_connection(io, service);
                connections.spawn(async move {
                    tokio::time::timeout(REFUSED_TIME, connection).await.ok();
                    drop(place);
                });
            }
        }
    };
    accept(listener, &mut stop, &mut connections, begin).await;
    linger(&mut connections, &mut stop.drain).await;
    let deadline = Instant::now() + limits.drain;
    // A connection that is drained before its first request has come is closed without an answer.
    let heard = all_heard(unheard.subscribe());
    tokio::time::timeout_at(deadline.min(Instant::now() + FIRST_REQUEST), heard).await.ok();
    drain(graceful, connections, deadline).await;
}

/// Accepts connections until the socket is to be closed, and closes it.
async fn accept(
    listener: TcpListener,
    stop: &mut ListenerStop,
    connections: &mut JoinSet<()>,
    begin: impl Fn(&mut JoinSet<()>, (TcpStream, SocketAddr)),
) {
    let trouble = Episodes::new("connections cannot be accepted");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                note_end(ended);
                continue;
            }
            _ = stop.close.wait_for(|closed| *closed) => break,
        };
        match accepted {
            Ok(accepted) => {
                trouble.end_quiet();
                begin(connections, accepted);
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for one to be freed instead of spinning.
                trouble.note("accept", error);
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    if *stop.drain.borrow() {
        accept_waiting(listener, connections, begin);
    }
    // Else another engine accepts them.
}

/// Accepts the connections the kernel has made already, which would be reset with the socket.
fn accept_waiting(
    listener: TcpListener,
    connections: &mut JoinSet<()>,
    begin: impl Fn(&mut JoinSet<()>, (TcpStream, SocketAddr)),
) {
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..WAITING_MAX {
        match listener.accept() {
            Ok((stream, peer)) => {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    begin(connections, (stream, peer));
                }
            }
            // That one went away while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => return,
        }
    }
}

/// Waits until every connection has ended by itself, or all are to be drained.
async fn linger(connections: &mut JoinSet<()>, drain: &mut watch::Receiver<bool>) {
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => note_end(ended),
                None => return,
            },
            _ = drain.wait_for(|draining| *draining) => return,
        }
    }
}

async fn drain(graceful: GracefulShutdown, mut connections: JoinSet<()>, deadline: Instant) {
    let drained = async {
        graceful.shutdown().await;
        while let Some(ended) = connections.join_next().await {
            note_end(ended);
        }
    };
    if tokio::time::timeout_at(deadline, drained).await.is_err() {
        tracing::warn!("connections still open after the drain time are cut");
        connections.shutdown().await;
    }
}

/// How many connections are open from each address, or each IPv6 network.
type AddressCounts = Mutex<HashMap<IpAddr, usize>>;

/// The connections that may be open.
struct Slots {
    all: Arc<Semaphore>,
    by_address: Arc<AddressCounts>,
    per_address_max: usize,
    trusted_proxies: Vec<Cidr>,
}

impl Slots {
    fn of(limits: &ListenerLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max)),
            by_address: Arc::default(),
            per_address_max: limits.connections_per_address_max,
            trusted_proxies: limits.trusted_proxies.clone(),
        }
    }

    /// One for a peer, until it is dropped.
    fn take(&self, peer: IpAddr) -> Result<Slot, Admission> {
        let slot = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Admission::Full)?;
        let peer = peer.to_canonical();
        if self.trusted_proxies.iter().any(|range| range.contains(peer)) {
            return Ok(Slot { _slot: slot, counted: None });
        }
        let peer = address_block(peer);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(peer).or_default();
        if *count >= self.per_address_max {
            return Err(Admission::AddressFull);
        }
        *count += 1;
        Ok(Slot { _slot: slot, counted: Some((peer, Arc::clone(&self.by_address))) })
    }
}

/// A connection's place among those that may be open.
struct Slot {
    _slot: OwnedSemaphorePermit,
    counted: Option<(IpAddr, Arc<AddressCounts>)>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some((peer, by_address)) = &self.counted else { return };
        let mut by_address = by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(peer);
            }
        }
    }
}

/// An open connection, counted until it ends, however it ends.
struct Counted(ConnectionCount);

impl Counted {
    fn new(count: &ConnectionCount) -> Self {
        count.0.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Handlers catch their own panics; one out here is a defect of the front.
fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended unexpectedly");
    }
}

async fn all_heard(mut unheard: watch::Receiver<usize>) {
    unheard.wait_for(|count| *count == 0).await.ok();
}

/// A connection whose first request has not come, counted until it has or the connection ends.
struct Unheard {
    count: Arc<watch::Sender<usize>>,
    counted: AtomicBool,
}

impl Unheard {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self { count: Arc::clone(count), counted: AtomicBool::new(true) }
    }

    fn end(&self) {
        if self.counted.load(Ordering::Relaxed) && self.counted.swap(false, Ordering::Relaxed) {
            self.count.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        self.end();
    }
}

/// A service that tells when a whole head has arrived, and when its answer has been given.
fn noted<S, B>(
    inner: S,
    progress: Arc<Progress>,
    unheard: Unheard,
) -> impl Service<Request<Incoming>, Response = Response<Answered<B>>, Error = Infallible, Future: Send>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    B: Body + Unpin,
{
    service_fn(move |request| {
        unheard.end();
        progress.head_is_whole();
        let answer = inner.call(request);
        let progress = Arc::clone(&progress);
        async move { answer.await.map(|answer| answer.map(|body| Answered::new(body, progress))) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_has_the_connections_of_one_address() {
        let slots = Slots {
            all: Arc::new(Semaphore::new(10)),
            by_address: Arc::default(),
            per_address_max: 1,
            trusted_proxies: Vec::new(),
        };
        let take = |peer: &str| slots.take(peer.parse().unwrap());
        let first = take("2001:db8:0:1::1").ok();
        assert!(first.is_some());
        assert_eq!(take("2001:db8:0:1::2").err(), Some(Admission::AddressFull));
        assert!(take("2001:db8:0:2::1").is_ok(), "another network");
        let v4 = take("192.0.2.1").ok();
        assert!(v4.is_some() && take("192.0.2.2").is_ok());
        assert_eq!(take("::ffff:192.0.2.1").err(), Some(Admission::AddressFull));
        drop(first);
        assert!(take("2001:db8:0:1::2").is_ok(), "it was given back");
        assert_eq!(
            slots.by_address.lock().unwrap().len(),
            1,
            "nothing is left of those that ended"
        );
    }
}
