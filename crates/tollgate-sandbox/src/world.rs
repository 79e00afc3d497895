//! A small Stripe. Owns: the clock of a story and what happens when somebody signs up, buys, pays
//! or fails to pay: which objects change and which events that makes, in Stripe's order. Must not
//! know: stories (the scenarios), versions of shapes (the objects).
//!
//! Order of events: `customer.*`, the payment, the subscription, the invoice from draft to paid,
//! then the session, as Stripe makes them for hosted checkout; all of one act in one second.

use crate::event::Happening;
use crate::id::Ids;
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::{Metadata, Object};
use crate::version::ApiVersion;

pub(crate) mod billing;
pub(crate) mod checkout;
pub(crate) mod payment;

/// A story while it is told.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ids: Ids,
    /// Ids of what belongs to this telling alone: events and requests.
    telling: Ids,
    /// Since basil, checkout makes a subscription only when it is paid.
    pub(crate) version: ApiVersion,
    pub(crate) account: String,
    /// Unix seconds.
    pub(crate) now: i64,
    happenings: Vec<Happening>,
    request: Option<String>,
    /// The newest charge that went through.
    pub(crate) last_charge: Option<Charge>,
}

impl World {
    pub(crate) fn new(account: &str, (ids, telling): (Ids, Ids), version: ApiVersion) -> Self {
        Self {
            ids,
            telling,
            version,
            account: account.to_owned(),
            now: 0,
            happenings: Vec::new(),
            request: None,
            last_charge: None,
        }
    }

    /// Everything that happened, in Stripe's order.
    pub(crate) fn into_happenings(self) -> Vec<Happening> {
        self.happenings
    }

    /// What follows is caused by a request of the application or by the customer on Stripe's page.
    pub(crate) fn by_request(&mut self) {
        let number = self.happenings.len().to_string();
        self.request = Some(self.telling.short("req_", &number));
    }

    /// What follows is done by Stripe itself.
    pub(crate) fn by_itself(&mut self) {
        self.request = None;
    }

    /// An event that shows an object.
    pub(crate) fn emit(&mut self, kind: &'static str, object: Object) {
        self.push(kind, object, None);
    }

    /// An event that shows an object and what it was before.
    pub(crate) fn emit_change(&mut self, kind: &'static str, before: Object, object: Object) {
        self.push(kind, object, Some(before));
    }

    fn push(&mut self, kind: &'static str, object: Object, before: Option<Object>) {
        let number = self.happenings.len();
        self.happenings.push(Happening {
            id: self.telling.long("evt_1", &format!("{number}/{kind}")),
            kind,
            created: self.now,
            object,
            before,
            request: self.request.clone(),
        });
    }

    /// Metadata that names the account.
    pub(crate) fn owner(&self) -> Metadata {
        [("account_id".to_owned(), self.account.clone())].into()
    }

    /// The account, or one of its members, becomes a customer.
    pub(crate) fn sign_up(&mut self, member: Option<&str>) -> Customer {
        let mut metadata = self.owner();
        let key = member.map_or_else(|| "account".to_owned(), |member| format!("member/{member}"));
        if let Some(member) = member {
            metadata.insert("member_id".to_owned(), member.to_owned());
        }
        let domain: String =
            self.account.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let customer = Customer {
            id: self.ids.short("cus_", &key),
            email: format!("{}@{domain}.example", member.map_or("billing", |_| "member")),
            name: title(member.unwrap_or(&self.account)),
            created: self.now,
            metadata,
            currency: None,
            delinquent: false,
            payment_method: None,
            invoice_prefix: self.ids.make("", 8, &format!("{key}/invoices")).to_uppercase(),
            next_invoice_sequence: 1,
        };
        self.by_request();
        self.emit("customer.created", Object::Customer(customer.clone()));
        customer
    }

    /// Changes a customer and tells of it.
    pub(crate) fn change_customer(
        &mut self,
        customer: &mut Customer,
        change: impl FnOnce(&mut Customer),
    ) {
        let before = customer.clone();
        change(customer);
        if before != *customer {
            let (before, now) = (Object::Customer(before), Object::Customer(customer.clone()));
            self.emit_change("customer.updated", before, now);
        }
    }
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
