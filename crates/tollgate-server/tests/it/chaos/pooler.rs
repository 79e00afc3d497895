//! Behind PgBouncer in transaction mode, where two transactions rarely meet the same session.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::cluster::user;
use super::process::{Launch, Process};
use super::sender::{Post, lives};
use crate::support::{State, TestDatabase};

/// Customers whose lives are sent; eleven events each.
const CUSTOMERS: usize = 60;
/// Server connections that all clients share: fewer than two engines ask for.
const SERVER_CONNECTIONS: u32 = 4;

/// A running PgBouncer; it ends with its owner.
pub(crate) struct Bouncer {
    pub(crate) url: String,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    pub(crate) async fn before(database_url: &str) -> Self {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let program = program.into_iter().find(|path| std::path::Path::new(path).exists());
        let program = program.expect("PgBouncer is installed: apt-get install pgbouncer");
        let (_, address) = database_url.split_once("//").expect("an address");
        let (who, place) = address.split_once('@').expect("a user");
        let (name, password) = who.split_once(':').unwrap_or((who, ""));
        let (server, database) = place.split_once('/').expect("a database");
        let (host, port) = server.split_once(':').expect("a port");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = free.local_addr().expect("an address").port();
        drop(free);
        let password =
            if password.is_empty() { String::new() } else { format!(" password={password}") };
        let text = format!(
            "[databases]\npooled = host={host} port={port} dbname={database} user={name}{password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\nauth_type = any\n\
             unix_socket_dir =\npool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\n\
             max_client_conn = 100\nserver_reset_query_always = 1\n"
        );
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&path, text).expect("a file");
        let mut command = Command::new(program);
        if let Some((user, group)) = user() {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).expect("its folder");
            std::os::unix::fs::chown(&path, Some(user), Some(group)).expect("its file");
            command.uid(user).gid(group);
        }
        command.arg(&path).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn().expect("PgBouncer starts");
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", own)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "PgBouncer listens");
            tokio::task::yield_now().await;
        }
        let url = format!("postgres://any@127.0.0.1:{own}/pooled");
        Self { url, _child: child, _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_behind_a_pooler_in_transaction_mode_count_every_event_once() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let straight = database.url();
    let bouncer = Bouncer::before(&straight).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let environment = [
        ("LOG_LEVEL", "warn"),
        ("TOLLGATE__DATABASE__POOLING", "transaction"),
        ("TOLLGATE__DATABASE__LISTEN_URL", straight.as_str()),
        ("TOLLGATE__DATABASE__CONNECTIONS_MAX", "6"),
    ];
    let start = async || -> Process {
        Launch { environment: &environment, ..Launch::new(&bouncer.url, folder.path()) }
            .start()
            .await
    };
    let (one, two) = (start().await, start().await);
    let events = lives(CUSTOMERS);
    let mut deliveries = events.clone();
    deliveries.extend(events.iter().step_by(3).cloned());
    let (_keep_one, to_one) = watch::channel(one.address);
    let (_keep_two, to_two) = watch::channel(two.address);
    let post = Post::new(deliveries);
    post.send(16, &[to_one, to_two]).await;
    assert_eq!(post.refused(), 0, "{:?} {:?}", one.logged(""), two.logged(""));
    for process in [&one, &two] {
        assert_eq!(process.get("/readyz").await.0, 200);
        assert_eq!(process.logged("\"level\":\""), [""; 0], "nothing to complain of");
    }
    assert!(one.stop().await && two.stop().await);
    assert_eq!(State::settled(&straight).await, State::of_untroubled_run(&events).await);
}
