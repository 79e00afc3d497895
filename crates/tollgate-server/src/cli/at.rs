//! Times on the command line. Owns: RFC 3339 and relative times as arguments. Must not know: what the
//! time is for.

use tollgate_domain::Timestamp;
use tollgate_domain::time::{DAY_MS, HOUR_MS, SECOND_MS};

use super::Usage;

const OUT_OF_BOUNDS: &str = "a time must lie between the beginning of the year 1 and 9999-12-30";

/// An instant as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// An instant of its own.
    Instant(Timestamp),
    /// Milliseconds from now.
    FromNow(i64),
}

impl At {
    /// The instant meant. Error: one that no [`Timestamp`] has.
    pub(super) fn instant(self, now: Timestamp) -> Result<Timestamp, Usage> {
        match self {
            Self::Instant(instant) => Ok(instant),
            Self::FromNow(millis) => {
                let instant = now.plus_ms(millis);
                let exact = instant.millis().checked_sub(now.millis()) == Some(millis);
                if exact { Ok(instant) } else { Err(Usage(OUT_OF_BOUNDS.to_owned())) }
            }
        }
    }
}

/// Reads `2026-11-21T10:00:00Z`, `now`, `+26h`, `-1d12h`. Units: `ms s m h d w`.
pub(super) fn parse(text: &str) -> Result<At, String> {
    let relative = match text {
        "now" => Some((1, "")),
        _ => text
            .strip_prefix('+')
            .map(|rest| (1, rest))
            .or_else(|| text.strip_prefix('-').map(|rest| (-1, rest))),
    };
    let Some((sign, rest)) = relative else {
        return Timestamp::parse(text)
            .map(At::Instant)
            .map_err(|_| format!("{text:?} is neither a time such as 2026-11-21T10:00:00Z nor one from now such as +26h or -2d; {OUT_OF_BOUNDS}"));
    };
    if rest.is_empty() && text != "now" {
        return Err("a number and a unit are missing after the sign, as in +26h".to_owned());
    }
    Ok(At::FromNow(span(rest)?.saturating_mul(sign)))
}

/// Reads a span from now on, with or without its sign, in milliseconds.
pub(super) fn span_ahead(text: &str) -> Result<i64, String> {
    match text.strip_prefix('+').unwrap_or(text) {
        "" => Err("a number and a unit are missing, as in 26h".to_owned()),
        rest => span(rest),
    }
}

/// Reads a span such as `26h` or `1d12h`, in milliseconds.
pub(super) fn span(text: &str) -> Result<i64, String> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: i64 = number
            .parse()
            .map_err(|_| format!("a number was expected before {unit:?} in {text:?}"))?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => SECOND_MS,
            "m" | "min" => 60 * SECOND_MS,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            "" => return Err(format!("the unit is missing in {text:?}: ms, s, m, h, d or w")),
            other => return Err(format!("{other:?} is no unit of time: ms, s, m, h, d or w")),
        };
        total = total.saturating_add(number.saturating_mul(unit_ms));
        rest = tail;
    }
    Ok(total)
}

/// A span as people say it: its two greatest units, such as `1 day 2 hours`.
pub(super) fn spoken(millis: i64) -> String {
    const UNITS: [(i64, &str); 4] =
        [(DAY_MS, "day"), (HOUR_MS, "hour"), (60_000, "minute"), (SECOND_MS, "second")];
    let mut left = millis.saturating_abs();
    let mut parts = Vec::new();
    for (unit_ms, name) in UNITS {
        let count = left / unit_ms;
        if count > 0 && parts.len() < 2 {
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{count} {name}{plural}"));
            left %= unit_ms;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "less than a second".to_owned() } else { parts.join(" ") }
}

/// How an instant lies to now: `in 2 hours`, `3 days ago`, `now`.
pub(super) fn relative(instant: Timestamp, now: Timestamp) -> String {
    let distance = instant.millis().saturating_sub(now.millis());
    match distance {
        0 => "now".to_owned(),
        ahead if ahead > 0 => format!("in {}", spoken(ahead)),
        behind => format!("{} ago", spoken(behind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        for (text, instant) in [
            ("now", "2026-11-21T10:00:00Z"),
            ("+26h", "2026-11-22T12:00:00Z"),
            ("-1d12h", "2026-11-19T22:00:00Z"),
            ("+90m", "2026-11-21T11:30:00Z"),
            ("+1w", "2026-11-28T10:00:00Z"),
            ("+1ms", "2026-11-21T10:00:00.001Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z"),
        ] {
            assert_eq!(parse(text).unwrap().instant(now).unwrap().to_string(), instant, "{text}");
        }
        for text in ["", "+", "-", "26h", "+h", "+26", "+26x", "+2.5h", "tomorrow", "2026-12-24"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["+99999999999999w", "-99999999999999w", "+9999999d", "-9999999d"] {
            assert!(parse(text).unwrap().instant(now).is_err(), "{text}");
        }
        for (text, is_in) in [("9999-12-31T00:00:00Z", false), ("9999-12-30T00:00:00Z", true)] {
            assert_eq!(parse(text).is_ok(), is_in, "{text}");
        }
    }

    #[test]
    fn a_span_ahead_may_have_a_plus() {
        assert_eq!((span_ahead("26h"), span_ahead("+26h")), (Ok(26 * HOUR_MS), Ok(26 * HOUR_MS)));
        for text in ["-26h", "++26h", "+", ""] {
            assert!(span_ahead(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_said_in_their_two_greatest_units() {
        for (millis, text) in [
            (0, "less than a second"),
            (999, "less than a second"),
            (1_215, "1 second"),
            (61_000, "1 minute 1 second"),
            (26 * HOUR_MS, "1 day 2 hours"),
            (2 * DAY_MS + 60_000, "2 days"),
            (-HOUR_MS, "1 hour"),
        ] {
            assert_eq!(spoken(millis), text);
        }
        assert_eq!(
            relative(Timestamp::from_millis(5_000), Timestamp::from_millis(0)),
            "in 5 seconds"
        );
        assert_eq!(
            relative(Timestamp::from_millis(0), Timestamp::from_millis(5_000)),
            "5 seconds ago"
        );
    }
}
