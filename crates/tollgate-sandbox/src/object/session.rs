//! Checkout sessions. Owns: their shape in every version. Must not know: what is bought.

use serde_json::{Value, json};

use super::{Fields, Metadata, address};
use crate::version::ApiVersion;

/// A checkout session on Stripe's hosted page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// `payment` or `subscription`.
    pub(crate) mode: &'static str,
    /// `open`, `complete` or `expired`.
    pub(crate) status: &'static str,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub(crate) payment_status: &'static str,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) customer: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) subscription: Option<String>,
    pub(crate) invoice: Option<String>,
    pub(crate) payment_intent: Option<String>,
    /// `card`, or `sepa_debit` for payments that take days.
    pub(crate) payment_method: &'static str,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
}

impl Session {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "checkout.session");
        fields
            .put("allow_promotion_codes", false)
            .put("amount_subtotal", self.amount_minor)
            .put("amount_total", self.amount_minor)
            .put("automatic_tax", automatic_tax(version))
            .put("billing_address_collection", "auto")
            .put("cancel_url", "https://app.arrakis.example/billing?checkout=canceled")
            .put("client_reference_id", self.client_reference_id.clone())
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.as_str())
            .put("customer_details", self.customer_details())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("mode", self.mode)
            .put("payment_intent", self.payment_intent.clone())
            .put("payment_method_options", json!({}))
            .put("payment_method_types", json!([self.payment_method]))
            .put("payment_status", self.payment_status)
            .put("setup_intent", Value::Null)
            .put("status", self.status)
            .put("submit_type", Value::Null)
            .put("subscription", self.subscription.clone())
            .put("success_url", "https://app.arrakis.example/billing?session={CHECKOUT_SESSION_ID}")
            .put(
                "total_details",
                json!({"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}),
            )
            .put("url", Value::Null)
            .nulls(&["customer_email", "locale", "shipping_address_collection"]);
        self.put_newer(&mut fields, version);
        fields.done()
    }

    fn put_newer(&self, fields: &mut Fields, version: ApiVersion) {
        if version < ApiVersion::V2022 {
            fields.nulls(&["shipping", "shipping_rate"]);
            return;
        }
        fields
            .put("created", self.created)
            .put("expires_at", self.expires_at)
            .put("invoice", self.invoice.clone())
            .put("payment_method_collection", self.collection())
            .put("phone_number_collection", json!({"enabled": false}))
            .empty_arrays(&["custom_fields", "shipping_options"])
            .nulls(&["after_expiration", "consent", "consent_collection", "customer_creation"])
            .nulls(&["invoice_creation", "payment_link", "recovered_from", "shipping_cost"])
            .put("custom_text", json!({"shipping_address": null, "submit": null}));
        if version < ApiVersion::Basil {
            fields.nulls(&["shipping_details"]);
        }
        if version >= ApiVersion::Acacia {
            let ui_mode = if version >= ApiVersion::Dahlia { "hosted_page" } else { "hosted" };
            fields
                .put("adaptive_pricing", json!({"enabled": false}))
                .put("ui_mode", ui_mode)
                .put("saved_payment_method_options", saved_methods())
                .nulls(&["client_secret", "currency_conversion"])
                .nulls(&["payment_method_configuration_details"]);
        }
        if version >= ApiVersion::Basil {
            fields
                .put("collected_information", json!({"shipping_details": null}))
                .empty_arrays(&["discounts", "optional_items"])
                .nulls(&["permissions", "wallet_options"]);
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account", "origin_context"]);
        }
        if version >= ApiVersion::Dahlia {
            fields
                .put("managed_payments", json!({"enabled": false}))
                .nulls(&["integration_identifier"]);
        }
        if version >= ApiVersion::Endive {
            fields.nulls(&["allowed_payment_method_types"]);
        }
    }

    fn customer_details(&self) -> Value {
        json!({
            "address": address(Some("US")), "email": self.email, "name": self.name, "phone": null,
            "tax_exempt": "none", "tax_ids": [],
        })
    }

    fn collection(&self) -> &'static str {
        if self.mode == "subscription" { "always" } else { "if_required" }
    }
}

fn automatic_tax(version: ApiVersion) -> Value {
    if version >= ApiVersion::Acacia {
        json!({"enabled": false, "liability": null, "provider": null, "status": null})
    } else {
        json!({"enabled": false, "status": null})
    }
}

fn saved_methods() -> Value {
    json!({
        "allow_redisplay_filters": ["always"], "payment_method_remove": "disabled",
        "payment_method_save": null,
    })
}
