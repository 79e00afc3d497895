//! Products, prices and the older plans. Owns: their shapes. Must not know: our catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Fields, Metadata, decimal};
use crate::version::ApiVersion;

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) description: Option<String>,
    pub(crate) default_price: Option<String>,
    pub(crate) images: Vec<String>,
    /// What the page lists as the product's advantages.
    pub(crate) marketing_features: Vec<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) tax_code: Option<String>,
    pub(crate) unit_label: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) metadata: Metadata,
}

impl Product {
    /// A product of which only the name is known.
    pub(crate) fn named(id: String, name: String, created: i64) -> Self {
        Self {
            id,
            name,
            active: true,
            description: None,
            default_price: None,
            images: Vec::new(),
            marketing_features: Vec::new(),
            statement_descriptor: None,
            tax_code: None,
            unit_label: None,
            url: None,
            created,
            updated: created,
            metadata: Metadata::new(),
        }
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "product");
        fields
            .put("active", self.active)
            .put("created", self.created)
            .put("description", self.description.clone())
            .put("images", json!(self.images))
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("name", self.name.as_str())
            .put("statement_descriptor", self.statement_descriptor.clone())
            .put("type", "service")
            .put("unit_label", self.unit_label.clone())
            .put("updated", self.updated)
            .put("url", self.url.clone())
            .nulls(&["package_dimensions", "shippable"]);
        if version < ApiVersion::V2022 {
            fields.empty_arrays(&["attributes"]);
        } else {
            fields
                .put("default_price", self.default_price.clone())
                .put("tax_code", self.tax_code.clone());
        }
        if version >= ApiVersion::Acacia {
            let named = self.marketing_features.iter().map(|name| json!({"name": name}));
            fields.put("marketing_features", named.collect::<Vec<_>>());
        }
        if version >= ApiVersion::Endive {
            fields.nulls(&["tax_details"]);
        }
        fields.done()
    }
}

/// What it costs and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) lookup_key: Option<String>,
    pub(crate) nickname: Option<String>,
    pub(crate) product: Arc<Product>,
    pub(crate) currency: String,
    pub(crate) unit_amount_minor: i64,
    /// Amounts in further currencies, in minor units.
    pub(crate) currency_options: BTreeMap<String, i64>,
    /// `day`, `week`, `month` or `year`; `None` for a price paid once.
    pub(crate) interval: Option<&'static str>,
    /// How many intervals make a period.
    pub(crate) interval_count: u32,
    pub(crate) trial_period_days: Option<i64>,
    /// `unspecified`, `inclusive` or `exclusive`.
    pub(crate) tax_behavior: &'static str,
    pub(crate) metadata: Metadata,
    pub(crate) active: bool,
    pub(crate) created: i64,
}

impl Price {
    /// The price, as it has been since prices exist (2020).
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "price");
        fields
            .put("active", self.active)
            .put("billing_scheme", "per_unit")
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("livemode", false)
            .put("lookup_key", self.lookup_key.clone())
            .put("metadata", json!(self.metadata))
            .put("nickname", self.nickname.clone())
            .put("product", self.product.id.as_str())
            .put("recurring", self.recurring(version))
            .put("tax_behavior", self.tax_behavior)
            .put("type", if self.interval.is_some() { "recurring" } else { "one_time" })
            .put("unit_amount", self.unit_amount_minor)
            .put("unit_amount_decimal", decimal(self.unit_amount_minor))
            .nulls(&["tiers_mode", "transform_quantity"]);
        if version >= ApiVersion::V2022 {
            fields.nulls(&["custom_unit_amount"]);
        }
        fields.done()
    }

    /// The price as it is paid in a currency; `None` where it has no amount in it.
    pub(crate) fn paid_in(&self, currency: &str) -> Option<Self> {
        if currency == self.currency {
            return Some(self.clone());
        }
        let amount = *self.currency_options.get(currency)?;
        let mut paid = self.clone();
        paid.currency_options.remove(currency);
        paid.currency_options.insert(self.currency.clone(), self.unit_amount_minor);
        (paid.currency, paid.unit_amount_minor) = (currency.to_owned(), amount);
        Some(paid)
    }

    /// The amounts in every currency, its own included; shown only when asked for.
    pub(crate) fn show_currency_options(&self) -> Value {
        let own = (&self.currency, &self.unit_amount_minor);
        let option = |(code, amount): (&String, &i64)| {
            let option = json!({
                "custom_unit_amount": null, "tax_behavior": self.tax_behavior,
                "unit_amount": amount, "unit_amount_decimal": decimal(*amount),
            });
            (code.clone(), option)
        };
        std::iter::once(own).chain(&self.currency_options).map(option).collect()
    }

    fn recurring(&self, version: ApiVersion) -> Value {
        let Some(interval) = self.interval else { return Value::Null };
        let mut recurring = json!({
            "interval": interval, "interval_count": self.interval_count,
            "trial_period_days": self.trial_period_days, "usage_type": "licensed",
        });
        if let Some(fields) = recurring.as_object_mut() {
            if version < ApiVersion::Basil {
                fields.insert("aggregate_usage".to_owned(), Value::Null);
            }
            if version >= ApiVersion::Acacia {
                fields.insert("meter".to_owned(), Value::Null);
            }
        }
        recurring
    }

    /// The plan that mirrors the price, with the same id.
    pub(crate) fn show_plan(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "plan");
        fields
            .put("amount", self.unit_amount_minor)
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("interval", self.interval.unwrap_or("month"))
            .put("interval_count", self.interval_count)
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("trial_period_days", self.trial_period_days);
        if version < ApiVersion::V2020 {
            fields.put("name", self.product.name.as_str()).nulls(&["statement_descriptor"]);
            return fields.done();
        }
        fields
            .put("active", self.active)
            .put("amount_decimal", decimal(self.unit_amount_minor))
            .put("billing_scheme", "per_unit")
            .put("nickname", self.nickname.clone())
            .put("product", self.product.id.as_str())
            .put("usage_type", "licensed")
            .nulls(&["tiers_mode", "transform_usage"]);
        if version < ApiVersion::Basil {
            fields.nulls(&["aggregate_usage"]);
        }
        if version >= ApiVersion::Acacia {
            fields.nulls(&["meter"]);
        }
        fields.done()
    }
}
