//! Money. Owns: amounts in minor units with their currency. Must not know: exchange rates, prices.

use serde::{Deserialize, Serialize};

use crate::codec::text_form;

/// A three-letter ISO 4217 code in lower case, as Stripe writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code in either case; `None` when it is not three ASCII letters.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Self(bytes.map(|b| b.to_ascii_lowercase())))
    }

    /// The code in lower case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("xxx")
    }
}

text_form!(Currency, |text| Currency::parse(text).ok_or("not a currency code of three letters"));

/// An amount of money. Amounts of different currencies are never compared by number alone; the order
/// is for sorting only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units (cents; whole units for zero-decimal currencies).
    pub amount_minor: i64,
    /// The currency the amount is in.
    pub currency: Currency,
}
