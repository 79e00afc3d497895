//! `tollgate plan diff/push/pull` and `tollgate setup stripe` against the sandbox over HTTP: what
//! they make, that a second run changes nothing, and that a run that broke off anywhere is finished.

use std::path::Path;

use serde_json::{Value, json};
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::{Catalog, builtin, builtin_text};
use tollgate_sandbox::sandbox::{ApiRequest, Method, Params};
use tollgate_sandbox::server::{self, Fault, FaultRule, RunningSandbox, ServerOptions};
use tollgate_sandbox::{Sandbox, SandboxOptions};
use tollgate_server::catalog_sync::Push;
use tollgate_stripe::client::{ApiBase, ClientOptions, SecretKey};
use tollgate_stripe::shop::fetch_stock;
use tollgate_stripe::{EVENT_TYPES, StripeClient};

use crate::cli::{Ended, Place};

const KEY: &str = "sk_test_tollgate_setup_0123456789";
const HOOK: &str = "https://billing.example.com/api/v1/billing/webhook";

/// A Stripe account with nothing in it.
async fn empty_account() -> RunningSandbox {
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    let catalog = builtin("sietch").unwrap();
    let mut options = ServerOptions::standing(&catalog, now, 1);
    let nothing = SandboxOptions { now: now.unix_seconds(), ..SandboxOptions::default() };
    options.sandbox = Sandbox::new(nothing);
    server::start(options).await.unwrap()
}

/// A directory whose commands reach the account.
fn place(account: &RunningSandbox) -> Place {
    Place::with(&[("STRIPE_API_BASE", account.url()), ("STRIPE_SECRET_KEY", KEY)])
}

fn call(account: &RunningSandbox, method: Method, path: &str, form: &str) -> Value {
    let params = Params::from_form(form).unwrap();
    let reply = account.with(|sandbox| sandbox.call(&ApiRequest::new(method, path, params)));
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body
}

fn list(account: &RunningSandbox, path: &str) -> Vec<Value> {
    let body = call(account, Method::Get, path, "limit=100");
    body["data"].as_array().unwrap().clone()
}

fn happened(account: &RunningSandbox) -> usize {
    account.with(|sandbox| sandbox.happenings().len())
}

/// What is for sale, without the ids Stripe chooses.
fn for_sale(account: &RunningSandbox) -> Vec<Value> {
    let mut all: Vec<Value> = list(account, "/v1/prices")
        .into_iter()
        .map(|price| {
            json!([
                price["lookup_key"],
                price["unit_amount"],
                price["currency"],
                price["recurring"]["interval"],
                price["product"],
                price["active"],
                price["metadata"],
            ])
        })
        .collect();
    let products = list(account, "/v1/products").into_iter().map(|product| {
        json!([product["id"], product["name"], product["active"], product["metadata"]])
    });
    all.extend(products);
    all.sort_by_key(ToString::to_string);
    all
}

fn own_catalog(place: &Place, from: &str, to: &str) {
    let text = builtin_text("saas").unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(place.path().join("catalog.toml"), text.replacen(from, to, 1)).unwrap();
}

fn settled(place: &Place, options: &str) -> Ended {
    let ended = place.run(&format!("plan diff --json {options}"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json()["settled"], true);
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_makes_everything_once() {
    let account = empty_account().await;
    let place = place(&account);
    let before = place.run("plan diff --json");
    assert_eq!(before.code, 3, "{before:?}");
    assert_eq!(before.json()["steps"].as_array().unwrap().len(), 16, "six products, ten prices");
    assert_eq!(place.run("plan push").code, 2, "nobody is there to be asked");
    assert_eq!(place.run("plan push --dry-run").code, 3);
    assert_eq!(happened(&account), 0, "only looking changes nothing");
    let done = place.done("plan push --yes --json").json();
    assert_eq!(done["done"].as_array().unwrap().len(), 17, "and the portal: {done}");
    let elite = list(&account, "/v1/prices");
    let elite = elite.iter().find(|price| price["lookup_key"] == "sietch_elite_yearly").unwrap();
    assert_eq!((&elite["unit_amount"], &elite["currency"]), (&json!(449_000), &json!("usd")));
    assert_eq!(elite["metadata"], json!({"tollgate_catalog": "sietch", "tollgate_plan": "elite"}));
    assert_eq!(elite["product"], "tollgate_sietch_elite");
    let happened_once = happened(&account);
    assert_eq!(place.done("plan push --yes --json").json()["steps"], json!([]));
    settled(&place, "");
    assert_eq!(happened(&account), happened_once, "the second run changes nothing");
    let portals = list(&account, "/v1/billing_portal/configurations");
    let ours: Vec<&Value> =
        portals.iter().filter(|one| one["metadata"]["tollgate_catalog"] == "sietch").collect();
    assert_eq!(ours.len(), 1, "{portals:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_amount_moves_the_key_and_keeps_the_old_price_for_its_payers() {
    let account = empty_account().await;
    let place = place(&account);
    let with = "--catalog catalog.toml";
    own_catalog(&place, "# ", "# mine: ");
    place.done(&format!("plan push --yes {with}"));
    let prices = list(&account, "/v1/prices");
    let old = prices.iter().find(|price| price["lookup_key"] == "saas_pro_monthly").unwrap();
    let old_id = old["id"].as_str().unwrap();
    own_catalog(&place, "monthly = 9900", "monthly = 12900");
    place.done(&format!("plan push --yes {with}"));
    settled(&place, with);
    let old = call(&account, Method::Get, &format!("/v1/prices/{old_id}"), "");
    assert_eq!((&old["active"], &old["lookup_key"]), (&json!(false), &Value::Null), "{old}");
    let prices = list(&account, "/v1/prices");
    let new = prices.iter().find(|price| price["lookup_key"] == "saas_pro_monthly").unwrap();
    assert_eq!((&new["unit_amount"], &new["active"]), (&json!(12_900), &json!(true)));
    assert_eq!(new["product"], old["product"]);
    let text = std::fs::read_to_string(place.path().join("catalog.toml")).unwrap();
    assert!(text.contains(&format!("stripe_prices = [\"{old_id}\"]")), "{text}");
    // Back again: the old price is used again, and nothing is made.
    std::fs::write(place.path().join("catalog.toml"), text.replace("12900", "9900")).unwrap();
    place.done(&format!("plan push --yes {with}"));
    settled(&place, with);
    let back = call(&account, Method::Get, &format!("/v1/prices/{old_id}"), "");
    assert_eq!((&back["active"], &back["lookup_key"]), (&json!(true), &json!("saas_pro_monthly")));
    assert_eq!(list(&account, "/v1/prices").len(), prices.len());
    // A built-in catalog cannot name the price, so nothing is begun.
    place.done("plan push --yes --catalog propiq");
    let text = builtin_text("propiq").unwrap().replace("monthly = 2900", "monthly = 3900");
    std::fs::write(place.path().join("propiq.toml"), text).unwrap();
    place.done("plan push --yes --catalog propiq.toml");
    let happened_before = happened(&account);
    let refused = place.run("plan push --yes --catalog propiq");
    assert!(
        refused.code == 1 && refused.stderr.contains("STRIPE_PRODUCT_PRICE_MAP"),
        "{refused:?}"
    );
    assert_eq!(happened(&account), happened_before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_made_is_listed_and_never_altered() {
    let account = empty_account().await;
    let place = place(&account);
    let theirs = call(&account, Method::Post, "/v1/products", "name=T-shirt");
    let id = theirs["id"].as_str().unwrap().to_owned();
    let form = format!(
        "product={id}&currency=usd&unit_amount=100&lookup_key=saas_pro_monthly&recurring[interval]=month"
    );
    let wrong = call(&account, Method::Post, "/v1/prices", &form);
    let form = format!(
        "product={id}&currency=usd&unit_amount=2000&lookup_key=saas_starter_monthly&recurring[interval]=month"
    );
    let right = call(&account, Method::Post, "/v1/prices", &form);
    let snapshot = || (list(&account, "/v1/products"), list(&account, "/v1/prices"));
    let before = snapshot();
    let pushed = place.run("plan push --yes --prune --catalog saas --json");
    assert_eq!(pushed.code, 3, "{pushed:?}");
    let after = pushed.json()["after"].clone();
    assert_eq!(after["offers"][0]["state"], "adopted", "{after}");
    assert_eq!(after["offers"][0]["price"], right["id"]);
    assert_eq!(after["offers"][1]["state"], "blocked");
    assert!(
        after["offers"][1]["obstacle"].as_str().unwrap().contains(wrong["id"].as_str().unwrap())
    );
    assert_eq!(after["foreignProducts"], json!([id]));
    assert_eq!(snapshot(), before, "nothing of it was touched, and nothing was made beside it");
    let shown = place.run("plan diff --catalog saas").stdout;
    assert!(shown.contains("T-shirt") && shown.contains("blocked"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_no_more_is_withdrawn_only_when_asked() {
    let account = empty_account().await;
    let place = place(&account);
    own_catalog(&place, "# ", "# mine: ");
    place.done("plan push --yes --catalog catalog.toml");
    let without = builtin_text("saas").unwrap().split("[[plans]]\nid = \"pro\"").next().unwrap();
    std::fs::write(place.path().join("catalog.toml"), without).unwrap();
    let pro = || call(&account, Method::Get, "/v1/products/tollgate_catalog_pro", "");
    let kept = place.done("plan push --yes --catalog catalog.toml --json").json();
    assert_eq!(pro()["active"], true, "{kept}");
    place.done("plan push --yes --prune --catalog catalog.toml");
    assert_eq!(pro()["active"], false);
    let active =
        list(&account, "/v1/prices").iter().filter(|price| price["active"] == true).count();
    assert_eq!(active, 1);
    settled(&place, "--catalog catalog.toml");
}

/// A client that gives up at the first failure, as a process that dies does.
fn impatient(account: &RunningSandbox) -> StripeClient {
    let key = SecretKey::parse(KEY).unwrap();
    let options = ClientOptions::new(ApiBase::parse(account.url()).unwrap(), key);
    let patience = tollgate_stripe::client::Patience { tries_max: 1, ..options.patience };
    StripeClient::new(&ClientOptions { patience, ..options }).unwrap()
}

/// One run of pushing; `Err` where it broke off.
async fn run_once(account: &RunningSandbox, catalog: &Catalog, nonce: usize) -> Result<(), String> {
    let client = impatient(account);
    let stock = fetch_stock(&client).await.map_err(|error| error.to_string())?;
    let mut run =
        Push { client: &client, catalog: catalog.clone(), stock, nonce: nonce.to_string() };
    run.run(true, |_, _| Ok(()), |_| ()).await.map(|_| ()).map_err(|error| error.to_string())
}

/// `pro` costs more, `starter` is called otherwise, and `team` is gone.
fn second_catalog() -> Catalog {
    let text = builtin_text("saas").unwrap();
    let text =
        text.replace("monthly = 9900", "monthly = 12900").replace("\"Starter\"", "\"Begin\"");
    tollgate_domain::catalog::parse::parse("saas", "saas", &text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_broke_off_between_any_two_steps_is_finished_by_the_next() {
    let (first, second) = (builtin("saas").unwrap(), second_catalog());
    let clean = empty_account().await;
    for catalog in [&first, &second] {
        run_once(&clean, catalog, 0).await.unwrap();
    }
    let wanted = for_sale(&clean);
    assert_eq!(wanted.len(), 5, "two products, three prices: {wanted:?}");
    for accepted in [false, true] {
        let mut broken = 0;
        for skip in 0.. {
            let account = empty_account().await;
            let fault =
                Fault::Status { status: 500, code: None, should_retry: Some(false), accepted };
            let rule = FaultRule {
                method: Some("POST".to_owned()),
                path: "*".to_owned(),
                skip,
                times: Some(1),
                from: None,
                until: None,
                fault,
            };
            assert!(account.add_fault(rule));
            let mut broke = false;
            for catalog in [&first, &second] {
                for nonce in 0..2 {
                    let ended = run_once(&account, catalog, nonce).await;
                    broke |= ended.is_err();
                    if ended.is_ok() {
                        break;
                    }
                }
            }
            assert_eq!(
                for_sale(&account),
                wanted,
                "after POST {skip} failed, accepted: {accepted}"
            );
            if !broke {
                break;
            }
            broken += 1;
        }
        assert_eq!(broken, 7, "every POST failed once: four makes, then name, price, withdrawal");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_sale_becomes_a_catalog() {
    let account = empty_account().await;
    let place = place(&account);
    let gold = call(
        &account,
        Method::Post,
        "/v1/products",
        "name=Gold \"Plus\"&marketing_features[0][name]=Priority support",
    );
    for (amount, interval, key) in [(2500, "month", "gold"), (25_000, "year", "gold_year")] {
        let form = format!(
            "product={}&currency=usd&unit_amount={amount}&lookup_key={key}&recurring[interval]={interval}",
            gold["id"].as_str().unwrap()
        );
        call(&account, Method::Post, "/v1/prices", &form);
    }
    let pulled = place.done("plan pull mine.toml --json").json();
    assert_eq!(pulled["plans"], json!([{"product": gold["id"], "plan": "gold_plus"}]));
    let shown = place.done("plan show --catalog mine.toml --json").json();
    assert_eq!(shown["plans"][1]["name"], "Gold \"Plus\"");
    assert_eq!(shown["plans"][1]["features"], json!(["priority_support"]));
    assert_eq!(place.run("plan pull mine.toml").code, 1, "a file that is there stays");
    place.done("plan pull mine.toml --force");
    let compared = place.run("plan diff --catalog mine.toml --json").json();
    assert_eq!(compared["steps"], json!([]), "what was pulled needs no push: {compared}");
    let printed = place.done("plan pull -").stdout;
    let file = std::fs::read_to_string(place.path().join("mine.toml")).unwrap();
    assert_eq!(printed, file);
}

const SETUP: &str = "setup stripe --non-interactive --json --url https://billing.example.com";

fn results(ended: &Ended) -> Vec<(String, String)> {
    let parts = ended.json()["parts"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    parts.iter().map(|part| (text(&part["part"]), text(&part["result"]))).collect()
}

fn secret(directory: &Path) -> String {
    let text = std::fs::read_to_string(directory.join(".env")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("STRIPE_WEBHOOK_SECRET="));
    line.expect("a secret").to_owned()
}

fn endpoints(account: &RunningSandbox) -> Vec<tollgate_sandbox::sandbox::WebhookEndpoint> {
    account.with(|sandbox| sandbox.endpoints())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_makes_everything_and_tells_no_secret() {
    let account = empty_account().await;
    let place = place(&account);
    std::fs::write(place.path().join(".env"), "# mine\nLOG_LEVEL=error\n").unwrap();
    let first = place.done(SETUP);
    let made = results(&first);
    for part in ["prices", "portal", "webhook"] {
        assert!(made.contains(&(part.to_owned(), "made".to_owned())), "{part} in {made:?}");
    }
    let all = endpoints(&account);
    let [endpoint] = all.as_slice() else { panic!("one endpoint: {all:?}") };
    assert_eq!((endpoint.url.as_str(), endpoint.enabled), (HOOK, true));
    let mut events = endpoint.enabled_events.clone();
    events.sort();
    assert_eq!(events, EVENT_TYPES, "exactly what has effects");
    assert_eq!(
        endpoint.api_version.map(tollgate_sandbox::ApiVersion::as_str),
        Some("2026-10-28.endive")
    );
    assert_eq!(secret(place.path()), endpoint.secret);
    let text = std::fs::read_to_string(place.path().join(".env")).unwrap();
    assert!(text.starts_with("# mine\nLOG_LEVEL=error\n"), "{text}");
    for told in [&first.stdout, &first.stderr] {
        assert!(!told.contains(&endpoint.secret) && !told.contains(KEY), "{told}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(place.path().join(".env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let database = format!("sqlite:{}", place.path().join(".tollgate/tollgate.db").display());
    let db =
        tollgate_store::Db::open(&database, &tollgate_store::DbOptions::default()).await.unwrap();
    let known =
        tollgate_store::meta::find(&db, tollgate_server::billing::portal::CONFIGURATION).await;
    db.close().await;
    let portals = list(&account, "/v1/billing_portal/configurations");
    let ours = portals.iter().find(|one| one["metadata"]["tollgate_catalog"] == "sietch").unwrap();
    assert_eq!(known.unwrap().as_deref(), ours["id"].as_str(), "servers lead customers to it");
    let happened_once = happened(&account);
    let again = place.done(SETUP);
    assert!(results(&again).iter().all(|(_, result)| result == "found"), "{again:?}");
    assert_eq!(endpoints(&account), all);
    assert_eq!(happened(&account), happened_once);
    assert_eq!(std::fs::read_to_string(place.path().join(".env")).unwrap(), text);
    place.done("config check");
    // Somebody changed what is sent.
    let path = format!("/v1/webhook_endpoints/{}", all[0].id);
    call(&account, Method::Post, &path, "enabled_events[0]=invoice.paid&disabled=true");
    let mended = place.done(SETUP);
    assert!(results(&mended).contains(&("webhook".to_owned(), "changed".to_owned())), "{mended:?}");
    assert_eq!(endpoints(&account)[0].enabled_events.len(), EVENT_TYPES.len());
    assert!(endpoints(&account)[0].enabled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_could_not_be_saved_is_got_back() {
    let account = empty_account().await;
    let place = place(&account);
    // What is written next to .env first cannot be written.
    let blocker = place.path().join(".env.partial");
    std::fs::create_dir_all(blocker.join("in the way")).unwrap();
    let failed = place.run(SETUP);
    assert_eq!(failed.code, 1, "{failed:?}");
    let lost = endpoints(&account);
    assert_eq!(lost.len(), 1);
    std::fs::remove_dir_all(&blocker).unwrap();
    place.done(SETUP);
    assert_eq!(endpoints(&account).len(), 1, "no second endpoint");
    assert_eq!(secret(place.path()), lost[0].secret);
    // After a day Stripe has forgotten the call: another endpoint takes over.
    let account = empty_account().await;
    let place = self::place(&account);
    std::fs::create_dir_all(place.path().join(".env.partial/in the way")).unwrap();
    assert_eq!(place.run(SETUP).code, 1);
    std::fs::remove_dir_all(place.path().join(".env.partial")).unwrap();
    account.advance(std::time::Duration::from_hours(25));
    place.done(SETUP);
    let all = endpoints(&account);
    let enabled: Vec<&str> =
        all.iter().filter(|one| one.enabled).map(|one| one.secret.as_str()).collect();
    assert_eq!((all.len(), enabled), (2, vec![secret(place.path()).as_str()]));
    let again = place.done(SETUP);
    assert!(results(&again).iter().all(|(_, result)| result == "found"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_set_up_elsewhere_is_replaced_only_when_asked() {
    let account = empty_account().await;
    place(&account).done(SETUP);
    let elsewhere = place(&account);
    let blocked = elsewhere.run(SETUP);
    assert_eq!(blocked.code, 3, "{blocked:?}");
    assert_eq!(endpoints(&account).len(), 1);
    assert!(endpoints(&account)[0].enabled, "the other machine goes on");
    elsewhere.done(&format!("{SETUP} --replace-endpoint"));
    let all = endpoints(&account);
    assert_eq!(all.iter().map(|one| one.enabled).collect::<Vec<_>>(), [false, true]);
    assert_eq!(secret(elsewhere.path()), all[1].secret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_of_an_older_version_is_followed_by_one_of_ours() {
    let account = empty_account().await;
    let older = format!(
        "url={HOOK}&enabled_events[0]=*&api_version=2025-03-31.basil&metadata[tollgate_catalog]=sietch"
    );
    let older = call(&account, Method::Post, "/v1/webhook_endpoints", &older);
    let old_secret = older["secret"].as_str().unwrap();
    let path = format!("/v1/webhook_endpoints/{}", older["id"].as_str().unwrap());
    let print = tollgate_stripe::shop::secret_print(old_secret);
    call(&account, Method::Post, &path, &format!("metadata[tollgate_secret]={print}"));
    let place = place(&account);
    let env = format!("STRIPE_WEBHOOK_SECRET={old_secret}\n");
    std::fs::write(place.path().join(".env"), env).unwrap();
    place.done(SETUP);
    let all = endpoints(&account);
    assert_eq!(all.iter().map(|one| one.enabled).collect::<Vec<_>>(), [false, true]);
    let both = format!("{},{old_secret}", all[1].secret);
    assert_eq!(secret(place.path()), both, "what is under way was signed with the old one");
    let again = place.done(SETUP);
    assert!(results(&again).iter().all(|(_, result)| result == "found"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_of_somebody_else_is_left_as_it_is() {
    let account = empty_account().await;
    let theirs = call(
        &account,
        Method::Post,
        "/v1/webhook_endpoints",
        &format!("url={HOOK}&enabled_events[0]=*"),
    );
    let place = place(&account);
    let blocked = place.run(SETUP);
    assert_eq!(blocked.code, 3, "its secret is not known: {blocked:?}");
    let secret = theirs["secret"].as_str().unwrap();
    std::fs::write(place.path().join(".env"), format!("STRIPE_WEBHOOK_SECRET={secret}\n")).unwrap();
    let adopted = place.done(SETUP);
    assert!(results(&adopted).contains(&("webhook".to_owned(), "found".to_owned())), "{adopted:?}");
    let all = endpoints(&account);
    assert_eq!((all.len(), all[0].enabled_events.clone()), (1, vec!["*".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_that_makes_no_sense_is_refused_before_anything_is_made() {
    let account = empty_account().await;
    let place = place(&account);
    assert_eq!(place.run("setup stripe").code, 2, "nobody is there to be asked");
    let live = place.run("setup stripe --non-interactive --live");
    assert!(live.code == 2 && live.stderr.contains("test mode"), "{live:?}");
    assert_eq!(place.run("setup stripe --non-interactive --url billing.example.com").code, 2);
    let keyless = Place::with(&[("STRIPE_API_BASE", account.url())]);
    let refused = keyless.run("setup stripe --non-interactive");
    assert!(refused.code == 2 && refused.stderr.contains("STRIPE_SECRET_KEY"), "{refused:?}");
    assert_eq!(keyless.run("plan diff").code, 1);
    assert_eq!((happened(&account), endpoints(&account).len()), (0, 0));
    let without = place.done("setup stripe --non-interactive --json");
    assert!(
        results(&without).contains(&("webhook".to_owned(), "skipped".to_owned())),
        "{without:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_for_thin_events_makes_a_destination_and_changes_nothing_when_run_again() {
    let account = empty_account().await;
    let place = place(&account);
    let thin = format!("{SETUP} --events thin");
    let first = place.done(&thin);
    assert!(results(&first).contains(&("webhook".to_owned(), "made".to_owned())), "{first:?}");
    let all = endpoints(&account);
    let [destination] = all.as_slice() else { panic!("one destination: {all:?}") };
    assert!(destination.id.starts_with("ed_") && destination.enabled);
    assert_eq!(destination.form, tollgate_sandbox::EventForm::Thin);
    assert_eq!(
        (destination.url.as_str(), secret(place.path())),
        (HOOK, destination.secret.clone())
    );
    for name in EVENT_TYPES {
        assert!(destination.wants(name), "{name}");
    }
    for told in [&first.stdout, &first.stderr] {
        assert!(!told.contains(&destination.secret), "{told}");
    }
    for again in [thin.as_str(), SETUP] {
        let again = place.done(again);
        assert!(results(&again).iter().all(|(_, result)| result == "found"), "{again:?}");
        assert_eq!(endpoints(&account), all, "without the option it stays as it is");
    }
    // Somebody changed what is sent.
    let path = format!("/v2/core/event_destinations/{}", destination.id);
    call(&account, Method::Post, &path, "enabled_events[0]=v1.invoice.paid");
    call(&account, Method::Post, &format!("{path}/disable"), "");
    let mended = place.done(&thin);
    assert!(results(&mended).contains(&("webhook".to_owned(), "changed".to_owned())), "{mended:?}");
    assert!(endpoints(&account)[0].enabled && endpoints(&account)[0].wants("refund.created"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_form_of_events_takes_over_and_both_secrets_stay() {
    let account = empty_account().await;
    let place = place(&account);
    place.done(SETUP);
    place.done(&format!("{SETUP} --events thin"));
    let all = endpoints(&account);
    assert_eq!(all.iter().map(|one| one.enabled).collect::<Vec<_>>(), [false, true]);
    let both = format!("{},{}", all[1].secret, all[0].secret);
    assert_eq!(secret(place.path()), both, "what is under way was signed with the old one");
    let again = place.done(SETUP);
    assert!(results(&again).iter().all(|(_, result)| result == "found"), "{again:?}");
    let back = place.done(&format!("{SETUP} --events snapshot"));
    assert!(results(&back).contains(&("webhook".to_owned(), "changed".to_owned())), "{back:?}");
    let enabled: Vec<bool> = endpoints(&account).iter().map(|one| one.enabled).collect();
    assert_eq!(enabled, [true, false]);
}
