//! Tests of reading catalogs.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::{BUILTIN_NAMES, builtin, builtin_text};
use super::*;
use crate::catalog::{Allowance, FeatureKind, Interval, Limit, MeterPeriod};

const SMALL: &str = r#"
[catalog]
currency = "usd"
default_plan = "free"
upgrade_url = "/upgrade"

[features.seats]
kind = "limit"
[features.export]
name = "Export"
[features.calls]
kind = "metered"
period = "billing_period"

[[plans]]
id = "free"
rank = 0
limits = { seats = 1 }

[[plans]]
id = "pro"
name = "Pro"
rank = 5
monthly = 900
one_time = 5000
grant_days = 30
lookup_keys = ["pro_monthly"]
features = ["export"]
quotas = { calls = 10 }
"#;

fn read_small(from: &str, to: &str) -> Result<Catalog, CatalogErrors> {
    assert!(SMALL.contains(from), "the text has no {from}");
    parse("small", "catalog.toml", &SMALL.replacen(from, to, 1))
}

/// A text of many pieces.
fn many(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", piece(number)).unwrap();
        text
    })
}

fn faults(from: &str, to: &str) -> String {
    read_small(from, to).expect_err(to).to_string()
}

#[test]
fn a_small_catalog_is_read_with_its_defaults() {
    let catalog = read_small("", "").unwrap();
    let (index, pro) = catalog.find_plan("pro").unwrap();
    assert_eq!((index, catalog.default_plan), (PlanIndex(1), PlanIndex(0)));
    assert_eq!((pro.grace_hours, pro.trial_days, pro.grant_days), (24, 0, Some(30)));
    assert!(pro.self_serve && !catalog.plans[0].self_serve);
    assert_eq!(catalog.plans[0].name, "free");
    assert_eq!(
        pro.prices.iter().map(|p| (p.interval, p.money.amount_minor)).collect::<Vec<_>>(),
        [(Interval::Month, 900), (Interval::OneTime, 5000)]
    );
    assert_eq!(pro.allowances.get("seats"), Some(&Allowance::Limit(Limit::Count(1))));
    assert_eq!(pro.allowances.get("calls"), Some(&Allowance::Limit(Limit::Count(10))));
    assert_eq!(catalog.features["calls"].kind, FeatureKind::Metered(MeterPeriod::BillingPeriod));
    assert_eq!(catalog.cache_seconds, 300);
    assert_eq!(catalog.version.len(), 64);
}

/// A change of the small catalog, and what is said of it.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "rank = 5",
        "rnk = 5",
        "catalog.toml:23:1: [[plans]] knows no key `rnk` (did you mean \"rank\"?)",
    ),
    (
        "rank = 5",
        "rnk = 5",
        "catalog.toml:20:1: [[plans]] has no `rank` (add a line such as: rank = 1)",
    ),
    (
        "[catalog]",
        "[catalogue]",
        "catalog.toml:2:2: the catalog knows no key `catalogue` (did you mean \"catalog\"?)",
    ),
    (
        "currency = \"usd\"",
        "currency = \"dollars\"",
        "catalog.toml:3:12: a text in `currency` of [catalog] must have 1 to 3 characters",
    ),
    ("currency = \"usd\"", "currency = \"u1\"", "a currency has three letters (such as \"usd\")"),
    (
        "default_plan = \"free\"",
        "default_plan = \"fre\"",
        "catalog.toml:4:16: there is no plan `fre` (did you mean \"free\"?)",
    ),
    ("\"/upgrade\"", "\"ftp://x\"", "catalog.toml:5:15: an upgrade URL begins with"),
    (
        "kind = \"limit\"",
        "kind = \"limits\"",
        "`limits` is no kind of feature (did you mean \"limit\"?)",
    ),
    ("name = \"Export\"", "period = \"billing_period\"", "only a metered feature has a `period`"),
    (
        "\"billing_period\"",
        "\"month\"",
        "`month` is no period (known: calendar_month, billing_period)",
    ),
    ("[features.export]", "[features.Export]", "a feature key \"Export\" must be"),
    (
        "features = [\"export\"]",
        "features = [\"exports\"]",
        "catalog.toml:28:13: there is no feature `exports` (did you mean \"export\"?)",
    ),
    ("features = [\"export\"]", "features = [\"export\", \"export\"]", "`export` is listed twice"),
    (
        "features = [\"export\"]",
        "features = [\"seats\"]",
        "`seats` is a limit feature (list it under `limits`)",
    ),
    (
        "quotas = { calls = 10 }",
        "quotas = { calls = -1 }",
        "a whole number from 0, \"unlimited\", or { per_unit = 1 }",
    ),
    (
        "quotas = { calls = 10 }",
        "limits = { seats = { per_unit = 0 } }",
        "`per_unit` of a limit per unit must be between 1",
    ),
    (
        "quotas = { calls = 10 }",
        "limits = { seats = { max = 5 } }",
        "catalog.toml:29:12: a limit per unit has no `per_unit` (add a line such as: per_unit = 1)",
    ),
    (
        "quotas = { calls = 10 }",
        "limits = { seats = { per_unit = 1, mx = 5 } }",
        "a limit per unit knows no key `mx` (did you mean \"max\"?)",
    ),
    (
        "quotas = { calls = 10 }",
        "limits = { seats = { per_unit = 9, max = 5 } }",
        "`max` is less than one unit gives (raise it, or lower `per_unit`)",
    ),
    (
        "limits = { seats = 1 }",
        "limits = { seats = 5 }\n[[plans]]\nid = \"team\"\nrank = 2\nlimits = { seats = { per_unit = 1 } }",
        "`team` has less of `seats` than a lower plan",
    ),
    (
        "[\"pro_monthly\"]",
        "[\"prod_1\"]",
        "`prod_1` is the id of a product (list it under `stripe_products`)",
    ),
    (
        "rank = 5",
        "rank = 5\nstripe_products = [\"price_1\"]",
        "`price_1` is the id of a price (list it under `stripe_prices`)",
    ),
    (
        "monthly = 900",
        "monthly = 900\ncurrency_options = { eur = { yearly = 5 } }",
        "the plan has no `yearly` price to give another currency (add the price, or remove this)",
    ),
    (
        "monthly = 900",
        "monthly = 900\ncurrency_options = { usd = { monthly = 5 } }",
        "catalog.toml:25:22: this is the currency the price has anyway",
    ),
    (
        "monthly = 900",
        "monthly = 900\ncurrency_options = { euro = { monthly = 5 } }",
        "a currency has three letters (such as \"eur\")",
    ),
    (
        "monthly = 900",
        "monthly = 900\ncurrency_options = { eur = { monthly = 5 }, EUR = { monthly = 6 } }",
        "this currency is listed twice",
    ),
    (
        "monthly = 900",
        "monthly = 900\ncurrency_options = { eur = 5 }",
        "`eur` of currency_options must be a table",
    ),
    (
        "quotas",
        "[badge]\nprice = 1\ncurrency_options = { eur = 0 }\n[x]\nquotas",
        "this must be a whole number from 1 to 999999999999",
    ),
    (
        "rank = 5",
        "rank = 5\nstripe_products = [\"a b\"]",
        "catalog.toml:24:20: a product id: an id may hold only",
    ),
    (
        "rank = 5",
        "rank = 5\nstripe_products = [\"prod_1\", \"prod_1\"]",
        "this product is listed twice",
    ),
    (
        "quotas = { calls = 10 }",
        "limits = { seats = 0 }",
        "`pro` has less of `seats` than a lower plan (raise it, or say inherits = false)",
    ),
    ("grant_days = 30", "", "how long does a purchase last?"),
    (
        "monthly = 900",
        "monthly = -1",
        "`monthly` of [[plans]] must be between 0 and 999999999999, found -1",
    ),
    (
        "monthly = 900",
        "monthly = 9.00",
        "`monthly` of [[plans]] must be a whole number, found float",
    ),
    ("rank = 5", "rank = 0", "plans `free` and `pro` have the same rank"),
    ("id = \"pro\"", "id = \"free\"", "there are two plans `free`"),
    ("id = \"pro\"", "id = \"Pro\"", "a plan id \"Pro\" must be"),
    ("[\"pro_monthly\"]", "[\"a\", \"a\"]", "this price is listed twice"),
    (
        "[\"pro_monthly\"]",
        "\"a\"",
        "`lookup_keys` of [[plans]] must be a list of texts, found string",
    ),
    ("[\"pro_monthly\"]", "[1]", "`lookup_keys` of [[plans]] must hold texts only"),
    ("[[plans]]\nid = \"free\"", "[plans]\nid = \"free\"", "this is not TOML"),
    ("name = \"Pro\"", "name = \"\"", "must have 1 to 80 characters"),
    ("quotas", "[badge]\nprice = 0\n[x]\nquotas", "`price` of [badge] must be between 1"),
    (
        "quotas",
        "[boost]\nprice = 1\nlevels = [{boosts = 2, plan = \"pro\"}, {boosts = 1, plan = \"pro\"}]\n[x]\nquotas",
        "boost levels must rise",
    ),
    (
        "quotas",
        "[boost]\nprice = 1\nlookup_keys = [\"pro_monthly\"]\nlevels = []\n[x]\nquotas",
        "this price is sold as something else above",
    ),
    (
        "quotas",
        "stripe_products = [\"prod_1\"]\n[badge]\nprice = 1\nstripe_products = [\"prod_1\"]\n[x]\nquotas",
        "this product is sold as something else above (one product sells one thing",
    ),
];

#[test]
fn each_fault_names_its_place_and_how_to_mend_it() {
    for (from, to, expected) in FAULTS {
        let text = faults(from, to);
        assert!(text.contains(expected), "{to}: expected {expected} in\n{text}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_by_place() {
    let errors = parse("x", "f", "[catalog]\ncurrency = 1\n[[plans]]\nrank = true\n[nonsense]\n")
        .unwrap_err();
    let lines: Vec<usize> = errors.faults.iter().map(|fault| fault.line).collect();
    assert!(errors.faults.len() >= 7, "{errors}");
    assert!(lines.is_sorted(), "{lines:?}");
    let errors = parse("x", "f", &many(200, |n| format!("k{n} = 1"))).unwrap_err();
    assert_eq!(errors.faults.len(), super::super::fault::FAULTS_MAX);
    assert!(errors.left_out > 100 && errors.to_string().ends_with(" more"), "{}", errors.left_out);
}

#[test]
fn limits_on_sizes_are_kept() {
    let long = format!("# {}\n{SMALL}", "x".repeat(TEXT_BYTES_MAX));
    assert!(parse("x", "f", &long).unwrap_err().to_string().contains("at most 262144 are read"));
    let plans = many(PLANS_MAX, |n| format!("[[plans]]\nid = \"p{n}\"\nrank = {}", n + 1));
    let text = faults("[[plans]]\nid = \"pro\"", &format!("{plans}[[plans]]\nid = \"pro\""));
    assert!(text.contains("more than 64 plans"), "{text}");
    let features = many(FEATURES_MAX, |n| format!("[features.f{n}]"));
    let text = faults("[features.seats]", &format!("{features}[features.seats]"));
    assert!(text.contains("more than 512 features"), "{text}");
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    let key = "a.".repeat(100_000);
    for deep in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{a=".repeat(80_000)),
        format!("{key}a = 1"),
        format!("[{key}a]"),
    ] {
        let errors = parse("x", "f", &deep).unwrap_err();
        assert!(!errors.faults.is_empty());
    }
}

#[test]
fn comments_and_order_leave_the_version_but_meaning_changes_it() {
    let version = |from, to| read_small(from, to).unwrap().version;
    let original = version("", "");
    assert_eq!(
        version("monthly = 900\none_time = 5000", "one_time = 5000 # note\nmonthly = 900"),
        original
    );
    for (from, to) in [
        ("monthly = 900", "monthly = 901"),
        ("calls = 10", "calls = \"unlimited\""),
        ("rank = 5", "rank = 6"),
        ("\"pro_monthly\"", "\"pro_m\""),
        ("name = \"Pro\"", "name = \"Plus\""),
        ("grant_days = 30", "grant_days = 31"),
        ("rank = 5", "rank = 5\nstripe_products = [\"prod_1\"]"),
        ("monthly = 900", "monthly = 900\ncurrency_options = { eur = { monthly = 5 } }"),
        ("seats = 1", "seats = { per_unit = 1 }"),
        ("seats = 1", "seats = { per_unit = 1, max = 1 }"),
    ] {
        assert_ne!(version(from, to), original, "{to}");
    }
}

#[test]
fn a_limit_per_unit_is_read_and_multiplied() {
    let seats = |text: &str| {
        let catalog = read_small("quotas = { calls = 10 }", text).unwrap();
        let allowance = catalog.plans[1].allowances["seats"];
        let of = |units| match allowance.for_units(units) {
            Allowance::Limit(limit) => limit.count().unwrap(),
            other @ (Allowance::On | Allowance::PerUnit(_)) => panic!("{other:?}"),
        };
        (catalog.plans[1].is_per_unit(), [of(1), of(3), of(12), of(u64::MAX)])
    };
    assert_eq!(seats("limits = { seats = { per_unit = 1 } }"), (true, [1, 3, 12, u64::MAX]));
    assert_eq!(seats("limits = { seats = { per_unit = 5, max = 50 } }"), (true, [5, 15, 50, 50]));
    assert_eq!(seats("limits.seats.per_unit = 2"), (true, [2, 6, 24, u64::MAX]), "dotted");
    assert_eq!(seats("limits = { seats = 4 }"), (false, [4; 4]));
}

#[test]
fn the_cheapest_plan_that_allows_a_number_counts_what_can_be_bought() {
    let catalog = read_small("quotas = { calls = 10 }", "limits.seats = { per_unit = 1, max = 9 }");
    let catalog = catalog.unwrap();
    let cheapest =
        |units| catalog.cheapest_plan_allowing("seats", units).map(|(_, plan)| plan.id.to_string());
    assert_eq!(cheapest(1).as_deref(), Some("free"));
    assert_eq!(cheapest(9).as_deref(), Some("pro"));
    assert_eq!(cheapest(10), None);
}

#[test]
fn a_plan_that_does_not_inherit_has_only_its_own() {
    let catalog = read_small("rank = 5", "rank = 5\ninherits = false").unwrap();
    assert_eq!(catalog.plans[1].allowances.get("seats"), None);
    assert_eq!(catalog.plans[1].allowances.len(), 2);
}

#[test]
fn built_in_catalogs_are_valid_and_rise_with_rank() {
    for name in BUILTIN_NAMES {
        let text = builtin_text(name).unwrap();
        let catalog = parse(name, name, text).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(Some(&catalog), builtin(name).as_ref());
        for (low, high) in catalog.plans.iter().zip(catalog.plans.iter().skip(1)) {
            for (key, allowance) in low.allowances.iter() {
                let above = high.allowances.get(key);
                let as_much = match (allowance, above) {
                    (Allowance::On, Some(Allowance::On)) => true,
                    (Allowance::Limit(one), Some(Allowance::Limit(other))) => {
                        one.max(*other) == *other
                    }
                    (Allowance::Limit(one), Some(Allowance::PerUnit(other))) => {
                        one.count().is_some_and(|count| count <= other.of(1))
                    }
                    _ => false,
                };
                assert!(as_much, "{name}: {} has less of {key} than {}", high.id, low.id);
            }
        }
    }
    assert_eq!(builtin("nothing"), None);
}

#[test]
fn the_sietch_catalog_has_the_numbers_of_its_origin() {
    let catalog = builtin("sietch").unwrap();
    let rows: Vec<String> = catalog
        .plans
        .iter()
        .map(|plan| {
            let price = |interval| {
                plan.prices
                    .iter()
                    .find(|p| p.interval == interval)
                    .map_or(0, |p| p.money.amount_minor)
            };
            let members = match plan.allowances["max_members"] {
                Allowance::Limit(limit) => limit.count(),
                Allowance::On | Allowance::PerUnit(_) => None,
            };
            format!(
                "{} {} {} {members:?} {} {}",
                plan.id,
                price(Interval::Month),
                price(Interval::Year),
                plan.self_serve,
                plan.allowances.contains_key("score_badge")
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "starter 0 0 Some(25) false false",
            "basic 1500 15000 Some(500) true false",
            "premium 3500 35000 Some(1000) true true",
            "exclusive 14900 149000 Some(2500) true true",
            "elite 44900 449000 Some(7500) true true",
            "enterprise 0 0 None false true",
        ]
    );
    let boost = catalog.boost.as_ref().unwrap();
    let levels: Vec<(u64, usize)> =
        boost.levels.iter().map(|level| (level.boosts, level.plan.0)).collect();
    assert_eq!(
        (levels, boost.sustain_days, boost.price.amount_minor),
        (vec![(2, 1), (7, 2), (14, 3), (30, 4)], 7, 299)
    );
    assert_eq!(catalog.badge.as_ref().map(|badge| badge.price.amount_minor), Some(499));
    for (feature, plan) in [
        ("basic_tgr", "starter"),
        ("stats_leaderboard", "premium"),
        ("admin_analytics", "exclusive"),
        ("white_label", "enterprise"),
    ] {
        assert_eq!(catalog.cheapest_plan_with(feature).unwrap().1.id.as_str(), plan);
    }
    assert_eq!(
        catalog.cheapest_plan_allowing("max_members", 501).unwrap().1.id.as_str(),
        "premium"
    );
    assert_eq!(catalog.prices["sietch_premium_yearly"], PriceTarget::Plan(PlanIndex(2)));
    assert_eq!(catalog.prices["sietch_boost"], PriceTarget::Boost);
    assert_eq!(catalog.prices["sietch_badge"], PriceTarget::Badge);
}

/// Pieces that look like a catalog, so that arbitrary texts get past the first line.
fn pieces() -> impl Strategy<Value = String> {
    let lines = SMALL.lines().map(str::to_owned).collect::<Vec<_>>();
    let line = prop_oneof![
        4 => prop::sample::select(lines),
        1 => "[\\[a-z_\\.]{0,12}[\\]]{0,2}",
        1 => "[a-z_]{1,12} = [0-9\\-\"a-z\\[\\]\\{\\}]{1,12}",
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = parse("any", "any", &text) {
            prop_assert!(!errors.faults.is_empty());
        }
    }

    #[test]
    fn no_likely_text_makes_reading_panic(text in pieces()) {
        match parse("any", "any", &text) {
            Ok(catalog) => prop_assert!(catalog.plan(catalog.default_plan).is_some()),
            Err(errors) => prop_assert!(!errors.faults.is_empty()),
        }
    }
}
