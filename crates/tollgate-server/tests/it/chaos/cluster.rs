//! A PostgreSQL server of a test's own, which can be restarted, stopped and followed by a standby.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// A running server; it ends with its owner.
pub(super) struct Cluster {
    port: u16,
    data: PathBuf,
    bin: PathBuf,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts one that keeps what it has committed, or says why tests of PostgreSQL are skipped.
    pub(super) async fn start() -> Option<Self> {
        crate::support::TestDatabase::postgres().await?;
        let own = Self::empty();
        let data = own.data.display().to_string();
        own.run("initdb", &["-D", &data, "-U", "tollgate", "--auth=trust", "-E", "UTF8"]).await;
        own.configure("max_connections = 40\nwal_level = replica\nmax_wal_senders = 4\n");
        own.begin().await;
        Some(own)
    }

    /// A standby that follows this one; a commit of this one waits for it from now on.
    pub(super) async fn standby(&self) -> Self {
        let own = Self::empty();
        let (data, source) = (own.data.display().to_string(), self.url("postgres"));
        own.run("pg_basebackup", &["-D", &data, "-d", &source, "-R", "-c", "fast"]).await;
        own.configure("");
        own.begin().await;
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.sql("SELECT pg_reload_conf()").await;
        own
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        // The server refuses to run as root, and its folder must be its user's.
        if user().is_some() {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            std::fs::set_permissions(folder.path(), open).expect("permissions");
        }
        if let Some((user, group)) = user() {
            std::os::unix::fs::chown(&data, Some(user), Some(group)).expect("the user's folder");
        }
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&data, closed).expect("permissions");
        Self { port: 0, data, bin: binaries(), folder }.on_a_free_port()
    }

    fn on_a_free_port(mut self) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        self.port = free.local_addr().expect("an address").port();
        self
    }

    fn configure(&self, more: &str) {
        let path = self.data.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&path).expect("its configuration");
        text.push_str(more);
        let port = self.port;
        let _ = write!(
            text,
            "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nport = {port}\n"
        );
        std::fs::write(path, text).expect("its configuration");
    }

    pub(super) async fn begin(&self) {
        self.control("start", &["-w", "-t", "60"]).await;
    }

    /// `pg_ctl` with this mode, such as `fast` or `immediate`.
    pub(super) async fn stop(&self, mode: &str) {
        self.control("stop", &["-w", "-m", mode]).await;
    }

    pub(super) async fn promote(&self) {
        self.control("promote", &["-w"]).await;
    }

    async fn control(&self, what: &str, more: &[&str]) {
        let (data, log) = (self.data.display().to_string(), self.log());
        let mut arguments = vec![what, "-s", "-D", &data, "-l", &log];
        arguments.extend(more);
        self.run("pg_ctl", &arguments).await;
    }

    fn log(&self) -> String {
        self.data.join("server.log").display().to_string()
    }

    async fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = self.command(program);
        let done = command.args(arguments).stdout(std::process::Stdio::null()).output().await;
        let done = done.expect("PostgreSQL's programs are there");
        let told = String::from_utf8_lossy(&done.stderr);
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        assert!(done.status.success(), "{program} {arguments:?}: {told}\n{log}");
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = Command::new(program);
        command.current_dir("/");
        if let Some((user, group)) = user() {
            command.uid(user).gid(group);
        }
        command
    }

    /// The address of one of its databases.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://tollgate@127.0.0.1:{}/{database}", self.port)
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs one statement.
    pub(super) async fn sql(&self, sql: &str) {
        crate::support::run_sql_on(&self.url("postgres"), sql).await;
    }

    /// Sends a signal to all of its processes, such as `STOP`.
    pub(super) async fn signal(&self, name: &str) {
        let first = std::fs::read_to_string(self.data.join("postmaster.pid")).expect("it runs");
        let first = first.lines().next().expect("its process id").trim().to_owned();
        let script = format!("kill -{name} {first} $(pgrep -P {first})");
        let sent = Command::new("sh").args(["-c", &script]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "{script}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid_file = self.data.join("postmaster.pid");
        let Ok(first) = std::fs::read_to_string(pid_file) else { return };
        let first = first.lines().next().unwrap_or_default().trim().to_owned();
        // QUIT is an immediate shutdown; the processes of a stopped server have to run for it.
        let script = format!("kill -CONT $(pgrep -P {first}) {first}; kill -QUIT {first}");
        std::process::Command::new("sh").args(["-c", &script]).status().ok();
        let _ = self.folder.path();
    }
}

/// Whom PostgreSQL and PgBouncer run as when we are root, who they refuse to be: user and group.
pub(super) fn user() -> Option<(u32, u32)> {
    let us = std::fs::metadata("/proc/self").map(|us| std::os::unix::fs::MetadataExt::uid(&us));
    if us.expect("a Linux machine") != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

/// The newest server of Debian's versioned directories, else the one on the path.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.map(|entry| entry.path().join("bin"));
    let mut versions: Vec<PathBuf> = versions.filter(|bin| bin.join("initdb").exists()).collect();
    versions.sort_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name);
        version.and_then(|name| name.to_str()?.parse::<u32>().ok())
    });
    versions.pop().unwrap_or_else(|| {
        let path = tollgate_server::config::Environment::of_process();
        let path = path.get("PATH").unwrap_or_default().to_owned();
        let found = path.split(':').map(PathBuf::from).find(|bin| bin.join("initdb").exists());
        found.expect("initdb is installed")
    })
}
