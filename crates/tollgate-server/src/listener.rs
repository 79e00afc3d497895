//! The accept loop. Owns: sockets, the connection cap, header and idle deadlines, draining. Must
//! not know: routes.
//!
//! `axum::serve` has no deadline for request headers, so a peer that sends one byte a second would
//! hold a connection for ever. Here a message that has begun must have its whole head within
//! `header_timeout_ms`, and an idle connection is closed after `keep_alive_ms`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// Pending connections the kernel keeps for us.
const BACKLOG: i32 = 4096;

/// Limits of the accept loop.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// Most connections at once; beyond it new ones wait in the kernel.
    pub connections_max: usize,
    /// Longest time from the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// Longest time a connection may stay idle.
    pub keep_alive: Duration,
    /// Longest time open requests get to finish at a stop.
    pub drain: Duration,
}

/// Opens a listening socket. `127.0.0.1:0` picks a free port.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = if address.is_ipv6() { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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

/// Serves connections until `stop` becomes true, then drains and returns.
///
/// `make` is called once per connection with the peer's address.
pub async fn serve<S, B, F>(
    listener: TcpListener,
    limits: ListenerLimits,
    open: ConnectionCount,
    mut stop: watch::Receiver<bool>,
    make: F,
) where
    F: Fn(SocketAddr) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = std::convert::Infallible>
        + Send
        + 'static,
    S::Future: Send + Unpin,
    B: hyper::body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    B::Data: Send,
{
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(tokio::sync::Semaphore::new(limits.connections_max));
    let mut connections = tokio::task::JoinSet::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.keep_alive).pipeline_flush(true);
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                note_end(ended);
                continue;
            }
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        let (stream, peer) = match accepted {
            Ok(pair) => pair,
            Err(error) => {
                // Out of descriptors, most likely: wait for one to be freed instead of spinning.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        stream.set_nodelay(true).ok();
        let busy = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(HeadDeadline::new(stream, limits.header_timeout, Arc::clone(&busy)));
        let service = MarkBusy { inner: make(peer), busy };
        let connection = graceful.watch(http.serve_connection(io, service));
        let counted = Counted::new(&open);
        connections.spawn(async move {
            connection.await.ok();
            drop((counted, slot));
        });
    }
    drop(listener);
    let drained = async {
        graceful.shutdown().await;
        while let Some(ended) = connections.join_next().await {
            note_end(ended);
        }
    };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("connections still open after the drain time are cut");
        connections.shutdown().await;
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

/// Tells the stream's deadline that a whole head has arrived, and when the answer is made.
struct MarkBusy<S> {
    inner: S,
    busy: Arc<AtomicBool>,
}

impl<S> Service<Request<Incoming>> for MarkBusy<S>
where
    S: Service<Request<Incoming>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.busy.store(true, Ordering::Relaxed);
        Answering { inner: self.inner.call(request), busy: Arc::clone(&self.busy) }
    }
}

/// The answer in the making; clears the mark when it is made.
struct Answering<F> {
    inner: F,
    busy: Arc<AtomicBool>,
}

impl<F: Future + Unpin> Future for Answering<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let output = Pin::new(&mut self.inner).poll(context);
        if output.is_ready() {
            self.busy.store(false, Ordering::Relaxed);
        }
        output
    }
}

/// A stream that fails when a head has begun and is not whole in time. Idle connections are left
/// to hyper's own timer.
struct HeadDeadline {
    stream: TcpStream,
    timeout: Duration,
    busy: Arc<AtomicBool>,
    begun: bool,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl HeadDeadline {
    fn new(stream: TcpStream, timeout: Duration, busy: Arc<AtomicBool>) -> Self {
        Self { stream, timeout, busy, begun: false, deadline: None }
    }
}

impl AsyncRead for HeadDeadline {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.busy.load(Ordering::Relaxed) {
            self.begun = false;
            self.deadline = None;
            return read;
        }
        if read.is_ready() {
            self.begun |= buffer.filled().len() > before;
            return read;
        }
        if !self.begun {
            return Poll::Pending;
        }
        // Part of a head is here and the rest is not: only now a timer is worth its price.
        let until = Instant::now() + self.timeout;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for HeadDeadline {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A head that was whole ends here at the latest: its answer is being written.
        self.begun = false;
        self.deadline = None;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begun = false;
        self.deadline = None;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
