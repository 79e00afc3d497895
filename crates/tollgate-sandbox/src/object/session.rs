//! Checkout sessions. Owns: their shape in every version. Must not know: what is bought.

use serde_json::{Value, json};

use super::price::Price;
use super::{Fields, Metadata, address, list};
use crate::version::ApiVersion;

/// One thing that is bought in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineItem {
    pub(crate) id: String,
    pub(crate) price: Price,
    pub(crate) quantity: u32,
    /// The least and the most units customers can choose.
    pub(crate) adjustable: Option<(i64, i64)>,
}

impl LineItem {
    /// What it costs, in minor units.
    pub(crate) fn amount_minor(&self) -> i64 {
        self.price.unit_amount_minor.saturating_mul(i64::from(self.quantity))
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "item");
        fields
            .put("amount_subtotal", self.amount_minor())
            .put("amount_total", self.amount_minor())
            .put("currency", self.price.currency.as_str())
            .put("description", self.price.product.name.as_str())
            .put("price", self.price.show(version))
            .put("quantity", self.quantity);
        if version >= ApiVersion::V2022 {
            fields.zeros(&["amount_discount", "amount_tax"]);
        }
        fields.done()
    }
}

/// What a session says of the subscription that it makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SubscriptionData {
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    /// When its trial ends, in Unix seconds.
    pub(crate) trial_end: Option<i64>,
    /// How many days its trial has, counted from the payment.
    pub(crate) trial_days: Option<i64>,
    /// What becomes of it when its trial ends without a payment method.
    pub(crate) missing_payment_method: Option<&'static str>,
}

/// What the page collects besides the payment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Collected {
    pub(crate) automatic_tax: bool,
    /// Whether tax ids are collected, where that was said.
    pub(crate) tax_ids: Option<bool>,
    /// Something was said of consent.
    pub(crate) consent: bool,
    pub(crate) terms_of_service: Option<&'static str>,
    pub(crate) promotions: Option<&'static str>,
}

/// What a session says of the payment that it makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PaymentData {
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) future_usage: Option<&'static str>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) manual_capture: bool,
    pub(crate) shipping: Option<Value>,
}

/// Where a session's page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UiMode {
    /// On Stripe's page.
    #[default]
    Hosted,
    /// Within the application's page.
    Embedded,
    /// As parts of the application's page.
    Elements,
}

impl UiMode {
    /// Every name of a mode, the older and the newer ones.
    pub(crate) const NAMED: [(&'static str, Self); 7] = [
        ("hosted", Self::Hosted),
        ("hosted_page", Self::Hosted),
        ("embedded", Self::Embedded),
        ("embedded_page", Self::Embedded),
        ("custom", Self::Elements),
        ("elements", Self::Elements),
        ("form", Self::Elements),
    ];

    fn as_str(self, version: ApiVersion) -> &'static str {
        match (self, version >= ApiVersion::Dahlia) {
            (Self::Hosted, true) => "hosted_page",
            (Self::Hosted, false) => "hosted",
            (Self::Embedded, true) => "embedded_page",
            (Self::Embedded, false) => "embedded",
            (Self::Elements, true) => "elements",
            (Self::Elements, false) => "custom",
        }
    }
}

/// What the request that made a session said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) success_url: Option<String>,
    pub(crate) cancel_url: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) ui_mode: UiMode,
    /// Stripe's page, as long as the session is open.
    pub(crate) url: Option<String>,
    pub(crate) client_secret: Option<String>,
    pub(crate) lines: Vec<LineItem>,
    pub(crate) customer_email: Option<String>,
    pub(crate) customer_creation: Option<&'static str>,
    pub(crate) locale: Option<String>,
    pub(crate) submit_type: Option<&'static str>,
    pub(crate) collection: Option<&'static str>,
    pub(crate) address_collection: &'static str,
    pub(crate) allow_promotion_codes: Option<bool>,
    pub(crate) collected: Collected,
    /// The kinds of payment methods, where they were named.
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) subscription: SubscriptionData,
    pub(crate) payment: PaymentData,
}

impl Default for Terms {
    /// What scenarios say of their sessions.
    fn default() -> Self {
        let page = "https://app.arrakis.example/billing";
        Self {
            success_url: Some(format!("{page}?session={{CHECKOUT_SESSION_ID}}")),
            cancel_url: Some(format!("{page}?checkout=canceled")),
            return_url: None,
            ui_mode: UiMode::Hosted,
            url: None,
            client_secret: None,
            lines: Vec::new(),
            customer_email: None,
            customer_creation: None,
            locale: None,
            submit_type: None,
            collection: None,
            address_collection: "auto",
            allow_promotion_codes: Some(false),
            collected: Collected::default(),
            kinds: Vec::new(),
            subscription: SubscriptionData::default(),
            payment: PaymentData::default(),
        }
    }
}

/// A checkout session.
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
    pub(crate) customer: Option<String>,
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
    pub(crate) terms: Box<Terms>,
}

impl Session {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "checkout.session");
        let terms = &self.terms;
        fields
            .put("allow_promotion_codes", terms.allow_promotion_codes)
            .put("amount_subtotal", self.amount_minor)
            .put("amount_total", self.amount_minor)
            .put("automatic_tax", automatic_tax(terms.collected.automatic_tax, version))
            .put("billing_address_collection", terms.address_collection)
            .put("cancel_url", terms.cancel_url.clone())
            .put("client_reference_id", self.client_reference_id.clone())
            .put("currency", self.currency.as_str())
            .put("customer", self.customer.clone())
            .put("customer_details", self.customer_details())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("mode", self.mode)
            .put("payment_intent", self.payment_intent.clone())
            .put("payment_method_options", json!({}))
            .put("customer_email", terms.customer_email.clone())
            .put("locale", terms.locale.clone())
            .put("payment_method_types", self.kinds())
            .put("payment_status", self.payment_status)
            .put("setup_intent", Value::Null)
            .put("status", self.status)
            .put("submit_type", terms.submit_type)
            .put("subscription", self.subscription.clone())
            .put("success_url", terms.success_url.clone())
            .put(
                "total_details",
                json!({"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}),
            )
            .put("url", terms.url.clone().filter(|_| self.status == "open"))
            .nulls(&["shipping_address_collection"]);
        self.put_newer(&mut fields, version);
        fields.done()
    }

    fn put_newer(&self, fields: &mut Fields, version: ApiVersion) {
        if version < ApiVersion::V2022 {
            fields.nulls(&["shipping", "shipping_rate"]);
            return;
        }
        if let Some(enabled) = self.terms.collected.tax_ids {
            fields.put("tax_id_collection", json!({"enabled": enabled, "required": "never"}));
        }
        fields
            .put("created", self.created)
            .put("expires_at", self.expires_at)
            .put("invoice", self.invoice.clone())
            .put("payment_method_collection", self.collection())
            .put("phone_number_collection", json!({"enabled": false}))
            .empty_arrays(&["custom_fields", "shipping_options"])
            .put("customer_creation", self.terms.customer_creation)
            .put("consent_collection", self.consent_collection())
            .nulls(&["after_expiration", "consent"])
            .nulls(&["invoice_creation", "payment_link", "recovered_from", "shipping_cost"])
            .put("custom_text", json!({"shipping_address": null, "submit": null}));
        if version < ApiVersion::Basil {
            fields.nulls(&["shipping_details"]);
        }
        if version >= ApiVersion::Acacia {
            fields
                .put("adaptive_pricing", json!({"enabled": false}))
                .put("ui_mode", self.terms.ui_mode.as_str(version))
                .put("saved_payment_method_options", saved_methods())
                .put("client_secret", self.terms.client_secret.clone())
                .nulls(&["currency_conversion"])
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
        if self.terms.ui_mode == UiMode::Embedded {
            fields.put("return_url", self.terms.return_url.clone());
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

    fn consent_collection(&self) -> Value {
        let collected = &self.terms.collected;
        if !collected.consent {
            return Value::Null;
        }
        json!({
            "payment_method_reuse_agreement": null, "promotions": collected.promotions,
            "terms_of_service": collected.terms_of_service,
        })
    }

    fn kinds(&self) -> Value {
        let named = &self.terms.kinds;
        if named.is_empty() { json!([self.payment_method]) } else { json!(named) }
    }

    /// What is bought, as a list of its own.
    pub(crate) fn show_lines(&self, version: ApiVersion) -> Value {
        let data = self.terms.lines.iter().map(|line| line.show(version)).collect();
        list(data, &format!("/v1/checkout/sessions/{}/line_items", self.id), version)
    }

    fn customer_details(&self) -> Value {
        if self.status == "open" && self.email.is_none() {
            return Value::Null;
        }
        json!({
            "address": address(Some("US")), "email": self.email, "name": self.name, "phone": null,
            "tax_exempt": "none", "tax_ids": [],
        })
    }

    fn collection(&self) -> &'static str {
        let usual = if self.mode == "subscription" { "always" } else { "if_required" };
        self.terms.collection.unwrap_or(usual)
    }
}

fn automatic_tax(enabled: bool, version: ApiVersion) -> Value {
    let status = enabled.then_some("requires_location_inputs");
    if version >= ApiVersion::Acacia {
        let liability = if enabled { json!({"type": "self"}) } else { Value::Null };
        let provider = enabled.then_some("stripe");
        json!({"enabled": enabled, "liability": liability, "provider": provider, "status": status})
    } else {
        json!({"enabled": enabled, "status": status})
    }
}

fn saved_methods() -> Value {
    json!({
        "allow_redisplay_filters": ["always"], "payment_method_remove": "disabled",
        "payment_method_save": null,
    })
}
