//! What customers do in the portal. Owns: each act, by the rules of the configuration. Must not
//! know: how the page looks.

use super::super::Sandbox;
use super::super::billing::change::Manner;
use super::super::billing::collect::Attempt;
use super::super::billing::end::Resume;
use super::super::billing::end::is_over;
use super::super::billing::{PaymentBehavior, Proration, end_after};
use super::super::error::ApiError;
use super::super::pages::PageError;
use crate::object::invoice::Invoice;
use crate::object::portal::Configuration;
use crate::object::price::Price;
use crate::object::schedule::{Phase, PhaseItem, Schedule};
use crate::object::subscription::{Item, Subscription};
use crate::sandbox::Card;
use crate::time::DAY;
use crate::world::proration::whole_amount;

/// Something a customer does in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalAct {
    /// Changes what is held; by the configuration at once or at the end of the period.
    ChangePrice {
        /// The subscription, `sub_…`.
        subscription: String,
        /// The price changed to, `price_…`.
        price: String,
        /// How many; as before if not given.
        quantity: Option<u32>,
    },
    /// Cancels; by the configuration at the end of the period or at once.
    Cancel {
        /// The subscription, `sub_…`.
        subscription: String,
    },
    /// Takes back a cancellation or a change that waits, or ends a pause.
    Resume {
        /// The subscription, `sub_…`.
        subscription: String,
    },
    /// Pauses.
    Pause {
        /// The subscription, `sub_…`.
        subscription: String,
    },
    /// Gives another card.
    UseCard(Card),
    /// Pays an open invoice.
    PayInvoice {
        /// The invoice, `in_…`.
        invoice: String,
    },
}

impl Sandbox {
    /// A customer does something in a portal session. What is refused has changed nothing, but for
    /// a declined payment, whose attempt stays.
    pub fn portal_act(&mut self, session: &str, act: &PortalAct) -> Result<(), PageError> {
        let (_, configuration, customer) = self.visit(session)?;
        let (configuration, customer) = (configuration.clone(), customer.id.clone());
        let request = self.world.next_request_id();
        self.world.begin_request(&request, None, self.settings.default_version);
        let done = self
            .in_time_of(&customer, |sandbox| sandbox.do_in_portal(&customer, &configuration, act));
        self.world.end_request(done.as_ref().map_or_else(PageError::keeps, |()| true));
        done
    }

    fn do_in_portal(
        &mut self,
        customer: &str,
        configuration: &Configuration,
        act: &PortalAct,
    ) -> Result<(), PageError> {
        match act {
            PortalAct::ChangePrice { subscription, price, quantity } => {
                let subscription = self.held(customer, subscription)?;
                self.change_in_portal(&subscription, configuration, (price, *quantity))
            }
            PortalAct::Cancel { subscription } => {
                let subscription = self.held(customer, subscription)?;
                self.cancel_in_portal(&subscription, configuration)
            }
            PortalAct::Resume { subscription } => {
                let subscription = self.held(customer, subscription)?;
                self.resume_in_portal(&subscription)
            }
            PortalAct::Pause { subscription } => {
                let subscription = self.held(customer, subscription)?;
                allowed(configuration.pause, "Pausing")?;
                Ok(self.pause_on_request(&subscription)?)
            }
            PortalAct::UseCard(card) => {
                allowed(configuration.payment_method_update, "Changing the payment method")?;
                self.set_card(customer, *card)
            }
            PortalAct::PayInvoice { invoice } => {
                let of =
                    self.copy::<Invoice>(invoice).filter(|one| one.bill_to.customer == customer);
                of.ok_or_else(|| PageError::unknown(invoice))?;
                Ok(self.collect_invoice(invoice, None, Attempt::Asked)?)
            }
        }
    }

    /// A subscription of the customer that is not over.
    fn held(&self, customer: &str, id: &str) -> Result<Subscription, PageError> {
        let own = self.copy::<Subscription>(id);
        let own = own.filter(|one| one.customer == customer && !is_over(one));
        own.ok_or_else(|| PageError::unknown(id))
    }

    fn change_in_portal(
        &mut self,
        before: &Subscription,
        configuration: &Configuration,
        (price, quantity): (&str, Option<u32>),
    ) -> Result<(), PageError> {
        allowed(configuration.update.enabled, "Changing the subscription")?;
        let [item] = before.items.as_slice() else {
            return Err(not_allowed("Changing a subscription of several items"));
        };
        let offers = |product: &&crate::object::portal::PortalProduct| {
            product.prices.iter().any(|own| own == price)
        };
        let offered = configuration.update.products.iter().any(|product| offers(&product));
        let sold = self.copy::<Price>(price).filter(|price| price.active && offered);
        let sold = sold.ok_or_else(|| not_allowed("This price"))?;
        if sold.currency != item.price.currency {
            return Err(not_allowed("A price in another currency"));
        }
        let quantity = quantity.unwrap_or(item.quantity);
        let changed = Item { price: sold, quantity, ..item.clone() };
        if waits_for_period_end(configuration, item, &changed) {
            return self.change_at_period_end(before, &changed);
        }
        let before = &self.let_go(before);
        let mut after = before.clone();
        after.items = vec![changed];
        if after.cancel_at.is_some() {
            after.cancel_at_period_end = false;
            self.cancel_later(&mut after, None);
        }
        let continues = configuration.update.trial == "continue_trial";
        if before.status == "trialing" && !continues {
            after.trial_end = Some(self.world.now);
        }
        let manner = Manner {
            proration: Proration::of(configuration.update.proration_behavior),
            behavior: PaymentBehavior::Refuse,
            ..Manner::default()
        };
        self.change_subscription(before, after, manner)?;
        Ok(())
    }

    /// A schedule changes the item when the period ends, and then lets the subscription go.
    fn change_at_period_end(
        &mut self,
        before: &Subscription,
        changed: &Item,
    ) -> Result<(), PageError> {
        let before = self.let_go(before);
        let id = self.schedule_from(&before)?;
        let Some(mut schedule) = self.copy::<Schedule>(&id) else { return Ok(()) };
        let start = schedule.phases.last().map_or(self.world.now, |phase| phase.end);
        schedule.phases.push(Phase {
            start,
            end: end_after(&changed.price, start, start),
            items: vec![PhaseItem {
                price: changed.price.clone(),
                quantity: changed.quantity,
                metadata: changed.metadata.clone(),
            }],
            proration_behavior: "none",
            trial_end: None,
            metadata: before.metadata.clone(),
        });
        self.tell_schedule(schedule);
        Ok(())
    }

    /// A subscription without the schedule that waits for it.
    fn let_go(&mut self, subscription: &Subscription) -> Subscription {
        let schedule = subscription.terms.schedule.as_deref();
        if let Some(schedule) = schedule.and_then(|id| self.copy::<Schedule>(id)) {
            self.release_schedule(&schedule);
        }
        self.copy(&subscription.id).unwrap_or_else(|| subscription.clone())
    }

    fn cancel_in_portal(
        &mut self,
        subscription: &Subscription,
        configuration: &Configuration,
    ) -> Result<(), PageError> {
        allowed(configuration.cancel.enabled, "Cancelling")?;
        let before = self.let_go(subscription);
        if configuration.cancel.mode == "immediately" {
            let proration = Proration::of(configuration.cancel.proration_behavior);
            let bills = proration == Proration::AlwaysInvoice;
            self.cancel_now(&before.id, proration != Proration::None, bills);
            return Ok(());
        }
        let mut after = before.clone();
        after.cancel_at_period_end = true;
        self.cancel_later(&mut after, Self::period_end_of(&before));
        self.write(&before, after);
        Ok(())
    }

    fn resume_in_portal(&mut self, subscription: &Subscription) -> Result<(), PageError> {
        if subscription.status == "paused" {
            return Ok(self.resume_on_request(subscription, Resume::default())?);
        }
        let before = self.let_go(subscription);
        let mut after = before.clone();
        after.cancel_at_period_end = false;
        self.cancel_later(&mut after, None);
        self.write(&before, after);
        Ok(())
    }
}

fn allowed(is: bool, what: &str) -> Result<(), PageError> {
    if is { Ok(()) } else { Err(not_allowed(what)) }
}

fn not_allowed(what: &str) -> PageError {
    let message = format!("{what} is not offered by this portal configuration.");
    ApiError::invalid(message).into()
}

/// Whether a change waits for the end of the period.
pub(super) fn waits_for_period_end(
    configuration: &Configuration,
    before: &Item,
    after: &Item,
) -> bool {
    configuration.update.at_period_end.iter().any(|kind| match kind.as_str() {
        "decreasing_item_amount" => whole_amount(after) < whole_amount(before),
        "shortening_interval" => length(&after.price) < length(&before.price),
        _ => false,
    })
}

/// About how long a period of a price is, in seconds; only to be compared.
fn length(price: &Price) -> i64 {
    let days = match price.interval {
        Some("day") => 1,
        Some("week") => 7,
        Some("month") => 30,
        Some("year") => 365,
        _ => 0,
    };
    DAY.saturating_mul(days).saturating_mul(i64::from(price.interval_count))
}
