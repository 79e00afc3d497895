//! The account a key opens. Owns: its fields.

use serde::Deserialize;

use crate::client::{ApiPath, Form, Operation, StripeClient, StripeError};

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// `acct_…`
    pub id: String,
    /// Two letters.
    pub country: Option<String>,
    /// Whether it can take money.
    #[serde(default)]
    pub charges_enabled: bool,
}

/// The id of the account a key opens. A restricted key may not read its account; Stripe's refusal
/// names it all the same. `None` where it does not.
pub async fn fetch_account_id(client: &StripeClient) -> Result<Option<String>, StripeError> {
    match fetch_account(client).await {
        Ok(account) => Ok(Some(account.id)),
        Err(StripeError::Refused { refusal }) if refusal.is_forbidden() => {
            Ok(refusal.account().map(str::to_owned))
        }
        Err(error) => Err(error),
    }
}

/// Reads the key's own account.
pub async fn fetch_account(client: &StripeClient) -> Result<Account, StripeError> {
    let operation = Operation::get("account.retrieve");
    client.call(operation, &ApiPath::new("/v1/account"), &Form::new(), None).await?.json()
}
