//! Objects that were asked for, as deliveries. Owns: how a reply of Stripe's API enters the queue.
//! Must not know: why it was asked for, how the request was made.

use tokio::time::Instant;
use tollgate_store::inbox::EventKey;
use tollgate_stripe::fetched::{self, Showing};

use super::delivery::{Content, Delivery, Reply};
use super::{NotCommitted, squeeze};
use crate::app::App;

/// Why a fetched object was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The reply is JSON, but no object.
    #[error("Stripe's reply is no object")]
    NoObject,
    /// It was not committed; asking again later is safe.
    #[error("the database did not commit it")]
    NotCommitted(NotCommitted),
}

impl App {
    /// Takes an object in as Stripe showed it: the same queue, order and inbox as for an event.
    /// An object that cannot be read is stored as `failed`, as an event would be.
    pub async fn take_fetched(&self, showing: &Showing<'_>) -> Result<Reply, TakeError> {
        let body = showing.to_body().map_err(|_| TakeError::NoObject)?;
        // What was just written is read back: what is stored decides, now and in every replay.
        let fetched = fetched::read(&body).ok_or(TakeError::NoObject)?;
        let (object, content) = match fetched.told {
            Ok(seen) => (seen.references.first().cloned(), Content::Effect(Box::new(seen))),
            Err(error) => (None, Content::Garbled(error.to_string())),
        };
        let delivery = Delivery {
            key: EventKey {
                event: fetched.id,
                livemode: fetched.livemode,
                stripe_account: fetched.account.map(|one| one.to_string()).unwrap_or_default(),
            },
            event_type: fetched.kind.event_type().to_owned(),
            api_version: fetched.api_version,
            created_at: Some(fetched.at),
            signed_at: None,
            received_at: self.clock.now(),
            object,
            body: squeeze::squeeze(&body),
            content,
            lease_generation: None,
            begun: Instant::now(),
        };
        self.queue.submit(delivery).await.map_err(TakeError::NotCommitted)
    }
}
