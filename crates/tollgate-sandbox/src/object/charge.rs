//! Charges. Owns: their shape in every version. Must not know: what is paid.

use serde_json::{Value, json};

use super::adjustment::Refund;
use super::payment_method::BillingDetails;
use super::test_method::{Decline, TestMethod};
use super::{Fields, Metadata, address, list};
use crate::version::ApiVersion;

/// A charge of a card or an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    /// The invoice paid; `None` for one-time purchases.
    pub(crate) invoice: Option<String>,
    pub(crate) payment_intent: String,
    pub(crate) payment_method: String,
    /// Why it failed; `None` where it did not.
    pub(crate) decline: Option<&'static Decline>,
    /// The money is still on its way.
    pub(crate) pending: bool,
    /// Of the amount, what was taken; less than all only where it was captured later.
    pub(crate) captured_minor: i64,
    pub(crate) disputed: bool,
    /// What was charged.
    pub(crate) method: &'static TestMethod,
    pub(crate) billing: Option<BillingDetails>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) created: i64,
}

impl Charge {
    /// What was given back so far, in minor units.
    pub(crate) fn refunded_minor(&self) -> i64 {
        let given = |refund: &&Refund| !matches!(refund.status, "failed" | "canceled");
        self.refunds
            .iter()
            .filter(given)
            .map(|refund| refund.amount_minor)
            .fold(0, i64::saturating_add)
    }

    /// Whether money moved.
    pub(crate) fn succeeded(&self) -> bool {
        self.decline.is_none() && !self.pending
    }

    fn status(&self) -> &'static str {
        match (self.decline, self.pending) {
            (Some(_), _) => "failed",
            (None, true) => "pending",
            (None, false) => "succeeded",
        }
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "charge");
        let refunded = self.refunded_minor();
        fields
            .put("amount", self.amount_minor)
            .put("amount_captured", if self.succeeded() { self.captured_minor } else { 0 })
            .put("amount_refunded", refunded)
            .put("balance_transaction", self.balance_transaction())
            .put("billing_details", self.billing_details(version))
            .put("calculated_statement_descriptor", "ARRAKIS TRADING")
            .put("captured", self.decline.is_none() && self.captured_minor > 0)
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.clone())
            .put("description", self.description.clone())
            .put("disputed", self.disputed)
            .put("failure_code", self.decline.map(|decline| decline.code))
            .put("failure_message", self.decline.map(|decline| decline.message))
            .put("fraud_details", json!({}))
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("outcome", self.outcome())
            .put("paid", self.succeeded())
            .put("payment_intent", self.payment_intent.as_str())
            .put("payment_method", self.payment_method.as_str())
            .put("payment_method_details", payment_method_details(self.method, version))
            .put("receipt_email", self.email.clone())
            .put("receipt_url", self.receipt_url())
            .put("refunded", self.succeeded() && refunded >= self.amount_minor)
            .put("status", self.status())
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
        self.succeeded().then(|| self.id.replacen("ch_", "txn_", 1))
    }

    fn receipt_url(&self) -> Option<String> {
        self.succeeded().then(|| format!("https://pay.stripe.com/receipts/payment/{}", self.id))
    }

    fn billing_details(&self, version: ApiVersion) -> Value {
        self.billing.as_ref().map_or_else(
            || {
                let home = address(Some("US"));
                json!({"address": home, "email": self.email, "name": self.name, "phone": null})
            },
            |billing| billing.show(version),
        )
    }

    fn outcome(&self) -> Value {
        match self.decline.map(Decline::reason) {
            None => json!({
                "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
                "risk_score": 21, "seller_message": "Payment complete.", "type": "authorized",
            }),
            Some(reason) => json!({
                "network_status": "declined_by_network", "reason": reason,
                "risk_level": "normal", "risk_score": 24,
                "seller_message": format!("The bank returned the decline code `{reason}`."),
                "type": "issuer_declined",
            }),
        }
    }
}

fn payment_method_details(method: &TestMethod, version: ApiVersion) -> Value {
    if method.kind != "card" {
        let mandate = version >= ApiVersion::V2022;
        let debit = json!({
            "bank_code": "19043", "branch_code": "", "country": method.country,
            "fingerprint": method.fingerprint(), "last4": method.last4(),
            "mandate": mandate.then(|| format!("mandate_1{}", method.fingerprint())),
        });
        return json!({"type": method.kind, method.kind: debit});
    }
    let mut card = json!({
        "brand": method.brand,
        "checks": {
            "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass",
        },
        "country": method.country, "exp_month": 9, "exp_year": 2031,
        "fingerprint": method.fingerprint(), "funding": method.funding, "installments": null,
        "last4": method.last4(), "network": method.brand, "three_d_secure": null, "wallet": null,
    });
    if version >= ApiVersion::V2022
        && let Some(fields) = card.as_object_mut()
    {
        fields.insert("mandate".to_owned(), Value::Null);
    }
    json!({"card": card, "type": "card"})
}
