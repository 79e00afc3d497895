//! Ends. Owns: whether taking in an object would end what somebody pays for, and how many ends one
//! comparison may bring without being asked. Must not know: why the object was asked for.

use crate::facts::Facts;
use crate::observation::Seen;
use crate::subscription::{Subscription, SubscriptionStatus};

/// Ends that one comparison brings at most without being asked, however few accounts there are.
const ENDS_MAX: u64 = 5;
/// Of the accounts, one in so many may end beyond that.
const ONE_IN: u64 = 100;

/// How many accounts one comparison may end without being asked: five, or one in a hundred.
pub const fn ends_allowed(accounts: u64) -> u64 {
    let share = accounts / ONE_IN;
    if share > ENDS_MAX { share } else { ENDS_MAX }
}

/// Whether taking in what was seen would end a subscription that is paid for, by the facts.
pub fn would_end(seen: &Seen, facts: &Facts) -> bool {
    match seen {
        Seen::Subscription(seen) => {
            seen.state.status.is_terminal()
                && facts.subscriptions.get(&seen.id).is_some_and(is_running)
        }
        Seen::Customer(seen) => {
            let known = facts.customers.get(&seen.id);
            seen.deleted
                && known.is_some_and(|known| known.deleted_at.is_none())
                && facts
                    .subscriptions
                    .values()
                    .any(|one| one.customer.as_ref() == Some(&seen.id) && is_running(one))
        }
        Seen::Session(_)
        | Seen::Schedule(_)
        | Seen::Invoice(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => false,
    }
}

fn is_running(subscription: &Subscription) -> bool {
    use SubscriptionStatus::{Active, PastDue, Trialing};
    let status = subscription.state().map(|state| &state.status);
    status.is_some_and(|status| matches!(status, Active | PastDue | Trialing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_or_one_in_a_hundred_may_end_unasked() {
        let cases = [(0, 5), (10, 5), (500, 5), (600, 6), (100_000, 1_000)];
        for (accounts, allowed) in cases {
            assert_eq!(ends_allowed(accounts), allowed, "{accounts}");
        }
    }
}
