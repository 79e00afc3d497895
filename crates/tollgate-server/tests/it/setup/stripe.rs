//! `tollgate setup stripe`: the webhook endpoint or destination, and where its secret goes.

use super::*;

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
