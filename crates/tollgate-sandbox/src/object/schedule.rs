//! Subscription schedules. Owns: their shape in every version. Must not know: when a phase begins.

use serde_json::{Value, json};

use super::price::Price;
use super::{Fields, Metadata};
use crate::version::ApiVersion;

/// What is sold in a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhaseItem {
    pub(crate) price: Price,
    pub(crate) quantity: u32,
    pub(crate) metadata: Metadata,
}

/// A span of time in which a subscription holds certain items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) items: Vec<PhaseItem>,
    /// `create_prorations`, `always_invoice` or `none`.
    pub(crate) proration_behavior: &'static str,
    pub(crate) trial_end: Option<i64>,
    /// Written into the subscription's metadata when the phase begins.
    pub(crate) metadata: Metadata,
}

/// What is going to change in a subscription, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) customer: String,
    /// The subscription it changes; `None` before it began and after it let go.
    pub(crate) subscription: Option<String>,
    /// `not_started`, `active`, `completed`, `released` or `canceled`.
    pub(crate) status: &'static str,
    pub(crate) phases: Vec<Phase>,
    /// The phase that is in force.
    pub(crate) current: Option<usize>,
    /// `release` or `cancel`.
    pub(crate) end_behavior: &'static str,
    pub(crate) created: i64,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) completed_at: Option<i64>,
    pub(crate) released_at: Option<i64>,
    pub(crate) released_subscription: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) test_clock: Option<String>,
}

impl Schedule {
    /// The phase that is in force.
    pub(crate) fn current_phase(&self) -> Option<&Phase> {
        self.current.and_then(|index| self.phases.get(index))
    }

    /// Whether it still has something to do.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.status, "not_started" | "active")
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let current = self.current_phase().filter(|_| self.status == "active");
        let current = current
            .map_or(Value::Null, |phase| json!({"end_date": phase.end, "start_date": phase.start}));
        let phases: Vec<Value> = self.phases.iter().map(|phase| phase.show(version)).collect();
        let mut fields = Fields::new(&self.id, "subscription_schedule");
        fields
            .put("canceled_at", self.canceled_at)
            .put("completed_at", self.completed_at)
            .put("created", self.created)
            .put("current_phase", current)
            .put("customer", self.customer.as_str())
            .put("default_settings", default_settings(version))
            .put("end_behavior", self.end_behavior)
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("phases", phases)
            .put("released_at", self.released_at)
            .put("released_subscription", self.released_subscription.clone())
            .put("status", self.status)
            .put("subscription", self.subscription.clone())
            .put("test_clock", self.test_clock.clone())
            .nulls(&["application"]);
        if version >= ApiVersion::Clover {
            let mode = json!({"flexible": {"proration_discounts": "included"}, "type": "flexible"});
            fields.put("billing_mode", mode).nulls(&["customer_account"]);
        }
        if version >= ApiVersion::Endive {
            fields.empty_arrays(&["pause_schedules"]);
        }
        fields.done()
    }
}

fn default_settings(version: ApiVersion) -> Value {
    let mut fields = Fields(serde_json::Map::new());
    fields
        .put("billing_cycle_anchor", "automatic")
        .put("collection_method", "charge_automatically")
        .nulls(&["application_fee_percent", "billing_thresholds", "default_payment_method"])
        .nulls(&["description", "on_behalf_of", "transfer_data"]);
    if version >= ApiVersion::Acacia {
        fields.put("automatic_tax", json!({"enabled": false, "liability": null})).put(
            "invoice_settings",
            json!({"account_tax_ids": null, "days_until_due": null, "issuer": {"type": "self"}}),
        );
    } else {
        fields.nulls(&["invoice_settings"]);
    }
    fields.done()
}

impl Phase {
    fn show(&self, version: ApiVersion) -> Value {
        let items: Vec<Value> = self.items.iter().map(PhaseItem::show).collect();
        let currency = self.items.first().map(|item| item.price.currency.clone());
        let mut fields = Fields(serde_json::Map::new());
        fields
            .put("currency", currency)
            .put("end_date", self.end)
            .put("items", items)
            .put("metadata", json!(self.metadata))
            .put("proration_behavior", self.proration_behavior)
            .put("start_date", self.start)
            .put("trial_end", self.trial_end)
            .empty_arrays(&["add_invoice_items", "default_tax_rates"])
            .nulls(&["application_fee_percent", "billing_cycle_anchor", "billing_thresholds"])
            .nulls(&["collection_method", "default_payment_method", "description"])
            .nulls(&["invoice_settings", "on_behalf_of", "transfer_data"]);
        if version < ApiVersion::Basil {
            fields.nulls(&["coupon"]);
        }
        if version >= ApiVersion::Acacia {
            fields.empty_arrays(&["discounts"]);
        }
        fields.done()
    }
}

impl PhaseItem {
    fn show(&self) -> Value {
        json!({
            "billing_thresholds": null, "discounts": [], "metadata": self.metadata,
            "plan": self.price.id, "price": self.price.id, "quantity": self.quantity,
            "tax_rates": [],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::price::Product;

    fn schedule() -> Schedule {
        let product = Product::named("prod_1".to_owned(), "Premium".to_owned(), 1);
        let price = Price {
            id: "price_1".to_owned(),
            lookup_key: None,
            nickname: None,
            product: product.into(),
            currency: "usd".to_owned(),
            unit_amount_minor: 999,
            currency_options: std::collections::BTreeMap::new(),
            interval: Some("month"),
            interval_count: 1,
            trial_period_days: None,
            tax_behavior: "unspecified",
            metadata: Metadata::new(),
            active: true,
            created: 1,
        };
        let item = PhaseItem { price, quantity: 2, metadata: Metadata::new() };
        let phase = |start: i64| Phase {
            start,
            end: start + 10,
            items: vec![item.clone()],
            proration_behavior: "none",
            trial_end: None,
            metadata: Metadata::new(),
        };
        Schedule {
            id: "sub_sched_1".to_owned(),
            customer: "cus_1".to_owned(),
            subscription: Some("sub_1".to_owned()),
            status: "active",
            phases: vec![phase(0), phase(10)],
            current: Some(1),
            end_behavior: "release",
            created: 0,
            canceled_at: None,
            completed_at: None,
            released_at: None,
            released_subscription: None,
            metadata: Metadata::new(),
            test_clock: None,
        }
    }

    #[test]
    fn the_current_phase_is_shown_while_the_schedule_is_active() {
        let mut schedule = schedule();
        let shown = schedule.show(ApiVersion::Endive);
        assert_eq!(shown["current_phase"], json!({"start_date": 10, "end_date": 20}));
        assert_eq!(shown["phases"][0]["items"][0]["price"], "price_1");
        assert_eq!(shown["phases"][0]["currency"], "usd");
        schedule.status = "released";
        assert!(schedule.show(ApiVersion::Endive)["current_phase"].is_null());
        assert!(!schedule.is_live());
    }

    #[test]
    fn what_a_version_does_not_know_is_not_shown() {
        let (old, new) = (schedule().show(ApiVersion::V2022), schedule().show(ApiVersion::Endive));
        assert!(old.get("billing_mode").is_none() && new.get("billing_mode").is_some());
        assert!(old["phases"][0].get("coupon").is_some());
        assert!(new["phases"][0].get("coupon").is_none());
        assert!(new.get("pause_schedules").is_some());
    }
}
