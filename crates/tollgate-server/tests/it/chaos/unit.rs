//! The units for systemd that are shipped: what they say is what the binary understands.
//!
//! Needs no systemd: the test takes its part, from the variables to the socket that is handed over.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tollgate_server::clock::Clock;
use tollgate_server::config::{self, Environment, Flags, Sources, settings};
use tollgate_stripe::SigningSecret;

use super::process::Process;
use crate::support::{SECRET, send};

/// What an operator writes; Stripe is nowhere, so that no test calls it.
const CONFIGURATION: &str =
    "[log]\nlevel = \"warn\"\n[stripe]\napi_base = \"http://127.0.0.1:9\"\n";
/// The secret that takes its place.
const ROLLED: &str = "whsec_tollgate_rolled_0123456789";
/// What a stop takes beyond the two settings.
const STOP_MORE_MS: u64 = 3_000;
/// More than a reload takes on a busy machine.
const RELOADED: Duration = Duration::from_mins(1);

/// The lines `Name=value` of a unit, in order.
fn lines(name: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd");
    let text = std::fs::read_to_string(folder.join(name)).expect("a unit");
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines.filter_map(|line| line.split_once('=')).map(own).collect()
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The machine that systemd would give the service, below one folder.
struct Machine {
    folder: tempfile::TempDir,
    unit: Vec<(String, String)>,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().expect("a folder"),
            unit: lines("tollgate.service"),
        };
        for below in ["etc/tollgate", "var/tollgate", "credentials"] {
            std::fs::create_dir_all(machine.folder.path().join(below)).expect("a folder");
        }
        let write = |path: &str, text: &str| {
            std::fs::write(machine.folder.path().join(path), text).expect("a file");
        };
        write("etc/tollgate/tollgate.toml", CONFIGURATION);
        write("etc/tollgate/stripe-webhook-secret", &format!("{SECRET}\n"));
        write("etc/tollgate/stripe-secret-key", "sk_test_tollgate_of_the_unit\n");
        // What systemd does with LoadCredential=NAME:PATH.
        for credential in machine.all("LoadCredential") {
            let (name, path) = credential.split_once(':').expect("NAME:PATH");
            let to = machine.folder.path().join("credentials").join(name);
            std::fs::copy(machine.resolved(path), to).expect("a credential");
        }
        machine
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.unit.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}");
        all[0]
    }

    /// A text with systemd's specifiers replaced.
    fn resolved(&self, text: &str) -> String {
        let below = |name: &str| self.folder.path().join(name).display().to_string();
        text.replace("%E", &below("etc"))
            .replace("%S", &below("var"))
            .replace("%d", &below("credentials"))
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let assignments = self.all("Environment").into_iter();
        let mut set: BTreeMap<_, _> = assignments
            .map(|one| own(one.split_once('=').expect("NAME=value")))
            .map(|(name, value)| (name, self.resolved(&value)))
            .collect();
        let credentials = self.folder.path().join("credentials").display().to_string();
        set.insert("CREDENTIALS_DIRECTORY".to_owned(), credentials);
        set
    }

    /// The arguments after the binary.
    fn arguments(&self) -> Vec<String> {
        let started = self.resolved(self.one("ExecStart"));
        started.split(' ').skip(1).map(str::to_owned).collect()
    }
}

#[test]
fn the_sockets_of_the_unit_are_those_the_service_would_open_itself() {
    let listen: Vec<String> = lines("tollgate.socket")
        .into_iter()
        .filter(|(name, _)| name == "ListenStream")
        .map(|(_, value)| value)
        .collect();
    let default = |key: &str| settings::find(key).expect("a setting").default.to_owned();
    assert_eq!(listen, [default("server.listen"), default("server.metrics_listen")]);
}

#[test]
fn the_unit_names_settings_that_exist_and_grants_what_a_stop_takes() {
    let machine = Machine::new();
    let arguments = machine.arguments();
    let file = arguments.iter().skip_while(|one| *one != "--config").nth(1).map(PathBuf::from);
    let loaded = config::load(&Sources {
        directory: machine.resolved(machine.one("WorkingDirectory")).into(),
        environment: machine.environment().into_iter().collect::<Environment>(),
        flags: Flags { config: file, ..Flags::default() },
    });
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.warnings, []);
    let config = &loaded.config;
    assert_eq!(config.webhook_secrets[0].secret.expose(), SECRET);
    assert!(config.stripe.secret_key.is_some());
    let granted: u64 = machine.one("TimeoutStopSec").parse().expect("seconds");
    let needed = config.http.lame_duck_ms + config.http.drain_ms + STOP_MORE_MS;
    assert!(granted * 1_000 >= needed, "a stop takes {needed} ms, {granted} s are granted");

    let socket = lines("tollgate.socket");
    let listens = socket.iter().find(|(name, _)| name == "ListenStream").expect("a socket");
    assert_eq!(listens.1, config.listen.to_string());
}

#[test]
fn the_unit_takes_away_what_the_process_does_not_need() {
    let machine = Machine::new();
    for (name, value) in [
        ("CapabilityBoundingSet", ""),
        ("DynamicUser", "yes"),
        ("LimitCORE", "0"),
        ("MemoryDenyWriteExecute", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectHome", "yes"),
        ("ProtectSystem", "strict"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("StateDirectory", "tollgate"),
        ("StateDirectoryMode", "0700"),
        ("SystemCallArchitectures", "native"),
        ("UMask", "0077"),
    ] {
        assert_eq!(machine.one(name), value, "{name}");
    }
    assert_eq!(machine.all("SystemCallFilter")[0], "@system-service");
    // A secret is in a file of its own, never in the unit, which everybody on the machine can read.
    for variable in machine.all("Environment") {
        let (name, value) = variable.split_once('=').expect("NAME=value");
        assert!(name == "DATABASE_URL" || name.ends_with("_FILE"), "{variable}");
        assert!(!name.ends_with("_FILE") || value.starts_with("%d/"), "{variable}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_unit_starts_serves_on_the_socket_it_is_handed_reloads_and_stops() {
    let machine = Machine::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    socket.set_nonblocking(true).expect("a socket of tokio's kind");
    let mut command = Command::new("sh");
    let umask = machine.one("UMask");
    let script = format!(
        "umask {umask}; exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\""
    );
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_tollgate")])
        .args(machine.arguments())
        .stdin(OwnedFd::from(socket.try_clone().expect("the same socket")))
        .current_dir(machine.resolved(machine.one("WorkingDirectory")))
        .env_clear()
        .envs(machine.environment());
    let process = Process::of(command).await;
    assert_eq!(process.address, socket.local_addr().expect("an address"));
    let (status, health) = process.get("/health").await;
    assert_eq!((status, health["webhook"]["status"].as_str()), (200, Some("ok")), "{health}");
    assert_eq!(process.logged("readable by others"), [""; 0], "the database is the service's own");

    // ExecReload: the files are read anew, and one that cannot be used changes nothing.
    let reload = machine.one("ExecReload");
    assert_eq!(reload, "kill -HUP $MAINPID");
    let credential = machine.folder.path().join("credentials/stripe-webhook-secret");
    std::fs::write(&credential, "").expect("a file");
    process.signal("HUP").await;
    let asked = Instant::now();
    while process.logged("not reloaded").is_empty() {
        assert!(asked.elapsed() < RELOADED, "the fault is told");
        tokio::task::yield_now().await;
    }
    assert_eq!(process.logged("the file is empty").len(), 1);
    assert_eq!((signed(&process, SECRET).await, signed(&process, ROLLED).await), (200, 400));
    std::fs::write(&credential, ROLLED).expect("a file");
    process.signal("HUP").await;
    while signed(&process, ROLLED).await != 200 {
        assert!(asked.elapsed() < RELOADED, "the secret of the file counts");
    }
    assert_eq!(signed(&process, SECRET).await, 400);
    assert!(process.stop().await, "SIGTERM ends with 0");
}

/// What the server answers to a body signed with a secret.
async fn signed(process: &Process, secret: &str) -> u16 {
    let secret = SigningSecret::parse(secret, "test").expect("a secret");
    let header = tollgate_stripe::sign(&secret, b"{}", Clock::System.now());
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http();
    let url = format!("http://{}/webhooks/stripe", process.address);
    send(&client, "POST", &url, &[("stripe-signature", header.as_str())], "{}".into()).await.status
}
