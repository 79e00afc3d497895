//! Payment intents. Owns: their shape in every version. Must not know: what is paid.

use serde_json::{Value, json};

use super::test_method::Decline;
use super::{Fields, Metadata};
use crate::version::ApiVersion;

/// What a customer is to pay, from the first attempt to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    /// The invoice paid; `None` for one-time purchases.
    pub(crate) invoice: Option<String>,
    /// The newest charge.
    pub(crate) charge: Option<String>,
    pub(crate) payment_method: Option<String>,
    /// `requires_payment_method`, `requires_confirmation`, `requires_action`, `processing`,
    /// `requires_capture`, `canceled` or `succeeded`.
    pub(crate) status: &'static str,
    /// Why the newest attempt failed.
    pub(crate) decline: Option<&'static Decline>,
    pub(crate) created: i64,
    /// What was said of it in the request that made it; those of invoices and sessions have none.
    pub(crate) terms: Terms,
}

/// What a request says of an intent it makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Terms {
    /// With it a page in a browser can pay.
    pub(crate) client_secret: Option<String>,
    /// The money is only taken when asked for.
    pub(crate) manual_capture: bool,
    /// The kinds of payment methods, where they were named; else a card.
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) automatic_methods: bool,
    pub(crate) receipt_email: Option<String>,
    /// `off_session` or `on_session`.
    pub(crate) future_usage: Option<&'static str>,
    pub(crate) shipping: Option<Value>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) captured_minor: Option<i64>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<&'static str>,
    /// When a payment that takes its time is settled, in Unix seconds, and whether money moves.
    pub(crate) settles: Option<(i64, bool)>,
}

impl PaymentIntent {
    /// What has arrived, in minor units.
    fn received_minor(&self) -> i64 {
        if self.status == "succeeded" {
            self.terms.captured_minor.unwrap_or(self.amount_minor)
        } else {
            0
        }
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let terms = &self.terms;
        let mut fields = Fields::new(&self.id, "payment_intent");
        let capturable = if self.status == "requires_capture" { self.amount_minor } else { 0 };
        let usage = self.invoice.is_some().then_some("off_session").or(terms.future_usage);
        // A declined method is taken off.
        let method = self.payment_method.clone();
        let automatic = terms.automatic_methods;
        fields
            .put("amount", self.amount_minor)
            .put("amount_capturable", capturable)
            .put("amount_received", self.received_minor())
            .put("automatic_payment_methods", automatic.then(|| json!({"enabled": true})))
            .put("canceled_at", terms.canceled_at)
            .put("cancellation_reason", terms.cancellation_reason)
            .put("capture_method", if terms.manual_capture { "manual" } else { "automatic" })
            .put("client_secret", terms.client_secret.clone())
            .put("confirmation_method", "automatic")
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.clone())
            .put("description", self.description.clone())
            .put("last_payment_error", self.last_error())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("next_action", self.next_action())
            .put("payment_method", method.filter(|_| self.decline.is_none()))
            .put("payment_method_options", json!({"card": {"request_three_d_secure": "automatic"}}))
            .put("payment_method_types", self.kinds())
            .put("receipt_email", terms.receipt_email.clone())
            .put("setup_future_usage", usage)
            .put("shipping", terms.shipping.clone())
            .put("statement_descriptor", terms.statement_descriptor.clone())
            .put("status", self.status)
            .nulls(&["application", "application_fee_amount", "on_behalf_of", "processing"])
            .nulls(&["review", "source", "statement_descriptor_suffix", "transfer_data"])
            .nulls(&["transfer_group"]);
        if version < ApiVersion::Basil {
            fields.put("invoice", self.invoice.clone());
        }
        if version >= ApiVersion::V2022 {
            fields.put("latest_charge", self.charge.clone());
        }
        if version >= ApiVersion::Acacia {
            fields.nulls(&["payment_method_configuration_details"]);
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account", "excluded_payment_method_types"]);
        }
        if version >= ApiVersion::Dahlia {
            fields.put("managed_payments", json!({"enabled": false}));
        }
        if version >= ApiVersion::Endive {
            fields.nulls(&["allowed_payment_method_types", "payment_record"]);
        }
        fields.done()
    }

    fn kinds(&self) -> Value {
        if self.terms.kinds.is_empty() { json!(["card"]) } else { json!(self.terms.kinds) }
    }

    fn next_action(&self) -> Value {
        if self.status != "requires_action" {
            return Value::Null;
        }
        let url = format!("https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={}", self.id);
        json!({"redirect_to_url": {"return_url": null, "url": url}, "type": "redirect_to_url"})
    }

    fn last_error(&self) -> Value {
        let Some(decline) = self.decline else { return Value::Null };
        let mut error = json!({
            "charge": self.charge, "code": decline.code,
            "doc_url": format!("https://stripe.com/docs/error-codes/{}", decline.code.replace('_', "-")),
            "message": decline.message, "type": "card_error",
        });
        if let (Some(code), Some(fields)) = (decline.decline_code, error.as_object_mut()) {
            fields.insert("decline_code".to_owned(), code.into());
        }
        error
    }
}
