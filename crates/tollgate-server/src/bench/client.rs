//! The load. Owns: sending prepared requests over keep-alive connections and timing the replies.
//! Must not know: what is asked.
//!
//! As lean as can be, for it shares the machine with what it measures: requests are bytes made
//! before the clock starts, of a reply only the status, the length and a marker are looked at.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Longest reply accepted, in bytes.
const REPLY_BYTES_MAX: usize = 256 * 1024;

/// Requests as bytes, and what a right reply contains.
#[derive(Debug)]
pub(super) struct Requests {
    /// Each a whole request.
    pub(super) bytes: Vec<Vec<u8>>,
    /// Every reply must contain this.
    pub(super) marker: &'static [u8],
    /// Begin again after the last one.
    pub(super) around: bool,
    /// Places whose replies must contain something else instead.
    others: Option<(HashSet<usize>, &'static [u8])>,
    next: AtomicUsize,
}

impl Requests {
    pub(super) const fn new(bytes: Vec<Vec<u8>>, marker: &'static [u8], around: bool) -> Self {
        Self { bytes, marker, around, others: None, next: AtomicUsize::new(0) }
    }

    /// The same, where the replies to some must contain something else.
    pub(super) const fn with_others(
        bytes: Vec<Vec<u8>>,
        marker: &'static [u8],
        others: (HashSet<usize>, &'static [u8]),
    ) -> Self {
        Self { bytes, marker, around: false, others: Some(others), next: AtomicUsize::new(0) }
    }

    /// What the reply to the request taken in this turn must contain.
    fn marker_of(&self, turn: usize) -> &'static [u8] {
        match &self.others {
            Some((places, marker)) if places.contains(&turn) => marker,
            _ => self.marker,
        }
    }

    /// The next request, and how many were taken before it.
    fn take(&self) -> Option<(usize, &[u8])> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let place = if self.around { turn.checked_rem(self.bytes.len())? } else { turn };
        self.bytes.get(place).map(|request| (turn, request.as_slice()))
    }

    /// How many were taken.
    pub(super) fn taken(&self) -> usize {
        self.next.load(Ordering::Relaxed).min(if self.around {
            usize::MAX
        } else {
            self.bytes.len()
        })
    }

    /// How many were taken that are not among the others.
    pub(super) fn taken_of_ours(&self) -> usize {
        let others = self.others.iter().flat_map(|(places, _)| places);
        let taken = self.taken();
        taken - others.filter(|place| **place < taken).count()
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// From sending (in an open loop: from when it was to be sent) to the whole reply, of right replies.
    pub(super) latencies_us: Vec<u32>,
    /// Replies with a status that is not 2xx.
    pub(super) refused: u64,
    /// Connections that could not be made or broke.
    pub(super) broken: u64,
    /// Replies that lack the marker.
    pub(super) unexpected: u64,
    /// From the first request to the last reply.
    pub(super) elapsed: Duration,
}

impl Sample {
    fn note(&mut self, begun: Instant, reply: &io::Result<Verdict>) -> bool {
        match reply {
            Ok(Verdict::Right) => {
                let us = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                self.latencies_us.push(us);
            }
            Ok(Verdict::Refused) => self.refused += 1,
            Ok(Verdict::Unexpected) => self.unexpected += 1,
            Err(_) => {
                self.broken += 1;
                return false;
            }
        }
        true
    }

    fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.refused += other.refused;
        self.broken += other.broken;
        self.unexpected += other.unexpected;
    }
}

/// What a reply turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Refused,
    Unexpected,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8 * 1024) })
    }

    /// Sends a request and reads its whole reply.
    async fn exchange(&mut self, request: &[u8], marker: &[u8]) -> io::Result<Verdict> {
        self.ask(request).await.map(|(whole, _)| judge(whole, marker))
    }

    /// The whole reply to a request, and the length of its body.
    async fn ask(&mut self, request: &[u8]) -> io::Result<(&[u8], usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(length) = whole_reply(&self.buffer)? {
                return Ok((&self.buffer, length));
            }
        }
    }
}

/// Mean length of the bodies that requests are answered with, sent one after the other.
pub(super) async fn mean_body_bytes(
    address: SocketAddr,
    requests: &[Vec<u8>],
) -> io::Result<usize> {
    let mut connection = Connection::open(address).await?;
    let mut sum = 0_usize;
    for request in requests {
        sum = sum.saturating_add(connection.ask(request).await?.1);
    }
    Ok(sum.checked_div(requests.len()).unwrap_or(0))
}

/// The length of a reply's body once all of it is there.
fn whole_reply(buffer: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = memmem::find(buffer, b"\r\n\r\n") else {
        return if buffer.len() > REPLY_BYTES_MAX {
            Err(io::ErrorKind::InvalidData.into())
        } else {
            Ok(None)
        };
    };
    let (head, body) = buffer.split_at(end);
    let length = content_length(head).filter(|length| *length <= REPLY_BYTES_MAX);
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    Ok((body.len() >= length.saturating_add(4)).then_some(length))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let value = head.get(memmem::find(head, NAME)?.saturating_add(NAME.len())..)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|digit| usize::from(digit - b'0'))
        .try_fold(0usize, |length, digit| length.checked_mul(10)?.checked_add(digit))
}

fn judge(reply: &[u8], marker: &[u8]) -> Verdict {
    if reply.get(9) != Some(&b'2') {
        return Verdict::Refused;
    }
    if memmem::find(reply, marker).is_none() {
        return Verdict::Unexpected;
    }
    Verdict::Right
}

/// Closed loop: each connection sends its next request as soon as it has its reply, until the
/// time is over or the requests are.
pub(super) async fn closed_loop(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    requests: &Arc<Requests>,
) -> io::Result<Sample> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let requests = Arc::clone(requests);
        tasks.spawn(async move {
            let mut sample = Sample::default();
            let mut sent = begun;
            while sent.duration_since(begun) < time
                && let Some((turn, request)) = requests.take()
            {
                let reply = connection.exchange(request, requests.marker_of(turn)).await;
                if !sample.note(sent, &reply) {
                    match Connection::open(address).await {
                        Ok(again) => connection = again,
                        Err(_) => break,
                    }
                }
                sent = Instant::now();
            }
            sample
        });
    }
    Ok(gather(tasks, begun).await)
}

/// Open loop: so many requests a second whatever the server does. Latency counts from the moment
/// a request was to be sent, so that waiting for a free connection is part of it.
pub(super) async fn open_loop(
    address: SocketAddr,
    connections: usize,
    (per_second, time): (u32, Duration),
    requests: &Arc<Requests>,
) -> io::Result<Sample> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let first = requests.taken();
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let requests = Arc::clone(requests);
        tasks.spawn(async move {
            let mut sample = Sample::default();
            while let Some((turn, request)) = requests.take() {
                let turn = u32::try_from(turn.saturating_sub(first)).unwrap_or(u32::MAX);
                let offset = Duration::from_secs(1).saturating_mul(turn) / per_second.max(1);
                if offset >= time {
                    break;
                }
                let due = begun + offset;
                tokio::time::sleep_until(due).await;
                let reply = connection.exchange(request, requests.marker).await;
                if !sample.note(due, &reply) {
                    match Connection::open(address).await {
                        Ok(again) => connection = again,
                        Err(_) => break,
                    }
                }
            }
            sample
        });
    }
    Ok(gather(tasks, begun).await)
}

/// So many connections at once, made, used for one request each, and closed. Latency counts from
/// the common beginning, so the greatest one is the time until all were answered.
pub(super) async fn burst(
    address: SocketAddr,
    connections: usize,
    requests: &Arc<Requests>,
) -> Sample {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let requests = Arc::clone(requests);
        tasks.spawn(async move {
            let mut sample = Sample::default();
            let Some((_, request)) = requests.take() else { return sample };
            let reply = match Connection::open(address).await {
                Ok(mut connection) => connection.exchange(request, requests.marker).await,
                Err(error) => Err(error),
            };
            sample.note(begun, &reply);
            sample
        });
    }
    gather(tasks, begun).await
}

async fn gather(mut tasks: JoinSet<Sample>, begun: Instant) -> Sample {
    let mut whole = Sample::default();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(sample) => whole.add(sample),
            Err(_) => whole.broken += 1,
        }
    }
    whole.elapsed = begun.elapsed();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_whole_when_its_length_is_there() {
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nhello";
        assert_eq!(whole_reply(reply).unwrap(), Some(5));
        for cut in 1..reply.len() {
            assert_eq!(whole_reply(&reply[..cut]).unwrap(), None, "{cut}");
        }
        assert!(whole_reply(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(whole_reply(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n").is_err());
    }

    #[test]
    fn a_reply_is_judged_by_its_status_and_the_marker() {
        assert_eq!(judge(b"HTTP/1.1 200 OK\r\n\r\nyes", b"yes"), Verdict::Right);
        assert_eq!(judge(b"HTTP/1.1 200 OK\r\n\r\nno", b"yes"), Verdict::Unexpected);
        assert_eq!(judge(b"HTTP/1.1 503 Service Unavailable\r\n\r\nyes", b"yes"), Verdict::Refused);
    }

    #[test]
    fn requests_end_or_begin_again() {
        let once = Requests::new(vec![b"a".to_vec(), b"b".to_vec()], b"", false);
        let turns: Vec<usize> = std::iter::from_fn(|| once.take().map(|(turn, _)| turn)).collect();
        assert_eq!((turns, once.taken()), (vec![0, 1], 2));
        let others = (HashSet::from([1]), &b"again"[..]);
        let mixed = Requests::with_others(vec![b"a".to_vec(), b"a".to_vec()], b"new", others);
        assert_eq!((mixed.marker_of(0), mixed.marker_of(1)), (&b"new"[..], &b"again"[..]));
        assert_eq!(mixed.taken_of_ours(), 0);
        mixed.take();
        mixed.take();
        assert_eq!((mixed.taken(), mixed.taken_of_ours()), (2, 1));
        let around = Requests::new(vec![b"a".to_vec(), b"b".to_vec()], b"", true);
        let taken: Vec<u8> = (0..5).filter_map(|_| around.take()?.1.first().copied()).collect();
        assert_eq!(taken, b"ababa");
    }
}
