//! Stripe's time. Owns: whole seconds and the arithmetic of billing periods. Must not know: what
//! time it is now.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use tollgate_domain::catalog::Interval;

/// One hour, in seconds.
pub(crate) const HOUR: i64 = 3_600;
/// One day, in seconds.
pub(crate) const DAY: i64 = 86_400;

/// An instant moved by a number of billing intervals (negative: back). Days that a month lacks
/// become its last day. A one-time price has no interval and does not move.
pub(crate) fn moved(seconds: i64, interval: Interval, count: i64) -> i64 {
    let span = match interval {
        Interval::Month => Span::new().try_months(count),
        Interval::Year => Span::new().try_years(count),
        Interval::OneTime => return seconds,
    };
    let instant = Timestamp::from_second(seconds).map(|instant| instant.to_zoned(TimeZone::UTC));
    let (Ok(instant), Ok(span)) = (instant, span) else { return seconds };
    instant.checked_add(span).map_or(seconds, |moved| moved.timestamp().as_second())
}

/// The interval of a price, as Stripe writes it, as a span of time.
fn span(interval: &str, count: i64) -> Option<Span> {
    match interval {
        "day" => Span::new().try_days(count).ok(),
        "week" => Span::new().try_weeks(count).ok(),
        "month" => Span::new().try_months(count).ok(),
        "year" => Span::new().try_years(count).ok(),
        _ => None,
    }
}

/// An instant moved by a number of intervals as Stripe writes them (`month`). Days that a month
/// lacks become its last day; an unknown interval does not move.
pub(crate) fn shifted(seconds: i64, interval: &str, count: i64) -> i64 {
    let instant = Timestamp::from_second(seconds).map(|instant| instant.to_zoned(TimeZone::UTC));
    let (Ok(instant), Some(span)) = (instant, span(interval, count)) else { return seconds };
    instant.checked_add(span).map_or(seconds, |moved| moved.timestamp().as_second())
}

/// The first end of a period of `count` intervals after `start`, where periods are counted from an
/// anchor, so that an anchor on the 31st comes back to the 31st after a shorter month.
pub(crate) fn period_end(anchor: i64, start: i64, interval: &str, count: i64) -> i64 {
    let longest = match interval {
        "day" => DAY,
        "week" => DAY.saturating_mul(7),
        "month" => DAY.saturating_mul(31),
        _ => DAY.saturating_mul(366),
    };
    let longest = longest.saturating_mul(count.max(1));
    let mut number = start.saturating_sub(anchor).div_euclid(longest);
    loop {
        let end = shifted(anchor, interval, number.saturating_mul(count));
        if end > start {
            return end;
        }
        let next = number.saturating_add(1);
        // At the end of representable time nothing moves any more.
        if next > 0 && shifted(anchor, interval, next.saturating_mul(count)) <= end {
            return start.saturating_add(longest);
        }
        number = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_clamp_to_their_last_day() {
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let january = second("2027-01-31T10:00:00Z");
        assert_eq!(moved(january, Interval::Month, 1), second("2027-02-28T10:00:00Z"));
        assert_eq!(moved(january, Interval::Month, -1), second("2026-12-31T10:00:00Z"));
        assert_eq!(moved(january, Interval::Year, 1), second("2028-01-31T10:00:00Z"));
        assert_eq!(moved(january, Interval::OneTime, 1), january);
    }

    #[test]
    fn periods_are_counted_from_their_anchor() {
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let anchor = second("2027-01-31T10:00:00Z");
        let february = period_end(anchor, anchor, "month", 1);
        assert_eq!(february, second("2027-02-28T10:00:00Z"));
        assert_eq!(period_end(anchor, february, "month", 1), second("2027-03-31T10:00:00Z"));
        assert_eq!(period_end(anchor, february - 1, "month", 1), february);
        assert_eq!(period_end(anchor, anchor, "year", 1), second("2028-01-31T10:00:00Z"));
        assert_eq!(period_end(anchor, anchor + 5, "week", 1), anchor + 7 * DAY);
        assert_eq!(period_end(anchor, anchor + 5, "day", 1), anchor + DAY);
        // An anchor that is still to come ends the period it lies in.
        assert_eq!(period_end(anchor, anchor - 5 * DAY, "month", 1), anchor);
        let quarter = period_end(anchor, february, "month", 3);
        assert_eq!(quarter, second("2027-04-30T10:00:00Z"));
        assert_eq!(shifted(anchor, "never", 1), anchor);
    }
}
