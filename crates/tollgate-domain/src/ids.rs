//! Identifiers. Owns: the newtypes and what text each may be. Must not know: where ids are kept.
//!
//! Application ids (`AccountId`, `MemberId`) are 1 to 128 printable ASCII characters without
//! space, quotes, backslash, `<` and `>`, so that `auth0|5f…`, `ann@example.com` and `org/7` are
//! ids; Stripe's own ids are `[A-Za-z0-9_.:-]{1,255}`. Both sets are free of white space, quotes
//! and NUL, so an id is safe in a log line and a PostgreSQL text column. In the path of a URL an
//! application id stands percent-encoded.
//!
//! The text of an id is shared: facts, changes and keys of maps repeat the same few ids.

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
    /// A character is outside the set allowed for ids that applications choose.
    #[error(
        "an id may hold printable ASCII without spaces, quotes, backslash, < and >, found {found:?}"
    )]
    ApplicationCharacter {
        /// The first character that is not allowed.
        found: char,
    },
    /// What a program writes that has no id.
    #[error("null and undefined are no ids: the code that wrote this had none")]
    Placeholder,
}

fn check_length(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong { len: text.len(), max });
    }
    Ok(())
}

fn check_stripe(text: &str) -> Result<(), IdError> {
    check_length(text, STRIPE_ID_BYTES_MAX)?;
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.:-".contains(*c))) {
        Some(found) => Err(IdError::Character { found }),
        None => Ok(()),
    }
}

fn check_application(text: &str) -> Result<(), IdError> {
    check_length(text, APPLICATION_ID_BYTES_MAX)?;
    if ["null", "undefined"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Err(IdError::Placeholder);
    }
    match text.chars().find(|c| !c.is_ascii_graphic() || "\"'`\\<>".contains(*c)) {
        Some(found) => Err(IdError::ApplicationCharacter { found }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text as an id after checking its length and characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $check(text)?;
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

id!(/** Who is entitled: a community, an organisation or a user; chosen by the application. */ AccountId, check_application);
id!(/** A person inside an account; chosen by the application. */ MemberId, check_application);
id!(/** A Stripe event, `evt_…`. */ EventId, check_stripe);
id!(/** A Stripe customer, `cus_…`. */ CustomerId, check_stripe);
id!(/** A Stripe subscription, `sub_…`. */ SubscriptionId, check_stripe);
id!(/** A Stripe invoice, `in_…`. */ InvoiceId, check_stripe);
id!(/** A Stripe checkout session, `cs_…`. */ SessionId, check_stripe);
id!(/** A Stripe price, `price_…`, or a legacy plan id. */ PriceId, check_stripe);
id!(/** A Stripe product, `prod_…` or an id its maker chose. */ ProductId, check_stripe);
id!(/** A Stripe refund, dispute or charge: `re_…`, `dp_…`, `ch_…`. */ AdjustmentId, check_stripe);
id!(/** Any Stripe object that can lead to its owner: customer, subscription, session, payment intent, charge. */ ObjectId, check_stripe);
id!(/** An operator fact (waiver, grant, override, boosts): `wv_…`, `gr_…`, `ov_…`, `bo_…`. */ FactId, check_stripe);

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
pub struct PlanId(Arc<str>);

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
        for (text, found) in
            [("a b", ' '), ("a\0", '\0'), ("a\"", '"'), ("a\\", '\\'), ("<a>", '<'), ("é", 'é')]
        {
            assert_eq!(AccountId::parse(text), Err(IdError::ApplicationCharacter { found }));
        }
        assert_eq!(EventId::parse("a|b"), Err(IdError::Character { found: '|' }));
        assert!(AccountId::parse(&"x".repeat(128)).is_ok());
        assert_eq!(
            AccountId::parse(&"x".repeat(129)),
            Err(IdError::TooLong { len: 129, max: 128 })
        );
    }

    #[test]
    fn accounts_are_named_as_applications_name_them() {
        for good in ["auth0|5f7c", "ann@example.com", "org/7", "a+b=c", "{7}", "~", "%20", "#1"] {
            assert!(AccountId::parse(good).is_ok(), "{good}");
            assert!(MemberId::parse(good).is_ok(), "{good}");
        }
        for word in ["null", "undefined", "NULL", "Undefined"] {
            assert_eq!(AccountId::parse(word), Err(IdError::Placeholder), "{word}");
        }
        assert!(AccountId::parse("nullius").is_ok());
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
