//! Customers. Owns: their shape. Must not know: subscriptions and invoices.

use serde_json::{Value, json};

use super::{Fields, Metadata, list};
use crate::version::ApiVersion;

/// Where somebody lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    pub(crate) city: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) line1: Option<String>,
    pub(crate) line2: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) state: Option<String>,
}

impl Address {
    pub(crate) fn show(&self) -> Value {
        json!({
            "city": self.city, "country": self.country, "line1": self.line1, "line2": self.line2,
            "postal_code": self.postal_code, "state": self.state,
        })
    }
}

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) address: Option<Address>,
    pub(crate) preferred_locales: Vec<String>,
    /// `none`, `exempt` or `reverse`.
    pub(crate) tax_exempt: &'static str,
    /// Minor units; below zero it is a credit.
    pub(crate) balance_minor: i64,
    pub(crate) created: i64,
    pub(crate) metadata: Metadata,
    /// The currency of the first invoice.
    pub(crate) currency: Option<String>,
    /// An invoice is overdue.
    pub(crate) delinquent: bool,
    /// The payment method charged.
    pub(crate) payment_method: Option<String>,
    pub(crate) invoice_prefix: String,
    pub(crate) next_invoice_sequence: u32,
    /// The test clock its time goes by.
    pub(crate) test_clock: Option<String>,
    /// Of a deleted customer nothing but its id is shown.
    pub(crate) deleted: bool,
}

impl Customer {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "customer");
        if self.deleted {
            return fields.put("deleted", true).done();
        }
        fields
            .put("created", self.created)
            .put("currency", self.currency.clone())
            .put("delinquent", self.delinquent)
            .put("description", self.description.clone())
            .put("email", self.email.clone())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .nulls(&["default_source", "discount", "shipping"]);
        if version < ApiVersion::V2020 {
            let inline = |what: &str| {
                list(Vec::new(), &format!("/v1/customers/{}/{what}", self.id), version)
            };
            fields
                .put("account_balance", self.balance_minor)
                .put("sources", inline("sources"))
                .put("subscriptions", inline("subscriptions"))
                .nulls(&["business_vat_id"]);
            return fields.done();
        }
        fields
            .put("address", self.address.as_ref().map(Address::show))
            .put("balance", self.balance_minor)
            .put("invoice_prefix", self.invoice_prefix.as_str())
            .put("invoice_settings", self.invoice_settings(version))
            .put("name", self.name.clone())
            .put("next_invoice_sequence", self.next_invoice_sequence)
            .put("phone", self.phone.clone())
            .put("preferred_locales", json!(self.preferred_locales))
            .put("tax_exempt", self.tax_exempt);
        if version >= ApiVersion::V2022 {
            fields.put("test_clock", self.test_clock.clone());
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account"]);
        }
        fields.done()
    }

    fn invoice_settings(&self, version: ApiVersion) -> Value {
        let mut settings = json!({
            "custom_fields": null, "default_payment_method": self.payment_method, "footer": null,
        });
        if version >= ApiVersion::V2022
            && let Some(fields) = settings.as_object_mut()
        {
            fields.insert("rendering_options".to_owned(), Value::Null);
        }
        settings
    }
}
