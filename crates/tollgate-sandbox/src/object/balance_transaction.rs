//! Transactions of a customer's balance. Owns: their shape. Must not know: who makes them.

use serde_json::{Value, json};

use super::{Fields, Metadata};
use crate::version::ApiVersion;

/// An amount that was added to a customer's balance by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BalanceTransaction {
    pub(crate) id: String,
    pub(crate) customer: String,
    /// Minor units; below zero it is a credit.
    pub(crate) amount_minor: i64,
    /// The balance after it.
    pub(crate) ending_balance_minor: i64,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
}

impl BalanceTransaction {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "customer_balance_transaction");
        fields
            .put("amount", self.amount_minor)
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.as_str())
            .put("description", self.description.clone())
            .put("ending_balance", self.ending_balance_minor)
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("type", "adjustment")
            .nulls(&["credit_note", "invoice"]);
        if version >= ApiVersion::Basil {
            fields.nulls(&["checkout_session"]);
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account"]);
        }
        fields.done()
    }
}
