//! The table of faults in `docs/reliability.md`: a server under load, a fault, and what it cost. Each row is
//! a test of its own; `./test chaos` runs them with more events and writes the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tollgate_server::config::Environment;
use tollgate_store::{Db, DbOptions};

use super::cluster::Cluster;
use super::process::{Launch, Process, get};
use super::proxy::Wire;
use super::sender::{Post, lives};
use crate::support::{State, TestDatabase};

/// Customers of the short form; eleven events each.
const CUSTOMERS: usize = 60;
/// Requests that are refused before a fault ends that does not end by itself.
const FELT: usize = 8;
/// Longest time from the end of a fault to the next acknowledgement.
const RECOVERED: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 8;
/// Events that are acknowledged before the fault.
const BEFORE: usize = 100;
/// A server that knows a key for Stripe's API, and nobody listens there.
const STRIPE_AWAY: [(&str, &str); 3] = [
    ("LOG_LEVEL", "warn"),
    ("STRIPE_SECRET_KEY", "sk_test_tollgate0123456789"),
    ("STRIPE_API_BASE", "http://127.0.0.1:9"),
];

/// Events and what they come to without a fault; the same for every row.
async fn work() -> &'static (Vec<(String, String)>, State) {
    static WORK: OnceCell<(Vec<(String, String)>, State)> = OnceCell::const_new();
    WORK.get_or_init(async || {
        let customers = Environment::of_process();
        let customers = customers.get("TOLLGATE_CHAOS_CUSTOMERS").and_then(|n| n.parse().ok());
        let events = lives(customers.unwrap_or(CUSTOMERS));
        let untroubled = State::of_untroubled_run(&events).await;
        (events, untroubled)
    })
    .await
}

/// A server under load.
struct Trial {
    fault: &'static str,
    url: String,
    post: Arc<Post>,
    sender: JoinHandle<()>,
    watcher: JoinHandle<()>,
    address: watch::Sender<SocketAddr>,
    process: Process,
    readiness: Arc<Mutex<Readiness>>,
    recovered: Duration,
    logged: BTreeMap<String, usize>,
    folder: tempfile::TempDir,
}

/// What `/readyz` said meanwhile.
#[derive(Debug, Default)]
struct Readiness {
    not_ready: Duration,
    told: BTreeSet<String>,
}

impl Trial {
    async fn begin(fault: &'static str, url: &str) -> Self {
        Self::begin_with(fault, url, |_| {}).await
    }

    async fn begin_with(fault: &'static str, url: &str, set: impl FnOnce(&mut Launch<'_>)) -> Self {
        let (events, _) = work().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut launch = launch(url, folder.path());
        set(&mut launch);
        let process = launch.start().await;
        let (address, addresses) = watch::channel(process.address);
        let post = Post::new(events.clone());
        let sending = (Arc::clone(&post), addresses.clone());
        let sender = tokio::spawn(async move {
            let (post, addresses) = sending;
            post.send(CONNECTIONS, &[addresses]).await;
        });
        let readiness = Arc::new(Mutex::new(Readiness::default()));
        let watcher = tokio::spawn(watch_readiness(addresses, Arc::clone(&readiness)));
        let (recovered, logged) = (Duration::ZERO, BTreeMap::new());
        let url = url.to_owned();
        let own = Self {
            fault,
            url,
            post,
            sender,
            watcher,
            address,
            process,
            readiness,
            recovered,
            logged,
            folder,
        };
        tokio::select! {
            () = own.post.acknowledged(BEFORE) => {}
            // The fault is there from the beginning.
            () = own.post.refused_so_often(1) => {}
        }
        own
    }

    /// Waits until such a part of the events is acknowledged.
    async fn done(&self, part: usize, of: usize) {
        self.post.acknowledged(work().await.0.len() * part / of).await;
    }

    /// Waits until the fault was felt: so many requests were refused.
    async fn felt(&self) {
        self.post.refused_so_often(self.post.refused() + FELT).await;
    }

    /// The fault has ended: measures the time to the next acknowledgement.
    async fn recover(&mut self) {
        let begun = Instant::now();
        let next = tokio::time::timeout(RECOVERED, self.post.next_acknowledged()).await;
        assert!(next.is_ok(), "{}: nothing is acknowledged within {RECOVERED:?}", self.fault);
        self.recovered = self.recovered.max(begun.elapsed());
    }

    /// Starts the server anew, after it has ended.
    async fn start_again(&mut self) {
        self.process = launch(&self.url, self.folder.path()).start().await;
        self.address.send_replace(self.process.address);
    }

    fn read_log(&mut self) {
        for line in self.process.logged("\"level\":\"") {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let mut said = text("message");
            for name in ["reason", "task"] {
                if !text(name).is_empty() {
                    let _ = write!(said, " ({})", text(name));
                }
            }
            *self.logged.entry(said).or_default() += 1;
        }
    }

    /// Lets the rest be taken in, stops, compares, and writes the row.
    async fn end(mut self) {
        (&mut self.sender).await.expect("everything is acknowledged in the end");
        self.watcher.abort();
        self.read_log();
        let Self { fault, url, post, process, readiness, recovered, logged, folder, .. } = self;
        assert!(process.stop().await, "SIGTERM ends with 0");
        drop(folder);
        let (events, untroubled) = work().await;
        let state = State::settled(&url).await;
        let ledger = post.ledger();
        let lost = ledger.keys().filter(|id| !state.inbox.contains(*id)).count();
        let doubled = state.doubled(untroubled);
        let readiness = readiness.lock().expect("the readiness");
        let ready = if readiness.told.is_empty() {
            "200".to_owned()
        } else {
            let told: Vec<&str> = readiness.told.iter().map(String::as_str).collect();
            format!("503 for {:.1} s: {}", readiness.not_ready.as_secs_f64(), told.join("; "))
        };
        let said: Vec<String> = logged
            .iter()
            .map(
                |(said, count)| {
                    if *count == 1 { said.clone() } else { format!("{said} ×{count}") }
                },
            )
            .collect();
        let said = if said.is_empty() { "nothing".to_owned() } else { said.join("; ") };
        let row = format!(
            "| {fault} | {} | {lost} | {doubled} | {} | {:.1} | {ready} | {said} |",
            ledger.len(),
            post.refused(),
            recovered.as_secs_f64(),
        );
        println!("{row}");
        if let Some(folder) = Environment::of_process().get("TOLLGATE_CHAOS_ROWS") {
            let name = format!("{}.md", fault.replace([' ', ',', ':'], "-"));
            std::fs::write(Path::new(folder).join(name), format!("{row}\n")).expect("a row");
        }
        assert_eq!((ledger.len(), lost, doubled), (events.len(), 0, 0), "{row}");
        assert_eq!(&state, untroubled, "{fault}");
    }
}

fn launch<'a>(url: &'a str, folder: &'a Path) -> Launch<'a> {
    Launch { environment: &[("LOG_LEVEL", "warn")], ..Launch::new(url, folder) }
}

/// Asks ten times a second.
async fn watch_readiness(address: watch::Receiver<SocketAddr>, into: Arc<Mutex<Readiness>>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let to = *address.borrow();
        let answer = tokio::time::timeout(Duration::from_secs(5), get(to, "/readyz")).await;
        let passed = last.elapsed();
        last = Instant::now();
        let Ok(Some((503, ready))) = answer else { continue };
        let mut readiness = into.lock().expect("the readiness");
        readiness.not_ready += passed;
        if ready["stopping"] == true {
            readiness.told.insert("stopping".to_owned());
        }
        for part in ["database", "tasks", "stripe"] {
            if ready[part]["status"] == "failing" {
                let detail = ready[part]["detail"].as_str().unwrap_or_default();
                readiness.told.insert(format!("{part}: {detail}"));
            }
        }
    }
}

/// A database on a server of its own.
async fn on_own_server() -> Option<(Cluster, String)> {
    let cluster = Cluster::start().await?;
    cluster.sql("CREATE DATABASE tollgate").await;
    let url = cluster.url("tollgate");
    Some((cluster, url))
}

/// How a server is ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Kill,
    Terminate,
}

/// Ends the server five times and starts it again.
async fn ended(fault: &'static str, url: &str, end: End) {
    let mut trial = Trial::begin(fault, url).await;
    for time in 1..=5 {
        trial.done(time, 8).await;
        let asked = Instant::now();
        match end {
            End::Kill => trial.process.kill_now().await,
            End::Terminate => {
                trial.process.signal("TERM").await;
                assert!(trial.process.wait().await, "SIGTERM ends with 0");
            }
        }
        trial.read_log();
        trial.start_again().await;
        trial.recover().await;
        trial.recovered = trial.recovered.max(asked.elapsed());
    }
    trial.end().await;
}

macro_rules! rows {
    ($($name:ident: async |$fault:ident = $text:literal| $body:block)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let $fault = $text;
            $body
        })*
    };
}

rows! {
    killed_on_sqlite: async |fault = "SQLite: kill -9, five times"| {
        let database = TestDatabase::sqlite();
        ended(fault, &database.url(), End::Kill).await;
    }

    killed_on_postgres: async |fault = "PostgreSQL: kill -9, five times"| {
        let Some(database) = TestDatabase::postgres().await else { return };
        ended(fault, &database.url(), End::Kill).await;
    }

    terminated_on_sqlite: async |fault = "SQLite: SIGTERM at full load, five times"| {
        let database = TestDatabase::sqlite();
        ended(fault, &database.url(), End::Terminate).await;
    }

    terminated_on_postgres: async |fault = "PostgreSQL: SIGTERM at full load, five times"| {
        let Some(database) = TestDatabase::postgres().await else { return };
        ended(fault, &database.url(), End::Terminate).await;
    }

    restarted_fast: async |fault = "PostgreSQL: restarted, mode fast"| {
        restarted(fault, "fast").await;
    }

    restarted_immediate: async |fault = "PostgreSQL: restarted, mode immediate"| {
        restarted(fault, "immediate").await;
    }

    hung: async |fault = "PostgreSQL: every process stopped"| {
        let Some((cluster, url)) = on_own_server().await else { return };
        let mut trial = Trial::begin(fault, &url).await;
        cluster.signal("STOP").await;
        trial.felt().await;
        cluster.signal("CONT").await;
        trial.recover().await;
        trial.end().await;
    }

    read_only: async |fault = "PostgreSQL: read-only"| {
        let Some((cluster, url)) = on_own_server().await else { return };
        let mut trial = Trial::begin(fault, &url).await;
        cluster.sql("ALTER DATABASE tollgate SET default_transaction_read_only = on").await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = 'tollgate'";
        cluster.sql(end).await;
        trial.felt().await;
        cluster.sql("ALTER DATABASE tollgate RESET default_transaction_read_only").await;
        trial.recover().await;
        trial.end().await;
    }

    out_of_connections: async |fault = "PostgreSQL: no connection left"| {
        let Some((cluster, url)) = on_own_server().await else { return };
        cluster.sql("CREATE ROLE app LOGIN").await;
        cluster.sql("ALTER DATABASE tollgate OWNER TO app").await;
        let url = url.replace("tollgate@", "app@");
        let mut trial = Trial::begin(fault, &url).await;
        cluster.sql("ALTER ROLE app CONNECTION LIMIT 0").await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
        cluster.sql(end).await;
        trial.felt().await;
        cluster.sql("ALTER ROLE app CONNECTION LIMIT -1").await;
        trial.recover().await;
        trial.end().await;
    }

    failed_over: async |fault = "PostgreSQL: primary lost, its synchronous standby promoted"| {
        let Some((primary, url)) = on_own_server().await else { return };
        let standby = primary.standby().await;
        let (wire, through) = Wire::to_database(&url).await;
        let mut trial = Trial::begin(fault, &through).await;
        primary.stop("immediate").await;
        wire.lead_to(standby.address());
        // For a while there is a standby only.
        trial.felt().await;
        standby.promote().await;
        trial.recover().await;
        trial.end().await;
    }

    full: async |fault = "SQLite: disk full"| {
        let database = TestDatabase::sqlite();
        let url = database.url();
        let set = |launch: &mut Launch<'_>| launch.room_kib = Some(1_280);
        let mut trial = Trial::begin_with(fault, &url, set).await;
        trial.felt().await;
        trial.process.give_room().await;
        trial.recover().await;
        trial.end().await;
    }

    locked: async |fault = "SQLite: the file locked by another process"| {
        let database = TestDatabase::sqlite();
        let url = database.url();
        let mut trial = Trial::begin(fault, &url).await;
        let other = Db::open(&url, &DbOptions::default()).await.expect("another connection");
        let held = loop {
            if let Ok(held) = other.begin().await {
                break held;
            }
        };
        trial.felt().await;
        held.rollback().await.expect("the lock is given back");
        other.close().await;
        trial.recover().await;
        trial.end().await;
    }

    two_processes: async |fault = "SQLite: two servers on one file"| {
        let database = TestDatabase::sqlite();
        let (url, folder) = (database.url(), tempfile::tempdir().expect("a folder"));
        let mut trial = Trial::begin(fault, &url).await;
        let second = launch(&url, folder.path()).start().await;
        let first = trial.address.send_replace(second.address);
        trial.done(2, 4).await;
        trial.address.send_replace(first);
        trial.recover().await;
        trial.done(3, 4).await;
        assert!(second.stop().await);
        trial.end().await;
    }

    clock_off: async |fault = "Clock of the server 10 minutes behind"| {
        let database = TestDatabase::sqlite();
        let mut trial = Trial::begin(fault, &database.url()).await;
        trial.post.set_ahead_ms(600_000);
        trial.felt().await;
        trial.post.set_ahead_ms(0);
        trial.recover().await;
        trial.end().await;
    }

    stripe_down: async |fault = "Stripe cannot be reached at all"| {
        let database = TestDatabase::sqlite();
        let url = database.url();
        let set = |launch: &mut Launch<'_>| launch.environment = &STRIPE_AWAY;
        let mut trial = Trial::begin_with(fault, &url, set).await;
        trial.recover().await;
        trial.end().await;
    }
}

async fn restarted(fault: &'static str, mode: &str) {
    let Some((cluster, url)) = on_own_server().await else { return };
    let mut trial = Trial::begin(fault, &url).await;
    cluster.stop(mode).await;
    cluster.begin().await;
    trial.recover().await;
    trial.end().await;
}
