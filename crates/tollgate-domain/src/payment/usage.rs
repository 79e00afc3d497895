//! Uses that Stripe billed. Owns: which lines of an invoice bill uses of a feature. Must not know:
//! what was counted here; a quota follows from that and never from what was billed.

use super::Invoice;
use crate::catalog::{Catalog, PriceTarget};
use crate::ids::FeatureKey;
use crate::time::Timestamp;

/// Uses of a feature on one line of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BilledUsage<'a> {
    /// The feature.
    pub feature: &'a FeatureKey,
    /// How many.
    pub quantity: u64,
    /// First instant of the span they happened in.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
    /// Minor units in the invoice's currency, before discounts and taxes.
    pub amount_minor: i64,
}

impl Invoice {
    /// The uses it bills: one entry for each line whose price the catalog names for a metered
    /// feature, in the order of the lines. Several lines may bill one span, such as the tiers of a
    /// price, so they are never told apart by their span.
    pub fn billed_usage<'a>(
        &'a self,
        catalog: &'a Catalog,
    ) -> impl Iterator<Item = BilledUsage<'a>> {
        self.lines.iter().flat_map(|lines| &lines.all).filter_map(|line| {
            let Some(PriceTarget::Usage(index)) = catalog.price_target(line.price_ref()) else {
                return None;
            };
            Some(BilledUsage {
                feature: catalog.feature_key(index)?,
                quantity: line.quantity,
                start: line.start,
                end: line.end,
                amount_minor: line.amount_minor,
            })
        })
    }
}
