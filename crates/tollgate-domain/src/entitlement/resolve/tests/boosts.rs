//! Boosts: levels, grace and how long they are sustained.

use super::*;
use crate::entitlement::scenario::{read, text};

#[test]
fn boosts_make_levels_by_their_sum() {
    for (boosts, plan) in [
        (1, "starter by default"),
        (2, "basic by boost"),
        (6, "basic by boost"),
        (7, "premium by boost"),
        (13, "premium by boost"),
        (14, "exclusive by boost"),
        (29, "exclusive by boost"),
        (30, "elite by boost"),
        (3000, "elite by boost"),
    ] {
        check(&format!("sub a boost*{boosts} active @0d"), &format!("1d: {plan} always"));
    }
    check(
        "sub a boost*3 active @0d\nsub b boost*2 active @0d\nboosts c 2 @0d",
        "1d: premium by boost always",
    );
    for status in ["trialing", "canceled", "paused", "unpaid"] {
        check(&format!("sub a boost*7 {status} @0d"), "1d: starter by default always");
    }
    check("sub a basic,boost*7 active @0d", "1d: premium by boost always");
    stands("boosts b 1 @0d", "1d", &["default -: in_force", "boost -: too_few_boosts"]);
}

#[test]
fn boosts_keep_counting_through_the_grace_of_a_failed_payment() {
    let dunning = "
        sub a boost*7 active @0d
        sub a boost*7 past_due @30d1h
        invoice i a open fails=30d,33d
    ";
    // Until the grace ends a day after the first failure, and the level seven days longer.
    check(
        dunning,
        "
        30d2h: premium by boost until 38d
        37d23h59m59s999ms: premium by boost until 38d
        38d: starter by default always
    ",
    );
    check(&format!("{dunning}\nsub a boost*7 active @34d"), "45d: premium by boost always");
    // A plan of the same subscription brings its own grace.
    check(
        "sub a basic,boost*7 past_due @30d cancel_at=30d6h",
        "30d1h: premium by boost until 37d6h",
    );
    let (catalog, facts) = read(dunning);
    let windows = grace_windows(&facts, &catalog);
    assert_eq!(windows.iter().map(|one| text(one.ends_at)).collect::<Vec<_>>(), ["31d"]);
    let (catalog, facts) = read("sub a boost*7 trialing @0d trial=7d");
    assert!(grace_windows(&facts, &catalog).is_empty());
}

#[test]
fn a_boost_level_is_sustained_for_seven_days() {
    check(
        "sub a boost*7 active @0d\nsub a boost*7 canceled @10d",
        "
        9d: premium by boost until 17d
        16d23h59m59s999ms: premium by boost until 17d
        17d: starter by default always
    ",
    );
    check(
        "sub a boost*7 active @0d\nsub a boost*2 active @10d",
        "
        10d: premium by boost until 17d
        17d: basic by boost always
    ",
    );
    check(
        "sub a boost*7 active @0d\nsub a boost*2 active @10d\nsub a boost*7 active @16d",
        "16d: premium by boost always",
    );
    check("sub a boost*7 active @0d cancel_at=10d", "5d: premium by boost until 17d");
    check(
        "boosts b 7 @0d until=10d\nboosts c 2 @0d",
        "
        5d: premium by boost until 17d
        17d: basic by boost always
    ",
    );
    check(
        "boosts b 14 @0d revoked=3d\nsub a boost*7 active @0d",
        "
        4d: exclusive by boost until 10d
        10d: premium by boost always
    ",
    );
    // One leaves at the instant another comes: the level never fell.
    check(
        "sub a boost*7 active @0d\nsub a boost*7 canceled @10d\nsub b boost*7 active @10d",
        "11d: premium by boost always",
    );
    // News from before the end of an ended subscription that arrive late.
    check(
        "sub a boost*7 active @0d\nsub a boost*7 canceled @10d\nsub a boost*7 active @30d",
        "31d: starter by default always",
    );
}

#[test]
fn boosts_that_were_paid_count_where_the_news_of_the_status_was_lost() {
    let paid = "invoice i s paid @2h reason=subscription_create for=boost*7:0d..30d";
    check(&format!("sub s boost*7 incomplete @0d\n{paid}"), "3h: premium by boost until 37d");
    check(
        "sub s boost*7 unpaid @45d\ninvoice j s paid @50d for=boost*7:30d..60d",
        "51d: premium by boost until 67d",
    );
}
