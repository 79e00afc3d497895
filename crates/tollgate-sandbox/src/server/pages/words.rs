//! Words on the pages. Owns: amounts, dates, statuses and spans of time as people read them. Must
//! not know: pages.

/// Currencies without a minor unit.
const WITHOUT_MINOR: [&str; 16] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
];

/// An amount as it is read: `$35.00`, `€1,250.00`, `¥500`, `12.00 SEK`.
pub(super) fn money(amount_minor: i64, currency: &str) -> String {
    let currency = currency.to_ascii_lowercase();
    let sign = if amount_minor < 0 { "-" } else { "" };
    let amount = amount_minor.unsigned_abs();
    let number = if WITHOUT_MINOR.contains(&currency.as_str()) {
        grouped(amount)
    } else {
        format!("{}.{:02}", grouped(amount / 100), amount % 100)
    };
    match currency.as_str() {
        "usd" => format!("{sign}${number}"),
        "eur" => format!("{sign}€{number}"),
        "gbp" => format!("{sign}£{number}"),
        "jpy" => format!("{sign}¥{number}"),
        other => format!("{sign}{number} {}", other.to_ascii_uppercase()),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A day: `21 Nov 2026`.
pub(super) fn day(seconds: i64) -> String {
    formatted(seconds, "%-d %b %Y")
}

/// An instant: `21 Nov 2026, 14:05:09`, in UTC.
pub(super) fn instant(seconds: i64) -> String {
    formatted(seconds, "%-d %b %Y, %H:%M:%S")
}

fn formatted(seconds: i64, format: &str) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime(format).to_string())
        .unwrap_or_default()
}

/// A span of time: `2 days 3 hours`.
pub(super) fn span(seconds: i64) -> String {
    let plural = |count: i64, unit: &str| match count {
        0 => None,
        1 => Some(format!("1 {unit}")),
        count => Some(format!("{count} {unit}s")),
    };
    let parts = [
        plural(seconds / 86_400, "day"),
        plural(seconds % 86_400 / 3_600, "hour"),
        plural(seconds % 3_600 / 60, "minute"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().take(2).collect();
    if parts.is_empty() { format!("{seconds} seconds") } else { parts.join(" ") }
}

/// How often something is paid: `per month`, `every 3 months`; empty for once.
pub(super) fn rhythm(interval: Option<&str>, count: u32) -> String {
    match (interval, count) {
        (None, _) => String::new(),
        (Some(interval), 0 | 1) => format!("per {interval}"),
        (Some(interval), count) => format!("every {count} {interval}s"),
    }
}

/// A status as it is read: `past due`.
pub(super) fn status(status: &str) -> String {
    status.replace('_', " ")
}

/// The colour of a status.
pub(super) fn tone(status: &str) -> &'static str {
    match status {
        "active" | "trialing" | "paid" | "complete" | "enabled" | "delivered" => "good",
        "past_due" | "open" | "incomplete" | "unpaid" | "paused" | "waiting" | "processing" => {
            "warn"
        }
        "canceled" | "uncollectible" | "incomplete_expired" | "failed" => "bad",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        for (amount, currency, text) in [
            (3_500, "usd", "$35.00"),
            (123_456_789, "eur", "€1,234,567.89"),
            (500, "jpy", "¥500"),
            (-1_005, "GBP", "-£10.05"),
            (1_200, "sek", "12.00 SEK"),
            (0, "usd", "$0.00"),
            (99_900, "usd", "$999.00"),
        ] {
            assert_eq!(money(amount, currency), text);
        }
    }

    #[test]
    fn days_and_rhythms_are_words() {
        assert_eq!(day(1_795_268_471), "21 Nov 2026");
        assert_eq!(instant(1_795_268_471), "21 Nov 2026, 13:41:11");
        assert_eq!(span(93_600), "1 day 2 hours");
        assert_eq!(span(7_260), "2 hours 1 minute");
        assert_eq!(span(5), "5 seconds");
        assert_eq!(rhythm(Some("month"), 1), "per month");
        assert_eq!(rhythm(Some("month"), 3), "every 3 months");
        assert_eq!(rhythm(None, 1), "");
    }
}
