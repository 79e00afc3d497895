//! Catalogs written from a stock, read back by the parser.

use proptest::prelude::*;

use super::super::parse::parse;
use super::super::push::{Standing, agenda};
use super::super::stock::Mark;
use super::super::{Catalog, CurrencyOptions, PlanIndex, PriceTarget};
use super::*;
use crate::ids::{PriceId, PriceRef, ProductId};
use crate::money::Money;

fn product(id: &str, name: &str) -> StockProduct {
    StockProduct {
        id: id.to_owned(),
        name: name.to_owned(),
        active: true,
        default_price: None,
        features: Vec::new(),
        mark: None,
    }
}

fn price(id: &str, product: &str, amount: i64, currency: &str, interval: Interval) -> StockPrice {
    StockPrice {
        id: PriceId::parse(id).unwrap(),
        product: product.to_owned(),
        lookup_key: None,
        active: true,
        money: Some(Money { amount_minor: amount, currency: Currency::parse(currency).unwrap() }),
        options: CurrencyOptions::new(),
        interval: Some(interval),
        mark: None,
    }
}

fn read(draft: &Draft) -> Catalog {
    parse("pulled", "pulled.toml", &draft.text)
        .unwrap_or_else(|faults| panic!("{faults}\n{}", draft.text))
}

#[test]
fn products_with_recurring_prices_become_plans_by_price() {
    let mut old = price("price_old", "prod_b", 500, "usd", Interval::Month);
    old.active = false;
    let mut keyed = price("price_b", "prod_b", 900, "usd", Interval::Month);
    keyed.lookup_key = Some("basic".to_owned());
    keyed.options = CurrencyOptions::from([(Currency::parse("eur").unwrap(), 850)]);
    let mut gold = product("prod_g", "Gold \"Plus\" \u{e9}\n");
    gold.features =
        vec!["Priority support".to_owned(), "Priority  Support!".to_owned(), "API".to_owned()];
    let stock = Stock {
        products: vec![
            product("prod_once", "T-shirt"),
            gold,
            product("prod_b2", "Basic"),
            product("prod_b", "Basic"),
        ],
        prices: vec![
            price("price_once", "prod_once", 2500, "usd", Interval::OneTime),
            price("price_gy", "prod_g", 24_000, "eur", Interval::Year),
            price("price_b2", "prod_b2", 950, "usd", Interval::Month),
            keyed,
            old,
        ],
    };
    let draft = draft(&stock);
    let catalog = read(&draft);
    let plans: Vec<(&str, u32)> =
        catalog.plans.iter().map(|plan| (plan.id.as_str(), plan.rank)).collect();
    assert_eq!(plans, [("free", 0), ("basic", 1), ("basic_2", 2), ("gold_plus", 3)]);
    assert_eq!(
        draft.left_out,
        [("prod_once".to_owned(), "it has no active price by month or by year")]
    );
    let sells = |price: &str, product: &str| {
        let (price, product) = (PriceId::parse(price).unwrap(), ProductId::parse(product).unwrap());
        catalog.price_target(PriceRef { id: &price, lookup_key: None, product: Some(&product) })
    };
    let basic = Some(PriceTarget::Plan(PlanIndex(1)));
    assert_eq!(sells("price_old", "prod_b"), basic, "its payers go on");
    assert_eq!(sells("price_negotiated", "prod_b"), basic);
    assert_eq!(catalog.prices.get("basic").copied(), basic);
    assert_eq!(sells("price_gy", "prod_g"), Some(PriceTarget::Plan(PlanIndex(3))));
    let euros = Money { amount_minor: 850, currency: Currency::parse("eur").unwrap() };
    assert!(catalog.plans[1].prices[0].amounts().any(|amount| amount == euros));
    let gold = &catalog.plans[3];
    assert_eq!(gold.name, "Gold \"Plus\" \u{e9}");
    assert_eq!(gold.prices[0].money.currency.as_str(), "eur");
    let keys: Vec<&str> = gold.allowances.keys().map(crate::ids::FeatureKey::as_str).collect();
    assert_eq!(keys, ["api", "priority_support"]);
    // What was pulled needs no push.
    let agenda = agenda(&catalog, &stock);
    assert!(agenda.is_settled() && agenda.unknown_prices.is_empty(), "{agenda:?}");
    assert!(agenda.offers.iter().all(|(_, one)| matches!(one, Standing::Adopted(_))), "{agenda:?}");
}

#[test]
fn nothing_for_sale_is_a_catalog_too() {
    let catalog = read(&draft(&Stock::default()));
    assert_eq!(catalog.plans.len(), 1);
    assert!(!catalog.sells_anything());
}

#[test]
fn our_own_products_keep_their_plans_ids() {
    let mut ours = product("prod_1", "Something else");
    ours.mark = Some(Mark { catalog: "mine".to_owned(), key: "premium".to_owned() });
    let mut boost = product("prod_2", "Community boost");
    boost.mark = Some(Mark { catalog: "mine".to_owned(), key: "boost".to_owned() });
    let stock = Stock {
        products: vec![ours, boost],
        prices: vec![
            price("price_1", "prod_1", 100, "usd", Interval::Month),
            price("price_2", "prod_2", 299, "usd", Interval::Month),
        ],
    };
    let draft = draft(&stock);
    assert!(read(&draft).find_plan("premium").is_some());
    assert_eq!(draft.left_out.len(), 1);
}

#[test]
fn no_catalog_is_drafted_beyond_its_limits() {
    let ids: Vec<String> = (0..PLANS_MAX + 5).map(|number| number.to_string()).collect();
    let stock = Stock {
        products: ids.iter().map(|id| product(&format!("prod_{id}"), "Same")).collect(),
        prices: ids
            .iter()
            .map(|id| {
                price(&format!("price_{id}"), &format!("prod_{id}"), 5, "usd", Interval::Month)
            })
            .collect(),
    };
    let draft = draft(&stock);
    assert_eq!(read(&draft).plans.len(), PLANS_MAX);
    assert_eq!(draft.left_out.len(), 6);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,90}", any::<String>(), "[a-z _\"\\\\]{1,80}"]
}

proptest! {
    #[test]
    fn whatever_is_for_sale_the_draft_is_a_catalog(
        names in proptest::collection::vec(any_text(), 0..6),
        features in proptest::collection::vec(any_text(), 0..4),
        prices in proptest::collection::vec(
            (0..6_usize, any_text(), -1..3_i64, any::<bool>(), 0..4_u8, any::<bool>()), 0..12),
    ) {
        let products: Vec<StockProduct> = names.iter().enumerate().map(|(number, name)| {
            let mut one = product(&format!("prod_{number}"), name);
            one.features.clone_from(&features);
            one
        }).collect();
        let mut stock = Stock { products, prices: Vec::new() };
        for (number, (of, key, amount, euro, interval, active)) in prices.into_iter().enumerate() {
            let interval = match interval {
                0 => Some(Interval::Month),
                1 => Some(Interval::Year),
                2 => Some(Interval::OneTime),
                _ => None,
            };
            let currency = if euro { "eur" } else { "usd" };
            let (id, product) = (format!("price_{number}"), format!("prod_{of}"));
            let one = price(&id, &product, amount, currency, Interval::Month);
            stock.take_price(StockPrice { lookup_key: Some(key), active, interval, ..one });
        }
        let draft = draft(&stock);
        let catalog = read(&draft);
        prop_assert_eq!(catalog.plans.len(), draft.plans.len() + 1);
        prop_assert_eq!(draft.plans.len() + draft.left_out.len(), stock.products.len());
        prop_assert!(agenda(&catalog, &stock).steps.is_empty());
    }
}
