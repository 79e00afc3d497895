//! Money moving. Owns: payment intents and charges of invoices and one-time purchases. Must not
//! know: what becomes of the subscription.

use super::World;
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::payment_intent::PaymentIntent;
use crate::object::{Metadata, Object};

/// What a payment is for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose<'a> {
    /// Distinguishes this payment from others of the account.
    pub(crate) key: &'a str,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'a str,
    pub(crate) description: &'a str,
    pub(crate) invoice: Option<&'a str>,
    /// Which attempt, from 1; each makes a charge of its own.
    pub(crate) attempt: u32,
    pub(crate) metadata: Metadata,
}

impl World {
    /// The card of a customer.
    pub(crate) fn card_of(&self, customer: &Customer) -> String {
        self.ids.long("pm_1", &customer.id)
    }

    /// The intent and the charge of a payment, without events.
    fn payment(
        &self,
        customer: &Customer,
        purpose: &Purpose<'_>,
        succeeded: bool,
    ) -> (PaymentIntent, Charge) {
        let intent_id = self.ids.long("pi_3", purpose.key);
        let charge_id = self.ids.long("ch_3", &format!("{}/{}", purpose.key, purpose.attempt));
        let card = self.card_of(customer);
        let charge = Charge {
            id: charge_id.clone(),
            amount_minor: purpose.amount_minor,
            currency: purpose.currency.to_owned(),
            customer: customer.id.clone(),
            email: customer.email.clone(),
            name: customer.name.clone(),
            description: purpose.description.to_owned(),
            metadata: purpose.metadata.clone(),
            invoice: purpose.invoice.map(str::to_owned),
            payment_intent: intent_id.clone(),
            payment_method: card.clone(),
            succeeded,
            disputed: false,
            refunds: Vec::new(),
            created: self.now,
        };
        let intent = PaymentIntent {
            id: intent_id,
            amount_minor: purpose.amount_minor,
            currency: purpose.currency.to_owned(),
            customer: customer.id.clone(),
            description: purpose.description.to_owned(),
            metadata: purpose.metadata.clone(),
            invoice: purpose.invoice.map(str::to_owned),
            charge: Some(charge_id),
            payment_method: card,
            succeeded,
            created: self.now,
        };
        (intent, charge)
    }

    /// The card is charged.
    pub(crate) fn charge(&mut self, customer: &Customer, purpose: &Purpose<'_>) -> Charge {
        let (intent, charge) = self.payment(customer, purpose, true);
        self.emit("charge.succeeded", Object::Charge(charge.clone()));
        self.emit("payment_intent.succeeded", Object::PaymentIntent(intent));
        self.last_charge = Some(charge.clone());
        charge
    }

    /// The card is declined.
    pub(crate) fn decline(&mut self, customer: &Customer, purpose: &Purpose<'_>) -> Charge {
        let (intent, charge) = self.payment(customer, purpose, false);
        self.emit("charge.failed", Object::Charge(charge.clone()));
        self.emit("payment_intent.payment_failed", Object::PaymentIntent(intent));
        charge
    }
}
