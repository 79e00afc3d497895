//! Payment intents. Owns: their shape in every version. Must not know: what is paid.

use serde_json::{Value, json};

use super::{Fields, Metadata};
use crate::version::ApiVersion;

/// One attempt of a customer to pay something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) customer: String,
    pub(crate) description: String,
    pub(crate) metadata: Metadata,
    /// The invoice paid; `None` for one-time purchases.
    pub(crate) invoice: Option<String>,
    pub(crate) charge: Option<String>,
    pub(crate) payment_method: String,
    pub(crate) succeeded: bool,
    pub(crate) created: i64,
}

impl PaymentIntent {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "payment_intent");
        fields
            .put("amount", self.amount_minor)
            .put("amount_capturable", 0)
            .put("amount_received", if self.succeeded { self.amount_minor } else { 0 })
            .put("capture_method", "automatic")
            .put("client_secret", Value::Null)
            .put("confirmation_method", "automatic")
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.as_str())
            .put("description", self.description.as_str())
            .put("last_payment_error", self.last_error())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("payment_method", self.succeeded.then_some(self.payment_method.as_str()))
            .put("payment_method_options", json!({"card": {"request_three_d_secure": "automatic"}}))
            .put("payment_method_types", json!(["card"]))
            .put("setup_future_usage", self.invoice.is_some().then_some("off_session"))
            .put("status", if self.succeeded { "succeeded" } else { "requires_payment_method" })
            .nulls(&["application", "application_fee_amount", "automatic_payment_methods"])
            .nulls(&["canceled_at", "cancellation_reason", "next_action", "on_behalf_of"])
            .nulls(&["processing", "receipt_email", "review", "shipping", "source"])
            .nulls(&["statement_descriptor", "statement_descriptor_suffix", "transfer_data"])
            .nulls(&["transfer_group"]);
        if version < ApiVersion::Basil {
            fields.put("invoice", self.invoice.clone());
        }
        if version >= ApiVersion::V2022 {
            fields.put("latest_charge", self.charge.clone());
        }
        fields.done()
    }

    fn last_error(&self) -> Value {
        if self.succeeded {
            return Value::Null;
        }
        json!({
            "charge": self.charge, "code": "card_declined", "decline_code": "insufficient_funds",
            "doc_url": "https://stripe.com/docs/error-codes/card-declined",
            "message": "Your card has insufficient funds.", "type": "card_error",
        })
    }
}
