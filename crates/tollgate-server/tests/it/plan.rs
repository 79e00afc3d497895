//! `tollgate plan` from outside: the real binary.

use serde_json::json;

use crate::cli::{Place, Server, signing};
use crate::support::{TestDatabase, on_both};

#[test]
fn the_matrix_shows_plans_and_which_price_sells_them() {
    let place = Place::new();
    let shown = place.done("plan show").stdout;
    for part in
        ["max_members", "7500", "unlimited", "449.00 USD", "sietch_elite_yearly", "2.99 USD"]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let told = place.done("plan show --catalog levels --json").json();
    let offers = told["offers"].as_array().unwrap();
    assert_eq!(offers.len(), 3, "{told}");
    assert!(offers.iter().all(|offer| offer["covered"] == true), "{told}");
    let text = std::fs::read_to_string("../tollgate-domain/catalogs/saas.toml").unwrap();
    let bare = text.replace("lookup_keys = [\"saas_pro_monthly\"]\n", "");
    std::fs::write(place.path().join("mine.toml"), bare).unwrap();
    let told = place.done("plan show --catalog mine.toml --json").json();
    assert_eq!(told["offers"][1]["covered"], false, "{told}");
    assert!(place.done("plan show --catalog mine.toml").stdout.contains("gives nothing"));
}

on_both! {
    async fn what_if_compares_all_accounts_of_the_database(database: &TestDatabase) {
        let place = Place::on(database);
        let server = Server::serve(&place);
        for account in ["acme", "beta"] {
            signing(&server).done(&format!("trigger scenario checkout --account {account}"));
        }
        server.terminate();
        let text = tollgate_domain::catalog::builtin_text("sietch").unwrap();
        let same = place.done("plan what-if sietch --json").json();
        assert_eq!((&same["accounts"], &same["changed"]), (&json!(2), &json!(0)), "{same}");
        let proposed = text.replacen("    \"weekly_digest\",\n", "", 1);
        std::fs::write(place.path().join("proposed.toml"), proposed).unwrap();
        let out = place.done("plan what-if proposed.toml --json").json();
        assert_eq!(out["losing"]["samples"][1]["accountId"], "beta", "{out}");
        assert_eq!(out["losing"]["samples"][0]["lost"], json!(["weekly_digest"]));
        let shown = place.done("plan what-if proposed.toml").stdout;
        assert!(shown.contains("2 of 2 accounts") && shown.contains("-weekly_digest"), "{shown}");
        assert_eq!(place.run("plan what-if proposed.toml --check").code, 3);
        assert_eq!(place.run("plan what-if sietch --check").code, 0);
        let early = place.done("plan what-if proposed.toml --at 2020-01-01T00:00:00Z --json").json();
        assert_eq!(early["changed"], 0, "{early}");
        std::fs::write(place.path().join("proposed.toml"), "rank = 1").unwrap();
        let refused = place.run("plan what-if proposed.toml");
        assert!(refused.code == 1 && refused.stderr.contains("proposed.toml:1"), "{refused:?}");
        assert_eq!(place.run("plan what-if nowhere.toml").code, 1);
        let mut regrade = place.command("regrade --dry-run --json --reason");
        let out = regrade.arg("the price list of 2026").output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!((&report["accounts"], &report["changed"]), (&json!(2), &json!(0)), "{report}");
        let unreasoned = place.run("regrade --reason because");
        assert!(unreasoned.code == 2 && unreasoned.stderr.contains("10 to 500"), "{unreasoned:?}");
    }
}
