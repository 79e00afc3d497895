//! Identifiers. Owns: the newtypes and what text each may be. Must not know: where ids are kept.
//!
//! Application ids (`AccountId`, `MemberId`) are `[A-Za-z0-9_.:-]{1,128}`; Stripe's own ids are
//! `[A-Za-z0-9_.:-]{1,255}`. Both sets are free of white space, quotes and NUL, so an id is safe
//! in a log line, a URL path and a PostgreSQL text column.

use std::fmt;
use std::sync::Arc;

use crate::codec::text_form;

/// Longest id an application may choose, in bytes.
pub const APPLICATION_ID_BYTES_MAX: usize = 128;
/// Longest id taken from Stripe, in bytes.
pub const STRIPE_ID_BYTES_MAX: usize = 255;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The text is longer than the named limit.
    #[error("an id must not be longer than {max} bytes, this one has {len}")]
    TooLong {
        /// Length found, in bytes.
        len: usize,
        /// Length allowed, in bytes.
        max: usize,
    },
    /// A character is outside the allowed set.
    #[error("an id may hold only letters, digits and _ . : -, found {found:?}")]
    Character {
        /// The first character that is not allowed.
        found: char,
    },
}

fn check(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong { len: text.len(), max });
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.:-".contains(*c))) {
        Some(found) => Err(IdError::Character { found }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes a text as an id after checking its length and characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text, $max)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        text_form!($name, $name::parse);
    };
}

id!(/** Who is entitled: a community, an organisation or a user; chosen by the application. */ AccountId, APPLICATION_ID_BYTES_MAX);
id!(/** A person inside an account; chosen by the application. */ MemberId, APPLICATION_ID_BYTES_MAX);
id!(/** A Stripe event, `evt_…`. */ EventId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe customer, `cus_…`. */ CustomerId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe subscription, `sub_…`. */ SubscriptionId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe invoice, `in_…`. */ InvoiceId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe checkout session, `cs_…`. */ SessionId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe price, `price_…`, or a legacy plan id. */ PriceId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe product, `prod_…` or an id its maker chose. */ ProductId, STRIPE_ID_BYTES_MAX);
id!(/** A Stripe refund, dispute or charge: `re_…`, `dp_…`, `ch_…`. */ AdjustmentId, STRIPE_ID_BYTES_MAX);
id!(/** Any Stripe object that can lead to its owner: customer, subscription, session, payment intent, charge. */ ObjectId, STRIPE_ID_BYTES_MAX);
id!(/** One of our own facts (waiver, grant, override, boost): `wv_…`, `gr_…`, `ov_…`, `bo_…`. */ FactId, APPLICATION_ID_BYTES_MAX);

/// A Stripe price as an object shows it, for asking what it sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceRef<'a> {
    /// The price, or the legacy plan id where there is no price.
    pub id: &'a PriceId,
    /// Its lookup key, where the object carries it and the price is of our own Stripe account.
    pub lookup_key: Option<&'a str>,
    /// The product it is a price of, where the object carries it and it is of our own account.
    pub product: Option<&'a ProductId>,
}

/// Something that is gated, `[a-z0-9]+(_[a-z0-9]+)*`, at most 64 bytes. Shared, because the
/// features of a plan are copied for every account with an override.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureKey(Arc<str>);

/// Why a text is no feature key or plan id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} must be 1 to 64 lower-case letters and digits in words joined by single underscores"
)]
pub struct KeyError {
    /// The offending text, cut to 80 characters.
    pub text: String,
}

fn check_key(text: &str) -> Result<(), KeyError> {
    let word =
        |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if text.len() <= 64 && text.split('_').all(word) {
        Ok(())
    } else {
        Err(KeyError { text: text.chars().take(80).collect() })
    }
}

impl FeatureKey {
    /// Takes a text as a feature key after checking it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        check_key(text)?;
        Ok(Self(text.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FeatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for FeatureKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

text_form!(FeatureKey, FeatureKey::parse);
text_form!(PlanId, PlanId::parse);

/// A plan of the catalog; same alphabet as a feature key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(Box<str>);

impl PlanId {
    /// Takes a text as a plan id after checking it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        check_key(text)?;
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for PlanId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_hurt_elsewhere() {
        assert!(AccountId::parse("acme").is_ok());
        assert_eq!(AccountId::parse(""), Err(IdError::Empty));
        assert_eq!(AccountId::parse("a b"), Err(IdError::Character { found: ' ' }));
        assert_eq!(AccountId::parse("a\0"), Err(IdError::Character { found: '\0' }));
        assert!(AccountId::parse(&"x".repeat(128)).is_ok());
        assert_eq!(
            AccountId::parse(&"x".repeat(129)),
            Err(IdError::TooLong { len: 129, max: 128 })
        );
    }

    #[test]
    fn keys_are_lower_case_words() {
        for good in ["a", "score_badge", "api2_access"] {
            assert!(FeatureKey::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "_a", "a_", "a__b", "Ab", "a-b", "a b"] {
            assert!(FeatureKey::parse(bad).is_err(), "{bad}");
        }
    }
}
