//! Instants and spans. Owns: the one representation of time, Unix milliseconds in UTC. Must not
//! know: what time it is now; every instant enters as an argument.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One second, in milliseconds.
pub const SECOND_MS: i64 = 1_000;
/// One hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// One day, in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// Latest instant we accept, 9999-12-30T22:00:00Z: the last whole second of which `jiff` makes a
/// text, so that every instant has an RFC 3339 text of its own.
const MILLIS_MAX: i64 = 253_402_207_200_000;
/// Earliest instant we accept, 0001-01-01T00:00:00Z.
const MILLIS_MIN: i64 = -62_135_596_800_000;

/// An instant in UTC with millisecond resolution, between the years 1 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(i64);

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    fn from(instant: Timestamp) -> Self {
        instant.0
    }
}

/// The text is no RFC 3339 instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no RFC 3339 time such as 2026-11-21T10:00:00Z, the last one being \
     9999-12-30T22:00:00Z"
)]
pub struct TimeError {
    /// The offending text, cut to 80 characters.
    pub text: String,
}

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Self = Self(MILLIS_MIN);
    /// The latest instant.
    pub const MAX: Self = Self(MILLIS_MAX);

    /// From Unix milliseconds; values outside the years 1 to 9999 are clamped.
    pub const fn from_millis(millis: i64) -> Self {
        if millis > MILLIS_MAX {
            Self::MAX
        } else if millis < MILLIS_MIN {
            Self::MIN
        } else {
            Self(millis)
        }
    }

    /// From Unix seconds, the form Stripe uses; clamped like [`Self::from_millis`].
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(SECOND_MS))
    }

    /// Unix milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole Unix seconds, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(SECOND_MS)
    }

    /// This instant moved by a number of milliseconds (negative: back), clamped.
    pub const fn plus_ms(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This instant moved by whole hours, clamped.
    pub const fn plus_hours(self, hours: i64) -> Self {
        self.plus_ms(hours.saturating_mul(HOUR_MS))
    }

    /// This instant moved by whole days of 24 hours, clamped.
    pub const fn plus_days(self, days: i64) -> Self {
        self.plus_ms(days.saturating_mul(DAY_MS))
    }

    /// First instant of this instant's calendar month, UTC.
    pub fn month_start(self) -> Self {
        let day = self.civil();
        Self::from_civil(day.year(), day.month())
    }

    /// First instant of the next calendar month, UTC.
    pub fn next_month_start(self) -> Self {
        let day = self.civil();
        if day.month() == 12 {
            Self::from_civil(day.year().saturating_add(1), 1)
        } else {
            Self::from_civil(day.year(), day.month().saturating_add(1))
        }
    }

    /// Day of the month, 1 to 31, UTC.
    pub fn day_of_month(self) -> i8 {
        self.civil().day()
    }

    /// Months since the year 0, UTC: the difference of two is the number of months between theirs.
    pub fn month_number(self) -> i32 {
        let day = self.civil();
        i32::from(day.year()) * 12 + i32::from(day.month()) - 1
    }

    /// The same time of day `months` months later (negative: earlier), on day `day` of that month
    /// or on its last day where it is shorter. So an anchor on the 31st is told by its day, not by
    /// the step before, and comes back after a short month.
    pub fn in_months(self, months: i32, day: i8) -> Self {
        let month = self.month_number().saturating_add(months);
        let year = i16::try_from(month.div_euclid(12)).unwrap_or(i16::MAX);
        let first = i8::try_from(month.rem_euclid(12) + 1)
            .map(|month| jiff::civil::Date::new(year, month, 1));
        let Ok(Ok(first)) = first else {
            return if months < 0 { Self::MIN } else { Self::MAX };
        };
        let day = day.clamp(1, first.days_in_month());
        let passed = self.0.rem_euclid(DAY_MS);
        Self::from_civil(first.year(), first.month()).plus_days(i64::from(day) - 1).plus_ms(passed)
    }

    fn civil(self) -> jiff::civil::Date {
        self.jiff().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    fn from_civil(year: i16, month: i8) -> Self {
        jiff::civil::Date::new(year, month, 1)
            .and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC))
            .map_or(Self::MAX, |zoned| Self::from_millis(zoned.timestamp().as_millisecond()))
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Reads an RFC 3339 text.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self::from_millis(instant.as_millisecond()))
            .map_err(|_| TimeError { text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with milliseconds only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.jiff())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_there_and_back() {
        let instant = Timestamp::parse("2026-11-21T10:00:00.250Z").unwrap();
        assert_eq!(instant.to_string(), "2026-11-21T10:00:00.25Z");
        assert_eq!(
            Timestamp::parse("2026-11-21T12:00:00+02:00").unwrap().to_string(),
            "2026-11-21T10:00:00Z"
        );
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn an_anchor_day_clamps_to_short_months_and_comes_back() {
        let t = |text: &str| Timestamp::parse(text).unwrap();
        let anchor = t("2026-01-31T10:30:00.5Z");
        let steps = [
            (-2, "2025-11-30T10:30:00.5Z"),
            (0, "2026-01-31T10:30:00.5Z"),
            (1, "2026-02-28T10:30:00.5Z"),
            (2, "2026-03-31T10:30:00.5Z"),
            (25, "2028-02-29T10:30:00.5Z"),
        ];
        for (months, expected) in steps {
            assert_eq!(anchor.in_months(months, 31), t(expected));
        }
        assert_eq!(t("2026-02-28T00:00:00Z").in_months(1, 30), t("2026-03-30T00:00:00Z"));
        assert_eq!(t("2026-12-05T00:00:00Z").in_months(1, 5), t("2027-01-05T00:00:00Z"));
        assert_eq!(Timestamp::MAX.in_months(1, 31), Timestamp::MAX);
        assert_eq!(anchor.in_months(i32::MAX, 31), Timestamp::MAX);
        assert_eq!(anchor.in_months(i32::MIN, 31), Timestamp::MIN);
    }

    #[test]
    fn months_roll_at_their_instant_and_extremes_clamp() {
        let t = |text: &str| Timestamp::parse(text).unwrap();
        assert_eq!(t("2026-12-31T23:59:59.999Z").month_start(), t("2026-12-01T00:00:00Z"));
        assert_eq!(t("2026-12-31T23:59:59.999Z").next_month_start(), t("2027-01-01T00:00:00Z"));
        assert_eq!(t("2024-02-29T00:00:00Z").next_month_start(), t("2024-03-01T00:00:00Z"));
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus_days(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Timestamp::MAX.next_month_start(), Timestamp::MAX);
    }
}
