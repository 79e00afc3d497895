//! Subscribing in a checkout session. Owns: the subscription that paying a session begins. Must
//! not know: how subscriptions live on.

use super::super::Sandbox;
use super::super::billing::PaymentBehavior;
use super::super::billing::begin::{NewItem, NewSubscription};
use super::super::error::ApiError;
use crate::object::Metadata;
use crate::object::payment_method::PaymentMethod;
use crate::object::session::Session;
use crate::object::subscription::{Terms, TrialEnd};
use crate::version::ApiVersion;

impl Sandbox {
    /// A subscription begins with the session's lines, paid by a method that becomes its own. Where
    /// the payment is declined there is no subscription, and the attempt stays.
    pub(super) fn subscribe_by(
        &mut self,
        session: &mut Session,
        mut method: PaymentMethod,
    ) -> Result<(), ApiError> {
        let customer = self.customer_of(session)?;
        if session.amount_minor > 0 && self.declines(&method.id).is_some() {
            let mut intent = self.intent_of(session);
            intent.payment_method = Some(method.id);
            self.pay_intent(&mut intent, true)?;
            return Ok(());
        }
        self.attach_method(&mut method, &customer.id)?;
        let new = self.wanted(session, &customer.id, method.id);
        let begun = self.in_time_of(&customer.id, |sandbox| sandbox.begin_subscription(new))?;
        session.subscription = Some(begun.id);
        session.invoice = begun.latest_invoice;
        let free = session.amount_minor == 0 && self.world.version >= ApiVersion::Acacia;
        session.payment_status = if free { "no_payment_required" } else { "paid" };
        Ok(())
    }

    /// The subscription a session is for.
    fn wanted(&self, session: &Session, customer: &str, method: String) -> NewSubscription {
        let data = session.terms.subscription.clone();
        let items = session.terms.lines.iter().map(|line| NewItem {
            price: line.price.clone(),
            quantity: line.quantity,
            metadata: Metadata::new(),
        });
        let trial_end = match data.missing_payment_method {
            Some("pause") => TrialEnd::Pause,
            Some("cancel") => TrialEnd::Cancel,
            Some(_) | None => TrialEnd::CreateInvoice,
        };
        NewSubscription {
            trial_end: self.trial_end(session),
            payment_method: Some(method),
            metadata: data.metadata,
            terms: Terms { description: data.description, trial_end, ..Terms::default() },
            behavior: PaymentBehavior::Refuse,
            ..NewSubscription::to(customer, items.collect())
        }
    }
}
