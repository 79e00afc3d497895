//! Refunds and disputes. Owns: their shape in every version. Must not know: what they undo.

use serde_json::{Value, json};

use super::{Fields, Metadata};
use crate::version::ApiVersion;

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: String,
    /// `pending`, `succeeded`, `failed` or `canceled`.
    pub(crate) status: &'static str,
    /// `duplicate`, `fraudulent` or `requested_by_customer`.
    pub(crate) reason: Option<&'static str>,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
}

impl Refund {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let failed = self.status == "failed";
        let mut fields = Fields::new(&self.id, "refund");
        fields
            .put("amount", self.amount_minor)
            .put("balance_transaction", self.id.replacen("re_", "txn_", 1))
            .put("charge", self.charge.as_str())
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("metadata", json!(self.metadata))
            .put("payment_intent", self.payment_intent.as_str())
            .put("reason", self.reason)
            .put("status", self.status)
            .nulls(&["receipt_number", "source_transfer_reversal", "transfer_reversal"]);
        if failed {
            fields.put("failure_reason", "expired_or_canceled_card");
        }
        if version >= ApiVersion::Acacia {
            let card = json!({
                "reference_status": "pending", "reference_type": "acquirer_reference_number",
                "type": "refund",
            });
            fields.put("destination_details", json!({"card": card, "type": "card"}));
        }
        if version >= ApiVersion::Endive {
            fields
                .put("customer", self.customer.clone())
                .put("payment_method", self.payment_method.as_str())
                .nulls(&["customer_account"]);
        }
        fields.done()
    }
}

/// A payment questioned by the cardholder's bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    /// `needs_response`, `under_review`, `won` or `lost`; of an inquiry `warning_…`.
    pub(crate) status: &'static str,
    /// Such as `fraudulent`.
    pub(crate) reason: &'static str,
    pub(crate) funds_withdrawn: bool,
    pub(crate) funds_reinstated: bool,
    /// What was said against it so far, by field.
    pub(crate) evidence: Metadata,
    /// How often that was sent to the bank.
    pub(crate) submissions: u32,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
}

/// The names of all evidence fields; empty until somebody answers the dispute.
pub(crate) const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// Stripe's fee for a dispute, in cents.
const DISPUTE_FEE_MINOR: i64 = 1_500;

/// How long a dispute waits for its answer, in seconds.
const ANSWER_SECONDS: i64 = 9 * 86_400;

impl Dispute {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let evidence: serde_json::Map<String, Value> = EVIDENCE
            .iter()
            .map(|name| ((*name).to_owned(), json!(self.evidence.get(*name))))
            .collect();
        let mut fields = Fields::new(&self.id, "dispute");
        fields
            .put("amount", self.amount_minor)
            .put("balance_transactions", self.balance_transactions())
            .put("charge", self.charge.as_str())
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("evidence", evidence)
            .put(
                "evidence_details",
                json!({
                    "due_by": self.created.saturating_add(ANSWER_SECONDS),
                    "has_evidence": !self.evidence.is_empty(), "past_due": false,
                    "submission_count": self.submissions,
                }),
            )
            .put("is_charge_refundable", self.is_inquiry())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("payment_intent", self.payment_intent.as_str())
            .put("reason", self.reason)
            .put("status", self.status);
        if version < ApiVersion::V2022 {
            fields.nulls(&["balance_transaction"]);
        }
        if version >= ApiVersion::Acacia {
            let case_type = if self.is_inquiry() { "inquiry" } else { "chargeback" };
            let card =
                json!({"brand": "visa", "case_type": case_type, "network_reason_code": "10.4"});
            fields.put("payment_method_details", json!({"card": card, "type": "card"}));
            fields.empty_arrays(&["enhanced_eligibility_types"]);
        }
        if version >= ApiVersion::Endive {
            fields.nulls(&["intended_submission_method"]);
        }
        fields.done()
    }

    /// Whether the bank only asks; the money stays for now.
    pub(crate) fn is_inquiry(&self) -> bool {
        self.status.starts_with("warning_")
    }

    fn balance_transactions(&self) -> Value {
        let entry = |ending: &str, sign: i64, fee: i64| {
            let amount = self.amount_minor.saturating_mul(sign);
            json!({
                "id": format!("{}{ending}", self.id.replacen("dp_", "txn_", 1)),
                "object": "balance_transaction", "amount": amount, "created": self.created,
                "currency": self.currency, "fee": fee, "net": amount.saturating_sub(fee),
                "reporting_category": "dispute", "source": self.id, "status": "available",
                "type": "adjustment",
            })
        };
        let mut entries = Vec::new();
        if self.funds_withdrawn {
            entries.push(entry("w", -1, DISPUTE_FEE_MINOR));
        }
        if self.funds_reinstated {
            entries.push(entry("r", 1, 0));
        }
        Value::Array(entries)
    }
}
