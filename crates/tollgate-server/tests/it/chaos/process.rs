//! The real binary as a process.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{SECRET, price_map};

/// A running `tollgate serve`.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Process {
    /// Starts the binary on a free port and waits until it says that it listens.
    pub(super) async fn start(database_url: &str, folder: &std::path::Path) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_tollgate")), database_url, folder).await
    }

    /// The same where no file can grow beyond so many KiB: for the process it is a full disk.
    pub(super) async fn start_with_room(
        database_url: &str,
        folder: &std::path::Path,
        kib: u32,
    ) -> Self {
        let mut shell = Command::new("sh");
        let blocks = kib * 2;
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_tollgate")]);
        Self::start_by(shell, database_url, folder).await
    }

    /// Gives it all the room there is.
    pub(super) async fn give_room(&self) {
        let id = self.child.id().expect("a running process").to_string();
        let given = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &id]).status();
        assert!(given.await.is_ok_and(|status| status.success()));
    }

    async fn start_by(mut command: Command, database_url: &str, folder: &std::path::Path) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(folder)
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("STRIPE_WEBHOOK_SECRET", SECRET)
            .env("STRIPE_PRODUCT_PRICE_MAP", price_map())
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.expect("a readable pipe").expect("one line");
        let address = line.strip_prefix("listening on http://").expect("the promised line");
        Self { address: address.parse().expect("an address"), child }
    }

    /// Ends the process as a power cut would: without a last word.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.expect("the process is killed");
    }

    /// Asks the process to stop and waits for it; returns whether it ended well.
    pub(super) async fn stop(mut self) -> bool {
        let id = self.child.id().expect("a running process").to_string();
        // The shell's own `kill`: a small machine may have no other.
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await;
        assert!(asked.is_ok_and(|status| status.success()));
        self.child.wait().await.expect("an exit status").success()
    }
}
