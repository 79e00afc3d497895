//! The deadlines of a connection's stream. Owns: how long a head and a write may take. Must not know:
//! what is read or written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::ListenerLimits;

/// A stream that fails when a head has begun and is not whole in time, and when the peer takes
/// nothing of what is written. Idle connections are left to hyper's own timer.
pub(super) struct Deadlines {
    stream: TcpStream,
    head_timeout: Duration,
    write_timeout: Duration,
    busy: Arc<AtomicBool>,
    begun: bool,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    pub(super) fn new(stream: TcpStream, limits: &ListenerLimits, busy: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            head_timeout: limits.header_timeout,
            write_timeout: limits.write_timeout,
            busy,
            begun: false,
            head: None,
            write: None,
        }
    }

    /// A head that was whole ends at the latest where its answer is written.
    fn begin_to_write(&mut self) {
        self.begun = false;
        self.head = None;
    }

    /// What became of a write; one that waits for the peer fails at the deadline.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let until = Instant::now() + self.write_timeout;
        let deadline = self.write.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Deadlines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.busy.load(Ordering::Relaxed) {
            self.begun = false;
            self.head = None;
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
        let until = Instant::now() + self.head_timeout;
        let deadline = self.head.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Deadlines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.begin_to_write();
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
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
        self.begin_to_write();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
