//! The real binary as a process.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{SECRET, price_map};

/// A running `tollgate serve`.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

/// How the binary is started.
pub(super) struct Launch<'a> {
    /// Its database.
    pub(super) database_url: &'a str,
    /// Its working directory.
    pub(super) folder: &'a Path,
    /// No file can grow beyond so many KiB: for the process it is a full disk.
    pub(super) room_kib: Option<u32>,
    /// The socket it is handed, as systemd does it.
    pub(super) socket: Option<&'a TcpListener>,
    /// More of its environment; what is set here counts.
    pub(super) environment: &'a [(&'a str, &'a str)],
    /// Whether its webhook secret is in its environment; else in its `.env`.
    pub(super) secret_in_environment: bool,
}

impl<'a> Launch<'a> {
    pub(super) const fn new(database_url: &'a str, folder: &'a Path) -> Self {
        Self {
            database_url,
            folder,
            room_kib: None,
            socket: None,
            environment: &[],
            secret_in_environment: true,
        }
    }

    /// Starts it on a free port and waits until it says that it listens.
    pub(super) async fn start(self) -> Process {
        let binary = env!("CARGO_BIN_EXE_tollgate");
        let mut before = String::new();
        if let Some(kib) = self.room_kib {
            let _ = write!(before, "trap '' XFSZ; ulimit -S -f {}; ", kib * 2);
        }
        if self.socket.is_some() {
            before.push_str("exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; ");
        }
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before}exec \"$0\" \"$@\""), binary]);
        if let Some(socket) = self.socket {
            command.stdin(OwnedFd::from(socket.try_clone().expect("the same socket")));
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(self.folder)
            .env_clear()
            .env("DATABASE_URL", self.database_url)
            .env("STRIPE_PRODUCT_PRICE_MAP", price_map())
            .env("LOG_LEVEL", "error")
            .env("TOLLGATE__SERVER__METRICS_LISTEN", "127.0.0.1:0")
            .envs(self.environment.iter().copied());
        if self.secret_in_environment {
            command.env("STRIPE_WEBHOOK_SECRET", SECRET);
        }
        Process::of(command).await
    }
}

impl Process {
    /// Starts the binary on a free port and waits until it says that it listens.
    pub(super) async fn start(database_url: &str, folder: &Path) -> Self {
        Launch::new(database_url, folder).start().await
    }

    /// Gives it all the room there is.
    pub(super) async fn give_room(&self) {
        let id = self.id();
        let given = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &id]).status();
        assert!(given.await.is_ok_and(|status| status.success()));
    }

    /// The same, started in a way of its own.
    pub(super) async fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                eprintln!("{line}");
                written.lock().expect("the log").push(line);
            }
        });
        let stdout = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.expect("a readable pipe").expect("one line");
        let address = line.strip_prefix("listening on http://").expect("the promised line");
        Self { address: address.parse().expect("an address"), child, log }
    }

    /// Its process id.
    pub(super) fn id(&self) -> String {
        self.child.id().expect("a running process").to_string()
    }

    /// The lines of its log that hold this.
    pub(super) fn logged(&self, part: &str) -> Vec<String> {
        let log = self.log.lock().expect("the log");
        log.iter().filter(|line| line.contains(part)).cloned().collect()
    }

    /// The status and the body of what it answers.
    pub(super) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        get(self.address, path).await.expect("an answer")
    }

    /// Ends the process as a power cut would: without a last word.
    pub(super) async fn kill(mut self) {
        self.kill_now().await;
    }

    /// The same, for one that is replaced by another.
    pub(super) async fn kill_now(&mut self) {
        self.child.kill().await.expect("the process is killed");
    }

    /// Sends it a signal, such as `HUP`.
    pub(super) async fn signal(&self, name: &str) {
        // The shell's own `kill`: a small machine may have no other.
        let script = format!("kill -{name} {}", self.id());
        let asked = Command::new("sh").args(["-c", &script]).status().await;
        assert!(asked.is_ok_and(|status| status.success()));
    }

    /// Asks the process to stop and waits for it; returns whether it ended well.
    pub(super) async fn stop(self) -> bool {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits for its end; returns whether it ended well.
    pub(super) async fn ended(mut self) -> bool {
        self.wait().await
    }

    /// The same, for one that is replaced by another.
    pub(super) async fn wait(&mut self) -> bool {
        self.child.wait().await.expect("an exit status").success()
    }
}

/// The status and the body of what somebody answers, if anybody does.
pub(super) async fn get(from: SocketAddr, path: &str) -> Option<(u16, serde_json::Value)> {
    let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url = format!("http://{from}{path}").parse().expect("an address");
    let answer = client.get(url).await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}
