//! A wire that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What PostgreSQL's protocol sends to commit.
const COMMIT: &[u8] = b"COMMIT\0";
/// What it sends to begin.
const BEGIN: &[u8] = b"BEGIN\0";

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// They are forwarded.
    Whole,
    /// They end, and new ones end at once.
    Cut,
    /// They stay, new ones too, and nothing goes through any more.
    Hung,
    /// They end, and nobody listens any more.
    Away,
    /// They end with this SQLSTATE and message, and so do new ones.
    Refusing(&'static str, &'static str),
}

/// Forwards connections to an address until it is cut.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
    lose: Arc<Mutex<Option<Vec<u8>>>>,
    target: Arc<Mutex<String>>,
}

impl Wire {
    /// A wire to a PostgreSQL database, and the database's address through it.
    pub(super) async fn to_database(url: &str) -> (Self, String) {
        let plain = ("postgres://", url.trim_start_matches("postgres://"));
        let (head, rest) = url.rsplit_once('@').unwrap_or(plain);
        let (server, name) = rest.split_once('/').expect("a database in the URL");
        let wire = Self::to(server.to_owned()).await;
        let joint = if url.contains('@') { "@" } else { "" };
        let through = format!("{head}{joint}{}/{name}", wire.address);
        (wire, through)
    }

    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, seen) = watch::channel(State::Whole);
        let (told, listening) = watch::channel(true);
        let lose = Arc::new(Mutex::new(None));
        let target = Arc::new(Mutex::new(target));
        tokio::spawn(serve(listener, Arc::clone(&target), seen, told, Arc::clone(&lose)));
        Self { address, state, listening, lose, target }
    }

    /// Leads to another server from now on; the connections there are stay.
    pub(super) fn lead_to(&self, target: String) {
        *self.target.lock().expect("the wire") = target;
    }

    /// Cuts every connection; new ones end at once.
    pub(super) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets every connection stand, and carries nothing any more.
    pub(super) fn hang(&self) {
        self.state.send_replace(State::Hung);
    }

    /// Ends every connection; new ones are refused by the machine.
    pub(super) async fn go_away(&self) {
        self.state.send_replace(State::Away);
        self.listening.clone().wait_for(|listening| !*listening).await.expect("the wire serves");
    }

    /// Ends every connection as a PostgreSQL server does that takes none, with this SQLSTATE and
    /// message.
    pub(super) fn refuse(&self, code: &'static str, message: &'static str) {
        self.state.send_replace(State::Refusing(code, message));
    }

    pub(super) async fn mend(&self) {
        self.state.send_replace(State::Whole);
        self.listening.clone().wait_for(|listening| *listening).await.expect("the wire serves");
    }

    /// Cuts, once, the connection of the transaction that names these bytes: after the server has
    /// committed it and before its answer has come through.
    pub(super) fn lose_the_answer_to_the_commit_of(&self, named: &str) {
        *self.lose.lock().expect("the wire") = Some(named.as_bytes().to_vec());
    }

    /// Whether that has happened.
    pub(super) fn has_lost_an_answer(&self) -> bool {
        self.lose.lock().expect("the wire").is_none()
    }
}

async fn serve(
    listener: TcpListener,
    target: Arc<Mutex<String>>,
    mut state: watch::Receiver<State>,
    listening: watch::Sender<bool>,
    lose: Arc<Mutex<Option<Vec<u8>>>>,
) {
    let address = listener.local_addr().expect("an address");
    let mut open = Some(listener);
    let seen = state.clone();
    loop {
        let Some(listener) = open.as_ref() else {
            if state.wait_for(|state| *state != State::Away).await.is_err() {
                return;
            }
            open = Some(TcpListener::bind(address).await.expect("the port is free again"));
            listening.send_replace(true);
            continue;
        };
        tokio::select! {
            stream = listener.accept() => {
                let Ok((stream, _)) = stream else { return };
                let target = target.lock().expect("the wire").clone();
                tokio::spawn(forward(stream, target, seen.clone(), Arc::clone(&lose)));
            }
            away = state.wait_for(|state| *state == State::Away) => {
                if away.is_err() {
                    return;
                }
                drop(away);
                open = None;
                listening.send_replace(false);
            }
        }
    }
}

async fn forward(
    mut from: TcpStream,
    target: String,
    mut state: watch::Receiver<State>,
    lose: Arc<Mutex<Option<Vec<u8>>>>,
) {
    let now = *state.borrow_and_update();
    match now {
        State::Whole | State::Hung => {}
        State::Cut | State::Away => return,
        State::Refusing(code, message) => {
            refuse(&mut from, code, message).await.ok();
            return;
        }
    }
    let Ok(mut to) = TcpStream::connect(target).await else { return };
    tokio::select! {
        biased;
        _ = state.wait_for(|state| *state != State::Whole) => {}
        _ = carry(&mut from, &mut to, &lose) => {}
    }
    state.wait_for(|state| *state != State::Hung).await.ok();
    let now = *state.borrow();
    if let State::Refusing(code, message) = now {
        from.write_all(&error_response(code, message)).await.ok();
    }
}

/// Answers the beginning of a connection as a server does that takes none.
async fn refuse(from: &mut TcpStream, code: &str, message: &str) -> std::io::Result<()> {
    /// What asks for an encrypted connection, after four bytes of length.
    const ENCRYPTED: u32 = 80_877_103;
    loop {
        let length = from.read_u32().await?;
        let what = from.read_u32().await?;
        let mut rest = vec![0; usize::try_from(length).expect("a length") - 8];
        from.read_exact(&mut rest).await?;
        if what != ENCRYPTED {
            break;
        }
        from.write_all(b"N").await?;
    }
    from.write_all(&error_response(code, message)).await?;
    from.shutdown().await
}

/// A fatal error in PostgreSQL's protocol.
fn error_response(code: &str, message: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).expect("a short message");
    [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat()
}

/// Carries bytes both ways until one side ends, or the answer to the commit sought is lost.
async fn carry(
    from: &mut TcpStream,
    to: &mut TcpStream,
    lose: &Mutex<Option<Vec<u8>>>,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut transaction: Vec<u8> = Vec::new();
    loop {
        tokio::select! {
            count = from.read(&mut asked) => {
                let sent = &asked[..count?];
                if sent.is_empty() {
                    return Ok(());
                }
                if contains(sent, BEGIN) {
                    transaction.clear();
                }
                transaction.extend(sent);
                to.write_all(sent).await?;
                if contains(sent, COMMIT) && is_sought(&transaction, lose) {
                    // The server answers when the commit is done; nobody is told.
                    let told = to.read(&mut answered).await?;
                    assert!(told > 0, "the server commits");
                    return Ok(());
                }
            }
            count = to.read(&mut answered) => {
                let told = &answered[..count?];
                if told.is_empty() {
                    return Ok(());
                }
                from.write_all(told).await?;
            }
        }
    }
}

fn is_sought(transaction: &[u8], lose: &Mutex<Option<Vec<u8>>>) -> bool {
    let mut lose = lose.lock().expect("the wire");
    let sought = lose.as_ref().is_some_and(|named| contains(transaction, named));
    if sought {
        *lose = None;
    }
    sought
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
