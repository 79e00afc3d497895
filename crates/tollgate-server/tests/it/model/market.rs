//! The catalogs a world lives under, one after the other. Owns: their texts and maps of prices, and
//! what each price is worth under each.

use std::path::PathBuf;

use tollgate_domain::Catalog;
use tollgate_domain::catalog::{Interval, builtin_text};
use tollgate_sandbox::{sandbox_price_id, sandbox_price_map};

use crate::support::{Settings, config};

/// What is sold by the month, by its names at Stripe and in the first catalog.
pub(super) const PLANS: [&str; 4] = ["basic", "premium", "exclusive", "elite"];

/// One catalog's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Era {
    /// No price of `exclusive` is mapped.
    First,
    /// It is. Prices were raised, and what is bought once lasts for a shorter time.
    Raised,
    /// `premium` has another name.
    Renamed,
}

impl Era {
    pub(super) const ALL: [Self; 3] = [Self::First, Self::Raised, Self::Renamed];

    /// The catalog's name for a plan.
    pub(super) fn name_of(self, plan: &'static str) -> &'static str {
        if self == Self::Renamed && plan == "premium" { "plus" } else { plan }
    }

    /// How many days of `premium` are bought at once.
    pub(super) const fn grant_days(self) -> u32 {
        match self {
            Self::First => 30,
            Self::Raised | Self::Renamed => 10,
        }
    }

    fn text(self) -> String {
        let mut text = builtin_text("sietch").expect("built in").to_owned();
        let mut put = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        };
        let names = r#"lookup_keys = ["sietch_premium_monthly", "sietch_premium_yearly"]"#;
        let once = if self == Self::First { 9000 } else { 12_000 };
        let days = self.grant_days();
        put(names, &format!("{names}\none_time = {once}\ngrant_days = {days}"));
        if self == Self::First {
            put("lookup_keys = [\"sietch_exclusive_monthly\", \"sietch_exclusive_yearly\"]\n", "");
        } else {
            put("monthly = 3500", "monthly = 3900");
            put("price = 499", "price = 699");
        }
        if self == Self::Renamed {
            put(r#"id = "premium""#, r#"id = "plus""#);
            put(r#"plan = "premium""#, r#"plan = "plus""#);
        }
        text
    }
}

/// What is for sale.
pub(super) struct Market {
    pub(super) era: Era,
    /// The prices of `premium` for a while and of the badge since they were raised.
    pub(super) raised: [String; 2],
    first: Catalog,
    folder: tempfile::TempDir,
}

impl Market {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for era in Era::ALL {
            let file = file(&folder, era);
            std::fs::create_dir(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(file, era.text()).expect("a file");
        }
        let catalog = Some(file(&folder, Era::First).display().to_string());
        let first = config("sqlite::memory:", &Settings { catalog, ..Settings::default() }).catalog;
        Self { era: Era::First, raised: Default::default(), first, folder }
    }

    /// The catalog whose prices Stripe has from the beginning.
    pub(super) fn catalog(&self) -> Catalog {
        self.first.clone()
    }

    /// Where the catalog of the era is.
    pub(super) fn file(&self) -> String {
        file(&self.folder, self.era).display().to_string()
    }

    /// What the era's prices sell, as `STRIPE_PRODUCT_PRICE_MAP`. What was mapped stays so.
    pub(super) fn price_map(&self) -> String {
        let mut map: Vec<(String, Vec<String>)> = sandbox_price_map(&self.first);
        if self.era == Era::First {
            map.retain(|(target, _)| target != "exclusive");
        }
        for (target, prices) in &mut map {
            match target.as_str() {
                "premium" => {
                    prices.push(self.raised[0].clone());
                    *target = self.era.name_of("premium").to_owned();
                }
                "badge" => prices.push(self.raised[1].clone()),
                _ => {}
            }
        }
        let map = map.into_iter().map(|(target, prices)| (target, prices.into()));
        serde_json::Value::Object(map.collect()).to_string()
    }

    pub(super) fn monthly(&self, plan: &str) -> String {
        sandbox_price_id(&self.first, plan, Interval::Month)
    }

    /// Today's price of `premium` for a while.
    pub(super) fn grant(&self) -> String {
        self.once("premium", &self.raised[0])
    }

    /// Today's price of the badge.
    pub(super) fn badge(&self) -> String {
        self.once("badge", &self.raised[1])
    }

    fn once(&self, what: &str, raised: &str) -> String {
        if self.era > Era::First {
            return raised.to_owned();
        }
        sandbox_price_id(&self.first, what, Interval::OneTime)
    }

    /// The rank that a monthly price gives under the era's catalog; `None`: it is not mapped.
    pub(super) fn rank_of(&self, price: &str) -> Option<u32> {
        let place = PLANS.iter().position(|plan| self.monthly(plan) == price)?;
        let unmapped = self.era == Era::First && PLANS[place] == "exclusive";
        (!unmapped).then(|| u32::try_from(place).expect("few") + 1)
    }
}

fn file(folder: &tempfile::TempDir, era: Era) -> PathBuf {
    folder.path().join(format!("{era:?}")).join("sietch.toml")
}
