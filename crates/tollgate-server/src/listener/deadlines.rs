//! The deadlines of a connection. Owns: what a connection waits for, and how long it may. Must not know:
//! what is read or written.
//!
//! A connection has one timer, which is set anew only when it has run out: a request that comes and is
//! answered in time costs no more than a look at the clock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::ListenerLimits;

/// Nothing of the next request is here.
const IDLE: u8 = 0;
/// Part of its head is here.
const HEAD: u8 = 1;
/// Its whole head is here, and its answer is not all given yet.
const ANSWER: u8 = 2;

/// What a connection is at, as its stream, its requests and its answers tell. All are used by one task.
#[derive(Debug, Default)]
pub(super) struct Progress {
    phase: AtomicU8,
    /// The peer takes nothing of what is written.
    blocked: AtomicBool,
    /// Something went on since this was asked.
    moved: AtomicBool,
}

impl Progress {
    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
        self.moved.store(true, Ordering::Relaxed);
    }

    /// A whole head has arrived.
    pub(super) fn head_is_whole(&self) {
        self.enter(ANSWER);
    }

    fn has_read(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn has_tried_to_write(&self, blocked: bool) {
        if !blocked || !self.blocked.load(Ordering::Relaxed) {
            self.blocked.store(blocked, Ordering::Relaxed);
            self.moved.store(true, Ordering::Relaxed);
        }
    }
}

/// A stream that notes its progress.
pub(super) struct Noted {
    stream: TcpStream,
    progress: Arc<Progress>,
}

impl Noted {
    pub(super) const fn new(stream: TcpStream, progress: Arc<Progress>) -> Self {
        Self { stream, progress }
    }
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.has_read();
        }
        read
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress.has_tried_to_write(written.is_pending());
        written
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress.has_tried_to_write(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The body of an answer, which is given when this is dropped.
pub(super) struct Answered<B> {
    body: B,
    progress: Arc<Progress>,
}

impl<B> Answered<B> {
    pub(super) const fn new(body: B, progress: Arc<Progress>) -> Self {
        Self { body, progress }
    }
}

impl<B> Drop for Answered<B> {
    fn drop(&mut self) {
        self.progress.enter(IDLE);
    }
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells when a connection has waited for too long.
pub(super) struct Deadlines {
    progress: Arc<Progress>,
    write_timeout: Duration,
    header_timeout: Duration,
    keep_alive: Duration,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    pub(super) fn new(progress: Arc<Progress>, limits: &ListenerLimits) -> Self {
        Self {
            progress,
            write_timeout: limits.write_timeout,
            header_timeout: limits.header_timeout,
            keep_alive: limits.keep_alive,
            since: Instant::now(),
            timer: None,
        }
    }

    /// Ready when it has. To be asked whenever the connection has nothing to do.
    pub(super) fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let may_take = if self.progress.blocked.load(Ordering::Relaxed) {
            self.write_timeout
        } else {
            match self.progress.phase.load(Ordering::Relaxed) {
                // It is our turn, or a body's, which has a time of its own.
                ANSWER => return Poll::Pending,
                HEAD => self.header_timeout,
                _ => self.keep_alive,
            }
        };
        if self.progress.moved.swap(false, Ordering::Relaxed) {
            self.since = Instant::now();
        }
        let deadline = self.since + may_take;
        let new = || Box::pin(tokio::time::sleep_until(deadline));
        let timer = self.timer.get_or_insert_with(new);
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    /// With times for writing, a head and being idle.
    fn deadlines(progress: &Arc<Progress>, times: [Duration; 3]) -> Deadlines {
        let [write_timeout, header_timeout, keep_alive] = times;
        let limits = ListenerLimits {
            connections_max: 1,
            connections_per_address_max: 1,
            trusted_proxies: Vec::new(),
            write_timeout,
            header_timeout,
            keep_alive,
            drain: LONG,
        };
        Deadlines::new(Arc::clone(progress), &limits)
    }

    #[tokio::test]
    async fn each_wait_has_a_time_of_its_own() {
        let [idle, head, blocked] = [(); 3].map(|()| Arc::new(Progress::default()));
        head.has_read();
        blocked.has_read();
        blocked.head_is_whole();
        blocked.has_tried_to_write(true);
        for (what, progress, times) in [
            ("idle", idle, [LONG, LONG, Duration::ZERO]),
            ("head", head, [LONG, Duration::ZERO, LONG]),
            ("blocked", blocked, [Duration::ZERO, LONG, LONG]),
        ] {
            let mut deadlines = deadlines(&progress, times);
            let passed = poll_fn(|context| deadlines.poll_passed(context));
            let passed = tokio::time::timeout(Duration::from_secs(10), passed).await;
            assert!(passed.is_ok(), "{what}");
        }
    }

    #[tokio::test]
    async fn only_what_goes_on_gives_time() {
        let progress = Arc::new(Progress::default());
        let mut deadlines = deadlines(&progress, [LONG; 3]);
        let mut since = || {
            poll_fn(|context| deadlines.poll_passed(context)).now_or_never();
            deadlines.since
        };
        progress.has_read();
        let begun = since();
        progress.has_read();
        assert_eq!(since(), begun, "more of the same head");
        progress.head_is_whole();
        assert_eq!(since(), begun, "our turn has no time");
        drop(Answered::new((), Arc::clone(&progress)));
        let idle = since();
        assert!(idle > begun);
        assert_eq!(since(), idle, "nothing went on");
        progress.has_tried_to_write(true);
        let blocked = since();
        assert!(blocked > idle);
        progress.has_tried_to_write(true);
        assert_eq!(since(), blocked, "nothing was taken");
        progress.has_tried_to_write(false);
        assert!(since() > blocked);
    }
}
