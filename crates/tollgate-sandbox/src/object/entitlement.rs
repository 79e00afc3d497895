//! Stripe's own features of products and the summary of a customer's. Owns: their shapes, and which
//! features a customer's subscriptions give. Must not know: our catalog.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Metadata;
use super::stored::Objects;
use super::subscription::Subscription;

/// Something a product can give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) id: String,
    pub(crate) lookup_key: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
}

impl Feature {
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id, "object": "entitlements.feature", "active": self.active,
            "livemode": false, "lookup_key": self.lookup_key, "metadata": self.metadata,
            "name": self.name,
        })
    }
}

/// A feature of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductFeature {
    pub(crate) id: String,
    pub(crate) product: String,
    pub(crate) feature: Feature,
    pub(crate) created: i64,
}

impl ProductFeature {
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id, "object": "product_feature", "livemode": false,
            "entitlement_feature": self.feature.show(),
        })
    }
}

/// What a subscription has to be for its products to give their features.
fn gives(subscription: &Subscription) -> bool {
    matches!(subscription.status, "active" | "trialing" | "past_due")
}

/// What Stripe holds active for a customer. It has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) customer: String,
    /// Feature ids and lookup keys.
    pub(crate) features: Vec<(String, String)>,
}

impl Summary {
    /// What the subscriptions of a customer give now.
    pub(crate) fn of(customer: &str, objects: &Objects) -> Self {
        let mut features = BTreeMap::new();
        if objects.all::<ProductFeature>().next().is_none() {
            return Self { customer: customer.to_owned(), features: Vec::new() };
        }
        let of = |one: &&Subscription| one.customer == customer && gives(one);
        for subscription in objects.all::<Subscription>().filter(of) {
            let products = subscription.items.iter().map(|item| item.price.product.id.as_str());
            let products: Vec<&str> = products.collect();
            for known in objects.all::<ProductFeature>() {
                if products.contains(&known.product.as_str()) {
                    features.insert(known.feature.id.clone(), known.feature.lookup_key.clone());
                }
            }
        }
        Self { customer: customer.to_owned(), features: features.into_iter().collect() }
    }

    /// The entitlements, each an object.
    pub(crate) fn entitlements(&self) -> Vec<Value> {
        let show = |(id, lookup_key): &(String, String)| {
            json!({
                "id": id.replacen("feat_", "ent_", 1),
                "object": "entitlements.active_entitlement", "feature": id,
                "livemode": false, "lookup_key": lookup_key,
            })
        };
        self.features.iter().map(show).collect()
    }

    pub(crate) fn show(&self) -> Value {
        let data = self.entitlements();
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
