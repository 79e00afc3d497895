//! What Stripe answered, as facts. Owns: handing an answer to the intake at once instead of waiting
//! for its event. Must not know: what it means.

use serde_json::value::RawValue;
use tollgate_domain::Facts;
use tollgate_domain::ids::{EventId, SubscriptionId};
use tollgate_domain::observation::FetchCause;
use tollgate_stripe::client::{KeyMode, PINNED_VERSION};
use tollgate_stripe::fetched::{FetchedKind, Showing};
use tollgate_stripe::{Fetched, StripeClient};

use super::BillingError;
use crate::app::App;
use crate::intake::Reply;

/// The observations of a subscription that are known, and the time of the newest.
pub(crate) fn covered(
    facts: &Facts,
    id: &SubscriptionId,
) -> Vec<(EventId, tollgate_domain::Timestamp)> {
    let known = facts.subscriptions.get(id).into_iter().flat_map(|one| &one.contenders);
    known.map(|state| (state.version.event.clone(), state.version.at)).collect()
}

impl App {
    /// Takes in an object that Stripe showed. `known` are the observations of it that were known
    /// before Stripe was asked.
    pub(crate) async fn apply(
        &self,
        stripe: &StripeClient,
        kind: FetchedKind,
        (object, fetched): (&RawValue, &Fetched),
        known: &[(EventId, tollgate_domain::Timestamp)],
    ) -> Result<Reply, BillingError> {
        let covers: Vec<EventId> = known.iter().map(|(event, _)| event.clone()).collect();
        let newest = known.iter().map(|(_, at)| *at).max();
        let showing = Showing {
            kind,
            object,
            at: newest.map_or(fetched.date, |newest| newest.max(fetched.date)),
            livemode: stripe.mode() == KeyMode::Live,
            account: stripe.connected(),
            api_version: PINNED_VERSION,
            cause: FetchCause::Sync,
            covers: &covers,
        };
        Ok(self.take_fetched(&showing).await?)
    }

    /// Takes in a subscription as a reply showed it; one that was shown again is read anew, for it
    /// is as old as its first showing.
    pub(crate) async fn apply_subscription(
        &self,
        stripe: &StripeClient,
        facts: &Facts,
        id: &SubscriptionId,
        fetched: Fetched,
    ) -> Result<Reply, BillingError> {
        let known = covered(facts, id);
        let fetched = if fetched.replayed { stripe.subscription(id).await?.1 } else { fetched };
        let object: &RawValue =
            serde_json::from_slice(&fetched.body).map_err(|_| BillingError::Refused {
                code: "stripe_reply_garbled".to_owned(),
                param: None,
                request_id: fetched.request_id.clone(),
                cause: "the subscription is no object".to_owned(),
            })?;
        self.apply(stripe, FetchedKind::Subscription, (object, &fetched), &known).await
    }
}
