//! `tollgate plan diff`, `push` and `pull`: what they make, and that a run that broke off is finished.

use super::*;

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
