//! Stories of renewals that are not paid. Owns: when which attempt fails and what comes of it.
//! Must not know: anything but renewals.

use super::subscription::DRAFT_SECONDS;
use super::{ScenarioError, Telling};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::subscription::Subscription;
use crate::time::{DAY, moved};

/// A subscription whose renewal was not paid.
struct Overdue {
    customer: Customer,
    subscription: Subscription,
    invoice: Invoice,
}

/// A period ended, and an hour later, `ago` seconds before the end of the story, the first attempt
/// to collect the next one fails.
fn overdue(telling: &mut Telling<'_>, ago: i64, retry: i64) -> Result<Overdue, ScenarioError> {
    let plan = telling.plan()?;
    let boundary = telling.before(ago.saturating_add(DRAFT_SECONDS));
    let (mut customer, mut subscription) = telling.bought_one_period_before(plan, boundary)?;
    telling.world.now = boundary;
    let next_end = moved(boundary, telling.options.interval, 1);
    // The stories of one account and seed speak of one overdue invoice, so that what one of them
    // leaves open another can pay.
    let key = format!("overdue/{}", telling.options.seed);
    let world = &mut telling.world;
    let mut invoice = world.begin_period(&mut customer, &mut subscription, (&key, next_end));
    telling.world.now = telling.before(ago);
    let world = &mut telling.world;
    world.finalize(&mut invoice);
    world.fail(&customer, &mut invoice, Some(retry));
    world.update(&mut subscription, |subscription| subscription.status = "past_due");
    world.change_customer(&mut customer, |customer| customer.delinquent = true);
    Ok(Overdue { customer, subscription, invoice })
}

pub(super) fn begins(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    overdue(telling, 0, 3 * DAY).map(drop)
}

pub(super) fn recovered(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let Overdue { mut customer, mut subscription, mut invoice } =
        overdue(telling, 5 * DAY, 3 * DAY)?;
    telling.world.now = telling.before(2 * DAY);
    telling.world.fail(&customer, &mut invoice, Some(2 * DAY));
    telling.now();
    let world = &mut telling.world;
    world.pay(&customer, &mut invoice);
    world.update(&mut subscription, |subscription| subscription.status = "active");
    world.change_customer(&mut customer, |customer| customer.delinquent = false);
    Ok(())
}

pub(super) fn canceled(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let Overdue { customer, mut subscription, mut invoice } = overdue(telling, 15 * DAY, 3 * DAY)?;
    for (days_ago, retry_days) in [(12, Some(5)), (7, Some(7)), (0, None)] {
        telling.world.now = telling.before(days_ago * DAY);
        let retry = retry_days.map(|days: i64| days.saturating_mul(DAY));
        telling.world.fail(&customer, &mut invoice, retry);
    }
    let world = &mut telling.world;
    world.end(&mut subscription, "payment_failed");
    let before = invoice.clone();
    invoice.status = "uncollectible";
    invoice.uncollectible_at = Some(world.now);
    let given_up = Object::Invoice(invoice);
    world.emit_change("invoice.updated", Object::Invoice(before), given_up.clone());
    world.emit("invoice.marked_uncollectible", given_up);
    Ok(())
}
