//! The command line from outside: the real binary in a directory of its own, with an environment of
//! its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{TestDatabase, on_both, run_sql_on};

mod dev;
mod import;

const SECRET: &str = "whsec_tollgate_cli_tests_0123456789";

/// A directory with nothing in it.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// A place whose commands sign, and know a server's address where there is one.
    pub(crate) fn with(variables: &[(&'static str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Self { variables: variables.collect(), ..Self::new() }
    }

    /// A place whose commands sign and use a database.
    pub(crate) fn on(database: &TestDatabase) -> Self {
        Self::with(&[("STRIPE_WEBHOOK_SECRET", SECRET), ("DATABASE_URL", &database.url())])
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("LOG_LEVEL", "error").env("TOLLGATE__SERVER__METRICS_LISTEN", "127.0.0.1:0");
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ended {
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs a command that must end well.
    pub(crate) fn done(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
        ended
    }
}

/// A server that is running; killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(place: &Place, line: &str) -> Self {
        let mut command = place.command(line);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("a line").unwrap();
        let url = line.strip_prefix("listening on ").expect("the promised line").to_owned();
        Self { child, url }
    }

    pub(crate) fn serve(place: &Place) -> Self {
        Self::start(place, "serve --listen 127.0.0.1:0")
    }

    /// Asks the server to stop, as an operating system does.
    pub(crate) fn terminate(mut self) -> i32 {
        let id = self.child.id().to_string();
        // The shell's own `kill`: a small machine may have no other.
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status();
        assert!(asked.unwrap().success());
        self.child.wait().unwrap().code().expect("an exit code, not a signal")
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn request(&self, method: &str, path: &str, key: &str, body: &str) -> (u16, Value) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn signing(server: &Server) -> Place {
    Place::with(&[("STRIPE_WEBHOOK_SECRET", SECRET), ("TOLLGATE_URL", &server.url)])
}

#[test]
fn exit_codes_tell_usage_from_failure() {
    let place = Place::new();
    assert_eq!(place.run("--version").code, 0);
    let help = place.run("--help");
    assert!(help.code == 0 && help.stdout.contains("Stripe's events:"), "{help:?}");
    assert!(!help.stdout.contains('\u{1b}'), "no colours without a terminal");
    assert_eq!(place.run("").code, 2);
    let mistyped = place.run("chek acme x");
    assert!(mistyped.code == 2 && mistyped.stderr.contains("check"), "{mistyped:?}");
    assert_eq!(place.run("why acme").code, 1, "there is no database");
    let told = place.run("why acme --json");
    let error: Value = serde_json::from_str(&told.stderr).unwrap();
    assert!(error["error"].as_str().unwrap().contains("tollgate migrate up"), "{error}");
}

#[test]
fn what_was_mistyped_is_told_as_such_and_what_is_not_there_as_that() {
    let database = TestDatabase::sqlite();
    let place = Place::on(&database);
    place.done("migrate up");
    for (line, code, told) in [
        ("relink sub_1 --to acme --reason x", 2, "reason"),
        ("regrade --reason x", 2, "reason"),
        ("why acme --at +9999999d", 2, "between the beginning of the year 1 and 9999-12-30"),
        ("why acme --at -9999999d", 2, "between the beginning of the year 1 and 9999-12-30"),
        ("why acme --at 9999-12-31T00:00:00Z", 2, "the year 1 and 9999-12-30"),
        ("duplicates nobody --apply", 1, "there is no account nobody"),
        ("duplicates nobody", 1, "there is no account nobody"),
    ] {
        let ended = place.run(line);
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        assert!(ended.stderr.contains(told), "{line}: {ended:?}");
    }
}

#[test]
fn a_faulty_configuration_is_told_whole_and_refused_by_serve() {
    let mut place = Place::with(&[("ENABLE_BILLING", "yes"), ("STRIPE_SECRET_KEY", "sk_test_...")]);
    let checked = place.run("config check --json");
    assert_eq!(checked.code, 3);
    let faults = checked.json()["faults"].as_array().unwrap().len();
    assert_eq!(faults, 2, "{checked:?}");
    let refused = place.run("serve --listen 127.0.0.1:0");
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    for told in ["2 faults", "ENABLE_BILLING", "STRIPE_SECRET_KEY", "docs/configuration.md#billing"]
    {
        assert!(refused.stderr.contains(told), "{told}: {refused:?}");
    }
    place.variables.clear();
    assert_eq!(place.run("config check --json").json()["ok"], true);
}

#[test]
fn what_is_in_force_is_shown_masked() {
    let place = Place::with(&[("STRIPE_SECRET_KEY", "sk_test_tollgate123456")]);
    for line in ["config show", "config show --json", "config show --changed"] {
        let shown = place.done(line);
        assert!(shown.stdout.contains("sk_test_****"), "{shown:?}");
        assert!(!shown.stdout.contains("tollgate123456"), "{shown:?}");
    }
}

#[test]
fn init_writes_files_that_pass_their_own_check() {
    let place = Place::new();
    let written = place.done("init --catalog saas --json").json();
    assert_eq!(written["written"], json!(["tollgate.toml", "catalog.toml", ".env"]));
    let checked = place.done("config check --json").json();
    assert_eq!(checked["warnings"], json!([]), "{checked}");
    assert_eq!(place.done("config show --json").json()["catalog.source"]["value"], "catalog.toml");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(place.path().join(".env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(place.path().join(".env"), "LOG_LEVEL=debug\n").unwrap();
    let again = place.done("init --force --json").json();
    assert_eq!(again["kept"], json!([".env"]), "secrets are never written over");
    assert_eq!(place.run("init --catalog nothing").code, 2);
}

on_both! {
    async fn a_key_made_without_a_server_opens_one(database: &TestDatabase) {
        let place = Place::on(database);
        let made = place.done("keys create --name site --scopes check,usage --json").json();
        assert_eq!(made["scopes"], json!(["check", "usage"]));
        let key = made["key"].as_str().unwrap();
        assert!(key.starts_with(&format!("tg_test_{}_", made["id"].as_str().unwrap())), "{made}");
        let server = Server::serve(&place);
        let asked = r#"{"accountId":"nobody","feature":"weekly_digest"}"#;
        let (status, answer) = server.request("POST", "/api/v1/feature-check", key, asked);
        assert_eq!((status, &answer["canAccess"]), (200, &json!(false)), "{answer}");
        // Made while the server runs, a key is known at once.
        let second = place.done("keys create --name late --scopes check --json").json();
        let second_key = second["key"].as_str().unwrap();
        assert_eq!(server.request("POST", "/api/v1/feature-check", second_key, asked).0, 200);
        assert_eq!(server.request("POST", "/api/v1/feature-check", "tg_test_x_y", asked).0, 401);
        let listed = place.done("keys list --json");
        assert!(!listed.stdout.contains(key.rsplit('_').next().unwrap()), "no secret in a list");
        let rotated =
            place.done(&format!("keys rotate {} --json", made["id"].as_str().unwrap())).json();
        assert_eq!(rotated["scopes"], made["scopes"]);
        let id = second["id"].as_str().unwrap();
        place.done(&format!("keys revoke {id}"));
        assert_eq!(place.run(&format!("keys revoke {id}")).code, 1);
        assert_eq!(server.terminate(), 0, "SIGTERM drains and ends well");
    }

    async fn a_story_is_sent_asked_about_and_explained(database: &TestDatabase) {
        let place = Place::on(database);
        let server = Server::serve(&place);
        let sender = signing(&server);
        let sent = sender.done("trigger scenario checkout --account acme --json").json();
        assert_eq!(sent["sent"].as_u64().unwrap(), sent["deliveries"].as_array().unwrap().len() as u64);
        assert!(sent["outcomes"]["processed"].as_u64().unwrap() >= 1, "{sent}");

        assert_eq!(place.run("check acme weekly_digest").code, 0);
        assert_eq!(place.run("check acme weekly_digest --json").json()["canAccess"], true);
        assert_eq!(place.run("check nobody weekly_digest").code, 3);
        assert_eq!(place.run("check acme weekly_digst").code, 2);

        sender.done("trigger scenario dunning --account acme");
        let grace = place.done("why acme --json").json();
        assert_eq!((&grace["tier"], &grace["inGracePeriod"]), (&json!("premium"), &json!(true)));
        let later = place.done("why acme --at +26h --json").json();
        assert_eq!(later["tier"], "starter", "{later}");
        let told = place.done("why acme weekly_digest --at +26h").stdout;
        assert!(told.contains("may not use") && told.contains("past due"), "{told}");
        assert!(told.contains("evt_"), "the causing event is named: {told}");

        let spans = place.done("timeline acme --json").json();
        let last = spans["spans"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["tier"], &last["forecast"]), (&json!("starter"), &json!(true)));
        assert_eq!(place.run("timeline acme --from +1h --to -1h").code, 2);
        assert_eq!(server.terminate(), 0);
    }

    async fn the_inbox_can_be_looked_into_and_replayed_without_a_change(database: &TestDatabase) {
        let place = Place::on(database);
        let server = Server::serve(&place);
        signing(&server).done("trigger scenario checkout --account acme");
        let digest = place.done("state digest --json").json()["digest"].clone();
        assert_eq!(digest.as_str().unwrap().len(), 64, "{digest}");

        let all = place.done("events list --json").json();
        let first = all["data"][0]["id"].as_str().unwrap();
        let page = place.done("events list --limit 1 --json").json();
        let cursor = page["nextCursor"].as_str().expect("a next page");
        let next = place.done(&format!("events list --limit 1 --cursor {cursor} --json")).json();
        assert_ne!(page["data"][0]["id"], next["data"][0]["id"]);
        for odd in ["x", "1/", "x/evt_1", "1/no id"] {
            let command = place.command("events list").args(["--cursor", odd]).output().unwrap();
            assert_eq!(command.status.code(), Some(2), "{odd}: {command:?}");
        }
        let raw = place.done(&format!("events show {first} --raw"));
        assert_eq!(serde_json::from_str::<Value>(&raw.stdout).unwrap()["id"], first);
        assert_eq!(place.run("events show evt_nowhere").code, 1);
        let bought = place.done("events list --type customer.subscription.created --json").json();
        let bought = bought["data"][0]["id"].as_str().unwrap();
        let shown = place.done(&format!("events show {bought} --json")).json();
        assert_eq!(shown["data"][0]["changed"].as_array().map(Vec::len), Some(1), "{shown}");
        let stats = place.done("events stats --json").json();
        assert!(stats["types"].as_array().is_some_and(|types| !types.is_empty()), "{stats}");

        let count = all["data"].as_array().unwrap().len();
        let dry = place.done("events replay --account acme --dry-run --json").json();
        assert!(dry["events"].as_u64().unwrap() >= 1, "{dry}");
        let replayed = place.done("events replay --from -1h --json").json();
        assert_eq!(replayed["replayed"], json!(count), "{replayed}");
        assert_eq!(replayed["statuses"].get("failed"), None, "{replayed}");
        assert_eq!(place.done("state digest --json").json()["digest"], digest);
        assert_eq!(place.run("events replay").code, 2);
        let proof = place.done("rebuild --verify --json").json();
        let digests = (&proof["digest"], &proof["rebuiltDigest"]);
        assert_eq!((&proof["equal"], digests), (&json!(true), (&digest, &digest)), "{proof}");
        assert!(place.done("rebuild --verify").stdout.contains("the inbox agree"));
        assert_eq!(place.run("rebuild").code, 2);
        server.terminate();
        if matches!(database, TestDatabase::Postgres { .. }) {
            run_sql_on(&database.url(), "DELETE FROM facts WHERE account_id = 'acme'").await;
            let found = place.run("rebuild --verify");
            assert_eq!(found.code, 3, "{found:?}");
            assert!(found.stdout.contains("\nacme\n"), "{found:?}");
            assert!(found.stdout.contains(": only in what is rebuilt"), "{found:?}");
        }
    }

    async fn the_schema_of_a_running_server_is_not_taken_down(database: &TestDatabase) {
        let place = Place::on(database);
        let server = Server::serve(&place);
        let refused = place.run("migrate down --to 0 --yes");
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("a server is running on this database"), "{refused:?}");
        assert_eq!(place.done("migrate status --json").json()["pending"], 0);
        assert_eq!(server.terminate(), 0);
        place.done("migrate down --to 0 --yes");
    }

    async fn the_schema_goes_up_and_down(database: &TestDatabase) {
        let place = Place::on(database);
        let applied = place.done("migrate up --json").json();
        assert!(!applied["applied"].as_array().unwrap().is_empty());
        assert_eq!(place.done("migrate up --json").json()["applied"], json!([]));
        assert_eq!(place.done("migrate status --json").json()["pending"], 0);
        let asked = place.run("migrate down --to 0");
        assert!(asked.code == 2 && asked.stderr.contains("--yes"), "it must be asked for twice: {asked:?}");
        let unknown = place.run("migrate down --to 99");
        assert!(unknown.code == 2 && unknown.stderr.contains("no version 99"), "{unknown:?}");
        place.done("migrate down --to 0 --yes");
        assert_eq!(place.run("migrate status").code, 3);
        let ended = place.run("state digest");
        assert!(ended.code == 1 && ended.stderr.contains("migrate up"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_version_is_told_by_its_exit_code() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let place = Place::on(&database);
    place.done("migrate up");
    let newer =
        "INSERT INTO schema_migrations (version, name, applied_at) VALUES (9999, 'later', 0)";
    run_sql_on(&database.url(), newer).await;
    let told = place.run("migrate status");
    assert!(told.code == 3 && told.stdout.contains("schema version 9999"), "{told:?}");
    let told = place.run("migrate status --json");
    assert_eq!((told.code, &told.json()["pending"]), (3, &json!(0)), "{told:?}");
}

#[test]
fn any_order_and_number_of_deliveries_ends_in_the_same_digest() {
    let after = |flags: &str| {
        let place = Place::with(&[("STRIPE_WEBHOOK_SECRET", SECRET)]);
        let server = Server::serve(&place);
        let line = format!(
            "trigger scenario dunning_recovered --account acme --times 2 --seed 7 \
             --at 2026-11-20T10:00:00Z {flags} --json"
        );
        let sent = signing(&server).done(&line).json()["sent"].as_u64().unwrap();
        server.terminate();
        let stored = place.done("events stats --json").json();
        let stored = stored["types"].as_array().unwrap().iter();
        let stored: u64 = stored.map(|one| one["total"].as_u64().unwrap()).sum();
        (place.done("state digest").stdout, sent, stored)
    };
    let (in_order, sent, stored) = after("");
    assert_eq!(stored, sent);
    assert_eq!(after("--shuffle --duplicate"), (in_order.clone(), 2 * sent, stored));
    assert_ne!(after("--plan basic").0, in_order, "the digest tells other facts apart");
}

#[test]
fn a_folder_of_events_is_signed_and_sent() {
    let place = Place::with(&[("STRIPE_WEBHOOK_SECRET", SECRET)]);
    let server = Server::serve(&place);
    let sender = signing(&server);
    let folder = sender.path().join("events/inner");
    std::fs::create_dir_all(&folder).unwrap();
    let event = |id: &str| json!({"id": id, "object": "event", "type": "invoice.paid", "created": 1, "livemode": false, "data": {"object": {"object": "invoice", "id": "in_1"}}});
    let write = |name: &str, text: String| std::fs::write(sender.path().join(name), text).unwrap();
    write("events/one.json", event("evt_1").to_string());
    write("events/inner/two.JSON", json!([event("evt_2"), event("evt_3")]).to_string());
    write("events/customer.json", json!({"object": "customer", "id": "cus_1"}).to_string());
    write("events/broken.json", "{".to_owned());
    write("events/notes.txt", "no event".to_owned());
    let sent = sender.done("trigger --from-folder events --sign --json");
    assert_eq!(sent.json()["sent"], 3, "{sent:?}");
    for skipped in ["customer.json", "broken.json"] {
        assert!(sent.stderr.contains(skipped), "{sent:?}");
    }
    assert_eq!(sender.run("trigger --from-folder nowhere --sign").code, 1);
    let stored = || place.done("events list --json").json()["data"].as_array().unwrap().len();
    assert_eq!(stored(), 3);
    sender.done("trigger --from-folder events --sign");
    assert_eq!(stored(), 3, "the same events again");
    sender.done("trigger --from-folder events --sign --fresh-ids");
    sender.done("trigger --from-folder events --sign --fresh-ids");
    assert_eq!(stored(), 6, "other events, and the same ones each time");
    server.terminate();
}

#[test]
fn what_cannot_be_sent_is_said() {
    let place = Place::new();
    let unsigned = place.run("trigger invoice.paid");
    assert!(
        unsigned.code == 2 && unsigned.stderr.contains("STRIPE_WEBHOOK_SECRET"),
        "{unsigned:?}"
    );
    let nobody = place.run("trigger invoice.paid --secret whsec_x1 --url http://127.0.0.1:1");
    assert!(nobody.code == 1 && nobody.stderr.contains("is the server running?"), "{nobody:?}");
    for (line, told) in [
        ("trigger invoice.payed --secret whsec_x1", "invoice.paid"),
        ("trigger scenario chekout --secret whsec_x1", "checkout"),
        ("trigger scenario checkout --plan gold --secret whsec_x1", "premium"),
        ("trigger scenario checkout --override a=b --secret whsec_x1", "one event"),
        ("trigger invoice.paid --override nonsense=1 --secret whsec_x1", "nonsense"),
        ("trigger scenario", "trigger list"),
        ("trigger invoice.paid --url https://example.com", "plain HTTP"),
    ] {
        let ended = place.run(line);
        assert!(ended.code == 2 && ended.stderr.contains(told), "{line}: {ended:?}");
    }
    let server_place = Place::with(&[("STRIPE_WEBHOOK_SECRET", SECRET)]);
    let server = Server::serve(&server_place);
    let wrong =
        place.run(&format!("trigger invoice.paid --secret whsec_wrong1 --url {}", server.url));
    assert!(wrong.code == 1 && wrong.stderr.contains("http 400"), "{wrong:?}");
}

#[test]
fn the_completions_and_reference_pages_are_printed() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.done(&format!("completions {shell}")).stdout.contains("tollgate"));
    }
    let page = place.done("docs cli").stdout;
    for command in ["dev", "trigger", "keys create", "events replay", "config show", "state digest"]
    {
        assert!(page.contains(&format!("`tollgate {command}`\n")), "{command}");
    }
    assert!(place.done("docs config").stdout.contains("STRIPE_WEBHOOK_SECRET"));
    assert!(place.done("docs openapi").stdout.starts_with('{'));
    assert!(place.done("docs errors").stdout.contains("`unknown_feature`"));
}
