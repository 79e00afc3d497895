//! The portal's page as plain data. Owns: what a customer sees there. Must not know: how it looks.

use super::super::Sandbox;
use super::super::pages::PageError;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::portal::{AfterFlow, Configuration, PortalSession};
use crate::object::price::Price;
use crate::object::schedule::Schedule;
use crate::object::subscription::{Item, Subscription};

use super::super::billing::end::is_over;
use super::act::waits_for_period_end;

/// What a customer sees in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalPage {
    /// The session, `bps_…`.
    pub session: String,
    /// The customer, `cus_…`.
    pub customer: String,
    /// The customer's name or e-mail address.
    pub title: String,
    /// The line at the top, where one is configured.
    pub headline: Option<String>,
    /// Where the way back leads.
    pub return_url: Option<String>,
    /// What the visit is for, such as `subscription_cancel`; `None` for the front page.
    pub flow: Option<&'static str>,
    /// Where it leads when what it is for is done.
    pub after_flow: Option<String>,
    /// The subscriptions that are not over, newest first.
    pub subscriptions: Vec<PortalSubscription>,
    /// The payment method that is charged.
    pub payment_method: Option<String>,
    /// Whether another payment method can be given.
    pub can_change_payment_method: bool,
    /// The final invoices, newest first; empty where they are not shown.
    pub invoices: Vec<PortalInvoice>,
}

/// One subscription in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalSubscription {
    /// Its id, `sub_…`.
    pub id: String,
    /// The status, such as `active`.
    pub status: &'static str,
    /// What is held.
    pub items: Vec<PortalItem>,
    /// When the running period ends, in Unix seconds.
    pub period_end: Option<i64>,
    /// When it ends for good, in Unix seconds.
    pub cancel_at: Option<i64>,
    /// The change that waits: when, in Unix seconds, and to what.
    pub scheduled: Option<(i64, String)>,
    /// What it can be changed to, cheapest first.
    pub choices: Vec<PortalChoice>,
    /// Whether it can be cancelled.
    pub can_cancel: bool,
    /// Whether a cancellation takes effect at once, not at the end of the period.
    pub cancels_now: bool,
    /// Whether it can be paused.
    pub can_pause: bool,
    /// Whether a cancellation, a pause or a change that waits can be taken back.
    pub can_resume: bool,
}

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalItem {
    /// The price, `price_…`.
    pub price: String,
    /// The product's name.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// What one costs, in minor units.
    pub unit_amount_minor: i64,
    /// In which currency.
    pub currency: String,
    /// How often it is paid, such as `month`.
    pub interval: Option<&'static str>,
}

/// What a subscription can be changed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalChoice {
    /// The price and its product.
    pub item: PortalItem,
    /// Whether it is what is held.
    pub is_current: bool,
    /// Whether the change waits for the end of the period.
    pub at_period_end: bool,
}

/// One invoice in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalInvoice {
    /// Its id, `in_…`.
    pub id: String,
    /// Its number.
    pub number: String,
    /// When it was made, in Unix seconds.
    pub created: i64,
    /// `open`, `paid`, `uncollectible` or `void`.
    pub status: &'static str,
    /// What is or was to be paid, in minor units.
    pub amount_minor: i64,
    /// In which currency.
    pub currency: String,
    /// Whether it can be paid here.
    pub can_pay: bool,
}

impl Sandbox {
    /// What a customer sees in a portal session.
    pub fn portal_page(&self, session: &str) -> Result<PortalPage, PageError> {
        let (session, configuration, customer) = self.visit(session)?;
        let mut subscriptions = self.world.objects.newest_first::<Subscription>();
        subscriptions.retain(|one| one.customer == customer.id && !is_over(one));
        let own_method = subscriptions.iter().find_map(|one| one.payment_method.clone());
        let subscriptions =
            subscriptions.iter().map(|one| self.portal_subscription(one, configuration)).collect();
        let invoices = self.world.objects.newest_first::<Invoice>();
        let invoices = invoices
            .into_iter()
            .filter(|invoice| configuration.invoice_history && invoice.finalized_at.is_some())
            .filter(|invoice| invoice.bill_to.customer == customer.id)
            .map(portal_invoice)
            .collect();
        let title = customer.name.clone().or_else(|| customer.email.clone());
        let return_url = session.return_url.clone();
        let after = session.flow.as_ref().and_then(|(_, after)| match after {
            AfterFlow::Redirect(url) => Some(url.clone()),
            AfterFlow::Homepage | AfterFlow::Confirmation(_) => None,
        });
        Ok(PortalPage {
            session: session.id.clone(),
            customer: customer.id.clone(),
            title: title.unwrap_or_else(|| customer.id.clone()),
            headline: configuration.headline.clone(),
            return_url: return_url.or_else(|| configuration.default_return_url.clone()),
            flow: session.flow.as_ref().map(|(flow, _)| flow.kind()),
            after_flow: after,
            subscriptions,
            payment_method: own_method.or_else(|| customer.payment_method.clone()),
            can_change_payment_method: configuration.payment_method_update,
            invoices,
        })
    }

    /// A session with its configuration and customer.
    pub(super) fn visit(
        &self,
        session: &str,
    ) -> Result<(&PortalSession, &Configuration, &Customer), PageError> {
        let unknown = || PageError::unknown(session);
        let found = self.world.objects.get::<PortalSession>(session).ok_or_else(unknown)?;
        let configuration = self.world.objects.get::<Configuration>(&found.configuration);
        let customer = self.world.objects.get::<Customer>(&found.customer);
        let customer = customer.filter(|customer| !customer.deleted);
        Ok((found, configuration.ok_or_else(unknown)?, customer.ok_or_else(unknown)?))
    }

    fn portal_subscription(
        &self,
        one: &Subscription,
        configuration: &Configuration,
    ) -> PortalSubscription {
        let schedule = one.terms.schedule.as_deref();
        let schedule = schedule.and_then(|id| self.world.objects.get::<Schedule>(id));
        let next = schedule.and_then(|schedule| {
            let next = schedule.current.map_or(0, |index| index.saturating_add(1));
            let phase = schedule.phases.get(next)?;
            let names = phase.items.iter().map(|item| item.price.product.name.clone());
            Some((phase.start, names.collect::<Vec<String>>().join(", ")))
        });
        let ending = one.cancel_at.is_some();
        let paused = one.status == "paused";
        PortalSubscription {
            id: one.id.clone(),
            status: one.status,
            items: one.items.iter().map(|item| portal_item(&item.price, item.quantity)).collect(),
            period_end: Self::period_end_of(one),
            cancel_at: one.cancel_at,
            can_resume: ending || paused || next.is_some(),
            scheduled: next,
            choices: self.choices(one, configuration),
            can_cancel: configuration.cancel.enabled && !ending,
            cancels_now: configuration.cancel.mode == "immediately",
            can_pause: configuration.pause && one.status == "active" && schedule.is_none(),
        }
    }

    /// What a subscription of one item can be changed to. Of several items the portal changes
    /// nothing.
    fn choices(&self, one: &Subscription, configuration: &Configuration) -> Vec<PortalChoice> {
        let [item] = one.items.as_slice() else { return Vec::new() };
        if !configuration.update.enabled || !matches!(one.status, "active" | "trialing") {
            return Vec::new();
        }
        let products = &configuration.update.products;
        if !products.iter().any(|one| one.product == item.price.product.id) {
            // What is not on offer is not exchanged for what is.
            return Vec::new();
        }
        let mut choices: Vec<PortalChoice> = products
            .iter()
            .flat_map(|product| &product.prices)
            .filter_map(|id| self.world.objects.get::<Price>(id))
            .filter(|price| price.active && price.currency == item.price.currency)
            .map(|price| PortalChoice {
                item: portal_item(price, item.quantity),
                is_current: price.id == item.price.id,
                at_period_end: waits_for_period_end(configuration, item, &changed(item, price)),
            })
            .collect();
        choices.sort_by(|a, b| {
            (a.item.interval, a.item.unit_amount_minor, &a.item.price).cmp(&(
                b.item.interval,
                b.item.unit_amount_minor,
                &b.item.price,
            ))
        });
        choices
    }
}

/// An item with another price.
fn changed(item: &Item, price: &Price) -> Item {
    Item { price: price.clone(), ..item.clone() }
}

fn portal_item(price: &Price, quantity: u32) -> PortalItem {
    PortalItem {
        price: price.id.clone(),
        name: price.product.name.clone(),
        quantity,
        unit_amount_minor: price.unit_amount_minor,
        currency: price.currency.clone(),
        interval: price.interval,
    }
}

fn portal_invoice(invoice: &Invoice) -> PortalInvoice {
    PortalInvoice {
        id: invoice.id.clone(),
        number: invoice.number.clone(),
        created: invoice.created,
        status: invoice.status,
        amount_minor: invoice.due_minor(),
        currency: invoice.currency.clone(),
        can_pay: invoice.status == "open" && invoice.due_minor() > 0,
    }
}
