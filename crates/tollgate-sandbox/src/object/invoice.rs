//! Invoices, their lines and their payments. Owns: their shape in every version. Must not know:
//! why an invoice is made.

use serde_json::{Value, json};

use super::price::Price;
use super::{Fields, Metadata, address, list};
use crate::version::ApiVersion;

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) amount_minor: i64,
    pub(crate) description: String,
    pub(crate) price: Price,
    pub(crate) quantity: u32,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    /// A credit or debit for part of a period.
    pub(crate) proration: bool,
    /// The subscription's item it bills; `None` for lines of an invoice item without one.
    pub(crate) subscription_item: Option<String>,
    /// The invoice item it came from.
    pub(crate) invoice_item: Option<String>,
}

/// Who an invoice is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BillTo {
    pub(crate) customer: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
}

/// The payment of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) payment_intent: String,
    /// The charge, once there is one.
    pub(crate) charge: Option<String>,
}

/// What was agreed about an invoice beside its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct InvoiceTerms {
    /// It is sent, and due then; `None` charges automatically.
    pub(crate) due_date: Option<i64>,
    /// Stripe does nothing by itself with it.
    pub(crate) held: bool,
    /// When Stripe finalises the draft by itself.
    pub(crate) finalizes_at: Option<i64>,
    /// How many planned attempts failed.
    pub(crate) retries: usize,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    /// The customer's balance before and after it was finalised; what was applied lowers the
    /// amount due, a credit raises it.
    pub(crate) starting_balance_minor: i64,
    pub(crate) ending_balance_minor: Option<i64>,
    /// Paid outside of Stripe.
    pub(crate) out_of_band: bool,
    /// Why it is not collected any more; `max_payment_attempts` where nothing is said.
    pub(crate) uncollectible_reason: Option<&'static str>,
    pub(crate) test_clock: Option<String>,
}

/// An invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    /// Its number, from when it is final.
    pub(crate) number: String,
    pub(crate) bill_to: BillTo,
    /// The subscription it bills; `None` for an invoice made by hand.
    pub(crate) subscription: Option<String>,
    /// The subscription's metadata when the invoice was made.
    pub(crate) subscription_metadata: Metadata,
    pub(crate) status: &'static str,
    pub(crate) billing_reason: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) currency: String,
    pub(crate) amount_paid_minor: i64,
    pub(crate) attempt_count: u32,
    pub(crate) attempted: bool,
    pub(crate) next_payment_attempt: Option<i64>,
    pub(crate) created: i64,
    pub(crate) finalized_at: Option<i64>,
    pub(crate) paid_at: Option<i64>,
    pub(crate) voided_at: Option<i64>,
    pub(crate) uncollectible_at: Option<i64>,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    pub(crate) payment: Option<Payment>,
    pub(crate) terms: InvoiceTerms,
}

impl Invoice {
    /// The sum of the lines, in minor units.
    pub(crate) fn total_minor(&self) -> i64 {
        self.lines.iter().map(|line| line.amount_minor).fold(0, i64::saturating_add)
    }

    /// What is to be paid, after the customer's balance: nothing below zero.
    pub(crate) fn due_minor(&self) -> i64 {
        self.total_minor().saturating_add(self.balance_applied_minor()).max(0)
    }

    /// What the customer's balance changes in the amount: negative where a credit is used up.
    fn balance_applied_minor(&self) -> i64 {
        let terms = &self.terms;
        terms
            .ending_balance_minor
            .map_or(0, |ending| terms.starting_balance_minor.saturating_sub(ending))
    }

    /// A draft or open invoice that Stripe still wants to finalise or collect.
    pub(crate) fn advances(&self) -> bool {
        matches!(self.status, "draft" | "open") && !self.terms.held
    }

    pub(crate) fn collection_method(&self) -> &'static str {
        if self.terms.due_date.is_some() { "send_invoice" } else { "charge_automatically" }
    }

    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "invoice");
        self.put_amounts(&mut fields);
        fields
            .put("attempt_count", self.attempt_count)
            .put("attempted", self.attempted)
            .put("billing_reason", self.billing_reason)
            .put("currency", self.currency.as_str())
            .put("customer", self.bill_to.customer.as_str())
            .put("hosted_invoice_url", self.page(""))
            .put("invoice_pdf", self.page("/pdf"))
            .put("lines", self.show_lines(version))
            .put("livemode", false)
            .put("metadata", json!(self.terms.metadata))
            .put("description", self.terms.description.clone())
            .put("next_payment_attempt", self.next_payment_attempt)
            .put("number", self.number.as_str())
            .put("period_end", self.period_end)
            .put("period_start", self.period_start)
            .put("webhooks_delivered_at", self.created)
            .nulls(&["receipt_number", "statement_descriptor"]);
        if version < ApiVersion::Basil {
            self.put_before_basil(&mut fields);
        } else {
            self.put_since_basil(&mut fields);
        }
        if version < ApiVersion::V2020 {
            self.put_before_statuses(&mut fields);
        } else {
            self.put_settings(&mut fields, version);
        }
        self.put_newer(&mut fields, version);
        fields.done()
    }

    fn put_amounts(&self, fields: &mut Fields) {
        let total = self.total_minor();
        fields
            .put("amount_due", self.due_minor())
            .put("amount_paid", self.amount_paid_minor)
            .put("amount_remaining", self.due_minor().saturating_sub(self.amount_paid_minor))
            .put("ending_balance", self.terms.ending_balance_minor.unwrap_or(0))
            .put("starting_balance", self.terms.starting_balance_minor)
            .put("subtotal", total)
            .put("total", total);
    }

    fn put_before_basil(&self, fields: &mut Fields) {
        let payment = self.payment.as_ref();
        fields
            .put("charge", payment.and_then(|payment| payment.charge.clone()))
            .put("paid", self.status == "paid")
            .put("subscription", self.subscription.clone())
            .nulls(&["discount", "tax"]);
    }

    fn put_since_basil(&self, fields: &mut Fields) {
        let parent = self.subscription.as_ref().map_or(Value::Null, |subscription| {
            json!({
                "quote_details": null,
                "subscription_details": {
                    "metadata": self.subscription_metadata, "subscription": subscription,
                },
                "type": "subscription_details",
            })
        });
        fields.put("amount_overpaid", 0).put("parent", parent).empty_arrays(&["total_taxes"]);
    }

    /// The shape before invoices had a status (2018-10-31) and `created` (2019-02-19).
    fn put_before_statuses(&self, fields: &mut Fields) {
        let closed = matches!(self.status, "paid" | "void" | "uncollectible");
        fields
            .put("billing", self.collection_method())
            .put("closed", closed)
            .put("date", self.created)
            .put("finalized_at", self.finalized_at)
            .put("forgiven", self.status == "uncollectible")
            .nulls(&["application_fee", "tax_percent"]);
    }

    fn put_settings(&self, fields: &mut Fields, version: ApiVersion) {
        fields
            .put("account_country", "US")
            .put("account_name", "Arrakis Trading")
            .put("auto_advance", self.advances())
            .put("automatic_tax", automatic_tax(version))
            .put("collection_method", self.collection_method())
            .put("due_date", self.terms.due_date)
            .put("created", self.created)
            .put("customer_address", address(Some("US")))
            .put("customer_email", self.bill_to.email.clone())
            .put("customer_name", self.bill_to.name.clone())
            .put("customer_tax_exempt", "none")
            .put("status", self.status)
            .put(
                "status_transitions",
                json!({
                    "finalized_at": self.finalized_at,
                    "marked_uncollectible_at": self.uncollectible_at,
                    "paid_at": self.paid_at, "voided_at": self.voided_at,
                }),
            )
            .zeros(&["post_payment_credit_notes_amount", "pre_payment_credit_notes_amount"])
            .empty_arrays(&["customer_tax_ids", "default_tax_rates", "discounts"])
            .empty_arrays(&["total_discount_amounts"])
            .nulls(&["account_tax_ids", "custom_fields", "customer_phone", "customer_shipping"])
            .nulls(&["default_payment_method", "default_source", "footer"])
            .nulls(&["last_finalization_error"]);
        if version < ApiVersion::Basil {
            let payment = self.payment.as_ref();
            fields
                .put("payment_intent", payment.map(|payment| payment.payment_intent.clone()))
                .empty_arrays(&["total_tax_amounts"])
                .nulls(&["application_fee_amount", "transfer_data"]);
        }
    }

    fn put_newer(&self, fields: &mut Fields, version: ApiVersion) {
        if version >= ApiVersion::V2022 {
            fields
                .put("amount_shipping", 0)
                .put(
                    "payment_settings",
                    json!({
                        "default_mandate": null, "payment_method_options": null,
                        "payment_method_types": null,
                    }),
                )
                .put("subtotal_excluding_tax", self.total_minor())
                .put("total_excluding_tax", self.total_minor())
                .nulls(&["application", "from_invoice", "latest_revision", "on_behalf_of"])
                .put("test_clock", self.terms.test_clock.clone())
                .nulls(&["shipping_cost", "shipping_details"]);
        }
        if (ApiVersion::V2022..ApiVersion::Basil).contains(&version) {
            fields.put("paid_out_of_band", self.terms.out_of_band).nulls(&["quote"]);
        }
        if version == ApiVersion::V2022 {
            fields.nulls(&["rendering_options"]);
        }
        if version >= ApiVersion::Acacia {
            fields
                .put("effective_at", self.finalized_at)
                .put("issuer", json!({"type": "self"}))
                .empty_arrays(&["total_pretax_credit_amounts"])
                .nulls(&["automatically_finalizes_at", "rendering"]);
        }
        if version == ApiVersion::Acacia {
            fields.put("subscription_details", json!({"metadata": self.subscription_metadata}));
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account"]);
        }
        if version >= ApiVersion::Endive && self.status == "uncollectible" {
            let reason = self.terms.uncollectible_reason.unwrap_or("max_payment_attempts");
            let why = json!({"uncollectible": {"reason": reason}});
            fields.put("status_details", why);
        }
    }

    fn show_lines(&self, version: ApiVersion) -> Value {
        let data = self.lines.iter().map(|line| line.show(self, version)).collect();
        list(data, &format!("/v1/invoices/{}/lines", self.id), version)
    }

    fn page(&self, ending: &str) -> Option<String> {
        self.finalized_at?;
        let token = self.id.trim_start_matches("in_");
        Some(format!(
            "https://invoice.stripe.com/i/acct_1TollgateSandbox/test_{token}{ending}?s=ap"
        ))
    }
}

fn automatic_tax(version: ApiVersion) -> Value {
    if version >= ApiVersion::Acacia {
        json!({
            "disabled_reason": null, "enabled": false, "liability": null, "provider": null,
            "status": null,
        })
    } else {
        json!({"enabled": false, "status": null})
    }
}

impl Line {
    /// It came from an invoice item, or is shown as if: a part of a period, or by hand.
    fn is_of_item(&self) -> bool {
        self.proration || self.invoice_item.is_some() || self.subscription_item.is_none()
    }

    /// What the line bills, since basil: an invoice item, or an item of the subscription.
    fn show_parent(&self, invoice: &Invoice) -> Value {
        let item = self.subscription_item.as_ref().filter(|_| invoice.subscription.is_some());
        match (item, &self.invoice_item) {
            (Some(item), invoice_item) => json!({
                "invoice_item_details": null,
                "subscription_item_details": {
                    "invoice_item": invoice_item, "proration": self.proration,
                    "proration_details": {"credited_items": null},
                    "subscription": invoice.subscription, "subscription_item": item,
                },
                "type": "subscription_item_details",
            }),
            (None, invoice_item) => json!({
                "invoice_item_details": {
                    "invoice_item": invoice_item, "proration": self.proration,
                    "proration_details": {"credited_items": null},
                    "subscription": invoice.subscription,
                },
                "subscription_item_details": null,
                "type": "invoice_item_details",
            }),
        }
    }

    pub(crate) fn show(&self, invoice: &Invoice, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "line_item");
        fields
            .put("amount", self.amount_minor)
            .put("currency", invoice.currency.as_str())
            .put("description", self.description.as_str())
            .put("discountable", !self.proration)
            .put("livemode", false)
            .put("metadata", json!(invoice.subscription_metadata))
            .put("period", json!({"end": self.period_end, "start": self.period_start}))
            .put("quantity", self.quantity);
        if version < ApiVersion::Basil {
            self.put_before_basil(&mut fields, invoice, version);
        } else {
            self.put_since_basil(&mut fields, invoice, version);
        }
        if version >= ApiVersion::V2020 {
            fields.empty_arrays(&["discount_amounts", "discounts"]);
        }
        if version >= ApiVersion::Acacia {
            fields.put("invoice", invoice.id.as_str()).empty_arrays(&["pretax_credit_amounts"]);
        }
        if version >= ApiVersion::Clover {
            fields.put("subtotal", self.amount_minor);
        }
        if version >= ApiVersion::Dahlia {
            fields.put("quantity_decimal", self.quantity.to_string());
        }
        fields.done()
    }

    fn put_before_basil(&self, fields: &mut Fields, invoice: &Invoice, version: ApiVersion) {
        fields
            .put("plan", self.price.show_plan(version))
            .put("proration", self.proration)
            .put("subscription", invoice.subscription.clone())
            .put("subscription_item", self.subscription_item.clone())
            .put("type", if self.is_of_item() { "invoiceitem" } else { "subscription" });
        if version >= ApiVersion::V2020 {
            fields
                .put("price", self.price.show(version))
                .empty_arrays(&["tax_amounts", "tax_rates"]);
        }
        if version >= ApiVersion::V2022 {
            fields
                .put("amount_excluding_tax", self.amount_minor)
                .put("proration_details", json!({"credited_items": null}))
                .put("unit_amount_excluding_tax", self.price.unit_amount_minor.to_string());
        }
    }

    fn put_since_basil(&self, fields: &mut Fields, invoice: &Invoice, version: ApiVersion) {
        fields
            .put("parent", self.show_parent(invoice))
            .put(
                "pricing",
                json!({
                    "price_details": {"price": self.price.id, "product": self.price.product.id},
                    "type": "price_details",
                    "unit_amount_decimal": self.price.unit_amount_minor.to_string(),
                }),
            )
            .empty_arrays(&["taxes"]);
        if version >= ApiVersion::Clover {
            fields.put("subscription", invoice.subscription.clone());
        }
    }
}

/// One payment of an invoice, an object of its own since basil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvoicePayment {
    pub(crate) id: String,
    pub(crate) invoice: String,
    pub(crate) payment_intent: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) created: i64,
    /// When it was paid; `None` as long as it is open.
    pub(crate) paid_at: Option<i64>,
    pub(crate) canceled_at: Option<i64>,
}

impl InvoicePayment {
    /// `open`, `paid` or `canceled`.
    pub(crate) fn status(&self) -> &'static str {
        match (self.paid_at, self.canceled_at) {
            (Some(_), _) => "paid",
            (None, Some(_)) => "canceled",
            (None, None) => "open",
        }
    }

    pub(crate) fn show(&self) -> Value {
        let mut fields = Fields::new(&self.id, "invoice_payment");
        fields
            .put("amount_paid", self.paid_at.map(|_| self.amount_minor))
            .put("amount_requested", self.amount_minor)
            .put("created", self.created)
            .put("currency", self.currency.as_str())
            .put("invoice", self.invoice.as_str())
            .put("is_default", true)
            .put("livemode", false)
            .put(
                "payment",
                json!({"payment_intent": self.payment_intent, "type": "payment_intent"}),
            )
            .put("status", self.status())
            .put(
                "status_transitions",
                json!({"canceled_at": self.canceled_at, "paid_at": self.paid_at}),
            );
        fields.done()
    }
}
