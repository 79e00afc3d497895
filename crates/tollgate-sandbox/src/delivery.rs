//! Deliveries. Owns: which event is sent when, how often and in which order, and its signature.
//! Must not know: how a request is made.

use tollgate_domain::Timestamp;
use tollgate_stripe::SigningSecret;

/// How a number of events is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// How often the whole is told anew, with events of its own; 0 counts as 1.
    pub times: usize,
    /// Every event is sent a second time.
    pub duplicate: bool,
    /// In any order instead of Stripe's.
    pub shuffle: bool,
    /// Decides the order of a shuffle.
    pub seed: u64,
}

/// One delivery: which event of which telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery {
    /// The telling, from 0; each is built with a seed of its own.
    pub telling: usize,
    /// The event in the telling, from 0.
    pub event: usize,
    /// 0 for the first delivery of an event, 1 for its repetition.
    pub copy: usize,
}

/// The deliveries of `events` events per telling, in the order they are to be sent. Without
/// shuffling a repetition comes right after the first delivery.
pub fn plan(events: usize, options: DeliveryOptions) -> Vec<Delivery> {
    let copies = if options.duplicate { 2 } else { 1 };
    let mut deliveries: Vec<Delivery> = (0..options.times.max(1))
        .flat_map(|telling| (0..events).map(move |event| (telling, event)))
        .flat_map(|(telling, event)| (0..copies).map(move |copy| Delivery { telling, event, copy }))
        .collect();
    if options.shuffle {
        fastrand::Rng::with_seed(options.seed).shuffle(&mut deliveries);
    }
    deliveries
}

/// The `Stripe-Signature` header of a body sent at an instant.
pub fn signature(secret: &SigningSecret, body: &str, at: Timestamp) -> String {
    tollgate_stripe::sign(secret, body.as_bytes(), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: DeliveryOptions =
        DeliveryOptions { times: 1, duplicate: false, shuffle: false, seed: 7 };

    #[test]
    fn deliveries_follow_stripes_order_unless_shuffled() {
        let order = |options| -> Vec<usize> { plan(5, options).iter().map(|d| d.event).collect() };
        assert_eq!(order(PLAIN), [0, 1, 2, 3, 4]);
        let shuffled = DeliveryOptions { shuffle: true, ..PLAIN };
        assert_ne!(order(shuffled), [0, 1, 2, 3, 4]);
        assert_eq!(order(shuffled), order(shuffled));
    }

    #[test]
    fn every_event_of_every_telling_is_sent_once_or_twice() {
        let options = DeliveryOptions { times: 3, duplicate: true, shuffle: true, seed: 1 };
        let mut all = plan(4, options);
        all.sort();
        let expected: Vec<Delivery> =
            (0..24).map(|n| Delivery { telling: n / 8, event: n / 2 % 4, copy: n % 2 }).collect();
        assert_eq!(all, expected);
        assert_eq!(plan(4, DeliveryOptions { times: 0, ..PLAIN }).len(), 4);
    }

    #[test]
    fn a_signed_body_is_accepted() {
        let secret = SigningSecret::parse("whsec_tollgate_sandbox", "test").unwrap();
        let at = Timestamp::from_unix_seconds(1_790_000_000);
        let header = signature(&secret, "{}", at);
        let tolerance = std::time::Duration::from_mins(5);
        let secrets = [secret];
        assert!(tollgate_stripe::verify(header.as_bytes(), b"{}", &secrets, at, tolerance).is_ok());
        assert!(
            tollgate_stripe::verify(header.as_bytes(), b"[]", &secrets, at, tolerance).is_err()
        );
    }
}
