//! Setup intents. Owns: their shape. Must not know: what is paid later.

use serde_json::{Value, json};

use super::{Fields, Metadata};
use crate::object::test_method::Decline;
use crate::version::ApiVersion;

/// Setting up a payment method for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetupIntent {
    pub(crate) id: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) description: Option<String>,
    /// `requires_payment_method`, `requires_confirmation`, `canceled` or `succeeded`.
    pub(crate) status: &'static str,
    /// `off_session` or `on_session`.
    pub(crate) usage: &'static str,
    /// Why the newest attempt failed.
    pub(crate) decline: Option<&'static Decline>,
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) client_secret: String,
    pub(crate) cancellation_reason: Option<&'static str>,
    pub(crate) metadata: Metadata,
    pub(crate) created: i64,
}

impl SetupIntent {
    pub(crate) fn show(&self, version: ApiVersion) -> Value {
        let kinds = if self.kinds.is_empty() { json!(["card"]) } else { json!(self.kinds) };
        let error = self.decline.map(|decline| {
            json!({
                "code": decline.code, "decline_code": decline.decline_code,
                "message": decline.message, "type": "card_error",
            })
        });
        let mut fields = Fields::new(&self.id, "setup_intent");
        fields
            .put("cancellation_reason", self.cancellation_reason)
            .put("client_secret", self.client_secret.as_str())
            .put("created", self.created)
            .put("customer", self.customer.clone())
            .put("description", self.description.clone())
            .put("last_setup_error", error)
            .put("livemode", false)
            .put("metadata", json!(self.metadata))
            .put("payment_method", self.payment_method.clone())
            .put("payment_method_options", json!({"card": {"request_three_d_secure": "automatic"}}))
            .put("payment_method_types", kinds)
            .put("status", self.status)
            .put("usage", self.usage)
            .nulls(&["application", "automatic_payment_methods", "latest_attempt", "mandate"])
            .nulls(&["next_action", "on_behalf_of", "single_use_mandate"]);
        if version >= ApiVersion::Acacia {
            fields.nulls(&["payment_method_configuration_details"]);
        }
        if version >= ApiVersion::Clover {
            fields.nulls(&["customer_account", "excluded_payment_method_types"]);
        }
        if version >= ApiVersion::Endive {
            fields.nulls(&["allowed_payment_method_types"]);
        }
        fields.done()
    }
}
