//! Customers. Owns: their shape. Must not know: subscriptions and invoices.

use serde_json::{Value, json};

use super::{Fields, Metadata, list};
use crate::version::ApiVersion;

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
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
}

impl Customer {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "customer");
        fields
            .put("created", self.created)
            .put("currency", self.currency.clone())
            .put("delinquent", self.delinquent)
            .put("email", self.email.as_str())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .nulls(&["default_source", "description", "discount", "shipping"]);
        if version < ApiVersion::V2020 {
            let inline = |what: &str| {
                list(Vec::new(), &format!("/v1/customers/{}/{what}", self.id), version)
            };
            fields
                .put("account_balance", 0)
                .put("sources", inline("sources"))
                .put("subscriptions", inline("subscriptions"))
                .nulls(&["business_vat_id"]);
            return fields.done();
        }
        fields
            .put("balance", 0)
            .put("invoice_prefix", self.invoice_prefix.as_str())
            .put("invoice_settings", self.invoice_settings(version))
            .put("name", self.name.as_str())
            .put("next_invoice_sequence", self.next_invoice_sequence)
            .put("preferred_locales", json!(["en"]))
            .put("tax_exempt", "none")
            .nulls(&["address", "phone"]);
        if version >= ApiVersion::V2022 {
            fields.nulls(&["test_clock"]);
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
