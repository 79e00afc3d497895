//! Where `/metrics` is served, and what happens where somebody else listens there.

use std::net::{SocketAddr, TcpListener};

use tollgate_server::config::load::{Sources, load};
use tollgate_server::config::{Config, MetricsListen};

use super::process::{Launch, get};
use crate::cli::Place;
use crate::support::{SECRET, TestDatabase};

const VARIABLE: &str = "TOLLGATE__SERVER__METRICS_LISTEN";

/// What a server without any setting is configured to do.
fn default_config() -> Config {
    let nowhere = std::path::Path::new("/nonexistent").to_path_buf();
    let sources = Sources { directory: nowhere, ..Sources::default() };
    load(&sources).expect("the defaults hold").config
}

fn default_address() -> SocketAddr {
    let MetricsListen::Apart { address, chosen: false } = default_config().metrics_listen else {
        panic!("a listener of its own by default")
    };
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_beside_the_api_only_where_that_is_said() {
    assert!(default_address().ip().is_loopback());
    let database = TestDatabase::sqlite();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = database.url();
    for (set, expected) in [("api", 200), ("off", 404), ("127.0.0.1:0", 404)] {
        let environment = [(VARIABLE, set)];
        let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
        let process = launch.start().await;
        assert_eq!(process.get("/metrics").await.0, expected, "{set}");
        assert!(process.stop().await);
    }
    // And they are where they are said to be, and nothing else is.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let text = free.to_string();
    let environment = [(VARIABLE, text.as_str())];
    let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
    let process = launch.start().await;
    for (path, expected) in [("/metrics", 200), ("/health", 404), ("/api/v1/plans", 404)] {
        assert_eq!(get(free, path).await.map(|(status, _)| status), Some(expected), "{path}");
    }
    assert!(process.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_where_the_default_address_of_the_metrics_is_taken_and_says_so() {
    let address = default_address();
    // By us, or by whoever has it on this machine.
    let _taken = TcpListener::bind(address);
    let database = TestDatabase::sqlite();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = database.url();
    // Blank is as if it were not set.
    let environment = [(VARIABLE, "")];
    let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
    let process = launch.start().await;
    assert_eq!(process.get("/livez").await.0, 200);
    assert_eq!(
        process.get("/metrics").await.0,
        404,
        "not on the public listener for want of another"
    );
    let said = process.logged("server.metrics_listen");
    assert!(said.iter().any(|line| line.contains(&address.to_string())), "{said:?}");
    assert!(process.stop().await);
}

#[test]
fn an_address_that_was_chosen_for_the_metrics_and_is_taken_is_refused_by_its_name() {
    let database = TestDatabase::sqlite();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let url = database.url();
    let place = Place::with(&[
        ("STRIPE_WEBHOOK_SECRET", SECRET),
        ("DATABASE_URL", &url),
        (VARIABLE, &address),
    ]);
    let ended = place.run("serve --listen 127.0.0.1:0");
    assert_eq!(ended.code, 1, "{ended:?}");
    let said = ended.stderr;
    assert!(said.contains(&address) && said.contains("server.metrics_listen"), "{said}");
}
