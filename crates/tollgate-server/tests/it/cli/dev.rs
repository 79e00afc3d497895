//! `tollgate dev`: alone in its directory, and at work at once.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Place, SECRET, Server, signing};

#[test]
fn dev_keeps_away_from_what_it_did_not_make() {
    let place = Place::with(&[("STRIPE_WEBHOOK_SECRET", SECRET)]);
    let server = Server::serve(&place);
    signing(&server).done("trigger scenario checkout --account acme");
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    for line in ["dev --port 0", "dev --port 0 --reset"] {
        let refused = place.run(line);
        assert!(
            refused.code == 1 && refused.stderr.contains("did not make"),
            "{line}: {refused:?}"
        );
    }
    place.done("why acme");
    let taken = Place::new().run(&format!("dev --port {port}"));
    assert!(taken.code == 1 && taken.stderr.contains("choose another with --port"), "{taken:?}");
}

#[test]
fn dev_is_quiet_and_alone_in_its_directory() {
    let place = Place::new();
    let mut command = place.command("dev --port 0 --json");
    command.env("LOG_LEVEL", "warn").env("TOLLGATE__RATE__ADMIN_PER_MIN", "none");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let output = child.stdout.take().unwrap();
    let told: Value =
        serde_json::Deserializer::from_reader(output).into_iter().next().unwrap().unwrap();
    let url = told["url"].as_str().unwrap().to_owned();
    let server = Server { child, url: url.clone() };
    for line in ["dev --port 0", "dev --port 0 --reset"] {
        let second = place.run(line);
        assert_eq!(second.code, 1, "{line}: {second:?}");
        assert!(second.stderr.contains("running in this directory already"), "{line}: {second:?}");
        assert!(second.stderr.contains(&url), "{line}: {second:?}");
    }
    // Everything was compared, and nothing differed.
    let key = told["key"].as_str().unwrap();
    let begun = std::time::Instant::now();
    loop {
        let (status, runs) = server.request("GET", "/admin/reconcile/runs", key, "");
        assert_eq!(status, 200, "{runs}");
        let runs = runs["data"].as_array().unwrap().clone();
        if runs.iter().any(|run| run["kind"] == "sweep" && run["finishedAt"].is_string()) {
            break;
        }
        assert!(begun.elapsed().as_secs() < 60, "{runs:?}");
        std::thread::yield_now();
    }
    assert_eq!(server.terminate(), 0);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn dev_works_at_once_and_other_commands_find_it() {
    let place = Place::new();
    let mut command = place.command("dev --port 0 --json");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut answers =
        serde_json::Deserializer::from_reader(child.stdout.take().unwrap()).into_iter::<Value>();
    let told = answers.next().unwrap().unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let server = Server { child, url: text("url") };
    let curl = text("curl");
    let body = curl.split_once("-d '").unwrap().1.trim_end_matches('\'').to_owned();
    assert!(curl.contains(&text("key")) && curl.contains(&text("url")), "{curl}");
    let (status, answer) = server.request("POST", "/api/v1/feature-check", &text("key"), &body);
    assert_eq!((status, &answer["canAccess"]), (200, &json!(true)), "{answer}");
    assert_eq!(server.request("GET", "/docs", "", "").0, 200);
    #[cfg(unix)]
    for entry in std::fs::read_dir(place.path().join(".tollgate")).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
        let file = entry.unwrap().path();
        assert_eq!((mode(file.parent().unwrap()), mode(&file)), (0, 0), "{}", file.display());
    }

    place.done("trigger scenario dunning --account acme");
    assert_eq!(place.done("why acme --json").json()["inGracePeriod"], true);
    assert_eq!(place.done("why acme --at +26h --json").json()["tier"], "starter");
    let made = place.done("keys create --name mine --scopes check --json").json();
    assert!(made["key"].as_str().unwrap().starts_with("tg_dev_"), "{made}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let state = std::fs::metadata(place.path().join(".tollgate/dev.json")).unwrap();
        assert_eq!(state.permissions().mode() & 0o777, 0o600);
    }
    // Time passes for the engine and for every command of this directory, and stays passed.
    let moved = place.done("sandbox clock advance 26h --json").json();
    assert_eq!(moved["clock"]["aheadMs"], 26 * 3_600_000, "{moved}");
    assert_eq!(moved["deliveries"]["settled"], true, "{moved}");
    assert_eq!(place.done("why acme --json").json()["tier"], "starter");
    let (_, answer) = server.request("POST", "/api/v1/feature-check", &text("key"), &body);
    assert_eq!(answer["canAccess"], false, "{answer}");
    let customer = place.done("sandbox card acme good --json").json()["customer"].clone();
    assert!(customer.as_str().unwrap().starts_with("cus_"), "{customer}");
    assert_eq!(place.run("sandbox card acme golden").code, 2);
    assert_eq!(server.terminate(), 0);
    // A second run keeps secret, key and accounts; --reset throws them away.
    let rerun = |line: &str| {
        let mut child = place.command(line).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let told: Value =
            serde_json::Deserializer::from_reader(output).into_iter().next().unwrap().unwrap();
        assert_eq!(Server { child, url: String::new() }.terminate(), 0);
        told["key"].as_str().unwrap().to_owned()
    };
    assert_eq!(rerun("dev --port 0 --json"), text("key"));
    assert_eq!(place.done("why acme --json").json()["tier"], "starter");
    assert_ne!(rerun("dev --port 0 --json --reset"), text("key"));
    assert_eq!(place.done("why acme --json").json()["inGracePeriod"], false);
}

#[test]
fn the_webhook_secret_is_the_directorys_own_and_stays() {
    let secret_of = |place: &Place| {
        let mut command = place.command("dev --port 0 --json");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let told: Value =
            serde_json::Deserializer::from_reader(output).into_iter().next().unwrap().unwrap();
        let server = Server { child, url: told["url"].as_str().unwrap().to_owned() };
        assert_eq!(server.terminate(), 0);
        let state = std::fs::read_to_string(place.path().join(".tollgate/dev.json")).unwrap();
        let state: Value = serde_json::from_str(&state).unwrap();
        state["webhook_secret"].as_str().unwrap().to_owned()
    };
    let (one, two) = (Place::new(), Place::new());
    let first = secret_of(&one);
    assert!(first.starts_with("whsec_") && first.len() > 30);
    assert_eq!(secret_of(&one), first, "the next run has the same");
    assert_ne!(secret_of(&two), first, "another directory has another");
}
