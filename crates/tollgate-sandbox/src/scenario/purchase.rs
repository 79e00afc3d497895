//! Stories of one-time purchases and boosts. Owns: badges, grants and boosts, how they are undone
//! and how late payments arrive. Must not know: the account's own subscription.

use tollgate_domain::catalog::Interval;

use super::{ScenarioError, Telling};
use crate::object::Metadata;
use crate::object::Object;
use crate::object::adjustment::{Dispute, Refund};
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::price::Price;
use crate::object::session::Session;
use crate::object::subscription::Subscription;
use crate::offer;
use crate::time::{DAY, HOUR, moved};
use crate::world::checkout::Order;

/// Something bought once.
struct Goods {
    key: String,
    price: Price,
    metadata: Metadata,
    member: Option<String>,
}

impl Goods {
    fn order(&self) -> Order<'_> {
        Order {
            key: &self.key,
            price: &self.price,
            quantity: 1,
            metadata: self.metadata.clone(),
            period_end: 0,
            trial: false,
        }
    }
}

impl Telling<'_> {
    fn member_metadata(&self, kind: &str) -> Metadata {
        let mut metadata = self.world.owner();
        metadata.insert("member_id".to_owned(), self.member().to_owned());
        metadata.insert("type".to_owned(), kind.to_owned());
        metadata
    }

    fn a_badge(&self) -> Result<Goods, ScenarioError> {
        Ok(Goods {
            key: self.once(&format!("badge/{}", self.member())),
            price: offer::badge_price(self.catalog)?,
            metadata: self.member_metadata("badge_purchase"),
            member: Some(self.member().to_owned()),
        })
    }

    fn a_grant(&self) -> Result<Goods, ScenarioError> {
        let plan = match self.options.plan.as_deref() {
            Some(id) => offer::plan(self.catalog, Some(id), Interval::OneTime)?,
            None => offer::sold(self.catalog, Interval::OneTime)
                .last()
                .copied()
                .ok_or(ScenarioError::NotOffered { what: "plan for a span of time" })?,
        };
        let mut metadata = self.world.owner();
        metadata.insert("type".to_owned(), "grant".to_owned());
        metadata.insert("plan".to_owned(), plan.id.to_string());
        let price = offer::plan_price(self.catalog, plan, Interval::OneTime)?;
        Ok(Goods { key: self.once("grant"), price, metadata, member: None })
    }

    /// What the catalog sells once: a badge, else a grant.
    fn goods(&self) -> Result<Goods, ScenarioError> {
        self.a_badge().or_else(|_| self.a_grant()).map_err(|_| ScenarioError::NotOffered {
            what: "badge and no plan for a span of time, so there is no one-time purchase",
        })
    }

    fn buy(&mut self, goods: &Goods, ago: i64) -> (Customer, Charge) {
        let customer = self.buyer(goods, ago);
        let charge = self.world.purchase(&customer, &goods.order());
        (customer, charge)
    }

    fn buyer(&mut self, goods: &Goods, ago: i64) -> Customer {
        self.world.now = self.before(ago.saturating_add(HOUR));
        let customer = self.world.sign_up(goods.member.as_deref());
        self.world.now = self.before(ago);
        customer
    }
}

pub(super) fn badge(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let goods = telling.a_badge()?;
    telling.buy(&goods, 0);
    Ok(())
}

pub(super) fn grant(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let goods = telling.a_grant()?;
    telling.buy(&goods, 0);
    Ok(())
}

/// A member bought boosts `ago` seconds before the end of the story.
fn boosted(telling: &mut Telling<'_>, ago: i64) -> Result<Subscription, ScenarioError> {
    let price = offer::boost_price(telling.catalog)?;
    let key = format!("boost/{}", telling.member());
    telling.world.now = telling.before(ago.saturating_add(HOUR));
    let member = telling.member();
    let mut customer = telling.world.sign_up(Some(member));
    telling.world.now = telling.before(ago);
    let order = Order {
        key: &key,
        price: &price,
        quantity: telling.options.quantity.max(1),
        metadata: telling.member_metadata("community_boost"),
        period_end: moved(telling.world.now, Interval::Month, 1),
        trial: false,
    };
    Ok(telling.world.subscribe(&mut customer, &order))
}

pub(super) fn boost(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    boosted(telling, 1).map(drop)
}

pub(super) fn boost_canceled(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let mut subscription = boosted(telling, 20 * DAY)?;
    telling.now();
    telling.world.by_request();
    telling.world.end(&mut subscription, "cancellation_requested");
    Ok(())
}

/// Something was bought `ago` seconds before the end of the story: once where the catalog sells
/// anything once, else by subscription.
pub(super) fn paid_for(telling: &mut Telling<'_>, ago: i64) -> Result<Charge, ScenarioError> {
    if let Ok(goods) = telling.goods() {
        return Ok(telling.buy(&goods, ago).1);
    }
    let plan = telling.plan()?;
    telling.bought(plan, ago)?;
    telling.world.last_charge.clone().ok_or(ScenarioError::NotOffered { what: "plan that costs" })
}

/// Gives money back; the charge keeps the sum.
pub(super) fn give_back(telling: &mut Telling<'_>, charge: &mut Charge, amount_minor: i64) {
    let refund = Refund {
        id: telling.world.ids.long("re_3", &format!("{}/{}", charge.id, charge.refunds.len())),
        amount_minor,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        customer: charge.customer.clone(),
        payment_method: charge.payment_method.clone(),
        status: "succeeded",
        reason: Some("requested_by_customer"),
        metadata: Metadata::new(),
        created: telling.world.now,
    };
    let before = charge.clone();
    charge.refunds.push(refund.clone());
    telling.world.by_request();
    let now = Object::Charge(charge.clone());
    telling.world.emit_change("charge.refunded", Object::Charge(before), now);
    telling.world.emit("refund.created", Object::Refund(refund));
}

pub(super) fn refund(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let mut charge = paid_for(telling, 2 * DAY)?;
    let part = charge.amount_minor / 3;
    telling.world.now = telling.before(DAY);
    give_back(telling, &mut charge, part);
    telling.now();
    let rest = charge.amount_minor.saturating_sub(part);
    give_back(telling, &mut charge, rest);
    Ok(())
}

/// A dispute of a charge, as it begins.
pub(super) fn disputed(telling: &Telling<'_>, charge: &Charge) -> Dispute {
    Dispute {
        id: telling.world.ids.long("dp_1", &charge.id),
        amount_minor: charge.amount_minor,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        status: "needs_response",
        reason: "fraudulent",
        evidence: Metadata::new(),
        submissions: 0,
        funds_withdrawn: false,
        funds_reinstated: false,
        metadata: Metadata::new(),
        created: telling.world.now,
    }
}

/// Changes a dispute and tells of it.
pub(super) fn dispute_moves(
    telling: &mut Telling<'_>,
    dispute: &mut Dispute,
    kind: &'static str,
    change: impl FnOnce(&mut Dispute),
) {
    let before = Object::Dispute(dispute.clone());
    change(dispute);
    telling.world.emit_change(kind, before, Object::Dispute(dispute.clone()));
}

pub(super) fn dispute(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let charge = paid_for(telling, 26 * DAY)?;
    telling.world.now = telling.before(25 * DAY);
    telling.world.by_itself();
    let mut dispute = disputed(telling, &charge);
    telling.world.emit("charge.dispute.created", Object::Dispute(dispute.clone()));
    dispute_moves(telling, &mut dispute, "charge.dispute.funds_withdrawn", |dispute| {
        dispute.funds_withdrawn = true;
    });
    telling.world.now = telling.before(20 * DAY);
    dispute_moves(telling, &mut dispute, "charge.dispute.updated", |dispute| {
        dispute.status = "under_review";
    });
    telling.now();
    dispute_moves(telling, &mut dispute, "charge.dispute.closed", |dispute| {
        dispute.status = "lost";
    });
    Ok(())
}

/// Bought two days ago by a payment that takes its time.
fn bought_slowly(telling: &mut Telling<'_>) -> Result<(Customer, Goods, Session), ScenarioError> {
    let goods = telling.goods()?;
    let customer = telling.buyer(&goods, 2 * DAY);
    let session = telling.world.purchase_delayed(&customer, &goods.order());
    telling.now();
    telling.world.by_itself();
    Ok((customer, goods, session))
}

pub(super) fn delayed(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let (customer, goods, mut session) = bought_slowly(telling)?;
    telling.world.collect_once(&customer, &goods.order(), true);
    session.payment_status = "paid";
    let object = Object::Session(session);
    telling.world.emit("checkout.session.async_payment_succeeded", object);
    Ok(())
}

pub(super) fn delayed_failed(telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
    let (customer, goods, session) = bought_slowly(telling)?;
    telling.world.collect_once(&customer, &goods.order(), false);
    let object = Object::Session(session);
    telling.world.emit("checkout.session.async_payment_failed", object);
    Ok(())
}
