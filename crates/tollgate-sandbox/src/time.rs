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
}
