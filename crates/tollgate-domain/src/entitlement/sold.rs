//! What items sell. Owns: the plan, its units and the boosts that some items add up to. Must not
//! know: whether they give access.

use crate::catalog::{Catalog, Plan, PlanIndex, PriceTarget};
use crate::subscription::{Subscription, SubscriptionItem};

/// What a subscription's items sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sold {
    /// The highest plan among the items.
    pub(super) plan: Option<PlanIndex>,
    /// Units of that plan: the quantities of all items that sell it.
    pub(super) units: u64,
    /// Boosts in all.
    pub(super) boosts: u64,
    /// Every item bills uses of a metered feature, so that giving nothing is as it should be.
    pub(super) only_uses: bool,
}

impl Sold {
    /// No price of it is in the catalog.
    pub(super) const fn is_nothing(self) -> bool {
        self.plan.is_none() && self.boosts == 0 && !self.only_uses
    }
}

pub(super) fn sold<'i>(
    items: impl IntoIterator<Item = &'i SubscriptionItem>,
    catalog: &Catalog,
) -> Sold {
    let mut sold = Sold { plan: None, units: 0, boosts: 0, only_uses: false };
    let (mut uses, mut others) = (false, false);
    for item in items.into_iter().filter(|item| item.quantity > 0) {
        let target = catalog.price_target(item.price_ref());
        let is_use = matches!(target, Some(PriceTarget::Usage(_)));
        (uses, others) = (uses || is_use, others || !is_use);
        match target {
            Some(PriceTarget::Plan(plan)) if sold.plan == Some(plan) => {
                sold.units = sold.units.saturating_add(item.quantity);
            }
            Some(PriceTarget::Plan(plan)) if sold.plan < Some(plan) => {
                (sold.plan, sold.units) = (Some(plan), item.quantity);
            }
            Some(PriceTarget::Boost) => sold.boosts = sold.boosts.saturating_add(item.quantity),
            Some(PriceTarget::Plan(_) | PriceTarget::Badge | PriceTarget::Usage(_)) | None => {}
        }
    }
    sold.only_uses = uses && !others;
    sold
}

/// The plan a subscription's items sell, whether or not it gives access now.
pub fn plan_sold<'c>(subscription: &Subscription, catalog: &'c Catalog) -> Option<&'c Plan> {
    let sold = sold(subscription.items_of(subscription.state()?), catalog);
    sold.plan.and_then(|index| catalog.plan(index))
}
