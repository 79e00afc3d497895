//! A connection's limits. Owns: how long heads, bodies and writes may take, how much at once. Must not
//! know: routes, what is read or written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Largest body of a request.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most connections at once; beyond it new ones are closed.
const CONNECTIONS_MAX: usize = 512;
/// Longest time for the head of a request, and for a connection to be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time for the body of a request after its head.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time in which a peer takes nothing of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time open requests get to finish at a stop.
const DRAIN: Duration = Duration::from_secs(2);

/// What a peer may take of the sandbox. Tests make it less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most connections at once; beyond it new ones are closed.
    pub connections_max: usize,
    /// Longest time for the head of a request, and for a connection to be idle.
    pub head_timeout: Duration,
    /// Longest time for the body of a request after its head.
    pub body_timeout: Duration,
    /// Longest time in which a peer takes nothing of what it is sent.
    pub write_timeout: Duration,
    /// Longest time open requests get to finish at a stop.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            head_timeout: HEAD_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            drain: DRAIN,
        }
    }
}

/// A stream whose writes fail when the peer takes nothing for too long.
pub(super) struct TimedStream {
    stream: TcpStream,
    write_timeout: Duration,
    write: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    pub(super) fn new(stream: TcpStream, limits: &ServerLimits) -> Self {
        Self { stream, write_timeout: limits.write_timeout, write: None }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let timeout = self.write_timeout;
        let deadline = self.write.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A body that fails when it has not come in time.
pub(super) struct TimedBody {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl TimedBody {
    pub(super) fn new(body: Incoming, limits: &ServerLimits) -> Self {
        Self { body, deadline: Box::pin(tokio::time::sleep(limits.body_timeout)) }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the body did not come in time");
        self.deadline.as_mut().poll(context).map(|()| Some(Err(late().into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
