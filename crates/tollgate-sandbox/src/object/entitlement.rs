//! Stripe's own summary of a customer's features. Owns: its shape. Must not know: our catalog.

use serde_json::{Value, json};

/// What Stripe holds active for a customer. It has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) customer: String,
    /// Feature ids and lookup keys.
    pub(crate) features: Vec<(String, String)>,
}

impl Summary {
    pub(crate) fn show(&self) -> Value {
        let data: Vec<Value> = self
            .features
            .iter()
            .map(|(id, lookup_key)| {
                json!({
                    "id": id.replacen("feat_", "ent_", 1),
                    "object": "entitlements.active_entitlement", "feature": id,
                    "livemode": false, "lookup_key": lookup_key,
                })
            })
            .collect();
        json!({
            "object": "entitlements.active_entitlement_summary", "customer": self.customer,
            "entitlements": {
                "object": "list", "data": data, "has_more": false,
                "url": format!("/v1/customer/{}/entitlements", self.customer),
            },
            "livemode": false,
        })
    }
}
