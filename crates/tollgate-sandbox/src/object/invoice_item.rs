//! Invoice items: amounts that wait for the next invoice. Owns: their shape in every version. Must
//! not know: invoices.

use serde_json::{Value, json};

use super::price::Price;
use super::{Fields, Metadata, decimal};
use crate::version::ApiVersion;

/// An amount that is, or is going to be, a line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvoiceItem {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_item: Option<String>,
    /// The invoice it is a line of; `None` while it waits.
    pub(crate) invoice: Option<String>,
    pub(crate) amount_minor: i64,
    pub(crate) description: String,
    pub(crate) price: Price,
    pub(crate) quantity: u32,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    pub(crate) proration: bool,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
    pub(crate) test_clock: Option<String>,
}

impl InvoiceItem {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "invoiceitem");
        fields
            .put("amount", self.amount_minor)
            .put("currency", self.price.currency.as_str())
            .put("customer", self.customer.as_str())
            .put("date", self.created)
            .put("description", self.description.as_str())
            .put("discountable", !self.proration)
            .put("invoice", self.invoice.clone())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("period", json!({"end": self.period_end, "start": self.period_start}))
            .put("proration", self.proration)
            .put("quantity", self.quantity);
        if version < ApiVersion::Basil {
            fields
                .put("plan", self.plan(version))
                .put("subscription", self.subscription.clone())
                .put("unit_amount", self.price.unit_amount_minor);
        } else {
            self.put_since_basil(&mut fields);
        }
        self.put_newer(&mut fields, version);
        fields.done()
    }

    fn plan(&self, version: ApiVersion) -> Value {
        self.price.interval.map_or(Value::Null, |_| self.price.show_plan(version))
    }

    fn put_since_basil(&self, fields: &mut Fields) {
        let parent = self.subscription.as_ref().map_or(Value::Null, |subscription| {
            json!({
                "subscription_details": {
                    "subscription": subscription, "subscription_item": self.subscription_item,
                },
                "type": "subscription_details",
            })
        });
        let pricing = json!({
            "price_details": {"price": self.price.id, "product": self.price.product.id},
            "type": "price_details",
            "unit_amount_decimal": decimal(self.price.unit_amount_minor),
        });
        fields.put("parent", parent).put("pricing", pricing);
    }

    fn put_newer(&self, fields: &mut Fields, version: ApiVersion) {
        if (ApiVersion::V2020..ApiVersion::Basil).contains(&version) {
            fields
                .put("price", self.price.show(version))
                .put("subscription_item", self.subscription_item.clone())
                .put("unit_amount_decimal", decimal(self.price.unit_amount_minor));
        }
        if version >= ApiVersion::V2020 {
            fields.empty_arrays(&["discounts", "tax_rates"]);
        }
        if version >= ApiVersion::V2022 {
            fields.put("test_clock", self.test_clock.clone());
        }
        if version >= ApiVersion::Clover {
            let details = json!({"credited_items": null, "discount_amounts": []});
            fields
                .put("net_amount", self.amount_minor)
                .put("proration_details", details)
                .nulls(&["customer_account"]);
        }
        if version >= ApiVersion::Dahlia {
            fields.put("quantity_decimal", self.quantity.to_string());
        }
    }
}
