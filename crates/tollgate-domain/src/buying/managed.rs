//! What is ours to change. Owns: whether a subscription sells our plans, something else, or both;
//! which of its items is the plan; which subscription of an account is meant. Must not know: how a
//! change is made.
//!
//! Several products may share one Stripe account and one customer. Nothing of another product is
//! ever changed or ended, so a call is made only on what sells something of the catalog, or what was
//! made by us.

use crate::catalog::{Catalog, PriceTarget};
use crate::facts::Facts;
use crate::ids::{PriceRef, SubscriptionId};
use crate::subscription::Subscription;

/// Why a subscription is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmanaged {
    /// It sells nothing of the catalog, and was not made by us.
    Foreign,
    /// It also sells something that is not of the catalog, and the change would concern that, too.
    Shared,
}

/// How far a subscription is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Managed {
    /// The place of the item that sells the plan.
    pub item: usize,
    /// Everything it sells is ours, so that it may be ended as a whole.
    pub whole: bool,
}

impl Managed {
    /// Refuses what concerns the whole subscription where a part of it is somebody else's.
    pub const fn as_whole(self) -> Result<(), Unmanaged> {
        if self.whole { Ok(()) } else { Err(Unmanaged::Shared) }
    }
}

impl Catalog {
    /// Which item of a subscription is the plan, and whether all of it is ours. Of several plans it
    /// is the highest. One that `we_made` is ours even if the catalog has lost its only price.
    pub fn managed(&self, items: &[PriceRef<'_>], we_made: bool) -> Result<Managed, Unmanaged> {
        let targets: Vec<Option<PriceTarget>> =
            items.iter().map(|price| self.price_target(*price)).collect();
        let plans = targets.iter().enumerate().filter_map(|(place, target)| match target {
            Some(PriceTarget::Plan(plan)) => Some((*plan, std::cmp::Reverse(place))),
            Some(_) | None => None,
        });
        if let Some((_, std::cmp::Reverse(item))) = plans.max() {
            let whole = targets.iter().all(Option::is_some);
            return Ok(Managed { item, whole });
        }
        match targets.as_slice() {
            [None] if we_made => Ok(Managed { item: 0, whole: true }),
            _ => Err(Unmanaged::Foreign),
        }
    }
}

/// The live subscriptions of an account that may be the one of its plan, the likeliest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    /// Those that sell a plan: the one that began last goes first.
    pub plans: Vec<SubscriptionId>,
    /// Those that sell nothing of the catalog: another product's, or one whose price the catalog
    /// has lost. Only Stripe's object tells which.
    pub unmapped: Vec<SubscriptionId>,
}

impl Candidates {
    /// Reads them from the facts. What sells add-ons alone, or was bought by a member, is neither.
    pub fn of(facts: &Facts, catalog: &Catalog) -> Self {
        let mut plans = Vec::new();
        let mut unmapped = Vec::new();
        for one in facts.subscriptions.values() {
            let Some(state) = one.state().filter(|state| !state.status.is_terminal()) else {
                continue;
            };
            let age = (state.created, &one.id);
            if sells(one, catalog, |target| matches!(target, PriceTarget::Plan(_))) {
                plans.push(age);
            } else if !sells(one, catalog, |_| true) && facts.buyer(one).is_none() {
                unmapped.push(age);
            }
        }
        let ids = |mut found: Vec<(_, &SubscriptionId)>| {
            found.sort_unstable();
            found.into_iter().rev().map(|(_, id)| id.clone()).collect()
        };
        Self { plans: ids(plans), unmapped: ids(unmapped) }
    }
}

/// Whether a subscription, as it is known now, sells something of the catalog.
pub fn sells(
    subscription: &Subscription,
    catalog: &Catalog,
    wanted: impl Fn(PriceTarget) -> bool,
) -> bool {
    let items = subscription.state().map(|state| state.items.as_slice()).unwrap_or_default();
    items.iter().any(|item| catalog.price_target(item.price_ref()).is_some_and(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::builtin;
    use crate::ids::PriceId;

    #[test]
    fn only_what_sells_the_catalog_or_was_made_by_us_is_managed() {
        use Unmanaged::Foreign;
        let catalog = builtin("sietch").unwrap();
        let price = PriceId::parse("price_1").unwrap();
        let of = |keys: &[&'static str], we_made| {
            let item =
                |key: &&'static str| PriceRef { id: &price, lookup_key: Some(key), product: None };
            let items: Vec<PriceRef<'_>> = keys.iter().map(item).collect();
            catalog.managed(&items, we_made).map(|managed| (managed.item, managed.whole))
        };
        let (basic, elite, boost) =
            ("sietch_basic_monthly", "sietch_elite_monthly", "sietch_boost");
        for (keys, we_made, expected) in [
            (&[basic][..], false, Ok((0, true))),
            // The newsletter of the same customer.
            (&["newsletter"], false, Err(Foreign)),
            (&["newsletter", "magazine"], true, Err(Foreign)),
            (&[], true, Err(Foreign)),
            // The plan beside something of another product.
            (&["newsletter", basic], false, Ok((1, false))),
            (&[elite, "newsletter"], true, Ok((0, false))),
            // The plan beside an add-on of ours, and the higher of two plans.
            (&[boost, basic], false, Ok((1, true))),
            (&[basic, elite, basic], false, Ok((1, true))),
            (&[boost], false, Err(Foreign)),
            // The catalog lost the price of what we made.
            (&["old"], true, Ok((0, true))),
        ] {
            assert_eq!(of(keys, we_made), expected, "{keys:?} {we_made}");
        }
        assert_eq!(Managed { item: 0, whole: false }.as_whole(), Err(Unmanaged::Shared));
    }
}
