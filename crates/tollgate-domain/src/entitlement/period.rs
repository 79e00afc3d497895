//! The period a metered feature is counted in. Owns: where a period begins and ends. Must not
//! know: counts.
//!
//! A billing period that is over without news of the next one goes on by the calendar, from the
//! subscription's own day: an anchor on the 29th to the 31st falls on the last day of a shorter
//! month and comes back after it, as Stripe counts. So the next period that Stripe reports begins
//! where the one that went on ended, and a late event hands out no second quota.

use crate::catalog::MeterPeriod;
use crate::time::Timestamp;

use super::{Billing, MeterSpan, Resolution};

impl Resolution {
    /// The period that `at` lies in. `at` is the instant of the use, which may be later than the
    /// instant that was resolved.
    pub fn meter_span(&self, period: MeterPeriod, at: Timestamp) -> MeterSpan {
        match (period, self.billing_period) {
            (MeterPeriod::BillingPeriod, Some(Billing { start, end })) => {
                Steps::of(start, end).span(at)
            }
            (MeterPeriod::BillingPeriod | MeterPeriod::CalendarMonth, _) => {
                let (start, end) = (at.month_start(), at.next_month_start());
                MeterSpan { start, end, reach: start.plus_ms(-1).month_start(), is_billed: false }
            }
        }
    }
}

/// Boundaries of periods, each told from the first one and not from the one before.
#[derive(Debug, Clone, Copy)]
struct Steps {
    start: Timestamp,
    every: Every,
}

#[derive(Debug, Clone, Copy)]
enum Every {
    /// So many months, on this day or the last one of a shorter month.
    Months { count: i32, day: i8 },
    /// So many milliseconds: weeks, days, and what is no calendar step.
    Span(i64),
}

impl Steps {
    /// The steps of which one goes from `start` to the later `end`.
    fn of(start: Timestamp, end: Timestamp) -> Self {
        let count = end.month_number().saturating_sub(start.month_number());
        // Of two neighbours at most one can have been cut short by its month.
        let day = start.day_of_month().max(end.day_of_month());
        let by_months = start.in_months(count, day) == end && start.in_months(0, day) == start;
        let every = if count > 0 && by_months {
            Every::Months { count, day }
        } else {
            Every::Span(end.millis().saturating_sub(start.millis()).max(1))
        };
        Self { start, every }
    }

    fn boundary(&self, nth: i64) -> Timestamp {
        match self.every {
            Every::Months { count, day } => {
                let months = nth.saturating_mul(i64::from(count));
                let last = if months < 0 { i32::MIN } else { i32::MAX };
                self.start.in_months(i32::try_from(months).unwrap_or(last), day)
            }
            Every::Span(length) => self.start.plus_ms(nth.saturating_mul(length)),
        }
    }

    /// The step that `at` lies in.
    fn span(&self, at: Timestamp) -> MeterSpan {
        let mut nth = match self.every {
            Every::Months { count, .. } => {
                let months = at.month_number().saturating_sub(self.start.month_number());
                i64::from(months.div_euclid(count))
            }
            Every::Span(length) => {
                at.millis().saturating_sub(self.start.millis()).div_euclid(length)
            }
        };
        // By its month alone `at` may lie just before the boundary.
        if at < self.boundary(nth) {
            nth = nth.saturating_sub(1);
        }
        MeterSpan {
            start: self.boundary(nth),
            end: self.boundary(nth.saturating_add(1)),
            reach: self.boundary(nth.saturating_sub(1)),
            is_billed: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::time::DAY_MS;

    use super::super::resolve::resolve;
    use super::super::scenario::{read, text, time};
    use super::*;

    fn span(scenario: &str, period: MeterPeriod, at: &str) -> String {
        let (catalog, facts) = read(scenario);
        let span = resolve(&facts, &catalog, time("0d")).meter_span(period, time(at));
        format!("{}..{}", text(span.start), text(span.end))
    }

    #[test]
    fn periods_roll_at_their_instant() {
        let month = |at| span("", MeterPeriod::CalendarMonth, at);
        assert_eq!(month("30d23h59m59s999ms"), "0d..31d");
        assert_eq!(month("31d"), "31d..59d");
        let paid = "sub s premium active @0d period=5d..36d";
        let billing = |at| span(paid, MeterPeriod::BillingPeriod, at);
        assert_eq!(billing("35d23h59m59s999ms"), "5d..36d");
        // On the sixth of each month of 2026, which begins on day 0.
        assert_eq!(billing("36d"), "36d..64d");
        assert_eq!(billing("100d"), "95d..125d");
        assert_eq!(billing("4d"), "-26d..5d");
        assert_eq!(span("", MeterPeriod::BillingPeriod, "4d"), "0d..31d");
        let weekly = "sub s premium active @0d period=5d..12d";
        assert_eq!(span(weekly, MeterPeriod::BillingPeriod, "40d"), "40d..47d");
    }

    /// The periods that follow one, as dates.
    fn following(start: &str, end: &str, count: usize) -> Vec<String> {
        let instant = |day: &str| Timestamp::parse(&format!("{day}T10:00:00Z")).unwrap();
        let steps = Steps::of(instant(start), instant(end));
        let mut at = instant(start);
        let mut days = Vec::new();
        for _ in 0..count {
            at = steps.span(at).end;
            days.push(at.to_string().replace("T10:00:00Z", ""));
        }
        days
    }

    #[test]
    fn periods_that_get_no_news_step_by_the_calendar_from_the_anchor() {
        for (start, end, expected) in [
            ("2026-02-15", "2026-03-15", ["2026-03-15", "2026-04-15", "2026-05-15", "2026-06-15"]),
            ("2026-01-31", "2026-02-28", ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
            ("2026-02-28", "2026-03-31", ["2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30"]),
            ("2026-02-28", "2026-03-28", ["2026-03-28", "2026-04-28", "2026-05-28", "2026-06-28"]),
            ("2026-01-29", "2026-02-28", ["2026-02-28", "2026-03-29", "2026-04-29", "2026-05-29"]),
            ("2028-01-30", "2028-02-29", ["2028-02-29", "2028-03-30", "2028-04-30", "2028-05-30"]),
            ("2024-02-29", "2025-02-28", ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
            ("2026-11-30", "2027-02-28", ["2027-02-28", "2027-05-30", "2027-08-30", "2027-11-30"]),
            ("2026-01-05", "2026-01-12", ["2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02"]),
        ] {
            assert_eq!(following(start, end, 4), expected, "after {start} to {end}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_one_period_and_periods_touch(
            start in 0..1_200_i64, months in 1..13_i32, at in -900..2_400_i64, hour in 0..24_i64,
        ) {
            let start = time("0d").plus_days(start).plus_hours(7);
            let end = start.in_months(months, start.day_of_month());
            let steps = Steps::of(start, end);
            let at = time("0d").plus_days(at).plus_hours(hour);
            let MeterSpan { start: from, end: to, reach, .. } = steps.span(at);
            prop_assert!(from <= at && at < to, "{} to {} for {}", from, to, at);
            prop_assert_eq!(steps.span(to).start, to);
            prop_assert_eq!(steps.span(from), steps.span(at));
            prop_assert_eq!(steps.span(from.plus_ms(-1)).start, reach);
            prop_assert_eq!((steps.span(start).start, steps.span(start).end), (start, end));
            prop_assert!(to.millis() - from.millis() >= i64::from(months) * 28 * DAY_MS);
        }
    }
}
