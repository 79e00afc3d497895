//! Catalog and stock brought together, in a model of what each step does.

use proptest::prelude::*;

use super::super::builtin;
use super::super::parse::parse;
use super::*;
use crate::money::Currency;

fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: Currency::parse("usd").unwrap() }
}

fn price_id(text: &str) -> PriceId {
    PriceId::parse(text).unwrap()
}

/// A catalog that sells `pro` by month and by year.
fn catalog(monthly: i64, yearly: i64, more: &str) -> Catalog {
    let text = format!(
        "[catalog]\ncurrency = \"usd\"\ndefault_plan = \"free\"\nupgrade_url = \"/up\"\n\
         [features.a]\n[[plans]]\nid = \"free\"\nrank = 0\n\
         [[plans]]\nid = \"pro\"\nname = \"Pro\"\nrank = 1\nmonthly = {monthly}\nyearly = {yearly}\n\
         lookup_keys = [\"pro_monthly\", \"pro_yearly\"]\n{more}"
    );
    parse("mine", "mine.toml", &text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn mark(key: &str) -> Mark {
    Mark { catalog: "mine".to_owned(), key: key.to_owned() }
}

/// The stock after a step, as Stripe would have it. New prices are numbered.
fn done(stock: &Stock, step: &Step, kept: &mut Vec<String>) -> Stock {
    let mut stock = stock.clone();
    match step.clone() {
        Step::KeepPrice { price, .. } => kept.push(price.to_string()),
        Step::CreateProduct { id, name, mark } => stock.take_product(StockProduct {
            id,
            name,
            active: true,
            default_price: None,
            features: Vec::new(),
            mark: Some(mark),
        }),
        Step::UpdateProduct { id, name } => {
            let known = stock.product(&id).unwrap().clone();
            stock.take_product(StockProduct { name, active: true, ..known });
        }
        Step::CreatePrice { product, lookup_key, money, options, interval, mark } => {
            assert!(stock.product(&product).is_some(), "a price of no product");
            let id = price_id(&format!("price_new{}", stock.prices.len()));
            stock.take_price(StockPrice {
                id,
                product,
                lookup_key: Some(lookup_key),
                active: true,
                money: Some(money),
                options,
                interval: Some(interval),
                mark: Some(mark),
            });
        }
        Step::AddCurrencies { price, options } => {
            let mut known = stock.price(price.as_str()).unwrap().clone();
            known.options.extend(options);
            stock.take_price(known);
        }
        Step::UsePrice { price, lookup_key } => {
            let known = stock.price(price.as_str()).unwrap().clone();
            let lookup_key = lookup_key.or(known.lookup_key.clone());
            stock.take_price(StockPrice { active: true, lookup_key, ..known });
        }
        Step::ShowFirst { product, price } => {
            let known = stock.product(&product).unwrap().clone();
            stock.take_product(StockProduct { default_price: Some(price), ..known });
        }
        Step::WithdrawPrice { price } => {
            let known = stock.price(price.as_str()).unwrap().clone();
            let first = |one: &StockProduct| one.default_price.as_ref() == Some(&price);
            assert!(!stock.products.iter().any(first), "Stripe refuses to withdraw a first price");
            stock.take_price(StockPrice { active: false, ..known });
        }
        Step::WithdrawProduct { id } => {
            let known = stock.product(&id).unwrap().clone();
            stock.take_product(StockProduct { active: false, ..known });
        }
    }
    stock
}

/// Does the first step and asks again, until nothing is left; every stock on the way.
fn settle(catalog: &Catalog, stock: &Stock) -> Vec<Stock> {
    let mut catalog = catalog.clone();
    let mut way = vec![stock.clone()];
    for _ in 0..50 {
        let last = way.last().unwrap().clone();
        let Some(step) = agenda(&catalog, &last).steps.first().cloned() else { return way };
        let mut kept = Vec::new();
        way.push(done(&last, &step, &mut kept));
        for price in kept {
            catalog = catalog.with_prices(&[("pro".to_owned(), vec![price])]).unwrap();
        }
    }
    panic!("never settled: {:?}", agenda(&catalog, way.last().unwrap()).steps);
}

fn end(catalog: &Catalog, stock: &Stock) -> Stock {
    settle(catalog, stock).pop().unwrap()
}

fn price(id: &str, key: Option<&str>, amount: i64, mark: Option<Mark>) -> StockPrice {
    StockPrice {
        id: price_id(id),
        product: "prod_theirs".to_owned(),
        lookup_key: key.map(str::to_owned),
        active: true,
        money: Some(usd(amount)),
        options: CurrencyOptions::new(),
        interval: Some(Interval::Month),
        mark,
    }
}

fn standing(catalog: &Catalog, stock: &Stock) -> Standing {
    agenda(catalog, stock).offers[0].1.clone()
}

#[test]
fn an_empty_account_gets_everything_once() {
    for name in super::super::BUILTIN_NAMES {
        let catalog = builtin(name).unwrap();
        let stock = end(&catalog, &Stock::default());
        assert_eq!(stock.prices.len(), catalog.offers().len(), "{name}");
        let again = agenda(&catalog, &stock);
        assert!(again.is_settled() && again.surplus.is_empty(), "{again:?}");
        assert!(again.offers.iter().all(|(_, standing)| matches!(standing, Standing::Sold(_))));
    }
}

#[test]
fn further_currencies_are_made_with_a_price_and_added_to_ours() {
    let euros = "currency_options = { eur = { monthly = 900 } }\n";
    let stock = end(&catalog(1000, 9000, euros), &Stock::default());
    let holder = |stock: &Stock| stock.holder("pro_monthly").unwrap().clone();
    let amounts = |price: &StockPrice| -> Vec<(String, i64)> {
        price.options.iter().map(|(code, amount)| (code.as_str().to_owned(), *amount)).collect()
    };
    assert_eq!(amounts(&holder(&stock)), [("eur".to_owned(), 900)]);
    let both = "currency_options = { eur = { monthly = 950 }, gbp = { monthly = 800 } }\n";
    let both = catalog(1000, 9000, both);
    let steps = agenda(&both, &stock).steps;
    let added = CurrencyOptions::from([(Currency::parse("gbp").unwrap(), 800)]);
    let price = holder(&stock).id;
    // Amounts that are there cannot be changed without harm to who pays them.
    assert_eq!(steps, [Step::AddCurrencies { price: price.clone(), options: added }]);
    let after = end(&both, &stock);
    assert_eq!(holder(&after).id, price);
    assert_eq!(amounts(&holder(&after)), [("eur".to_owned(), 900), ("gbp".to_owned(), 800)]);
    let theirs = price_of_others(&both);
    assert!(
        agenda(&both, &theirs).steps.iter().all(|step| !matches!(step, Step::AddCurrencies { .. }))
    );
}

/// Somebody else's prices that are exactly right but for their currencies.
fn price_of_others(catalog: &Catalog) -> Stock {
    let offer = catalog.offers()[0].clone();
    let price = price("price_theirs", offer.lookup_key, offer.money.amount_minor, None);
    Stock { products: Vec::new(), prices: vec![price] }
}

#[test]
fn a_changed_amount_is_a_new_price_and_the_old_one_is_kept_for_its_payers() {
    let stock = end(&catalog(1000, 9000, ""), &Stock::default());
    let old = stock.holder("pro_monthly").unwrap().id.clone();
    let dearer = catalog(1200, 9000, "");
    let steps = agenda(&dearer, &stock).steps;
    assert_eq!(steps[0], Step::KeepPrice { key: "pro".to_owned(), price: old.clone() });
    assert!(
        matches!(&steps[1], Step::CreatePrice { lookup_key, .. } if lookup_key == "pro_monthly")
    );
    assert_eq!(steps[2..], [Step::WithdrawPrice { price: old.clone() }]);
    let after = end(&dearer, &stock);
    let new = after.holder("pro_monthly").unwrap();
    assert_eq!((new.money, new.active), (Some(usd(1200)), true));
    let withdrawn = after.price(old.as_str()).unwrap();
    assert!(!withdrawn.active && withdrawn.lookup_key.is_none());
    assert_eq!(after.products.len(), 1);
    assert_eq!(after.prices.len(), 3);
}

#[test]
fn an_amount_that_goes_back_finds_its_old_price_again() {
    let cheap = catalog(1000, 9000, "");
    let first = end(&cheap, &Stock::default());
    let old = first.holder("pro_monthly").unwrap().id.clone();
    let second = end(&catalog(1200, 9000, ""), &first);
    let third = end(&cheap, &second);
    assert_eq!(third.holder("pro_monthly").unwrap().id, old);
    assert_eq!(third.prices.len(), 3, "nothing was made anew");
    assert_eq!(third.prices.iter().filter(|price| price.active).count(), 2);
}

#[test]
fn what_others_made_is_used_where_it_is_right_and_never_altered() {
    let catalog = catalog(1000, 9000, "");
    let right = Stock {
        prices: vec![price("price_1", Some("pro_monthly"), 1000, None)],
        ..Stock::default()
    };
    assert_eq!(standing(&catalog, &right), Standing::Adopted(price_id("price_1")));
    let wrong = Stock {
        prices: vec![price("price_1", Some("pro_monthly"), 900, None)],
        ..Stock::default()
    };
    let taken = Obstacle::KeyTaken { price: price_id("price_1") };
    assert_eq!(standing(&catalog, &wrong), Standing::Blocked(taken));
    let after = end(&catalog, &wrong);
    assert_eq!(after.price("price_1"), wrong.price("price_1"));
    assert!(after.holder("pro_yearly").is_some(), "the other price does not wait for it");
    let squatter = StockProduct {
        id: "tollgate_mine_pro".to_owned(),
        name: "Something".to_owned(),
        active: true,
        default_price: None,
        features: Vec::new(),
        mark: None,
    };
    let squatted = Stock { products: vec![squatter], ..Stock::default() };
    let id = "tollgate_mine_pro".to_owned();
    assert_eq!(standing(&catalog, &squatted), Standing::Blocked(Obstacle::ProductTaken { id }));
}

#[test]
fn a_price_named_by_its_id_needs_no_other() {
    let named = catalog(1000, 9000, "stripe_prices = [\"price_1\", \"price_gone\"]\n");
    let stock = Stock { prices: vec![price("price_1", None, 1000, None)], ..Stock::default() };
    let agenda = agenda(&named, &stock);
    assert_eq!(agenda.offers[0].1, Standing::Adopted(price_id("price_1")));
    assert_eq!(agenda.unknown_prices, ["price_gone"]);
    assert_eq!(agenda.steps.len(), 2, "the yearly price and its product: {:?}", agenda.steps);
}

#[test]
fn what_is_offered_no_more_is_surplus_and_stays() {
    let stock = end(&catalog(1000, 9000, ""), &Stock::default());
    let mut saas = builtin("saas").unwrap();
    saas.name = "mine".to_owned();
    let yearly = stock.holder("pro_yearly").unwrap().id.clone();
    assert_eq!(agenda(&saas, &stock).surplus, [Step::WithdrawPrice { price: yearly }]);
    let mut nothing = builtin("propiq").unwrap();
    nothing.name = "mine".to_owned();
    nothing.plans.retain(|plan| plan.id.as_str() == "free");
    let surplus = agenda(&nothing, &stock).surplus;
    assert_eq!(surplus.len(), 3, "the product and its two prices: {surplus:?}");
    let after = surplus.iter().fold(stock, |stock, step| done(&stock, step, &mut Vec::new()));
    assert!(agenda(&nothing, &after).surplus.is_empty());
}

#[test]
fn a_renamed_plan_renames_its_product_once() {
    let stock = end(&catalog(1000, 9000, ""), &Stock::default());
    let mut renamed = catalog(1000, 9000, "");
    "Professional".clone_into(&mut renamed.plans[1].name);
    let steps = agenda(&renamed, &stock).steps;
    let id = "tollgate_mine_pro".to_owned();
    assert_eq!(steps, [Step::UpdateProduct { id, name: "Professional".to_owned() }]);
}

#[test]
fn the_price_a_product_shows_first_is_replaced_before_it_is_withdrawn() {
    let mut stock = end(&catalog(1000, 9000, ""), &Stock::default());
    let old = stock.holder("pro_monthly").unwrap().id.clone();
    stock.products[0].default_price = Some(old.clone());
    let after = end(&catalog(1200, 9000, ""), &stock);
    let new = after.holder("pro_monthly").unwrap().id.clone();
    assert_eq!(after.products[0].default_price, Some(new));
    assert!(!after.price(old.as_str()).unwrap().active);
}

fn any_price() -> impl Strategy<Value = StockPrice> {
    let key = prop_oneof![Just(None), Just(Some("pro_monthly")), Just(Some("pro_yearly"))];
    let mark = prop_oneof![Just(None), Just(Some(mark("pro"))), Just(Some(mark("gone")))];
    let interval =
        prop_oneof![Just(None), Just(Some(Interval::Month)), Just(Some(Interval::Year)),];
    let amount = prop_oneof![Just(1000_i64), Just(9000), Just(1)];
    (0..6_u8, key, mark, interval, amount, any::<bool>()).prop_map(
        |(number, key, mark, interval, amount, active)| StockPrice {
            product: "tollgate_mine_pro".to_owned(),
            active,
            interval,
            ..price(&format!("price_{number}"), key, amount, mark)
        },
    )
}

proptest! {
    #[test]
    fn from_any_stock_it_settles_without_touching_what_others_made(
        prices in proptest::collection::vec(any_price(), 0..8),
        ours in any::<bool>(),
    ) {
        let catalog = catalog(1000, 9000, "");
        let mut stock = Stock::default();
        stock.take_product(StockProduct {
            id: "tollgate_mine_pro".to_owned(),
            name: "Old name".to_owned(),
            active: false,
            default_price: None,
            features: Vec::new(),
            mark: ours.then(|| mark("pro")),
        });
        for price in prices {
            stock.take_price(price);
        }
        let theirs = |stock: &Stock| {
            let prices: Vec<_> = stock.prices.iter().filter(|p| p.mark.is_none()).cloned().collect();
            let products: Vec<_> = stock.products.iter().filter(|p| p.mark.is_none()).cloned().collect();
            (prices, products)
        };
        let way = settle(&catalog, &stock);
        let ends = way.last().unwrap();
        prop_assert_eq!(theirs(ends), theirs(&stock));
        // Broken off anywhere and begun again, it ends the same: what is sold, by which amount.
        let sold = |stock: &Stock| {
            let mut sold: Vec<_> = stock.prices.iter().filter(|p| p.active)
                .map(|p| (p.lookup_key.clone(), p.money.map(|m| m.amount_minor), p.mark.clone()))
                .collect();
            sold.sort();
            sold
        };
        for stop in &way {
            prop_assert_eq!(sold(&end(&catalog, stop)), sold(ends));
        }
    }
}
