//! A customer's balance. Owns: crediting it, and finding a credit that may have been made. Must not
//! know: why something is credited.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::CustomerId;
use tollgate_domain::money::Money;

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::metadata::{Mark, Marked};
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::IdempotencyKey;

const CREATE: Operation = Operation::post("customer_balance_transactions.create");
const LIST: Operation = Operation::get("customer_balance_transactions.list");
/// Most transactions of one customer that are looked through.
const LOOKED_THROUGH_MAX: usize = 1_000;

/// The parameters of a credit of this much, in minor units above zero.
pub fn new_credit(mark: Mark<'_>, credit: Money, description: &str) -> Form {
    // At Stripe a balance below zero is what the customer is owed.
    let form = Form::new()
        .with("amount", credit.amount_minor.saturating_neg().to_string())
        .with("currency", credit.currency.as_str())
        .with("description", description);
    mark.write(form, "metadata")
}

fn path(customer: &CustomerId) -> ApiPath {
    ApiPath::new("/v1/customers").id(customer.as_str()).then("/balance_transactions")
}

impl StripeClient {
    /// Credits a customer's balance, from [`new_credit`]; the id of the transaction.
    pub async fn credit_customer(
        &self,
        customer: &CustomerId,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<String, StripeError> {
        let fetched = self.call(CREATE, &path(customer), form, Some(key)).await?;
        Ok(fetched.json::<Marked>()?.id)
    }

    /// The transaction made for a row of ours between two instants, if there is one.
    pub async fn find_credit_for(
        &self,
        customer: &CustomerId,
        row: &str,
        (from, _): (Timestamp, Timestamp),
    ) -> Result<Option<String>, StripeError> {
        let filter = Form::new().with("created[gte]", from.unix_seconds().to_string());
        let (items, _) = self.list(LIST, &path(customer), &filter, LOOKED_THROUGH_MAX).await?;
        let mut all = items.iter().filter_map(|item| serde_json::from_str(item.get()).ok());
        Ok(all.find(|one: &Marked| one.is_for(row)).map(|one| one.id))
    }
}
