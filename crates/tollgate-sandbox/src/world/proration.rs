//! Proration. Owns: what a change in the middle of a period gives back and charges. Must not know:
//! when and how it is billed.

use crate::object::invoice_item::InvoiceItem;
use crate::object::subscription::{Item, Subscription};

use super::World;

/// The part of an amount that `rest` of `whole` seconds is worth, to the nearest minor unit.
pub(crate) fn prorated(amount_minor: i64, rest: i64, whole: i64) -> i64 {
    let (amount, rest, whole) =
        (i128::from(amount_minor), i128::from(rest.max(0)), i128::from(whole.max(1)));
    let doubled = amount.saturating_mul(rest).saturating_mul(2);
    let rounded = doubled.saturating_add(if amount < 0 { -whole } else { whole });
    i64::try_from(rounded.wrapping_div(whole.saturating_mul(2))).unwrap_or(amount_minor)
}

/// Which parts of a change are billed as parts of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// The unused time is given back and the remaining time charged.
    Both,
    /// The unused time is given back; a whole new period is charged apart from this.
    CreditsOnly,
}

/// The amount of an item for a whole period.
pub(crate) fn whole_amount(item: &Item) -> i64 {
    item.price.unit_amount_minor.saturating_mul(i64::from(item.quantity))
}

fn unchanged(before: &Item, after: &Item) -> bool {
    before.price.id == after.price.id && before.quantity == after.quantity
}

/// Whether two sets of items cost the same.
pub(crate) fn costs_alike(before: &[Item], after: &[Item]) -> bool {
    before.len() == after.len()
        && before.iter().all(|old| after.iter().any(|new| new.id == old.id && unchanged(old, new)))
}

impl World {
    /// What changing from `before.items` to `after` at an instant gives back and charges, as
    /// invoice items that wait.
    pub(crate) fn prorations(
        &mut self,
        before: &Subscription,
        after: &[Item],
        at: i64,
        parts: Parts,
    ) -> Vec<InvoiceItem> {
        let mut items = Vec::new();
        for old in &before.items {
            let new = after.iter().find(|new| new.id == old.id);
            if parts == Parts::Both && new.is_some_and(|new| unchanged(old, new)) {
                continue;
            }
            items.push(self.part(before, old, at, "Unused time on", -1));
        }
        if parts == Parts::CreditsOnly {
            return items;
        }
        for new in after {
            let old = before.items.iter().find(|old| old.id == new.id);
            if old.is_none_or(|old| !unchanged(old, new)) {
                items.push(self.part(before, new, at, "Remaining time on", 1));
            }
        }
        items
    }

    fn part(
        &mut self,
        subscription: &Subscription,
        item: &Item,
        at: i64,
        what: &str,
        sign: i64,
    ) -> InvoiceItem {
        let whole = item.period_end.saturating_sub(item.period_start);
        let rest = item.period_end.saturating_sub(at);
        let amount = prorated(whole_amount(item), rest, whole);
        let quantity =
            if item.quantity == 1 { String::new() } else { format!("{} × ", item.quantity) };
        InvoiceItem {
            id: self.new_long_id("ii_1"),
            customer: subscription.customer.clone(),
            subscription: Some(subscription.id.clone()),
            subscription_item: Some(item.id.clone()),
            invoice: None,
            amount_minor: amount.saturating_mul(sign),
            description: format!("{what} {quantity}{}", item.price.product.name),
            price: item.price.clone(),
            quantity: item.quantity,
            period_start: at,
            period_end: item.period_end,
            proration: true,
            metadata: subscription.metadata.clone(),
            created: self.now,
            test_clock: subscription.terms.test_clock.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_amount_are_rounded_to_the_nearest_minor_unit() {
        assert_eq!(prorated(999, 15, 30), 500);
        assert_eq!(prorated(1000, 1, 3), 333);
        assert_eq!(prorated(1000, 2, 3), 667);
        assert_eq!(prorated(-999, 15, 30), -500);
        assert_eq!(prorated(1000, 30, 30), 1000);
        assert_eq!(prorated(1000, -5, 30), 0);
        assert_eq!(prorated(i64::MAX, 1, 1), i64::MAX);
    }
}
