//! Customers. Owns: making one, and finding one that may have been made. Must not know: who needs
//! one.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::CustomerId;

use crate::client::error::StripeError;
use crate::client::exchange::Fetched;
use crate::client::metadata::{Mark, Marked};
use crate::client::page::Cursor;
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::IdempotencyKey;
use crate::client::{StripeClient, identified};

const CREATE: Operation = Operation::post("customers.create");
const LIST: Operation = Operation::get("customers.list");
const PATH: &str = "/v1/customers";

/// The parameters of a new customer.
pub fn new_customer(mark: Mark<'_>, email: Option<&str>) -> Form {
    mark.write(Form::new().with_some("email", email), "metadata")
}

impl StripeClient {
    /// Makes a customer from [`new_customer`].
    pub async fn create_customer(
        &self,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<(CustomerId, Fetched), StripeError> {
        let fetched = self.call(CREATE, &ApiPath::new(PATH), form, Some(key)).await?;
        Ok((identified(&fetched, CustomerId::parse)?, fetched))
    }

    /// The customer made for a row of ours between two instants, if there is one.
    pub async fn find_customer_for(
        &self,
        row: &str,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Option<CustomerId>, StripeError> {
        let filter = Form::new()
            .with("created[gte]", from.unix_seconds().to_string())
            .with("created[lte]", to.unix_seconds().to_string());
        let mut cursor = Cursor::Newest;
        loop {
            let page = self.page(LIST, &ApiPath::new(PATH), &filter, &cursor).await?;
            let all = page.items.iter().filter_map(|item| serde_json::from_str(item.get()).ok());
            let found = all.into_iter().find(|marked: &Marked| marked.is_for(row));
            if let Some(found) = found {
                return Ok(CustomerId::parse(&found.id).ok());
            }
            match page.last_id() {
                Some(last) if page.has_more => cursor = Cursor::After(last),
                _ => return Ok(None),
            }
        }
    }
}
