//! A small Stripe. Owns: the clock of a story and what happens when somebody signs up, buys, pays
//! or fails to pay: which objects change and which events that makes, in Stripe's order. Must not
//! know: stories (the scenarios), versions of shapes (the objects).
//!
//! Order of events: `customer.*`, the payment, the subscription, the invoice from draft to paid,
//! then the session, as Stripe makes them for hosted checkout; all of one act in one second.

use crate::event::{Cause, Happening};
use crate::id::Ids;
use crate::object::charge::Charge;
use crate::object::customer::Customer;
use crate::object::entitlement::Summary;
use crate::object::payment_method::{BillingDetails, PaymentMethod};
use crate::object::stored::{Objects, Stored};
use crate::object::subscription::Subscription;
use crate::object::test_method::{self, VISA};
use crate::object::{Metadata, Object};
use crate::version::ApiVersion;

pub(crate) mod billing;
pub(crate) mod checkout;
pub(crate) mod payment;
pub(crate) mod proration;

/// The state of a small Stripe, or a story while it is told.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) ids: Ids,
    /// Ids of what belongs to this telling alone: events and requests.
    telling: Ids,
    /// Since basil, checkout makes a subscription only when it is paid.
    pub(crate) version: ApiVersion,
    pub(crate) account: String,
    /// Unix seconds.
    pub(crate) now: i64,
    pub(crate) happenings: Vec<Happening>,
    /// The newest state of every object.
    pub(crate) objects: Objects,
    /// What causes what follows; `None` for what Stripe does by itself.
    cause: Option<Cause>,
    /// The request that is being answered.
    request: Option<Cause>,
    /// How many ids were made that stand for nothing but themselves.
    made: u64,
    /// How many requests came in. Counted apart, so that reading changes no id of what is made.
    pub(crate) requests: u64,
    /// How many happenings there were when the request began.
    mark: usize,
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
            objects: Objects::default(),
            cause: None,
            request: None,
            made: 0,
            requests: 0,
            mark: 0,
            last_charge: None,
        }
    }

    /// Everything that happened, in Stripe's order.
    pub(crate) fn into_happenings(self) -> Vec<Happening> {
        self.happenings
    }

    /// What follows is caused by a request of the application or by the customer on Stripe's page.
    pub(crate) fn by_request(&mut self) {
        if let Some(request) = &self.request {
            self.cause = Some(request.clone());
            return;
        }
        let number = self.happenings.len().to_string();
        let request = self.telling.short("req_", &number);
        self.cause = Some(Cause::with_made_up_key(request));
    }

    /// What follows is done by Stripe itself.
    pub(crate) fn by_itself(&mut self) {
        self.cause = None;
    }

    /// A number that was not used before.
    fn next_number(&mut self) -> u64 {
        self.made = self.made.saturating_add(1);
        self.made
    }

    /// The id of a request that comes in.
    pub(crate) fn next_request_id(&mut self) -> String {
        self.requests = self.requests.saturating_add(1);
        self.telling.short("req_", &format!("request/{}", self.requests))
    }

    /// A new id in the form of most objects: 24 letters and digits.
    pub(crate) fn new_long_id(&mut self, prefix: &str) -> String {
        let number = self.next_number();
        self.ids.long(prefix, &format!("new/{number}"))
    }

    /// A new id in the form of customers, items and products: 14 letters and digits.
    pub(crate) fn new_short_id(&mut self, prefix: &str) -> String {
        let number = self.next_number();
        self.ids.short(prefix, &format!("new/{number}"))
    }

    /// A request is being answered: what follows is caused by it, in its version, and can be
    /// undone.
    pub(crate) fn begin_request(&mut self, id: &str, key: Option<&str>, version: ApiVersion) {
        let cause = Cause { request: id.to_owned(), idempotency_key: key.map(str::to_owned) };
        self.request = Some(cause.clone());
        self.cause = Some(cause);
        self.version = version;
        self.mark = self.happenings.len();
        self.objects.begin();
    }

    /// The request is answered; what it did stays, or did not happen.
    pub(crate) fn end_request(&mut self, keep: bool) {
        self.request = None;
        self.cause = None;
        if keep {
            self.objects.commit();
        } else {
            self.objects.roll_back();
            self.happenings.truncate(self.mark);
        }
    }

    /// Keeps an object's newest state without telling of it.
    pub(crate) fn keep(&mut self, object: impl Stored) {
        self.objects.put(object.into_object());
    }

    /// What happened elsewhere becomes part of this world, once.
    pub(crate) fn adopt(&mut self, happenings: Vec<Happening>) {
        let known: std::collections::BTreeSet<String> =
            self.happenings.iter().map(|happening| happening.id.clone()).collect();
        for happening in happenings.into_iter().filter(|happening| !known.contains(&happening.id)) {
            self.now = self.now.max(happening.created);
            self.objects.put(happening.object.clone());
            if let Object::Customer(customer) = &happening.object {
                self.adopt_customer(customer, happening.kind == "customer.deleted");
            } else if let Object::Charge(charge) = &happening.object {
                self.adopt_charge(charge);
            } else if let Object::Invoice(invoice) = &happening.object {
                let mut invoice = invoice.clone();
                invoice.terms.retries = usize::try_from(invoice.attempt_count).unwrap_or(0);
                self.keep(invoice);
            }
            self.happenings.push(happening);
        }
    }

    /// A customer of a story has the card that the story speaks of.
    fn adopt_customer(&mut self, customer: &Customer, deleted: bool) {
        if deleted {
            self.keep(Customer { deleted, ..customer.clone() });
        }
        let Some(id) = customer.payment_method.clone() else { return };
        if self.objects.get::<PaymentMethod>(&id).is_none() {
            self.keep(PaymentMethod {
                id,
                test: &VISA,
                billing: BillingDetails::default(),
                expires: (9, 2031),
                customer: Some(customer.id.clone()),
                metadata: Metadata::new(),
                created: customer.created,
            });
        }
    }

    /// A card goes on as the newest charge of its story went.
    fn adopt_charge(&mut self, charge: &Charge) {
        let known = self.objects.get::<PaymentMethod>(&charge.payment_method);
        let Some(mut method) = known.cloned() else { return };
        let fails = charge.decline.and_then(|_| test_method::by_name("pm_card_chargeCustomerFail"));
        method.test = fails.unwrap_or(&VISA);
        self.keep(method);
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
        let subscriber = Subscription::of(&object).map(|subscription| &subscription.customer);
        let had = subscriber.map(|customer| Summary::of(customer, &self.objects));
        self.record(kind, object, before);
        if let Some(had) = had {
            self.tell_features(had);
        }
    }

    /// Tells what a customer's subscriptions give, if that is not what they gave before.
    pub(crate) fn tell_features(&mut self, had: Summary) {
        let has = Summary::of(&had.customer, &self.objects);
        if has != had {
            let kind = "entitlements.active_entitlement_summary.updated";
            let (had, has) = (Object::EntitlementSummary(had), Object::EntitlementSummary(has));
            self.record(kind, has, Some(had));
        }
    }

    fn record(&mut self, kind: &'static str, object: Object, before: Option<Object>) {
        let number = self.happenings.len();
        self.objects.put(object.clone());
        self.happenings.push(Happening {
            id: self.telling.long("evt_1", &format!("{number}/{kind}")),
            kind,
            created: self.now,
            object,
            before,
            cause: self.cause.clone(),
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
            email: Some(format!("{}@{domain}.example", member.map_or("billing", |_| "member"))),
            name: Some(title(member.unwrap_or(&self.account))),
            description: None,
            phone: None,
            address: None,
            preferred_locales: vec!["en".to_owned()],
            tax_exempt: "none",
            balance_minor: 0,
            created: self.now,
            metadata,
            currency: None,
            delinquent: false,
            payment_method: None,
            invoice_prefix: self.ids.make("", 8, &format!("{key}/invoices")).to_uppercase(),
            next_invoice_sequence: 1,
            test_clock: None,
            deleted: false,
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
