//! Stripe objects. Owns: the set of objects the sandbox can show and how one is shown. Must not
//! know: events, scenarios.
//!
//! An object is a small struct of what varies; its `show` adds everything Stripe adds, nulls
//! included, in the shape of the version asked for. Sources of the shapes: Stripe's published
//! object reference of each version and its change logs.

use serde_json::{Map, Value, json};

use crate::version::ApiVersion;

pub(crate) mod adjustment;
pub(crate) mod balance_transaction;
pub(crate) mod charge;
pub(crate) mod customer;
pub(crate) mod entitlement;
pub(crate) mod invoice;
pub(crate) mod invoice_item;
pub(crate) mod payment_intent;
pub(crate) mod payment_method;
pub(crate) mod portal;
pub(crate) mod price;
pub(crate) mod schedule;
pub(crate) mod session;
pub(crate) mod setup_intent;
pub(crate) mod stored;
pub(crate) mod subscription;
pub(crate) mod test_clock;
pub(crate) mod test_method;

/// Metadata, sorted by key.
pub(crate) type Metadata = std::collections::BTreeMap<String, String>;

/// Any object an event can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    Customer(customer::Customer),
    Subscription(subscription::Subscription),
    Session(session::Session),
    Invoice(invoice::Invoice),
    InvoicePayment(invoice::InvoicePayment),
    PaymentIntent(payment_intent::PaymentIntent),
    PaymentMethod(payment_method::PaymentMethod),
    Charge(charge::Charge),
    Refund(adjustment::Refund),
    Dispute(adjustment::Dispute),
    BalanceTransaction(balance_transaction::BalanceTransaction),
    Product(price::Product),
    Price(price::Price),
    Plan(price::Price),
    Feature(entitlement::Feature),
    ProductFeature(entitlement::ProductFeature),
    SetupIntent(setup_intent::SetupIntent),
    EntitlementSummary(entitlement::Summary),
    InvoiceItem(invoice_item::InvoiceItem),
    Schedule(schedule::Schedule),
    TestClock(test_clock::TestClock),
    PortalConfiguration(portal::Configuration),
    PortalSession(portal::PortalSession),
}

impl Object {
    /// The object in the shape of a version.
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        match self {
            Self::Customer(customer) => customer.show(version),
            Self::Subscription(subscription) => subscription.show(version),
            Self::Session(session) => session.show(version),
            Self::Invoice(invoice) => invoice.show(version),
            Self::InvoicePayment(payment) => payment.show(),
            Self::PaymentIntent(intent) => intent.show(version),
            Self::PaymentMethod(method) => method.show(version),
            Self::Charge(charge) => charge.show(version),
            Self::Refund(refund) => refund.show(version),
            Self::Dispute(dispute) => dispute.show(version),
            Self::BalanceTransaction(transaction) => transaction.show(version),
            Self::Product(product) => product.show(version),
            Self::Price(price) => price.show(version),
            Self::Plan(price) => price.show_plan(version),
            Self::Feature(feature) => feature.show(),
            Self::ProductFeature(feature) => feature.show(),
            Self::SetupIntent(intent) => intent.show(version),
            Self::EntitlementSummary(summary) => summary.show(),
            Self::InvoiceItem(item) => item.show(version),
            Self::Schedule(schedule) => schedule.show(version),
            Self::TestClock(clock) => clock.show(),
            Self::PortalConfiguration(configuration) => configuration.show(version),
            Self::PortalSession(session) => session.show(version),
        }
    }
}

impl Object {
    /// What the object shows under a name only when that is asked for; `None` where the name is an
    /// ordinary field or none at all.
    pub(crate) fn include(
        &self,
        name: &str,
        objects: &stored::Objects,
        version: ApiVersion,
    ) -> Option<Value> {
        match (self, name) {
            (Self::Invoice(invoice), "payments") if version >= ApiVersion::Basil => {
                let of = |found: &&invoice::InvoicePayment| found.invoice == invoice.id;
                let found = objects.newest_first::<invoice::InvoicePayment>();
                let data =
                    found.into_iter().filter(of).map(invoice::InvoicePayment::show).collect();
                let url = format!("/v1/invoice_payments?invoice={}", invoice.id);
                Some(list(data, &url, version))
            }
            (Self::Invoice(invoice), "confirmation_secret") if version >= ApiVersion::Basil => {
                let intent = invoice.payment.as_ref().map(|payment| &payment.payment_intent);
                let intent = intent
                    .and_then(|id| objects.get::<payment_intent::PaymentIntent>(id))
                    .filter(|intent| intent.status != "succeeded");
                let secret = intent.and_then(|intent| intent.terms.client_secret.clone());
                let shown = |secret| json!({"client_secret": secret, "type": "payment_intent"});
                Some(secret.map_or(Value::Null, shown))
            }
            (Self::Session(session), "line_items") => Some(session.show_lines(version)),
            (Self::Price(price), "currency_options") => Some(price.show_currency_options()),
            (Self::Charge(charge), "refunds") => Some(charge.show_refunds(version)),
            (Self::Customer(customer), "subscriptions") => {
                let of = |found: &&subscription::Subscription| found.customer == customer.id;
                let found = objects.newest_first::<subscription::Subscription>();
                let data = found.into_iter().filter(of).map(|found| found.show(version)).collect();
                Some(list(data, &format!("/v1/customers/{}/subscriptions", customer.id), version))
            }
            _ => None,
        }
    }
}

/// The fields of an object while it is being shown.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Begins an object.
    pub(crate) fn new(id: &str, object: &str) -> Self {
        let mut fields = Self(Map::new());
        fields.put("id", id).put("object", object);
        fields
    }

    /// Sets a field.
    pub(crate) fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Sets fields to null.
    pub(crate) fn nulls(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.put(name, Value::Null);
        }
        self
    }

    /// Sets fields to zero.
    pub(crate) fn zeros(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.put(name, 0);
        }
        self
    }

    /// Sets fields to the empty array.
    pub(crate) fn empty_arrays(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.put(name, Vec::<Value>::new());
        }
        self
    }

    /// The object.
    pub(crate) fn done(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.0))
    }
}

/// A list object; `total_count` has gone from newer versions.
pub(crate) fn list(data: Vec<Value>, url: &str, version: ApiVersion) -> Value {
    let mut fields = Fields(Map::new());
    fields.put("object", "list").put("has_more", false).put("url", url);
    if version < ApiVersion::Endive {
        fields.put("total_count", data.len());
    }
    fields.put("data", data).done()
}

/// An address of which only the country is known, as checkout collects it.
pub(crate) fn address(country: Option<&str>) -> Value {
    json!({
        "city": null, "country": country, "line1": null, "line2": null, "postal_code": null,
        "state": null,
    })
}

/// An amount as Stripe's decimal strings have it.
pub(crate) fn decimal(amount_minor: i64) -> String {
    amount_minor.to_string()
}
