//! The customer portal. Owns: asking for a way into it. Must not know: what customers may do there
//! (the configuration at Stripe says).

use serde::Deserialize;
use tollgate_domain::ids::CustomerId;

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::IdempotencyKey;

const CREATE: Operation = Operation::post("billing_portal.sessions.create");

#[derive(Deserialize)]
struct Body {
    url: String,
}

impl StripeClient {
    /// The address of a customer's portal, good for a short while.
    pub async fn create_portal_session(
        &self,
        customer: &CustomerId,
        return_url: Option<&str>,
        configuration: Option<&str>,
        key: &IdempotencyKey,
    ) -> Result<String, StripeError> {
        let form = Form::new()
            .with("customer", customer.as_str())
            .with_some("return_url", return_url)
            .with_some("configuration", configuration);
        let path = ApiPath::new("/v1/billing_portal/sessions");
        let Body { url } = self.call(CREATE, &path, &form, Some(key)).await?.json()?;
        Ok(url)
    }
}
