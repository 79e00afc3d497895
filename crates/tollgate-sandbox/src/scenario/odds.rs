//! Odd happenings. Owns: the events no story has, each told alone for who triggers one event. Must
//! not know: that a single one of them is picked.

use super::purchase::{dispute_moves, disputed, give_back, paid_for};
use super::{ScenarioError, Telling};
use crate::object::entitlement::Summary;
use crate::object::price::{Price, Product};
use crate::object::schedule::{Phase, PhaseItem, Schedule};
use crate::object::subscription::PendingUpdate;
use crate::object::{Metadata, Object};
use crate::offer;
use crate::time::{DAY, HOUR};
use crate::world::checkout::Order;

/// How long a pending update waits for its payment, in seconds.
const PENDING_SECONDS: i64 = 23 * HOUR;

/// Tells all odd happenings, one after another.
pub(crate) fn tell(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    abandoned_checkout(telling)?;
    subscription_oddities(telling)?;
    schedules(telling)?;
    invoice_oddities(telling)?;
    adjustment_oddities(telling)?;
    catalog_changes(telling)
}

fn abandoned_checkout(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let price = telling.price(plan)?;
    telling.world.now = telling.before(DAY);
    let customer = telling.world.sign_up(None);
    telling.now();
    telling.world.by_itself();
    let key = telling.once("abandoned");
    let order = Order { period_end: 0, ..telling.order(&key, plan, &price, 0) };
    telling.world.abandon(&customer, &order);
    telling.world.emit("customer.deleted", Object::Customer(customer));
    Ok(())
}

fn subscription_oddities(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (customer, subscription) = telling.bought(plan, 12 * DAY)?;
    telling.now();
    let other = offer::sold(telling.catalog, telling.options.interval).last().copied();
    let price = telling.price(other.unwrap_or(plan))?;
    let expires_at = telling.at.saturating_add(PENDING_SECONDS);
    telling.world.by_request();
    if let Some(mut item) = subscription.items.first().cloned() {
        item.price = price;
        let mut pending = subscription.clone();
        let invoice = subscription.latest_invoice.clone().unwrap_or_default();
        let items = vec![item.clone()];
        pending.pending_update = Some(PendingUpdate { items, expires_at, invoice });
        let kind = "customer.subscription.pending_update_expired";
        telling.world.change_subscription(kind, &mut pending.clone(), |subscription| {
            subscription.pending_update = None;
        });
        let kind = "customer.subscription.pending_update_applied";
        telling.world.change_subscription(kind, &mut pending, |subscription| {
            subscription.pending_update = None;
            subscription.items = vec![item];
        });
    }
    summary(telling, customer.id);
    Ok(())
}

/// A schedule that moves a subscription to another plan when its period ends, and every end of one.
fn schedules(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (customer, subscription) = telling.bought(plan, 12 * DAY)?;
    telling.now();
    let other = offer::sold(telling.catalog, telling.options.interval).first().copied();
    let later = telling.price(other.unwrap_or(plan))?;
    let key = telling.once("schedule");
    telling.world.by_request();
    let Some(item) = subscription.items.first() else { return Ok(()) };
    let phase = |start: i64, price: Price| Phase {
        start,
        end: start + item.period_end - item.period_start,
        items: vec![PhaseItem { price, quantity: item.quantity, metadata: Metadata::new() }],
        proration_behavior: "none",
        trial_end: None,
        metadata: Metadata::new(),
    };
    let now = phase(item.period_start, item.price.clone());
    let made = Schedule {
        id: telling.world.ids.long("sub_sched_", &key),
        customer: customer.id,
        subscription: Some(subscription.id.clone()),
        status: "active",
        phases: vec![now.clone()],
        current: Some(0),
        end_behavior: "release",
        created: telling.at,
        canceled_at: None,
        completed_at: None,
        released_at: None,
        released_subscription: None,
        metadata: Metadata::new(),
        test_clock: None,
    };
    let changed = Schedule { phases: vec![now, phase(item.period_end, later)], ..made.clone() };
    let ended = |status: &'static str| {
        let at = |name: &str| (status == name).then_some(telling.at);
        Schedule {
            status,
            canceled_at: at("canceled"),
            completed_at: at("completed"),
            ..changed.clone()
        }
    };
    let released = Schedule {
        status: "released",
        subscription: None,
        released_subscription: Some(subscription.id.clone()),
        released_at: Some(telling.at),
        ..changed.clone()
    };
    let (canceled, completed) = (ended("canceled"), ended("completed"));
    let world = &mut telling.world;
    world.emit("subscription_schedule.created", Object::Schedule(made.clone()));
    let (before, now) = (Object::Schedule(made), Object::Schedule(changed));
    world.emit_change("subscription_schedule.updated", before, now);
    // Stripe aborts a schedule whose subscription ended for want of payment; it is canceled then.
    world.emit("subscription_schedule.aborted", Object::Schedule(canceled.clone()));
    world.emit("subscription_schedule.canceled", Object::Schedule(canceled));
    world.emit("subscription_schedule.completed", Object::Schedule(completed));
    world.emit("subscription_schedule.released", Object::Schedule(released));
    Ok(())
}

/// Stripe's own list of the customer's features goes from empty to three.
fn summary(telling: &mut Telling<'_>, customer: String) {
    let features = telling.catalog.features.keys().take(3);
    let features = features
        .map(|key| (telling.world.ids.long("feat_", key.as_str()), key.as_str().to_owned()))
        .collect();
    let before = Summary { customer: customer.clone(), features: Vec::new() };
    let now = Summary { customer, features };
    telling.world.by_itself();
    telling.world.emit_change(
        "entitlements.active_entitlement_summary.updated",
        Object::EntitlementSummary(before),
        Object::EntitlementSummary(now),
    );
}

fn invoice_oddities(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let (customer, subscription) = telling.bought(plan, 12 * DAY)?;
    telling.now();
    telling.world.by_itself();
    let key = telling.once("odd");
    let lines = telling.world.period_lines(&subscription, &key);
    let reason = (key.as_str(), "subscription_cycle");
    let mut invoice = telling.world.draft(&customer, &subscription, reason, lines);
    telling.world.finalize(&mut invoice);
    invoice.attempted = true;
    telling.world.emit("invoice.payment_action_required", Object::Invoice(invoice.clone()));
    invoice.status = "void";
    invoice.voided_at = Some(telling.at);
    telling.world.emit("invoice.voided", Object::Invoice(invoice));
    Ok(())
}

fn adjustment_oddities(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let mut charge = paid_for(telling, 3 * DAY)?;
    telling.now();
    let amount = charge.amount_minor;
    give_back(telling, &mut charge, amount);
    if let Some(mut refund) = charge.refunds.last().cloned() {
        let succeeded = Object::Refund(refund.clone());
        for kind in ["refund.updated", "charge.refund.updated"] {
            telling.world.emit(kind, succeeded.clone());
        }
        refund.status = "failed";
        telling.world.emit("refund.failed", Object::Refund(refund));
    }
    telling.world.by_itself();
    let mut dispute = disputed(telling, &charge);
    dispute.funds_withdrawn = true;
    dispute.status = "won";
    let kind = "charge.dispute.funds_reinstated";
    dispute_moves(telling, &mut dispute, kind, |dispute| dispute.funds_reinstated = true);
    Ok(())
}

fn catalog_changes(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let plan = telling.plan()?;
    let before = telling.price(plan)?;
    let mut now = before.clone();
    now.active = false;
    let product = Product { active: false, updated: telling.at, ..(*before.product).clone() };
    now.product = product.into();
    let world = &mut telling.world;
    world.by_request();
    for kind in ["price.created", "price.deleted"] {
        world.emit(kind, Object::Price(before.clone()));
    }
    for kind in ["plan.created", "plan.deleted"] {
        world.emit(kind, Object::Plan(before.clone()));
    }
    for kind in ["product.created", "product.deleted"] {
        world.emit(kind, Object::Product((*before.product).clone()));
    }
    let product = |price: &Price| Object::Product((*price.product).clone());
    world.emit_change("product.updated", product(&before), product(&now));
    world.emit_change("price.updated", Object::Price(before.clone()), Object::Price(now.clone()));
    world.emit_change("plan.updated", Object::Plan(before), Object::Plan(now));
    Ok(())
}
