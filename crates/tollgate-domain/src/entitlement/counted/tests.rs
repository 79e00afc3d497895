//! Counts through changes of the period. Each case is a list of facts and uses in the order they
//! come in: `use 3d 10 = 10` asks for ten uses on day 3 and says how many count afterwards; more
//! than the quota of ten are refused.

use std::collections::BTreeMap;

use super::super::resolve::resolve;
use super::super::scenario::{read, time};
use super::*;
use crate::catalog::MeterPeriod;

const QUOTA: u64 = 10;

/// Runs a case; what each use left as the count.
fn run(case: &str) -> Vec<(String, u64)> {
    let (mut known, mut told) = ("catalog saas".to_owned(), Vec::new());
    let mut counters: BTreeMap<Timestamp, Counter> = BTreeMap::new();
    for line in case.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["use", at, wanted, "=", _] = words.as_slice() else {
            known.push('\n');
            known.push_str(line);
            continue;
        };
        let (at, wanted): (_, u64) = (time(at), wanted.parse().unwrap());
        let (catalog, facts) = read(&known);
        let span =
            |at| resolve(&facts.as_of(at), &catalog, at).meter_span(MeterPeriod::BillingPeriod, at);
        let now = span(at);
        let all: Vec<Counter> = counters.values().copied().collect();
        let mut counted = CountedSince::start_of(now);
        while let Some(before) = counted.undecided(&all) {
            counted = counted.go_back(span(before));
        }
        let mut used = counted.used(&all, at);
        if used + wanted <= QUOTA {
            used += wanted;
            let counter = counters.entry(now.start).or_insert(Counter {
                period_start: now.start,
                period_end: now.end,
                quantity: 0,
                last_used_at: at,
            });
            counter.quantity += wanted;
            (counter.period_end, counter.last_used_at) = (now.end, at);
        }
        told.push((line.to_owned(), used));
    }
    told
}

const CASES: [(&str, &str); 12] = [
    (
        "a renewal that is told in time begins at 0, exactly at its start",
        "sub a pro active @0d period=0d..31d
         use 1d 10 = 10
         use 30d23h59m59s999ms 1 = 10
         sub a pro active @31d period=31d..59d
         use 31d 4 = 4
         use 58d 6 = 10
         use 59d 1 = 1",
    ),
    (
        "a renewal that is told late changes nothing",
        "sub a pro active @0d period=0d..31d
         use 1d 10 = 10
         use 31d 7 = 7
         sub a pro active @31d period=31d..59d
         use 32d 3 = 10
         use 33d 1 = 10
         use 59d 10 = 10",
    ),
    (
        "a trial that ends by itself is followed by a whole quota",
        "sub a pro trialing @0d period=0d..7d trial=7d
         use 1d 10 = 10
         sub a pro active @7d period=7d..38d
         use 7d 10 = 10
         use 37d 1 = 10
         use 38d 1 = 1",
    ),
    (
        "a trial that is paid early goes on with its count",
        "sub a pro trialing @0d period=0d..7d trial=7d
         use 1d 10 = 10
         sub a pro active @1d1h period=1d1h..32d1h
         use 1d1h 1 = 10
         use 32d 1 = 10
         use 32d1h 10 = 10
         use 33d 1 = 10",
    ),
    (
        "a subscription that is ended and bought again goes on with the count, also as a trial",
        "sub a pro trialing @0d period=0d..7d trial=7d
         use 1h 10 = 10
         sub a pro canceled @2h period=0d..7d trial=7d
         sub b pro trialing @1d period=1d..8d trial=8d
         use 1d 1 = 10
         sub b pro active @1d1h period=1d1h..32d1h
         use 1d1h 1 = 10
         use 10d 1 = 10
         use 32d1h 10 = 10",
    ),
    (
        "a count goes on through a change without uses between",
        "sub a pro trialing @0d period=0d..7d trial=7d
         use 1d 10 = 10
         sub a pro active @6d period=6d..37d
         sub a pro active @10d period=10d..41d
         use 11d 1 = 10
         use 41d 1 = 1",
    ),
    (
        "of two subscriptions beside each other neither gives a second quota",
        "sub a starter active @0d period=0d..31d
         use 1d 10 = 10
         sub b pro active @2d period=2d..33d
         use 3d 1 = 10
         sub b pro canceled @4d period=2d..33d
         use 5d 1 = 10
         use 31d 10 = 10
         sub b2 pro active @32d period=32d..63d
         use 32d 1 = 10",
    ),
    (
        "an upgrade that begins the billing cycle anew keeps the count until that cycle ends",
        "sub a starter active @0d period=0d..31d
         use 1d 6 = 6
         sub a pro active @10d period=10d..41d
         use 10d 4 = 10
         use 31d 1 = 10
         use 41d 10 = 10",
    ),
    (
        "what is bought after the end of the former period has its whole quota",
        "sub a pro active @5d period=5d..36d
         use 33d 10 = 10
         sub a pro canceled @36d period=5d..36d
         sub b pro active @40d period=40d..71d
         use 40d 10 = 10
         use 41d 1 = 10",
    ),
    (
        "a subscription ended early and followed by the default plan goes on when it is bought again",
        "sub a pro active @5d period=5d..36d
         use 20d 10 = 10
         sub a pro canceled @25d period=5d..36d
         sub b pro active @35d period=35d..66d
         use 35d 1 = 10
         use 65d 1 = 10
         use 66d 1 = 1",
    ),
    (
        "what is used on the default plan counts in the period bought after it",
        "use 2d 4 = 4
         sub a pro active @5d period=5d..36d
         use 5d 6 = 10
         use 31d 1 = 10
         sub a pro canceled @35d period=5d..36d
         use 35d 3 = 3
         use 59d 10 = 10",
    ),
    (
        "a year that was replaced by months counts in the first of them alone",
        "sub a pro active @0d period=0d..365d
         use 30d 10 = 10
         sub a pro active @40d period=40d..71d
         use 41d 1 = 10
         use 71d 10 = 10",
    ),
];

#[test]
fn no_change_of_the_period_hands_out_a_second_quota_and_each_new_period_a_whole_one() {
    for (name, case) in CASES {
        for (line, used) in run(case) {
            let (_, expected) = line.rsplit_once('=').unwrap();
            assert_eq!(used.to_string(), expected.trim(), "{name}: {line}");
        }
    }
}

#[test]
fn the_order_in_which_news_come_in_does_not_matter_for_what_counts_afterwards() {
    let early = "sub a pro trialing @0d period=0d..7d trial=7d
                 sub a pro active @1h period=1h..31d1h
                 use 30m 4 = 4
                 use 2h 3 = 7
                 use 3h 1 = 8";
    let late = "sub a pro trialing @0d period=0d..7d trial=7d
                use 30m 4 = 4
                use 2h 3 = 7
                sub a pro active @1h period=1h..31d1h
                use 3h 1 = 8";
    for case in [early, late] {
        assert_eq!(run(case).last().map(|(_, used)| *used), Some(8), "{case}");
    }
}
