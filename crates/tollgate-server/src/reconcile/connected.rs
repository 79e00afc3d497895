//! In which Stripe account something is read. Owns: that an object of a connected account is asked
//! for there and nowhere else. Must not know: what is read, what is done with it.
//!
//! To a request that does not name its account such an object is not there, and "not found" must
//! never be heard about something that is.

use tollgate_domain::ids::ObjectId;
use tollgate_store::{StoreError, connected_objects};
use tollgate_stripe::client::{StripeClient, StripeError};

use crate::app::App;

/// The Stripe accounts that runs read: our own (`None`), then the connected ones that are named.
pub(super) fn stripe_accounts(app: &App) -> Vec<Option<String>> {
    let connected = app.config.stripe.connected_accounts().map(|one| Some(one.to_owned()));
    std::iter::once(None).chain(connected).collect()
}

/// The client for one of [`stripe_accounts`].
pub(super) fn client_of(client: &StripeClient, account: Option<&str>) -> StripeClient {
    account.map_or_else(|| client.clone(), |account| client.for_connected(account))
}

/// The client by which an object is read: one that names an account already as it is, else one for
/// the connected account the object is of. `None`: that account is not among ours any more.
pub(crate) async fn client_for(
    app: &App,
    client: &StripeClient,
    id: &str,
) -> Result<Option<StripeClient>, StoreError> {
    if client.connected().is_some() {
        return Ok(Some(client.clone()));
    }
    let account = account_of(app, id).await?;
    let ours = account.as_deref().is_none_or(|one| app.config.stripe.is_connected(one));
    Ok(ours.then(|| client_of(client, account.as_deref())))
}

/// The connected account (`acct_…`) an object is of; `None`: our own, or nobody told yet.
pub(crate) async fn account_of(app: &App, id: &str) -> Result<Option<String>, StoreError> {
    let Ok(object) = ObjectId::parse(id) else { return Ok(None) };
    let found = connected_objects::find(&app.engine.db, std::slice::from_ref(&object)).await?;
    Ok(found.into_values().next())
}

/// Whether a connected account does not let the key in any more. That is its own affair: whatever
/// else is compared goes on.
pub(super) fn is_closed(client: &StripeClient, error: &StripeError) -> bool {
    let closed = |error: &StripeError| matches!(error, StripeError::Refused { refusal } if refusal.is_account_closed_to_key());
    client.connected().is_some() && closed(error)
}
