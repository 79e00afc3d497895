//! The billing portal. Owns: the shapes of its sessions and configurations. Must not know: what a
//! customer does there.

use serde_json::{Value, json};

use super::{Fields, Metadata};
use crate::version::ApiVersion;

/// A product customers may change to, and its prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortalProduct {
    pub(crate) product: String,
    pub(crate) prices: Vec<String>,
    /// The smallest and largest quantity customers may choose; `None` where they may not.
    pub(crate) quantity: Option<(u32, Option<u32>)>,
}

/// How customers cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortalCancel {
    pub(crate) enabled: bool,
    /// `at_period_end` or `immediately`.
    pub(crate) mode: &'static str,
    pub(crate) proration_behavior: &'static str,
    /// The reasons customers are asked for; `None` asks for none.
    pub(crate) reasons: Option<Vec<String>>,
}

/// How customers change what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortalUpdate {
    pub(crate) enabled: bool,
    /// Of `price`, `promotion_code` and `quantity`.
    pub(crate) allowed: Vec<String>,
    pub(crate) products: Vec<PortalProduct>,
    pub(crate) proration_behavior: &'static str,
    /// Which changes wait for the end of the period, of `decreasing_item_amount` and
    /// `shortening_interval`.
    pub(crate) at_period_end: Vec<String>,
    /// `continue_trial` or `end_trial`.
    pub(crate) trial: &'static str,
}

/// What customers can do in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) active: bool,
    pub(crate) is_default: bool,
    pub(crate) headline: Option<String>,
    pub(crate) privacy_policy_url: Option<String>,
    pub(crate) terms_of_service_url: Option<String>,
    pub(crate) default_return_url: Option<String>,
    pub(crate) login_page: bool,
    /// What customers may change of themselves; empty for nothing.
    pub(crate) customer_update: Vec<String>,
    pub(crate) invoice_history: bool,
    pub(crate) payment_method_update: bool,
    pub(crate) cancel: PortalCancel,
    pub(crate) pause: bool,
    pub(crate) update: PortalUpdate,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

impl Configuration {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "billing_portal.configuration");
        let page = self.login_page.then(|| {
            let token = self.id.trim_start_matches("bpc_");
            format!("https://billing.stripe.com/p/login/test_{token}")
        });
        fields
            .put("active", self.active)
            .put(
                "business_profile",
                json!({
                    "headline": self.headline, "privacy_policy_url": self.privacy_policy_url,
                    "terms_of_service_url": self.terms_of_service_url,
                }),
            )
            .put("created", self.created)
            .put("default_return_url", self.default_return_url.clone())
            .put("features", self.features(version))
            .put("is_default", self.is_default)
            .put("livemode", false)
            .put("login_page", json!({"enabled": self.login_page, "url": page}))
            .put("metadata", json!(self.metadata))
            .put("updated", self.updated)
            .nulls(&["application"]);
        if version >= ApiVersion::Basil {
            fields.put("name", self.name.clone());
        }
        fields.done()
    }

    fn features(&self, version: ApiVersion) -> Value {
        let mut methods = json!({"enabled": self.payment_method_update});
        if version >= ApiVersion::Clover
            && let Some(methods) = methods.as_object_mut()
        {
            methods.insert("payment_method_configuration".to_owned(), Value::Null);
        }
        let mut features = json!({
            "customer_update": {
                "allowed_updates": self.customer_update,
                "enabled": !self.customer_update.is_empty(),
            },
            "invoice_history": {"enabled": self.invoice_history},
            "payment_method_update": methods,
            "subscription_cancel": self.cancel.show(),
            "subscription_update": self.update.show(version),
        });
        if let Some(features) = features.as_object_mut() {
            if version >= ApiVersion::Endive {
                let duration = json!({"interval_options": [], "type": "indefinite"});
                let pause = json!({"duration": duration, "enabled": self.pause});
                features.insert("subscription_pause".to_owned(), pause);
            } else if version < ApiVersion::Acacia {
                features.insert("subscription_pause".to_owned(), json!({"enabled": self.pause}));
            }
        }
        features
    }
}

impl PortalCancel {
    fn show(&self) -> Value {
        json!({
            "cancellation_reason": {
                "enabled": self.reasons.is_some(),
                "options": self.reasons.clone().unwrap_or_default(),
            },
            "enabled": self.enabled, "mode": self.mode,
            "proration_behavior": self.proration_behavior,
        })
    }
}

impl PortalUpdate {
    fn show(&self, version: ApiVersion) -> Value {
        let products: Vec<Value> = self.products.iter().map(|one| one.show(version)).collect();
        let conditions: Vec<Value> =
            self.at_period_end.iter().map(|kind| json!({"type": kind})).collect();
        let mut fields = Fields(serde_json::Map::new());
        fields
            .put("default_allowed_updates", self.allowed.clone())
            .put("enabled", self.enabled)
            .put("products", products)
            .put("proration_behavior", self.proration_behavior);
        if version >= ApiVersion::Acacia {
            fields.put("schedule_at_period_end", json!({"conditions": conditions}));
        }
        if version >= ApiVersion::Clover {
            fields.put("trial_update_behavior", self.trial).nulls(&["billing_cycle_anchor"]);
        }
        fields.done()
    }
}

impl PortalProduct {
    fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields(serde_json::Map::new());
        fields.put("prices", self.prices.clone()).put("product", self.product.as_str());
        if version >= ApiVersion::Clover {
            let (minimum, maximum) = self.quantity.unwrap_or((1, None));
            let quantity = json!({
                "enabled": self.quantity.is_some(), "maximum": maximum, "minimum": minimum,
            });
            fields.put("adjustable_quantity", quantity);
        }
        fields.done()
    }
}

/// What a portal session leads to at once, instead of the front page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    PaymentMethodUpdate,
    CustomerUpdate,
    SubscriptionCancel { subscription: String },
    SubscriptionPause { subscription: String },
    SubscriptionUpdate { subscription: String },
    SubscriptionUpdateConfirm { subscription: String, items: Vec<FlowItem> },
}

/// What an item is to be changed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowItem {
    pub(crate) id: String,
    pub(crate) price: Option<String>,
    pub(crate) quantity: Option<u32>,
}

/// Where a flow leads when it is done: to an address, or to a page that says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum AfterFlow {
    #[default]
    Homepage,
    Redirect(String),
    Confirmation(Option<String>),
}

/// A visit to the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortalSession {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) configuration: String,
    pub(crate) return_url: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) flow: Option<(Flow, AfterFlow)>,
    pub(crate) url: String,
    pub(crate) created: i64,
}

impl PortalSession {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let flow = self.flow.as_ref().map_or(Value::Null, |(flow, after)| flow.show(after));
        let mut fields = Fields::new(&self.id, "billing_portal.session");
        fields
            .put("configuration", self.configuration.as_str())
            .put("created", self.created)
            .put("customer", self.customer.as_str())
            .put("flow", flow)
            .put("livemode", false)
            .put("locale", self.locale.clone())
            .put("return_url", self.return_url.clone())
            .put("url", self.url.as_str())
            .nulls(&["on_behalf_of"]);
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account"]);
        }
        fields.done()
    }
}

impl Flow {
    /// Stripe's word for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::PaymentMethodUpdate => "payment_method_update",
            Self::CustomerUpdate => "customer_update",
            Self::SubscriptionCancel { .. } => "subscription_cancel",
            Self::SubscriptionPause { .. } => "subscription_pause",
            Self::SubscriptionUpdate { .. } => "subscription_update",
            Self::SubscriptionUpdateConfirm { .. } => "subscription_update_confirm",
        }
    }

    fn details(&self) -> Value {
        match self {
            Self::PaymentMethodUpdate | Self::CustomerUpdate => Value::Null,
            Self::SubscriptionCancel { subscription } => {
                json!({"retention": null, "subscription": subscription})
            }
            Self::SubscriptionPause { subscription }
            | Self::SubscriptionUpdate { subscription } => {
                json!({"subscription": subscription})
            }
            Self::SubscriptionUpdateConfirm { subscription, items } => {
                let item = |item: &FlowItem| json!({"id": item.id, "price": item.price, "quantity": item.quantity});
                let items: Vec<Value> = items.iter().map(item).collect();
                json!({"discounts": null, "items": items, "subscription": subscription})
            }
        }
    }

    fn show(&self, after: &AfterFlow) -> Value {
        let (redirect, confirmation, kind) = match after {
            AfterFlow::Homepage => (Value::Null, Value::Null, "portal_homepage"),
            AfterFlow::Redirect(url) => (json!({"return_url": url}), Value::Null, "redirect"),
            AfterFlow::Confirmation(message) => {
                (Value::Null, json!({"custom_message": message}), "hosted_confirmation")
            }
        };
        let mut flow = json!({
            "after_completion": {
                "hosted_confirmation": confirmation, "redirect": redirect, "type": kind,
            },
            "subscription_cancel": null, "subscription_update": null,
            "subscription_update_confirm": null, "type": self.kind(),
        });
        if let Some(flow) = flow.as_object_mut() {
            flow.insert(self.kind().to_owned(), self.details());
        }
        flow
    }
}
