//! Objects that were asked for, in the form of deliveries. Owns: the body under which a fetched
//! object is stored, and reading it back as an observation. Must not know: how Stripe is asked,
//! who the owner turns out to be.
//!
//! A fetched object goes through the same inbox as an event, so it takes part in the same order,
//! can be replayed, and a rebuild finds it. Its body says that it is of our own making: neither its
//! `object` nor its id can come from Stripe, and the webhook route takes neither
//! (see [`crate::event::parse`]). The object itself stays as it came, byte for byte.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tollgate_domain::ids::{EventId, ObjectId, PriceId, SubscriptionId};
use tollgate_domain::{EventKind, FetchCause, Observation, Seen, Timestamp};

use crate::event::{OWN_ID_PREFIX, parse_own};
use crate::object;
use crate::observe::ObserveError;

/// What the `object` field of such a body says.
pub(crate) const OBJECT: &str = "tollgate.observation";
/// Hexadecimal digits of a hash that make an id.
const HASH_DIGITS: usize = 40;

/// The objects that are asked for, owners first, what hangs on them later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FetchedKind {
    /// A customer.
    Customer,
    /// A subscription, with all of its items.
    Subscription,
    /// A checkout session, with its lines where it sells something once.
    Session,
    /// An invoice.
    Invoice,
    /// A payment of an invoice.
    InvoicePayment,
    /// A refund.
    Refund,
    /// A dispute.
    Dispute,
    /// A charge, with the total of its refunds.
    Charge,
}

impl FetchedKind {
    /// All, in the order in which they are best read: owners first, what hangs on them later.
    pub const ALL: [Self; 8] = [
        Self::Customer,
        Self::Subscription,
        Self::Session,
        Self::Invoice,
        Self::InvoicePayment,
        Self::Refund,
        Self::Dispute,
        Self::Charge,
    ];

    /// The type under which it stands in the inbox.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Customer => "tollgate.customer.fetched",
            Self::Subscription => "tollgate.subscription.fetched",
            Self::Session => "tollgate.checkout_session.fetched",
            Self::Invoice => "tollgate.invoice.fetched",
            Self::Refund => "tollgate.refund.fetched",
            Self::Dispute => "tollgate.dispute.fetched",
            Self::Charge => "tollgate.charge.fetched",
            Self::InvoicePayment => "tollgate.invoice_payment.fetched",
        }
    }

    /// The kind of such an object by the beginning of its id; `None` for all others.
    pub fn of_id(id: &str) -> Option<Self> {
        let prefixes = [
            ("cus_", Self::Customer),
            ("sub_", Self::Subscription),
            ("cs_", Self::Session),
            ("in_", Self::Invoice),
            ("re_", Self::Refund),
            ("pyr_", Self::Refund),
            ("dp_", Self::Dispute),
            ("du_", Self::Dispute),
            ("ch_", Self::Charge),
            ("py_", Self::Charge),
            ("inpay_", Self::InvoicePayment),
        ];
        prefixes.iter().find(|(prefix, _)| id.starts_with(prefix)).map(|(_, kind)| *kind)
    }

    /// Stripe's name of such objects.
    pub const fn object_type(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Subscription => "subscription",
            Self::Session => "checkout.session",
            Self::Invoice => "invoice",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Charge => "charge",
            Self::InvoicePayment => "invoice_payment",
        }
    }

    /// The kind by Stripe's name of such objects; `None` for objects that are not asked for.
    pub fn of_object_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.object_type() == name)
    }

    fn event_kind(self) -> EventKind {
        match self {
            Self::Customer => EventKind::CustomerFetched,
            Self::Subscription => EventKind::SubscriptionFetched,
            Self::Session => EventKind::SessionFetched,
            Self::Invoice => EventKind::InvoiceFetched,
            Self::Refund => EventKind::RefundFetched,
            Self::Dispute => EventKind::DisputeFetched,
            Self::Charge => EventKind::ChargeFetched,
            Self::InvoicePayment => EventKind::InvoicePaymentFetched,
        }
    }

    fn of_event_type(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.event_type() == text)
    }
}

/// An object as Stripe showed it, and the circumstances.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// What it is.
    pub kind: FetchedKind,
    /// The object, as it came.
    pub object: &'a RawValue,
    /// Stripe's time of the reply (its `Date`), but not before any observation covered: what was
    /// known when the request was sent came before it whatever the clocks say.
    pub at: Timestamp,
    /// Live mode or test mode.
    pub livemode: bool,
    /// The connected account (`acct_…`) it is of; `None`: our own.
    pub account: Option<&'a str>,
    /// The version that was asked for.
    pub api_version: &'a str,
    /// Why it was asked for.
    pub cause: FetchCause,
    /// Observations of the object that were known when the request was sent.
    pub covers: &'a [EventId],
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    object: &'static str,
    #[serde(rename = "type")]
    event_type: &'static str,
    created: i64,
    livemode: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    api_version: &'a str,
    cause: &'static str,
    covers: Vec<&'a str>,
    data: WrittenData<'a>,
}

#[derive(Serialize)]
struct WrittenData<'a> {
    object: &'a RawValue,
}

impl Showing<'_> {
    /// The body to be stored. Its id is a hash of the rest, so the same answer to the same question
    /// is the same observation, whoever asked. An error is a defect of this program.
    pub fn to_body(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut written = Written {
            id: None,
            object: OBJECT,
            event_type: self.kind.event_type(),
            created: self.at.unix_seconds(),
            livemode: self.livemode,
            account: self.account,
            api_version: self.api_version,
            cause: self.cause.as_str(),
            covers: self.covers.iter().map(EventId::as_str).collect(),
            data: WrittenData { object: self.object },
        };
        let hash = hex::encode(Sha256::digest(serde_json::to_vec(&written)?));
        let id = format!("{OWN_ID_PREFIX}{}", hash.get(..HASH_DIGITS).unwrap_or(&hash));
        written.id = Some(&id);
        serde_json::to_vec(&written)
    }
}

/// What stands for a subscription that Stripe does not know any more: it is over. `sold` is what
/// it last sold.
pub fn gone_subscription(
    id: &SubscriptionId,
    sold: &[(PriceId, u64)],
    at: Timestamp,
) -> Box<RawValue> {
    let item = |(price, quantity): &(PriceId, u64)| serde_json::json!({ "price": { "id": price.as_str() }, "quantity": quantity });
    raw(&serde_json::json!({
        "id": id.as_str(),
        "object": "subscription",
        "status": "canceled",
        "ended_at": at.unix_seconds(),
        "items": { "object": "list", "data": sold.iter().map(item).collect::<Vec<_>>() },
    }))
}

fn raw(value: &serde_json::Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A fetched object, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its id among the events.
    pub id: EventId,
    /// What it is.
    pub kind: FetchedKind,
    /// Live mode or test mode.
    pub livemode: bool,
    /// The connected account (`acct_…`) it is of; `None`: our own.
    pub account: Option<ObjectId>,
    /// The version whose shape it has.
    pub api_version: Option<String>,
    /// Stripe's time.
    pub at: Timestamp,
    /// What it tells, or why it cannot be read.
    pub told: Result<Observation, ObserveError>,
}

#[derive(Deserialize)]
struct Circumstances<'a> {
    #[serde(borrow)]
    cause: &'a str,
    covers: Vec<String>,
}

/// Reads a body of [`Showing::to_body`]; `None` for any other.
pub fn read(body: &[u8]) -> Option<Fetched> {
    let envelope = parse_own(body)?;
    let kind = FetchedKind::of_event_type(&envelope.event_type)?;
    let circumstances: Circumstances<'_> = serde_json::from_slice(body).ok()?;
    let cause = FetchCause::parse(circumstances.cause)?;
    let told = object::read(kind.event_kind(), &envelope).map(|mut seen| {
        seen.fetched = Some(cause);
        if envelope.account.is_some() {
            seen.forget_chosen_names();
        }
        if let Seen::Subscription(subscription) = &mut seen.seen {
            let ids = circumstances.covers.iter().filter_map(|id| EventId::parse(id).ok());
            subscription.state.covers = ids.collect();
        }
        seen
    });
    Some(Fetched {
        kind,
        livemode: envelope.livemode,
        account: envelope.account,
        api_version: envelope.api_version.as_ref().map(ToString::to_string),
        at: envelope.created,
        id: envelope.id,
        told,
    })
}

#[cfg(test)]
mod tests;
