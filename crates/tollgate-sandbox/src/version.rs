//! API versions. Owns: which of Stripe's API versions the sandbox speaks and their order. Must not
//! know: any object; each object's own file says what a version changes in it.

use std::fmt;

/// A version of Stripe's API in which objects and events can be shown, oldest first. Each is the
/// first or the newest of a release train, so that every breaking change of shape lies between
/// two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ApiVersion {
    /// `2017-08-15`: plans instead of prices, invoices with `closed` and `date`.
    V2017,
    /// `2020-08-27`: prices, invoice statuses; charges carry their refunds.
    V2020,
    /// `2022-11-15`: refunds no longer inside charges.
    V2022,
    /// `2024-09-30.acacia`: the last train with a period on the subscription itself.
    Acacia,
    /// `2025-03-31.basil`: periods on items, `invoice.parent`, payments apart from invoices.
    Basil,
    /// `2025-09-30.clover`: discounts have a source, flexible billing by default.
    Clover,
    /// `2026-03-25.dahlia`: new names of checkout's user interfaces.
    Dahlia,
    /// `2026-10-28.endive`: the newest; says why a subscription is paused.
    #[default]
    Endive,
}

/// The text names no version the sandbox speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown API version {text:?}; known are {}", known())]
pub struct VersionError {
    /// The offending text, cut to 80 characters.
    pub text: String,
}

fn known() -> String {
    ApiVersion::ALL.map(ApiVersion::as_str).join(", ")
}

impl ApiVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 8] = [
        Self::V2017,
        Self::V2020,
        Self::V2022,
        Self::Acacia,
        Self::Basil,
        Self::Clover,
        Self::Dahlia,
        Self::Endive,
    ];

    /// The version as Stripe writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2017 => "2017-08-15",
            Self::V2020 => "2020-08-27",
            Self::V2022 => "2022-11-15",
            Self::Acacia => "2024-09-30.acacia",
            Self::Basil => "2025-03-31.basil",
            Self::Clover => "2025-09-30.clover",
            Self::Dahlia => "2026-03-25.dahlia",
            Self::Endive => "2026-10-28.endive",
        }
    }

    /// Reads a version as Stripe writes it, or only its date or its train (`2022-11-15`, `basil`).
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let named = |version: &Self| {
            let full = version.as_str();
            full == text || full.split('.').any(|part| part == text)
        };
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| VersionError { text: text.chars().take(80).collect() })
    }

    /// The newest known version that is not newer than a text such as `2026-05-27.dahlia`: within a
    /// train, months only add. `None` for what is no version or is older than all.
    pub fn not_after(text: &str) -> Option<Self> {
        let date = text.get(..10)?;
        let is_date = date.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        let rest = text.get(10..).unwrap_or_default();
        if !is_date || !(rest.is_empty() || rest.starts_with(['.', ';'])) {
            return None;
        }
        let older = |version: &Self| version.as_str().get(..10).is_some_and(|own| own <= date);
        Self::ALL.into_iter().rev().find(older)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_text_date_or_train_and_keep_their_order() {
        for version in ApiVersion::ALL {
            assert_eq!(ApiVersion::parse(version.as_str()), Ok(version));
        }
        assert_eq!(ApiVersion::parse("basil"), Ok(ApiVersion::Basil));
        assert_eq!(ApiVersion::parse("2026-10-28"), Ok(ApiVersion::Endive));
        assert!(ApiVersion::ALL.is_sorted());
        assert!(ApiVersion::ALL.map(ApiVersion::as_str).is_sorted());
        assert_eq!(ApiVersion::not_after("2026-05-27.dahlia"), Some(ApiVersion::Dahlia));
        assert_eq!(ApiVersion::not_after("2023-10-16"), Some(ApiVersion::V2022));
        assert_eq!(ApiVersion::not_after("2026-10-28.endive"), Some(ApiVersion::Endive));
        for bad in ["2016-01-01", "latest", "2026-1-1", "2026-10-28x", ""] {
            assert_eq!(ApiVersion::not_after(bad), None, "{bad}");
        }
        let refused = ApiVersion::parse("2021-01-01").unwrap_err().to_string();
        assert!(refused.contains("2017-08-15") && refused.contains("endive"), "{refused}");
    }
}
