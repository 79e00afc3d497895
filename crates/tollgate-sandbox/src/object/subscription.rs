//! Subscriptions and their items. Owns: their shape in every version. Must not know: how a
//! subscription comes to its state.

use serde_json::{Value, json};

use super::price::Price;
use super::{Fields, Metadata, list};
use crate::version::ApiVersion;

/// One item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) price: Price,
    pub(crate) quantity: u32,
    pub(crate) created: i64,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    pub(crate) metadata: Metadata,
}

/// A change that waits for its payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingUpdate {
    /// The items as they are going to be.
    pub(crate) items: Vec<Item>,
    pub(crate) expires_at: i64,
    /// The invoice whose payment makes the change.
    pub(crate) invoice: String,
}

/// What becomes of invoices while collection is paused; the status stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PauseCollection {
    /// `keep_as_draft`, `mark_uncollectible` or `void`.
    pub(crate) behavior: &'static str,
    pub(crate) resumes_at: Option<i64>,
}

/// What becomes of a subscription whose trial ends before there is a payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TrialEnd {
    /// The invoice is made, and its payment fails.
    #[default]
    CreateInvoice,
    Pause,
    Cancel,
}

impl TrialEnd {
    /// As Stripe writes it in `trial_settings.end_behavior.missing_payment_method`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CreateInvoice => "create_invoice",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }
}

/// What was agreed about a subscription beside its items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Terms {
    /// Invoices are sent and due after this many days; `None` charges automatically.
    pub(crate) days_until_due: Option<u32>,
    pub(crate) pause_collection: Option<PauseCollection>,
    /// The schedule that changes it.
    pub(crate) schedule: Option<String>,
    pub(crate) trial_end: TrialEnd,
    pub(crate) description: Option<String>,
    /// What the customer said on leaving: Stripe's word for it, and their own.
    pub(crate) feedback: Option<String>,
    pub(crate) comment: Option<String>,
    /// The setup that collects a card for later.
    pub(crate) pending_setup_intent: Option<String>,
    pub(crate) test_clock: Option<String>,
    /// The end of trial that was announced.
    pub(crate) trial_end_told: Option<i64>,
    /// The invoice whose payment ends the pause.
    pub(crate) resumes_with: Option<String>,
}

impl Terms {
    pub(crate) fn collection_method(&self) -> &'static str {
        if self.days_until_due.is_some() { "send_invoice" } else { "charge_automatically" }
    }
}

/// Why and since when a subscription is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paused {
    pub(crate) reason: &'static str,
    pub(crate) at: i64,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) status: &'static str,
    pub(crate) items: Vec<Item>,
    pub(crate) created: i64,
    pub(crate) billing_cycle_anchor: i64,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) cancellation_reason: Option<&'static str>,
    pub(crate) trial_start: Option<i64>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) paused: Option<Paused>,
    pub(crate) latest_invoice: Option<String>,
    /// The payment method charged before the customer's own.
    pub(crate) payment_method: Option<String>,
    pub(crate) pending_update: Option<PendingUpdate>,
    pub(crate) metadata: Metadata,
    pub(crate) terms: Terms,
}

impl Subscription {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "subscription");
        fields
            .put("billing_cycle_anchor", self.billing_cycle_anchor)
            .put("cancel_at", self.cancel_at)
            .put("cancel_at_period_end", self.cancel_at_period_end)
            .put("canceled_at", self.canceled_at)
            .put("created", self.created)
            .put("customer", self.customer.as_str())
            .put("ended_at", self.ended_at)
            .put("items", self.show_items(version))
            .put("latest_invoice", self.latest_invoice.clone())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("status", self.status)
            .put("trial_end", self.trial_end)
            .put("trial_start", self.trial_start)
            .put("days_until_due", self.terms.days_until_due)
            .nulls(&["application_fee_percent", "default_source"]);
        self.put_plan_and_period(&mut fields, version);
        if version < ApiVersion::V2020 {
            fields
                .put("billing", self.terms.collection_method())
                .put("start", self.created)
                .nulls(&["discount", "tax_percent"]);
            return fields.done();
        }
        self.put_settings(&mut fields, version);
        self.put_newer(&mut fields, version);
        fields.done()
    }

    /// The mirror of a single item, and until basil the period, on the subscription itself. With
    /// items of several periods the older shape shows the smallest.
    fn put_plan_and_period(&self, fields: &mut Fields, version: ApiVersion) {
        if version < ApiVersion::Basil {
            let shortest = self.items.iter().min_by_key(|item| item.period_end);
            fields
                .put("current_period_end", shortest.map(|item| item.period_end))
                .put("current_period_start", shortest.map(|item| item.period_start));
        }
        if let [only] = self.items.as_slice() {
            fields.put("plan", only.price.show_plan(version)).put("quantity", only.quantity);
        }
    }

    fn put_settings(&self, fields: &mut Fields, version: ApiVersion) {
        let currency = self.items.first().map(|item| item.price.currency.clone());
        fields
            .put("automatic_tax", automatic_tax(version))
            .put("collection_method", self.terms.collection_method())
            .put("currency", currency)
            .put("default_payment_method", self.payment_method.clone())
            .put("default_tax_rates", json!([]))
            .put("pause_collection", self.show_pause_collection())
            .put("pending_setup_intent", self.terms.pending_setup_intent.clone())
            .put("pending_update", self.show_pending_update(version))
            .put("schedule", self.terms.schedule.clone())
            .put("start_date", self.created)
            .nulls(&["billing_thresholds", "next_pending_invoice_item_invoice", "transfer_data"])
            .nulls(&["pending_invoice_item_interval"]);
        if version < ApiVersion::Basil {
            fields.nulls(&["discount"]);
        } else {
            fields.empty_arrays(&["discounts"]);
        }
    }

    fn put_newer(&self, fields: &mut Fields, version: ApiVersion) {
        if version >= ApiVersion::V2022 {
            fields
                .put(
                    "payment_settings",
                    json!({
                        "payment_method_options": null, "payment_method_types": null,
                        "save_default_payment_method": "off",
                    }),
                )
                .put("description", self.terms.description.clone())
                .put("test_clock", self.terms.test_clock.clone())
                .nulls(&["application", "on_behalf_of"]);
        }
        if version >= ApiVersion::Acacia {
            fields
                .put(
                    "cancellation_details",
                    json!({
                        "comment": self.terms.comment, "feedback": self.terms.feedback,
                        "reason": self.cancellation_reason,
                    }),
                )
                .put(
                    "invoice_settings",
                    json!({"account_tax_ids": null, "issuer": {"type": "self"}}),
                )
                .put("trial_settings", trial_settings(self.terms.trial_end, version))
                .nulls(&["billing_cycle_anchor_config"]);
        }
        if version >= ApiVersion::Clover {
            let mode = json!({"flexible": {"proration_discounts": "included"}, "type": "flexible"});
            fields.put("billing_mode", mode).nulls(&["customer_account"]);
        }
        if version >= ApiVersion::Dahlia {
            fields
                .empty_arrays(&["billing_schedules"])
                .put("managed_payments", json!({"enabled": false}));
        }
        if version >= ApiVersion::Endive
            && let Some(paused) = &self.paused
        {
            fields.put(
                "status_details",
                json!({"paused": {
                    "subscription": {"type": paused.reason}, "transitioned_at": paused.at,
                    "type": "subscription",
                }}),
            );
        }
    }

    fn show_items(&self, version: ApiVersion) -> Value {
        let data = self.items.iter().map(|item| item.show(&self.id, version)).collect();
        list(data, &format!("/v1/subscription_items?subscription={}", self.id), version)
    }

    fn show_pause_collection(&self) -> Value {
        self.terms.pause_collection.as_ref().map_or(
            Value::Null,
            |pause| json!({"behavior": pause.behavior, "resumes_at": pause.resumes_at}),
        )
    }

    fn show_pending_update(&self, version: ApiVersion) -> Value {
        let items = |items: &[Item]| -> Vec<Value> {
            items.iter().map(|item| item.show(&self.id, version)).collect()
        };
        self.pending_update.as_ref().map_or(Value::Null, |pending| {
            json!({
                "billing_cycle_anchor": null, "expires_at": pending.expires_at,
                "subscription_items": items(&pending.items),
                "trial_end": null, "trial_from_plan": null,
            })
        })
    }
}

impl Item {
    /// The item, which names its subscription.
    pub(crate) fn show(&self, subscription: &str, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "subscription_item");
        fields
            .put("created", self.created)
            .put("metadata", json!(self.metadata))
            .put("plan", self.price.show_plan(version))
            .put("quantity", self.quantity);
        if version < ApiVersion::V2020 {
            return fields.done();
        }
        fields
            .put("price", self.price.show(version))
            .put("subscription", subscription)
            .nulls(&["billing_thresholds"])
            .empty_arrays(&["tax_rates"]);
        if version >= ApiVersion::Acacia {
            fields.empty_arrays(&["discounts"]);
        }
        if version >= ApiVersion::Basil {
            fields
                .put("current_period_end", self.period_end)
                .put("current_period_start", self.period_start);
        }
        if version >= ApiVersion::Endive {
            fields.nulls(&["current_trial"]);
        }
        fields.done()
    }
}

fn automatic_tax(version: ApiVersion) -> Value {
    if version >= ApiVersion::Acacia {
        json!({"disabled_reason": null, "enabled": false, "liability": null})
    } else {
        json!({"enabled": false})
    }
}

fn trial_settings(end: TrialEnd, version: ApiVersion) -> Value {
    let behavior = end.as_str();
    if version >= ApiVersion::Endive {
        json!({"end_behavior": {
            "billing_cycle_anchor": null, "missing_payment_method": behavior,
        }})
    } else {
        json!({"end_behavior": {"missing_payment_method": behavior}})
    }
}
