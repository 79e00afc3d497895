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

/// Forwards connections to an address until it is cut.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    whole: watch::Sender<bool>,
    lose: Arc<Mutex<Option<Vec<u8>>>>,
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
        let (whole, seen) = watch::channel(true);
        let lose = Arc::new(Mutex::new(None));
        let losing = Arc::clone(&lose);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if *seen.borrow() {
                    let losing = Arc::clone(&losing);
                    tokio::spawn(forward(stream, target.clone(), seen.clone(), losing));
                }
            }
        });
        Self { address, whole, lose }
    }

    /// Cuts every connection; new ones are refused.
    pub(super) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.whole.send_replace(true);
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

async fn forward(
    mut from: TcpStream,
    target: String,
    mut whole: watch::Receiver<bool>,
    lose: Arc<Mutex<Option<Vec<u8>>>>,
) {
    let Ok(mut to) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = carry(&mut from, &mut to, &lose) => {}
        _ = whole.wait_for(|whole| !*whole) => {}
    }
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
