//! `tollgate import` from outside.

use std::io::Read as _;
use std::process::{Command, Stdio};

use super::Place;

#[test]
fn an_interrupted_trial_leaves_nothing_behind() {
    // A Stripe that takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let place = Place::with(&[
        ("STRIPE_SECRET_KEY", "sk_test_tollgate_trial_0123456789"),
        ("STRIPE_API_BASE", &base),
    ]);
    let temporary = place.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = place.command("import --dry-run");
    command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It is at work once it asks Stripe: the copy is there by then, and signals are heard.
    let (_asked, _) = silent.accept().unwrap();
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1);
    let id = child.id().to_string();
    assert!(
        Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().unwrap().success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("interrupted: nothing was written"), "{said}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(!place.path().join("tollgate.db").exists());
}
