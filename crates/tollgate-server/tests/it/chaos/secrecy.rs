//! What a running server leaves to others on its machine.

use std::os::unix::fs::PermissionsExt as _;

use super::process::Launch;
use crate::support::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_leaves_no_core_and_tells_of_a_database_others_can_read() {
    let database = TestDatabase::sqlite();
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    let file = url.strip_prefix("sqlite:").expect("a file");
    for (mode, told) in [(0o644, 1), (0o600, 0)] {
        std::fs::File::options().create(true).append(true).open(file).expect("a file");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let environment = [("LOG_LEVEL", "warn")];
        let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
        let process = launch.start().await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id()));
        let limits = limits.expect("a Linux machine");
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let core: Vec<&str> = core.expect("a limit").split_whitespace().skip(4).collect();
        assert_eq!(core, ["0", "0", "bytes"]);
        assert_eq!(process.logged("is readable by others").len(), told, "{mode:o}");
        assert!(process.stop().await, "SIGTERM ends with 0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_tells_nothing_of_what_the_driver_notices() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (url, folder) = (database.url(), tempfile::tempdir().expect("a temporary folder"));
    for _ in 0..2 {
        let environment = [("LOG_LEVEL", "info")];
        let launch = Launch { environment: &environment, ..Launch::new(&url, folder.path()) };
        let process = launch.start().await;
        assert!(!process.logged("configuration validated").is_empty());
        for foreign in ["already exists", "\"target\":\"sqlx"] {
            assert_eq!(process.logged(foreign), [""; 0]);
        }
        assert!(process.stop().await, "SIGTERM ends with 0");
    }
}
