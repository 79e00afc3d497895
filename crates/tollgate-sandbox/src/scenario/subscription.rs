//! Stories of a subscription in good standing. Owns: what is bought, renewed, changed, paused and
//! cancelled when. Must not know: failing payments, one-time purchases.

use tollgate_domain::catalog::Plan;

use super::{ScenarioError, Telling};
use crate::object::customer::Customer;
use crate::object::invoice::Line;
use crate::object::price::Price;
use crate::object::subscription::Subscription;
use crate::offer;
use crate::time::{DAY, HOUR, moved};
use crate::world::checkout::Order;

/// Days of a trial where the plan names none.
const TRIAL_DAYS: i64 = 7;

/// How long after the period's end Stripe finalises a renewal's invoice.
pub(super) const DRAFT_SECONDS: i64 = HOUR;

impl Telling<'_> {
    /// The account buys the plan `ago` seconds before the end of the story.
    pub(super) fn bought(
        &mut self,
        plan: &Plan,
        ago: i64,
    ) -> Result<(Customer, Subscription), ScenarioError> {
        let start = self.before(ago);
        let period_end = moved(start, self.options.interval, 1);
        self.bought_until(plan, start, period_end)
    }

    /// The account bought the plan so that its first period ends at an instant.
    pub(super) fn bought_one_period_before(
        &mut self,
        plan: &Plan,
        period_end: i64,
    ) -> Result<(Customer, Subscription), ScenarioError> {
        let start = moved(period_end, self.options.interval, -1);
        self.bought_until(plan, start, period_end)
    }

    fn bought_until(
        &mut self,
        plan: &Plan,
        start: i64,
        period_end: i64,
    ) -> Result<(Customer, Subscription), ScenarioError> {
        let price = self.price(plan)?;
        let mut customer = self.signed_up(start);
        let order = self.order("main", plan, &price, period_end);
        let subscription = self.world.subscribe(&mut customer, &order);
        Ok((customer, subscription))
    }

    fn signed_up(&mut self, start: i64) -> Customer {
        self.world.now = start.saturating_sub(HOUR);
        let customer = self.world.sign_up(None);
        self.world.now = start;
        customer
    }

    pub(super) fn order<'p>(
        &self,
        key: &'p str,
        plan: &Plan,
        price: &'p Price,
        period_end: i64,
    ) -> Order<'p> {
        let mut metadata = self.world.owner();
        metadata.insert("plan".to_owned(), plan.id.to_string());
        Order { key, price, quantity: 1, metadata, period_end, trial: false }
    }

    /// The story's last act begins.
    pub(super) fn now(&mut self) {
        self.world.now = self.at;
    }
}

pub(super) fn checkout(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    telling.bought(plan, 1).map(drop)
}

/// The account begins a trial `ago` seconds before the end of the story.
fn tried(
    telling: &mut Telling<'_>,
    begin: impl Fn(&Telling<'_>, i64) -> i64,
) -> Result<(Customer, Subscription), ScenarioError> {
    let plan = telling.plan()?;
    let price = telling.price(plan)?;
    let days = if plan.trial_days > 0 { i64::from(plan.trial_days) } else { TRIAL_DAYS };
    let length = days.saturating_mul(DAY);
    let start = begin(telling, length);
    let mut customer = telling.signed_up(start);
    let end = start.saturating_add(length);
    let order = Order { trial: true, ..telling.order("main", plan, &price, end) };
    let subscription = telling.world.subscribe(&mut customer, &order);
    Ok((customer, subscription))
}

pub(super) fn trial(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    tried(telling, |telling, _| telling.before(1)).map(drop)
}

pub(super) fn trial_converted(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let end = telling.before(DRAFT_SECONDS);
    let (mut customer, mut subscription) = tried(telling, |_, length| end.saturating_sub(length))?;
    telling.world.now = end.saturating_sub(3 * DAY).max(subscription.created);
    telling.world.by_itself();
    telling.world.emit(
        "customer.subscription.trial_will_end",
        crate::object::Object::Subscription(subscription.clone()),
    );
    telling.world.now = end;
    renew(telling, &mut customer, &mut subscription, "after-trial");
    Ok(())
}

/// The period ends here; an hour later the invoice for the next one is paid.
fn renew(
    telling: &mut Telling<'_>,
    customer: &mut Customer,
    subscription: &mut Subscription,
    key: &str,
) {
    let next_end = moved(telling.world.now, telling.options.interval, 1);
    let mut invoice = telling.world.begin_period(customer, subscription, (key, next_end));
    telling.now();
    telling.world.finalize(&mut invoice);
    telling.world.pay(customer, &mut invoice);
}

pub(super) fn renewal(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let boundary = telling.before(DRAFT_SECONDS);
    let (mut customer, mut subscription) = telling.bought_one_period_before(plan, boundary)?;
    telling.world.now = boundary;
    let key = telling.once("renewal");
    renew(telling, &mut customer, &mut subscription, &key);
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// The plans to change between: to the one asked for (else the usual one's neighbour), from the
/// usual one where that lies on the right side, else from the nearest that does.
fn change_between<'a>(
    telling: &Telling<'a>,
    direction: Direction,
) -> Result<(&'a Plan, &'a Plan), ScenarioError> {
    let interval = telling.options.interval;
    let sold = offer::sold(telling.catalog, interval);
    let usual = offer::usual_plan(telling.catalog, interval)?;
    let none = |plan: &Plan, up: bool| ScenarioError::NoNeighbour {
        direction: if up { "above" } else { "below" },
        plan: plan.id.to_string(),
    };
    let next = |plan: &Plan, up: bool| {
        let found = if up {
            sold.iter().find(|other| other.rank > plan.rank)
        } else {
            sold.iter().rev().find(|other| other.rank < plan.rank)
        };
        found.copied().ok_or_else(|| none(plan, up))
    };
    let up = direction == Direction::Up;
    let target = match telling.options.plan.as_deref() {
        Some(id) => offer::plan(telling.catalog, Some(id), interval)?,
        None => next(usual, up)?,
    };
    let fits = if up { usual.rank < target.rank } else { usual.rank > target.rank };
    let source = if fits { usual } else { next(target, !up)? };
    Ok((source, target))
}

pub(super) fn upgrade(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    change(telling, Direction::Up)
}

pub(super) fn downgrade(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    change(telling, Direction::Down)
}

/// Ten days after it was bought the plan is changed; the difference is billed at once, or left on
/// the customer's account where it is a credit.
fn change(telling: &mut Telling<'_>, direction: Direction) -> Result<(), ScenarioError> {
    let (source, target) = change_between(telling, direction)?;
    let price = telling.price(target)?;
    let (mut customer, mut subscription) = telling.bought(source, 10 * DAY)?;
    telling.now();
    telling.world.by_request();
    let key = telling.once("change");
    let lines = prorations(telling, &subscription, &price, &key);
    let billed = lines.iter().map(|line| line.amount_minor).sum::<i64>() > 0;
    let invoice_id = billed.then(|| telling.world.invoice_id(&subscription, &key));
    telling.world.update(&mut subscription, |subscription| {
        for item in &mut subscription.items {
            item.price = price.clone();
        }
        if invoice_id.is_some() {
            subscription.latest_invoice = invoice_id;
        }
    });
    if billed {
        customer.next_invoice_sequence = customer.next_invoice_sequence.saturating_add(1);
        let reason = (key.as_str(), "subscription_update");
        let mut invoice = telling.world.draft(&customer, &subscription, reason, lines);
        telling.world.finalize(&mut invoice);
        telling.world.pay(&customer, &mut invoice);
    }
    Ok(())
}

/// A credit for the rest of the old price's period and a charge for that of the new one's.
fn prorations(
    telling: &Telling<'_>,
    subscription: &Subscription,
    price: &Price,
    key: &str,
) -> Vec<Line> {
    let Some(item) = subscription.items.first() else { return Vec::new() };
    let now = telling.at;
    let whole = item.period_end.saturating_sub(item.period_start).max(1);
    let rest = item.period_end.saturating_sub(now).max(0);
    let part = |amount: i64| amount.saturating_mul(rest) / whole;
    let line = |ending: &str, amount_minor: i64, price: &Price, what: &str| Line {
        id: telling.world.ids.long("il_1", &format!("{}/{key}/{ending}", item.id)),
        amount_minor,
        description: format!("{what} {}", price.product.name),
        price: price.clone(),
        quantity: item.quantity,
        period_start: now,
        period_end: item.period_end,
        proration: true,
        subscription_item: Some(item.id.clone()),
        invoice_item: None,
    };
    vec![
        line("credit", -part(item.price.unit_amount_minor), &item.price, "Unused time on"),
        line("debit", part(price.unit_amount_minor), price, "Remaining time on"),
    ]
}

pub(super) fn cancel(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (_, mut subscription) = telling.bought(plan, 12 * DAY)?;
    telling.now();
    telling.world.by_request();
    telling.world.end(&mut subscription, "cancellation_requested");
    Ok(())
}

pub(super) fn cancel_later(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (_, mut subscription) = telling.bought(plan, 12 * DAY)?;
    telling.now();
    telling.world.by_request();
    let now = telling.at;
    telling.world.update(&mut subscription, |subscription| {
        subscription.cancel_at_period_end = true;
        subscription.cancel_at = subscription.items.iter().map(|item| item.period_end).max();
        subscription.canceled_at = Some(now);
        subscription.cancellation_reason = Some("cancellation_requested");
    });
    Ok(())
}

pub(super) fn pause(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (_, mut subscription) = telling.bought(plan, 12 * DAY)?;
    telling.now();
    telling.world.by_request();
    telling.world.pause(&mut subscription);
    Ok(())
}

pub(super) fn resume(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (_, mut subscription) = telling.bought(plan, 12 * DAY)?;
    telling.world.now = telling.before(3 * DAY);
    telling.world.by_request();
    telling.world.pause(&mut subscription);
    telling.now();
    telling.world.by_request();
    telling.world.resume(&mut subscription);
    Ok(())
}

/// Two tabs were open: the second subscription is of another plan than the first.
pub(super) fn two(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let sold = offer::sold(telling.catalog, telling.options.interval);
    let other = sold.iter().rev().find(|other| other.id != plan.id).copied().unwrap_or(plan);
    let price = telling.price(other)?;
    let (mut customer, _) = telling.bought(plan, 5 * DAY)?;
    telling.world.now = telling.before(1);
    let period_end = moved(telling.world.now, telling.options.interval, 1);
    let order = telling.order("second", other, &price, period_end);
    telling.world.subscribe(&mut customer, &order);
    Ok(())
}
