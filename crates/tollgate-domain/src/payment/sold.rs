//! What a checkout session sold. Owns: its lines as Stripe shows them, and the record of what each of
//! them gave once it was paid. Must not know: how a sale is confirmed, what takes it back.

use serde::{Deserialize, Serialize};

use crate::ids::{PlanId, PriceId, PriceRef, ProductId};
use crate::money::Money;

/// One line of a checkout session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PurchaseLine {
    /// Stripe's id, `li_…`; `#0`, `#1`, … by place in shapes whose lines have no id.
    pub id: Box<str>,
    /// The price, or the legacy plan id where there is no price.
    pub price: PriceId,
    /// The price's lookup key where the observation carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_key: Option<Box<str>>,
    /// The product the price is of, where the observation carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// How many. A quantity of 0 sells nothing.
    pub quantity: u64,
    /// What was asked for the line in all, after discounts and taxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
}

impl PurchaseLine {
    /// What the catalog is asked about its price.
    pub fn price_ref(&self) -> PriceRef<'_> {
        let (lookup_key, product) = (self.lookup_key.as_deref(), self.product.as_ref());
        PriceRef { id: &self.price, lookup_key, product }
    }

    /// Whether its id is only its place: newer shapes show the same line under Stripe's id.
    pub(super) fn is_numbered(&self) -> bool {
        self.id.starts_with('#')
    }
}

/// What a sale gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goods {
    /// A member's score badge.
    Badge,
    /// A plan for a span of time.
    Plan {
        /// The plan, by the id it had when it was sold.
        plan: PlanId,
        /// Its rank then: another plan stands for it once the catalog has none of that id.
        rank: u32,
        /// Days from the payment on.
        days: u32,
    },
}

/// What one line of a purchase gave: a fact from the decision on that found it paid and confirmed.
/// It begins with the payment, which an event that arrives late can still put earlier, so it keeps
/// its length and no end. A later catalog changes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sale {
    /// The line; `None` for the whole session where its amount confirmed what it claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Box<str>>,
    /// What it gives.
    pub goods: Goods,
    /// The price that confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceId>,
    /// The product of that price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductId>,
    /// How many units.
    pub quantity: u64,
    /// What was paid, as far as it is known for this line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Version of the catalog by which it was decided.
    pub catalog: Box<str>,
}

impl Sale {
    /// Whether it is the line that a sale of the whole session has become.
    pub(crate) fn is_part_of(&self, whole: &Self) -> bool {
        let same = self.goods == whole.goods && self.catalog == whole.catalog;
        whole.line.is_none() && self.line.is_some() && same
    }

    /// What the catalog is asked about the price that confirmed it.
    pub fn price_ref(&self) -> Option<PriceRef<'_>> {
        let id = self.price.as_ref()?;
        Some(PriceRef { id, lookup_key: None, product: self.product.as_ref() })
    }
}
