//! A server on loopback that answers by script and remembers what it was asked.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to one request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Head {
        status: u16,
        body: String,
        headers: Vec<(&'static str, String)>,
    },
    /// A success whose head lacks the date.
    Dateless(String),
    /// The connection ends after the request was read, before any answer.
    CutBefore,
    /// The connection ends in the middle of an answer.
    CutWithin,
    /// A head with this status and a body that goes on until the other side has enough.
    EndlessBody(u16),
    /// A head that goes on until the other side has enough.
    EndlessHead,
    /// No answer, and the connection stays.
    Silence,
}

impl Reply {
    pub(super) fn ok(body: &str) -> Self {
        Self::Head { status: 200, body: body.to_owned(), headers: Vec::new() }
    }

    pub(super) fn error(status: u16, kind: &str, code: &str) -> Self {
        let body = format!(r#"{{"error":{{"type":"{kind}","code":"{code}","message":"No."}}}}"#);
        Self::Head { status, body, headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Head { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Reply>,
    seen: Vec<Seen>,
    /// Bytes of an endless answer that were written when the other side ended the connection.
    written: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Scripted {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    cut: Arc<Notify>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripted {
    pub(super) async fn start(script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(Mutex::new(State { script: script.into(), seen: Vec::new(), written: None }));
        let (shared, cut) = (Arc::clone(&state), Arc::new(Notify::new()));
        let told = Arc::clone(&cut);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&told)));
            }
        });
        Self { address, state, cut, accepting }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the end of an endless answer: how many bytes of it were written.
    pub(super) async fn written_before_the_cut(&self) -> usize {
        loop {
            if let Some(written) = self.state.lock().unwrap().written.take() {
                return written;
            }
            self.cut.notified().await;
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, cut: Arc<Notify>) {
    while let Some(request) = read(&mut stream).await {
        let (reply, number) = {
            let mut state = state.lock().unwrap();
            state.seen.push(request);
            let number = state.seen.len();
            let reply = state.script.pop_front();
            (reply.unwrap_or_else(|| Reply::error(418, "test", "script_is_over")), number)
        };
        let written = match reply {
            Reply::Head { status, body, headers } => {
                let mut head = format!(
                    "HTTP/1.1 {status} Scripted\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n\
                     Request-Id: req_{number}\r\nContent-Length: {}\r\n",
                    body.len()
                );
                for (name, value) in headers {
                    let _ = write!(head, "{name}: {value}\r\n");
                }
                stream.write_all(format!("{head}\r\n{body}").as_bytes()).await
            }
            Reply::Dateless(body) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await
            }
            Reply::EndlessBody(status) => {
                let head =
                    format!("HTTP/1.1 {status} Scripted\r\nTransfer-Encoding: chunked\r\n\r\n");
                let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
                return endless(stream, &head, &chunk, &state, &cut).await;
            }
            Reply::EndlessHead => {
                let line = format!("X-More: {}\r\n", "x".repeat(0x400));
                return endless(stream, "HTTP/1.1 200 OK\r\n", &line, &state, &cut).await;
            }
            Reply::CutBefore => return,
            Reply::CutWithin => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{").await;
                return;
            }
            Reply::Silence => {
                // Until the client has had enough.
                let _ = stream.read(&mut [0_u8; 1]).await;
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n").map(ToOwned::to_owned);
    let line = lines.next()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { line, headers, body: String::from_utf8(body).unwrap() })
}

/// Writes a beginning, and then the same again until nobody takes it any more.
async fn endless(
    mut stream: TcpStream,
    beginning: &str,
    again: &str,
    state: &Mutex<State>,
    cut: &Notify,
) {
    let mut written = 0;
    let mut part = beginning;
    while stream.write_all(part.as_bytes()).await.is_ok() {
        written += part.len();
        part = again;
    }
    state.lock().unwrap().written = Some(written);
    cut.notify_one();
}
