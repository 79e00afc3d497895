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

/// Latest instant we accept, 9999-12-31T00:00:00Z, so that every instant has an RFC 3339 text.
const MILLIS_MAX: i64 = 253_402_214_400_000;
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
#[error("{text:?} is no RFC 3339 time such as 2026-11-21T10:00:00Z")]
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
    fn months_roll_at_their_instant_and_extremes_clamp() {
        let t = |text: &str| Timestamp::parse(text).unwrap();
        assert_eq!(t("2026-12-31T23:59:59.999Z").month_start(), t("2026-12-01T00:00:00Z"));
        assert_eq!(t("2026-12-31T23:59:59.999Z").next_month_start(), t("2027-01-01T00:00:00Z"));
        assert_eq!(t("2024-02-29T00:00:00Z").next_month_start(), t("2024-03-01T00:00:00Z"));
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus_days(1), Timestamp::MAX);
        assert!(
            !Timestamp::MIN.to_string().is_empty()
                && !Timestamp::MAX.next_month_start().to_string().is_empty()
        );
    }
}
