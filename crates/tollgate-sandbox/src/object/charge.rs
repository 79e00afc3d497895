//! Charges. Owns: their shape in every version. Must not know: what is paid.

use serde_json::{Value, json};

use super::adjustment::Refund;
use super::{Fields, Metadata, address, list};
use crate::version::ApiVersion;

/// A charge of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) customer: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: String,
    pub(crate) metadata: Metadata,
    /// The invoice paid; `None` for one-time purchases.
    pub(crate) invoice: Option<String>,
    pub(crate) payment_intent: String,
    pub(crate) payment_method: String,
    pub(crate) succeeded: bool,
    pub(crate) disputed: bool,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) created: i64,
}

impl Charge {
    /// What was given back so far, in minor units.
    pub(crate) fn refunded_minor(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount_minor).sum()
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "charge");
        let refunded = self.refunded_minor();
        fields
            .put("amount", self.amount_minor)
            .put("amount_captured", if self.succeeded { self.amount_minor } else { 0 })
            .put("amount_refunded", refunded)
            .put("balance_transaction", self.balance_transaction())
            .put("billing_details", self.billing_details())
            .put("calculated_statement_descriptor", "ARRAKIS TRADING")
            .put("captured", self.succeeded)
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.as_str())
            .put("description", self.description.as_str())
            .put("disputed", self.disputed)
            .put("failure_code", (!self.succeeded).then_some("card_declined"))
            .put(
                "failure_message",
                (!self.succeeded).then_some("Your card has insufficient funds."),
            )
            .put("fraud_details", json!({}))
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("outcome", self.outcome())
            .put("paid", self.succeeded)
            .put("payment_intent", self.payment_intent.as_str())
            .put("payment_method", self.payment_method.as_str())
            .put("payment_method_details", card(version))
            .put("receipt_email", self.email.clone())
            .put("receipt_url", self.receipt_url())
            .put("refunded", self.succeeded && refunded >= self.amount_minor)
            .put("status", if self.succeeded { "succeeded" } else { "failed" })
            .nulls(&["application", "application_fee", "application_fee_amount", "on_behalf_of"])
            .nulls(&["receipt_number", "review", "shipping", "source", "source_transfer"])
            .nulls(&["statement_descriptor", "statement_descriptor_suffix", "transfer_data"])
            .nulls(&["transfer_group"]);
        if version < ApiVersion::Basil {
            fields.put("invoice", self.invoice.clone());
        }
        if version < ApiVersion::V2022 {
            fields.put("refunds", self.show_refunds(version)).nulls(&["destination", "dispute"]);
        }
        if version >= ApiVersion::V2022 {
            fields.nulls(&["failure_balance_transaction"]);
        }
        fields.done()
    }

    /// The refunds, newest first; part of the charge itself until 2022.
    pub(crate) fn show_refunds(&self, version: ApiVersion) -> Value {
        let refunds = self.refunds.iter().rev().map(|refund| refund.show(version)).collect();
        list(refunds, &format!("/v1/charges/{}/refunds", self.id), version)
    }

    fn balance_transaction(&self) -> Option<String> {
        self.succeeded.then(|| self.id.replacen("ch_", "txn_", 1))
    }

    fn receipt_url(&self) -> Option<String> {
        self.succeeded.then(|| format!("https://pay.stripe.com/receipts/payment/{}", self.id))
    }

    fn billing_details(&self) -> Value {
        json!({"address": address(Some("US")), "email": self.email, "name": self.name, "phone": null})
    }

    fn outcome(&self) -> Value {
        if self.succeeded {
            json!({
                "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
                "risk_score": 21, "seller_message": "Payment complete.", "type": "authorized",
            })
        } else {
            json!({
                "network_status": "declined_by_network", "reason": "insufficient_funds",
                "risk_level": "normal", "risk_score": 24,
                "seller_message": "The bank returned the decline code `insufficient_funds`.",
                "type": "issuer_declined",
            })
        }
    }
}

fn card(version: ApiVersion) -> Value {
    let mut card = json!({
        "brand": "visa",
        "checks": {
            "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass",
        },
        "country": "US", "exp_month": 9, "exp_year": 2031, "fingerprint": "T0llGateSandb0x1",
        "funding": "credit", "installments": null, "last4": "4242", "network": "visa",
        "three_d_secure": null, "wallet": null,
    });
    if version >= ApiVersion::V2022
        && let Some(fields) = card.as_object_mut()
    {
        fields.insert("mandate".to_owned(), Value::Null);
    }
    json!({"card": card, "type": "card"})
}
