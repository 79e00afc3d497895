//! Money moving. Owns: payment intents and charges of invoices and one-time purchases, and what
//! comes of charging a test method. Must not know: what becomes of the subscription.

use super::World;
use crate::object::adjustment::Dispute;
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::payment_intent::PaymentIntent;
use crate::object::payment_method::{BillingDetails, PaymentMethod};
use crate::object::test_method::{AUTHENTICATION, Behavior, Decline, INSUFFICIENT_FUNDS, VISA};
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
    /// The payment method of a customer: the one that is charged by default, else the card that
    /// scenarios give everybody.
    pub(crate) fn card_of(&self, customer: &Customer) -> String {
        let default = customer.payment_method.clone();
        default.unwrap_or_else(|| self.ids.long("pm_1", &customer.id))
    }

    /// The intent of a payment, without events.
    fn intent(&self, customer: &Customer, purpose: &Purpose<'_>) -> PaymentIntent {
        let id = self.ids.long("pi_3", purpose.key);
        let known = self.objects.get::<PaymentIntent>(&id);
        PaymentIntent {
            created: known.map_or(self.now, |known| known.created),
            id,
            amount_minor: purpose.amount_minor,
            currency: purpose.currency.to_owned(),
            customer: Some(customer.id.clone()),
            description: Some(purpose.description.to_owned()),
            metadata: purpose.metadata.clone(),
            invoice: purpose.invoice.map(str::to_owned),
            charge: None,
            payment_method: Some(self.card_of(customer)),
            status: "requires_confirmation",
            decline: None,
            terms: known.map(|known| known.terms.clone()).unwrap_or_default(),
        }
    }

    /// A charge of what an intent is for, by its payment method, without events.
    fn new_charge(&self, intent: &PaymentIntent, id: String) -> Charge {
        let method = intent.payment_method.clone().unwrap_or_default();
        let known = self.objects.get::<PaymentMethod>(&method);
        let customer = intent.customer.as_ref().and_then(|id| self.objects.get::<Customer>(id));
        let billing = known.map(|method| method.billing.clone());
        let receipt_email = intent.terms.receipt_email.clone();
        Charge {
            id,
            amount_minor: intent.amount_minor,
            currency: intent.currency.clone(),
            customer: intent.customer.clone(),
            email: receipt_email.or_else(|| customer.and_then(|customer| customer.email.clone())),
            name: customer.and_then(|customer| customer.name.clone()),
            description: intent.description.clone(),
            metadata: intent.metadata.clone(),
            invoice: intent.invoice.clone(),
            payment_intent: intent.id.clone(),
            payment_method: method,
            decline: None,
            pending: false,
            captured_minor: intent.amount_minor,
            disputed: false,
            method: known.map_or(&VISA, |method| method.test),
            billing: billing.filter(|billing| *billing != BillingDetails::default()),
            refunds: Vec::new(),
            created: self.now,
        }
    }

    /// The customer's card is charged.
    pub(crate) fn charge(&mut self, customer: &Customer, purpose: &Purpose<'_>) -> Charge {
        let mut intent = self.intent(customer, purpose);
        let charge = self.new_charge(&intent, self.charge_id(purpose));
        let charge = self.take(&mut intent, charge);
        self.after_taking(charge)
    }

    /// The customer's card is declined.
    pub(crate) fn decline(&mut self, customer: &Customer, purpose: &Purpose<'_>) -> Charge {
        let mut intent = self.intent(customer, purpose);
        let charge = self.new_charge(&intent, self.charge_id(purpose));
        let decline = why(charge.method.behavior).unwrap_or(&INSUFFICIENT_FUNDS);
        self.refuse(&mut intent, charge, decline)
    }

    fn charge_id(&self, purpose: &Purpose<'_>) -> String {
        self.ids.long("ch_3", &format!("{}/{}", purpose.key, purpose.attempt))
    }

    /// The method of an intent is charged, and what comes of it depends on the method alone.
    pub(crate) fn attempt(&mut self, intent: &mut PaymentIntent, off_session: bool) -> Charge {
        let id = self.new_long_id("ch_3");
        let charge = self.new_charge(intent, id);
        let behavior = charge.method.behavior;
        if let Behavior::Settles { after_s, succeeds } = behavior {
            intent.terms.settles = Some((self.now.saturating_add(after_s), succeeds));
            return self.await_money(intent, charge);
        }
        if behavior == Behavior::SettlesWhenTold {
            return self.await_money(intent, charge);
        }
        if behavior == Behavior::Asks && !off_session {
            intent.status = "requires_action";
            intent.decline = None;
            self.emit("payment_intent.requires_action", Object::PaymentIntent(intent.clone()));
            return charge;
        }
        match why(behavior) {
            Some(decline) => self.refuse(intent, charge, decline),
            None if intent.terms.manual_capture => self.authorize(intent, charge),
            None => {
                let charge = self.take(intent, charge);
                self.after_taking(charge)
            }
        }
    }

    /// The money is on its way.
    fn await_money(&mut self, intent: &mut PaymentIntent, mut charge: Charge) -> Charge {
        charge.pending = true;
        intent.status = "processing";
        intent.decline = None;
        intent.charge = Some(charge.id.clone());
        self.emit("charge.pending", Object::Charge(charge.clone()));
        self.emit("payment_intent.processing", Object::PaymentIntent(intent.clone()));
        charge
    }

    /// The cardholder confirms, or does not.
    pub(crate) fn finish_action(
        &mut self,
        intent: &mut PaymentIntent,
        decline: Option<&'static Decline>,
    ) {
        let id = self.new_long_id("ch_3");
        let charge = self.new_charge(intent, id);
        match decline {
            None if intent.terms.manual_capture => drop(self.authorize(intent, charge)),
            None => drop(self.take(intent, charge)),
            Some(decline) => drop(self.refuse(intent, charge, decline)),
        }
    }

    /// Money that was held is taken; what is left of it is let go.
    pub(crate) fn capture(&mut self, intent: &mut PaymentIntent, amount_minor: i64) {
        let held = intent.charge.as_ref().and_then(|id| self.objects.get::<Charge>(id)).cloned();
        let Some(before) = held else { return };
        let charge = Charge { captured_minor: amount_minor, ..before.clone() };
        intent.status = "succeeded";
        intent.terms.captured_minor = Some(amount_minor);
        self.emit_change("charge.captured", Object::Charge(before), Object::Charge(charge));
        self.emit("payment_intent.succeeded", Object::PaymentIntent(intent.clone()));
    }

    /// A payment that took its time arrives, or does not.
    pub(crate) fn settle(&mut self, intent: &mut PaymentIntent, decline: Option<&'static Decline>) {
        let pending = intent.charge.as_ref().and_then(|id| self.objects.get::<Charge>(id)).cloned();
        let Some(charge) = pending.filter(|charge| charge.pending) else { return };
        let charge = Charge { pending: false, ..charge };
        match decline {
            None => drop(self.take(intent, charge)),
            Some(decline) => drop(self.refuse(intent, charge, decline)),
        }
    }

    /// The money is held, and taken when asked for.
    fn authorize(&mut self, intent: &mut PaymentIntent, mut charge: Charge) -> Charge {
        charge.captured_minor = 0;
        intent.charge = Some(charge.id.clone());
        intent.status = "requires_capture";
        intent.decline = None;
        self.emit("charge.succeeded", Object::Charge(charge.clone()));
        let object = Object::PaymentIntent(intent.clone());
        self.emit("payment_intent.amount_capturable_updated", object);
        charge
    }

    /// Money moves.
    fn take(&mut self, intent: &mut PaymentIntent, charge: Charge) -> Charge {
        intent.charge = Some(charge.id.clone());
        intent.status = "succeeded";
        intent.decline = None;
        intent.terms.settles = None;
        self.emit("charge.succeeded", Object::Charge(charge.clone()));
        self.emit("payment_intent.succeeded", Object::PaymentIntent(intent.clone()));
        self.last_charge = Some(charge.clone());
        charge
    }

    /// Money does not move.
    fn refuse(
        &mut self,
        intent: &mut PaymentIntent,
        mut charge: Charge,
        decline: &'static Decline,
    ) -> Charge {
        charge.decline = Some(decline);
        intent.charge = Some(charge.id.clone());
        intent.status = "requires_payment_method";
        intent.decline = Some(decline);
        intent.terms.settles = None;
        self.emit("charge.failed", Object::Charge(charge.clone()));
        self.emit("payment_intent.payment_failed", Object::PaymentIntent(intent.clone()));
        charge
    }

    /// What some test methods do when they have paid.
    fn after_taking(&mut self, charge: Charge) -> Charge {
        let Behavior::Disputes { reason, inquiry } = charge.method.behavior else { return charge };
        self.question(&charge.id, reason, inquiry);
        self.objects.get(&charge.id).cloned().unwrap_or(charge)
    }

    /// A cardholder's bank questions a charge, or only asks; gives the dispute's id.
    pub(crate) fn question(
        &mut self,
        charge: &str,
        reason: &'static str,
        inquiry: bool,
    ) -> Option<String> {
        let before = self.objects.get::<Charge>(charge)?.clone();
        let cause = self.cause.take();
        let dispute = Dispute {
            id: self.new_long_id("dp_1"),
            amount_minor: before.amount_minor,
            currency: before.currency.clone(),
            charge: before.id.clone(),
            payment_intent: before.payment_intent.clone(),
            status: if inquiry { "warning_needs_response" } else { "needs_response" },
            reason,
            funds_withdrawn: false,
            funds_reinstated: false,
            evidence: Metadata::new(),
            submissions: 0,
            metadata: Metadata::new(),
            created: self.now,
        };
        self.emit("charge.dispute.created", Object::Dispute(dispute.clone()));
        if !inquiry {
            let withdrawn = Dispute { funds_withdrawn: true, ..dispute.clone() };
            self.emit_change(
                "charge.dispute.funds_withdrawn",
                Object::Dispute(dispute.clone()),
                Object::Dispute(withdrawn),
            );
        }
        let disputed = Charge { disputed: true, ..before.clone() };
        self.emit_change("charge.updated", Object::Charge(before), Object::Charge(disputed));
        self.cause = cause;
        Some(dispute.id)
    }
}

/// Why a method refuses; `None` if it pays.
pub(crate) fn why(behavior: Behavior) -> Option<&'static Decline> {
    match behavior {
        Behavior::Declines(decline) | Behavior::DeclinesAtOnce(decline) => Some(decline),
        Behavior::Asks => Some(&AUTHENTICATION),
        Behavior::Pays
        | Behavior::Disputes { .. }
        | Behavior::RefundFails
        | Behavior::RefundPends
        | Behavior::Settles { .. }
        | Behavior::SettlesWhenTold => None,
    }
}
