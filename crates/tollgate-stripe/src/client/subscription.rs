//! Subscriptions. Owns: reading one to change it, and the changes. Must not know: when a change is
//! due, what a price sells.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_domain::Timestamp;
use tollgate_domain::buying::KnownPrice;
use tollgate_domain::ids::PriceRef;
use tollgate_domain::ids::SubscriptionId;

use crate::client::error::StripeError;
use crate::client::exchange::Fetched;
use crate::client::metadata::ROW;
use crate::client::price;
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::IdempotencyKey;
use crate::client::{StripeClient, identified};
use tollgate_domain::subscription::SubscriptionStatus;

const RETRIEVE: Operation = Operation::get("subscriptions.retrieve");
const UPDATE: Operation = Operation::post("subscriptions.update");
const CANCEL: Operation = Operation::delete("subscriptions.cancel");
const RESUME: Operation = Operation::post("subscriptions.resume");
const PATH: &str = "/v1/subscriptions";
/// Stripe's `billing_reason` of an invoice for a change.
pub(super) const UPDATE_REASON: &str = "subscription_update";

/// What to expand to see what is planned for a subscription, with the prices of it.
pub const EXPAND_PLANNED: &str = "schedule.phases.items.price";

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Stripe's id, `si_…`.
    pub id: String,
    /// Its price.
    pub price: KnownPrice,
    /// How many.
    pub quantity: u64,
    /// When what has been paid ends.
    pub period_end: Option<Timestamp>,
}

/// A change that waits for its payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingUpdate {
    /// When it is given up.
    pub expires_at: Timestamp,
    /// The items as they are going to be, as far as Stripe says.
    pub items: Vec<PendingItem>,
}

/// An item as a change that waits for its payment is going to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingItem {
    /// Stripe's id, `si_…`.
    pub id: String,
    /// The id of its price.
    pub price: String,
    /// How many.
    pub quantity: u64,
}

impl PendingUpdate {
    /// Whether it makes this change of an item.
    pub fn makes(&self, change: ItemChange<'_>) -> bool {
        self.items.iter().any(|item| {
            (item.id.as_str(), item.price.as_str(), item.quantity)
                == (change.item, change.price, change.quantity)
        })
    }

    /// Whether it leaves every item but one as it is.
    pub fn changes_only(&self, item: &str, present: &[Item]) -> bool {
        let mut others = self.items.iter().filter(|one| one.id != item);
        others.all(|one| {
            present.iter().any(|now| {
                (now.id.as_str(), now.price.id.as_str(), now.quantity)
                    == (one.id.as_str(), one.price.as_str(), one.quantity)
            })
        })
    }
}

/// The newest invoice of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestInvoice {
    /// Stripe's id, `in_…`.
    pub id: String,
    /// It waits for its payment.
    pub open: bool,
    /// It bills a change of the subscription.
    pub bills_change: bool,
    /// Where it can be paid, or could be before it was.
    pub url: Option<String>,
}

/// A subscription, as far as we change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Stripe's id.
    pub id: SubscriptionId,
    /// Its status.
    pub status: SubscriptionStatus,
    /// Its items.
    pub items: Vec<Item>,
    /// The schedule that rules it, `sub_sched_…`.
    pub schedule: Option<String>,
    /// Ends at the period end.
    pub cancel_at_period_end: bool,
    /// Ends at this instant.
    pub cancel_at: Option<Timestamp>,
    /// A change that waits for its payment.
    pub pending_update: Option<PendingUpdate>,
    /// Its newest invoice, where that was shown and not only named.
    pub invoice: Option<NewestInvoice>,
    /// A row of ours stands in its metadata: it was made by us.
    pub we_made: bool,
}

#[derive(Deserialize)]
struct Body {
    id: String,
    status: String,
    items: List,
    schedule: Option<Reference>,
    #[serde(default)]
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    pending_update: Option<PendingBody>,
    latest_invoice: Option<InvoiceBody>,
    current_period_end: Option<i64>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<ItemBody>,
}

#[derive(Deserialize)]
struct ItemBody {
    id: String,
    price: price::Body,
    quantity: Option<u64>,
    current_period_end: Option<i64>,
}

#[derive(Deserialize)]
struct PendingBody {
    expires_at: i64,
    #[serde(default)]
    subscription_items: Option<Vec<PendingItemBody>>,
}

#[derive(Deserialize)]
struct PendingItemBody {
    id: String,
    price: Reference,
    quantity: Option<u64>,
}

impl PendingBody {
    fn read(self) -> PendingUpdate {
        let items = self.subscription_items.unwrap_or_default().into_iter();
        PendingUpdate {
            expires_at: Timestamp::from_unix_seconds(self.expires_at),
            items: items
                .map(|item| PendingItem {
                    id: item.id,
                    price: item.price.id(),
                    quantity: item.quantity.unwrap_or(1),
                })
                .collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl Reference {
    fn id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum InvoiceBody {
    Object {
        id: String,
        status: Option<String>,
        billing_reason: Option<String>,
        hosted_invoice_url: Option<String>,
    },
    #[expect(dead_code, reason = "only that it is one is of interest")]
    Id(String),
}

impl Subscription {
    fn read(fetched: &Fetched) -> Result<Self, StripeError> {
        let garbled = || StripeError::Garbled {
            what: "the subscription has no usable id or price",
            request_id: fetched.request_id.clone(),
        };
        let body: Body = fetched.json()?;
        let ends = body.current_period_end;
        let invoice = match body.latest_invoice {
            Some(InvoiceBody::Object { id, status, billing_reason, hosted_invoice_url: url }) => {
                let open = status.as_deref() == Some("open");
                let bills_change = billing_reason.as_deref() == Some(UPDATE_REASON);
                Some(NewestInvoice { id, open, bills_change, url })
            }
            Some(InvoiceBody::Id(_)) | None => None,
        };
        let mut items = Vec::with_capacity(body.items.data.len());
        for item in body.items.data {
            items.push(Item {
                id: item.id,
                price: item.price.known().ok_or_else(garbled)?,
                quantity: item.quantity.unwrap_or(1),
                period_end: item.current_period_end.or(ends).map(Timestamp::from_unix_seconds),
            });
        }
        Ok(Self {
            id: SubscriptionId::parse(&body.id).map_err(|_| garbled())?,
            status: SubscriptionStatus::parse(&body.status),
            items,
            schedule: body.schedule.map(Reference::id),
            cancel_at_period_end: body.cancel_at_period_end,
            cancel_at: body.cancel_at.map(Timestamp::from_unix_seconds),
            pending_update: body.pending_update.map(PendingBody::read),
            invoice,
            we_made: body.metadata.is_some_and(|metadata| metadata.contains_key(ROW)),
        })
    }

    /// Its items, as far as it matters what they sell.
    pub fn sold(&self) -> Vec<PriceRef<'_>> {
        self.items.iter().map(|item| item.price.price_ref()).collect()
    }

    /// Whether its end has been asked for.
    pub const fn is_ending(&self) -> bool {
        self.cancel_at_period_end || self.cancel_at.is_some()
    }
}

/// The item of a subscription that is to sell something else.
#[derive(Debug, Clone, Copy)]
pub struct ItemChange<'a> {
    /// Its id.
    pub item: &'a str,
    /// The new price.
    pub price: &'a str,
    /// How many.
    pub quantity: u64,
}

/// The parameters of a change that takes effect now, with the difference billed now. While its
/// payment is open the old price stays in effect.
pub fn change_now(change: ItemChange<'_>) -> Form {
    Form::new()
        .with("items[0][id]", change.item)
        .with("items[0][price]", change.price)
        .with("items[0][quantity]", change.quantity.to_string())
        .with("proration_behavior", "always_invoice")
        .with("payment_behavior", "pending_if_incomplete")
        .expand("latest_invoice")
}

/// The parameters of asking for the end of a subscription at its period end, or of taking that
/// back.
pub fn end_at_period_end(end: bool) -> Form {
    Form::new().with("cancel_at_period_end", if end { "true" } else { "false" })
}

/// The parameters of taking back an end at an instant.
pub fn end_at_no_instant() -> Form {
    Form::new().with("cancel_at", "")
}

fn path(id: &SubscriptionId) -> ApiPath {
    ApiPath::new(PATH).id(id.as_str())
}

impl StripeClient {
    /// Reads a subscription.
    pub async fn subscription(
        &self,
        id: &SubscriptionId,
    ) -> Result<(Subscription, Fetched), StripeError> {
        let form = Form::new().expand("latest_invoice").expand(EXPAND_PLANNED);
        let fetched = self.call(RETRIEVE, &path(id), &form, None).await?;
        Ok((Subscription::read(&fetched)?, fetched))
    }

    /// Changes a subscription.
    pub async fn update_subscription(
        &self,
        id: &SubscriptionId,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<(Subscription, Fetched), StripeError> {
        let fetched = self.call(UPDATE, &path(id), form, Some(key)).await?;
        Ok((Subscription::read(&fetched)?, fetched))
    }

    /// Ends a subscription now, giving nothing back.
    pub async fn cancel_subscription(&self, id: &SubscriptionId) -> Result<Fetched, StripeError> {
        let fetched = self.call(CANCEL, &path(id), &Form::new(), None).await?;
        identified(&fetched, SubscriptionId::parse)?;
        Ok(fetched)
    }

    /// Wakes a paused subscription; its next period begins now.
    pub async fn resume_subscription(
        &self,
        id: &SubscriptionId,
        key: &IdempotencyKey,
    ) -> Result<(Subscription, Fetched), StripeError> {
        let form = Form::new().with("billing_cycle_anchor", "now");
        let fetched = self.call(RESUME, &path(id).then("/resume"), &form, Some(key)).await?;
        Ok((Subscription::read(&fetched)?, fetched))
    }
}
