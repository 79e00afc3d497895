//! Whom to tell of a weakness. Owns: what may stand in `server.security_contact` (RFC 9116, 2.5.3). Must not
//! know: how it is served.

use super::fault::Trouble;
use super::value::Value;

/// Whom to tell of a weakness of this deployment; what `security.txt` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityContact {
    /// `mailto:`, `https:` or `tel:`, the preferred one first. Never empty.
    pub contacts: Vec<String>,
    /// Where to read what is done with a report.
    pub policy: Option<String>,
}

/// Checks every address of a list.
pub(super) fn parse(texts: Vec<String>) -> Result<Value, Trouble> {
    for text in &texts {
        if !is_contact(text) {
            return Err(Trouble::new(
                format!("{text:?} is no address to report a weakness to"),
                "write it like mailto:security@example.com, https://example.com/report or \
                 tel:+1-201-555-0123; a comma inside of one is %2C",
            ));
        }
    }
    Ok(Value::List(texts))
}

/// Whether a text is an address somebody can be told at, on one line.
pub(super) fn is_contact(text: &str) -> bool {
    // A line of the file each: nothing may end the line, or be taken apart differently by its readers.
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    let kind = text.split_once(':').filter(|_| plain);
    match kind {
        Some(("mailto", rest)) => {
            let address = rest.split('?').next().unwrap_or_default();
            let parts = address.split_once('@');
            parts.is_some_and(|(who, host)| !who.is_empty() && is_host(host))
        }
        Some(("https", rest)) => {
            let host = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#']).next());
            host.is_some_and(|host| is_host(host.split(':').next().unwrap_or_default()))
        }
        Some(("tel", rest)) => {
            let number = rest.split(';').next().unwrap_or_default();
            let digits = number.strip_prefix('+').unwrap_or(number);
            digits.bytes().any(|byte| byte.is_ascii_digit())
                && digits.bytes().all(|byte| byte.is_ascii_digit() || b"-.()".contains(&byte))
        }
        _ => false,
    }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_three_kinds_are_taken() {
        for good in [
            "mailto:security@example.com",
            "mailto:security%2Bengine@example.com?subject=Tollgate",
            "https://example.com/.well-known/report",
            "https://example.com:8443",
            "tel:+1-201-555-0123",
        ] {
            assert!(is_contact(good), "{good}");
        }
    }

    #[test]
    fn whatever_is_no_address_or_would_end_its_line_is_refused() {
        for bad in [
            "",
            "security@example.com",
            "http://example.com",
            "https://",
            "https:///report",
            "https:example.com",
            "mailto:",
            "mailto:@example.com",
            "mailto:security",
            "mailto:a@example.com\nExpires: never",
            "mailto:a b@example.com",
            "tel:",
            "tel:+",
            "tel:call me",
            "javascript:alert(1)",
            "https://exämple.com",
            "https://example.com/<a>",
        ] {
            assert!(!is_contact(bad), "{bad}");
        }
    }
}
