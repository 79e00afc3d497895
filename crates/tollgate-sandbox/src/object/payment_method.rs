//! Payment methods. Owns: their shape. Must not know: what is paid with them.

use serde_json::{Value, json};

use super::customer::Address;
use super::test_method::TestMethod;
use super::{Fields, Metadata, address};
use crate::version::ApiVersion;

/// Who a payment method belongs to, as its bank knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BillingDetails {
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) address: Option<Address>,
}

impl BillingDetails {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let address = self.address.as_ref().map_or_else(|| address(None), Address::show);
        let mut shown = json!({
            "address": address, "email": self.email, "name": self.name, "phone": self.phone,
        });
        if version >= ApiVersion::Clover
            && let Some(fields) = shown.as_object_mut()
        {
            fields.insert("tax_id".to_owned(), Value::Null);
        }
        shown
    }
}

/// A card, or an account that is debited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaymentMethod {
    pub(crate) id: String,
    pub(crate) test: &'static TestMethod,
    pub(crate) billing: BillingDetails,
    /// When the card ends: month and year.
    pub(crate) expires: (i64, i64),
    /// The customer it is attached to.
    pub(crate) customer: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
}

impl PaymentMethod {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let mut fields = Fields::new(&self.id, "payment_method");
        fields
            .put("billing_details", self.billing.show(version))
            .put("created", self.created)
            .put("customer", self.customer.clone())
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("type", self.test.kind)
            .put(self.test.kind, if self.test.kind == "card" { self.card() } else { self.debit() });
        if version >= ApiVersion::Acacia {
            fields.put("allow_redisplay", "unspecified");
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account"]);
        }
        fields.done()
    }

    fn card(&self) -> Value {
        let (month, year) = self.expires;
        json!({
            "brand": self.test.brand,
            "checks": {
                "address_line1_check": null, "address_postal_code_check": null,
                "cvc_check": "pass",
            },
            "country": self.test.country, "display_brand": self.test.brand, "exp_month": month,
            "exp_year": year, "fingerprint": self.test.fingerprint(),
            "funding": self.test.funding, "generated_from": null, "last4": self.test.last4(),
            "networks": {"available": [self.test.brand], "preferred": null},
            "regulated_status": "unregulated", "three_d_secure_usage": {"supported": true},
            "wallet": null,
        })
    }

    fn debit(&self) -> Value {
        json!({
            "bank_code": "19043", "branch_code": "", "country": self.test.country,
            "fingerprint": self.test.fingerprint(),
            "generated_from": {"charge": null, "setup_attempt": null},
            "last4": self.test.last4(),
        })
    }
}
