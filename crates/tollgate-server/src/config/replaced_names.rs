//! Variables of the systems Tollgate comes from that mean nothing here. Owns: their names and what to
//! use instead, told once at start. Must not know: settings; a name that is one is not in here.

use super::environment::Environment;
use super::fault::{Fault, Origin, Trouble};

/// Names (with `*` for any end) and what to do instead.
const NAMES: &[(&[&str], &str)] = &[
    (
        &["STRIPE_PRICE_IDS", "STRIPE_PRICE_ID_*", "STRIPE_PRO_PRICE_ID", "STRIPE_TRIAL_PRICE_ID"],
        "map prices to plans with STRIPE_PRODUCT_PRICE_MAP, such as basic=price_1,premium=price_2",
    ),
    (
        &["STRIPE_PUBLISHABLE_KEY", "NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY"],
        "leave it out: customers pay on Stripe's own pages, which need no key of yours",
    ),
    (&["ADMIN_API_KEYS"], "make a key with `tollgate keys create --name N --scopes admin`"),
    (
        &["UPSTASH_REDIS_REST_*", "BILLING_EVENTS_REDIS_URL"],
        "leave it out: answers are kept in memory and in the database",
    ),
    (&["API_PORT"], "set TOLLGATE__SERVER__LISTEN=ADDRESS:PORT, or give --listen"),
    (&["DATABASE_PATH"], "set DATABASE_URL=sqlite:PATH"),
    (
        &["BOOST_PRICE_PER_MONTH_CENTS", "BOOST_LEVEL*", "BOOST_BUNDLES", "BADGE_PRICE_CENTS"],
        "write it into a catalog of your own; `tollgate init` makes one to begin with",
    ),
    (&["DISCORD_ANNOUNCEMENTS_CHANNEL_ID"], "leave it out: this version does not speak to Discord"),
];

/// One warning for each kind of name that is set, with all of its names.
pub(super) fn warnings(environment: &Environment) -> Vec<Fault> {
    let warning = |(names, instead): &(&[&str], &str)| {
        let mut found: Vec<(&str, &Origin)> =
            names.iter().flat_map(|name| set(environment, name)).collect();
        found.sort_unstable_by_key(|(name, _)| *name);
        let (_, origin) = found.first()?;
        let all: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        let means = if all.len() == 1 { "means" } else { "mean" };
        let what = format!("{} {means} nothing to Tollgate", all.join(", "));
        Some(Fault::new((*origin).clone(), "", Trouble::new(what, *instead)))
    };
    NAMES.iter().filter_map(warning).collect()
}

fn set<'e>(environment: &'e Environment, name: &'e str) -> Vec<(&'e str, &'e Origin)> {
    let (prefix, any_end) = name.strip_suffix('*').map_or((name, false), |prefix| (prefix, true));
    environment
        .with_prefix(prefix)
        .filter(|(found, value, _)| (any_end || *found == name) && !value.trim().is_empty())
        .map(|(found, _, origin)| (found, origin))
        .collect()
}
