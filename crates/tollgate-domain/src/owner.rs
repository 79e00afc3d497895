//! Owners. Owns: which account an event belongs to, given what its object claims and what is known
//! of the objects it names; how that knowledge grows. Must not know: where links are kept, what
//! the event does.
//!
//! Objects that hang together (a subscription with its sessions, invoices, payments and refunds; a
//! one-time purchase with its payment and refunds) are one **group** and belong to one account.
//! Whoever pays (a customer) stands for itself: one customer may pay for several accounts.
//!
//! The account of a group follows from all that was ever told of it, whatever the order of
//! arrival: the strongest [`Basis`] decides. So an object that names its own account belongs to it
//! even if its customer is another's, and an event that arrives before the one that names the
//! account moves with its group when that one comes. What an object says of itself goes before what
//! others (a session, an invoice) say of it; of two equal claims the earlier one (by Stripe's time)
//! decides: what contradicts a claim made before moves nothing and is reported. Metadata can
//! be edited by whoever holds a restricted key, so only a person moves what was claimed.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use crate::catalog::{Catalog, Interval};
use crate::ids::{AccountId, EventId, ObjectId, PriceRef, SubscriptionId};
use crate::observation::{Observation, Seen};
use crate::payment::{InvoiceLine, PurchaseKind, PurchaseLine, SessionMode};
use crate::subscription::{PlannedItem, SubscriptionItem};
use crate::time::Timestamp;

mod group;

pub use group::{Group, Links};

/// To which account a Stripe object belongs, and by which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The object.
    pub object: ObjectId,
    /// Its account.
    pub account: AccountId,
    /// The object that stands for its group; itself for one that stands for a group.
    pub root: ObjectId,
    /// Why the group belongs to the account.
    pub basis: Basis,
    /// When the object was first seen deleted at Stripe; told of customers only, whose deletion ends
    /// what they pay for in every account.
    pub gone_at: Option<Timestamp>,
}

/// Why a group belongs to its account; `lesser` is stronger. Two that are equal name the same
/// account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Basis {
    /// A person said so. The latest word counts.
    Relinked {
        /// When it was said.
        at: Timestamp,
    },
    /// An object of the group named the account, or one that names the customer did.
    Claimed(Claimed),
    /// It belongs to whom its customer belongs to.
    Followed(ObjectId),
    /// Its customer's e-mail is the verified e-mail of the account.
    Matched,
    /// A purchase that a person gave to the account names it.
    Met,
}

/// How much earlier a claim of another object must be to go before that of the object itself: the
/// events of one checkout lie closer together, and whoever edits metadata comes later.
const OWN_CLAIM_LEAD_MS: i64 = 60_000;

/// A claim as evidence: the least of all claims decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// Another object than the one that stands for the group said so. It counts as if it had been
    /// told a minute later.
    pub named: bool,
    /// Stripe's time of the event.
    pub at: Timestamp,
    /// The event says that the metadata was changed by what it tells of.
    pub edited: bool,
    /// The event.
    pub event: EventId,
}

impl Claimed {
    fn rank(&self) -> (Timestamp, bool, bool, &EventId) {
        let lead = if self.named { OWN_CLAIM_LEAD_MS } else { 0 };
        (self.at.plus_ms(lead), self.named, self.edited, &self.event)
    }
}

impl Ord for Claimed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Claimed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Basis {
    fn rank(&self) -> (u8, Reverse<Option<Timestamp>>, Option<&Claimed>, Option<&ObjectId>) {
        match self {
            Self::Relinked { at } => (0, Reverse(Some(*at)), None, None),
            Self::Claimed(claimed) => (1, Reverse(None), Some(claimed), None),
            Self::Followed(customer) => (2, Reverse(None), None, Some(customer)),
            Self::Matched => (3, Reverse(None), None, None),
            Self::Met => (4, Reverse(None), None, None),
        }
    }

    /// Whether it decides against another.
    pub fn is_stronger(&self, other: &Self) -> bool {
        self.rank() < other.rank()
    }
}

/// What is known of the objects an event names.
pub trait Directory {
    /// The link of an object.
    fn link(&self, object: &ObjectId) -> Option<&Link>;

    /// The account whose verified e-mail this is; nobody's where e-mails do not count.
    fn by_email(&self, _email: &str) -> Option<&AccountId> {
        None
    }
}

impl<S: std::hash::BuildHasher> Directory for HashMap<ObjectId, Link, S> {
    fn link(&self, object: &ObjectId) -> Option<&Link> {
        self.get(object)
    }
}

/// The owner an event was found to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOwner {
    /// The account.
    pub account: AccountId,
    /// The account the object names although it belongs to another.
    pub contradicted: Option<AccountId>,
    /// When the customer the event names was first seen deleted at Stripe, whoever it belongs to.
    pub customer_gone_at: Option<Timestamp>,
    /// What is to be written before the event is decided.
    pub links: LinkChanges,
}

impl FoundOwner {
    /// An account that is known to be the owner, with nothing to write.
    pub fn known(account: AccountId) -> Self {
        let links = LinkChanges::default();
        Self { account, contradicted: None, customer_gone_at: None, links }
    }
}

/// How links change by an event, in the order in which the parts are to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkChanges {
    /// Links that are new or say something else than before.
    pub links: Vec<Link>,
    /// Groups that become part of another group or belong to another account than before.
    pub regroupings: Vec<Regrouping>,
    /// A customer that was seen deleted, and when.
    pub gone: Option<(ObjectId, Timestamp)>,
}

/// A whole group that becomes part of a group, of the same account or of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regrouping {
    /// What stood for the group; the same as `into` for one that moves and stays itself.
    pub root: ObjectId,
    /// The account it belonged to.
    pub from: AccountId,
    /// What stands for it now.
    pub into: ObjectId,
    /// The account it belongs to now.
    pub to: AccountId,
    /// It stands for a customer, so the groups that follow it go along.
    pub is_payer: bool,
}

impl Regrouping {
    /// Whether facts go from one account to another.
    pub fn is_move(&self) -> bool {
        self.from != self.to
    }
}

/// What the search for an event's owner came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// It belongs to this account.
    Found(Box<FoundOwner>),
    /// Nobody yet: the event waits until one of its references is linked.
    Nobody,
}

impl Observation {
    /// Who pays: the customer, and the account that stands for it in newer versions of the API.
    pub fn payers(&self) -> impl Iterator<Item = &ObjectId> {
        let is_payer = |object: &&ObjectId| {
            let same = |id: &str| id == object.as_str();
            self.customer.as_ref().is_some_and(|customer| same(customer.as_str()))
                || self.customer_account.as_ref().is_some_and(|account| same(account.as_str()))
                || matches!(&self.seen, Seen::Customer(seen) if same(seen.id.as_str()))
        };
        self.references.iter().filter(is_payer)
    }

    /// The objects of the event's group: all references but those who pay.
    pub fn members_of_group(&self) -> impl Iterator<Item = &ObjectId> {
        let payers: Vec<&ObjectId> = self.payers().collect();
        self.references.iter().filter(move |object| !payers.contains(object))
    }

    /// The customer that the event shows deleted, and since when.
    pub fn deletion(&self) -> Option<(ObjectId, Timestamp)> {
        let Seen::Customer(seen) = &self.seen else { return None };
        let id = ObjectId::parse(seen.id.as_str()).ok()?;
        seen.deleted.then_some((id, self.at))
    }

    /// The event's claim as evidence.
    fn evidence(&self, named: bool) -> Option<(Basis, &AccountId)> {
        let claim = self.claim.as_ref()?;
        let event = self.event.clone();
        let claimed = Claimed { at: self.at, edited: claim.edited, named, event };
        Some((Basis::Claimed(claimed), &claim.account))
    }

    /// The prices of what is sold, as far as the event shows them.
    fn prices(&self) -> Vec<PriceRef<'_>> {
        match &self.seen {
            Seen::Subscription(seen) => {
                seen.state.items.iter().map(SubscriptionItem::price_ref).collect()
            }
            Seen::Session(seen) => seen.lines.iter().map(PurchaseLine::price_ref).collect(),
            Seen::Invoice(seen) => {
                let lines = seen.lines.iter().flat_map(|lines| &lines.all);
                lines.map(InvoiceLine::price_ref).collect()
            }
            Seen::Schedule(seen) => {
                let items = seen.phases.iter().flat_map(|phase| &phase.items);
                items.map(PlannedItem::price_ref).collect()
            }
            Seen::Customer(_)
            | Seen::InvoicePayment(_)
            | Seen::Adjustment(_)
            | Seen::CatalogObject(_)
            | Seen::EntitlementSummary(_) => Vec::new(),
        }
    }

    /// What the catalog would have to map for the event to sell something, as keys to wait for: the
    /// prices and, where shown, their lookup keys and products.
    pub fn price_keys(&self) -> Vec<ObjectId> {
        let keys = |price: PriceRef<'_>| {
            let product = price.product.and_then(|id| ObjectId::parse(id.as_str()).ok());
            let id = ObjectId::parse(price.id.as_str()).ok();
            [id, price.lookup_key.and_then(lookup_key), product]
        };
        self.prices().into_iter().flat_map(keys).flatten().collect()
    }

    /// Whether it tells of something the catalog sells, or says itself that it does. Somebody paid
    /// or will pay for it, so an event without an owner that does is never set aside as foreign.
    pub fn sells(&self, catalog: &Catalog) -> bool {
        let says_so = matches!(&self.seen, Seen::Session(seen) if seen.kind != PurchaseKind::Other);
        let sold = |price: PriceRef<'_>| catalog.price_target(price).is_some();
        says_so || self.prices().into_iter().any(sold)
    }
}

impl Observation {
    /// The subscription whose own events say what was sold, where this one may not: a checkout of a
    /// subscription shows no prices, and newer invoices show their ids without lookup keys.
    pub fn sold_by_subscription(&self) -> Option<&SubscriptionId> {
        match &self.seen {
            Seen::Session(seen) => {
                let untold = seen.lines.is_empty() && seen.kind == PurchaseKind::Other;
                let starts_one = untold && seen.mode == SessionMode::Subscription;
                seen.subscription.as_ref().filter(|_| starts_one)
            }
            Seen::Invoice(seen) => {
                let untold = self.prices().iter().all(|price| price.lookup_key.is_none());
                seen.subscription.as_ref().filter(|_| untold)
            }
            Seen::Customer(_)
            | Seen::Subscription(_)
            | Seen::Schedule(_)
            | Seen::InvoicePayment(_)
            | Seen::Adjustment(_)
            | Seen::CatalogObject(_)
            | Seen::EntitlementSummary(_) => None,
        }
    }

    /// Whether a checkout may have cost what a plan of the catalog costs by the month or the year.
    pub fn costs_as_a_plan(&self, catalog: &Catalog) -> bool {
        let Seen::Session(seen) = &self.seen else { return false };
        let prices = catalog.plans.iter().flat_map(|plan| &plan.prices);
        let mut recurring = prices.filter(|price| price.interval != Interval::OneTime);
        recurring.any(|price| {
            price.amounts().any(|one| one.amount_minor > 0 && seen.amounts.contains(&one))
        })
    }
}

/// A lookup key as something an event can wait for; `None` for one with characters no id has.
fn lookup_key(key: &str) -> Option<ObjectId> {
    ObjectId::parse(&format!("lookup_key:{key}")).ok()
}

impl Catalog {
    /// All that its prices may be called by events that wait for them (see
    /// [`Observation::price_keys`]).
    pub fn price_keys(&self) -> Vec<ObjectId> {
        let both = |text: &String| [ObjectId::parse(text).ok(), lookup_key(text)];
        self.prices.keys().chain(self.products.keys()).flat_map(both).flatten().collect()
    }
}

/// Finds the owner of an event by what is known of its references.
///
/// In this order: what a person said of the group; what objects of the group claim, the earliest
/// first, where the subscription's own claim leads by a minute; whom the customer belongs to, by a
/// person's word, by its own metadata or by what was claimed for others who name it; the
/// account that stands for the customer; a verified e-mail.
pub fn choose(observation: &Observation, known: &impl Directory) -> Owner {
    let Some(decided) = Decided::of(observation, known) else { return Owner::Nobody };
    let mut changes = LinkChanges::default();
    let members: Vec<&ObjectId> = observation.members_of_group().collect();
    if let Some(root) = decided.root.clone().or_else(|| members.first().map(|id| (*id).clone())) {
        let group = Group { root, account: decided.account.clone(), basis: decided.basis.clone() };
        group.take_in(&members, known, &mut changes);
    }
    let by_payer = members.is_empty();
    let payers: Vec<&ObjectId> = observation.payers().collect();
    let mut account = decided.account.clone();
    for payer in &payers {
        let group = payer_group(observation, payer, &decided, known);
        if by_payer && Some(payer) == payers.first() {
            account = group.account.clone();
        }
        group.stand_for(payer, known, &mut changes);
    }
    let claimed = observation.claim.as_ref().map(|claim| &claim.account);
    let contradicted = claimed.filter(|claimed| **claimed != account).cloned();
    changes.gone = observation.deletion();
    let customer_gone_at = customer_gone_at(observation, known);
    Owner::Found(Box::new(FoundOwner { account, contradicted, customer_gone_at, links: changes }))
}

/// When the event's customer was first seen deleted, by this event or by an earlier one.
fn customer_gone_at(observation: &Observation, known: &impl Directory) -> Option<Timestamp> {
    let shown = observation.deletion().map(|(_, at)| at);
    let stored = observation.payers().filter_map(|payer| known.link(payer)?.gone_at);
    stored.chain(shown).min()
}

/// What decides over the event's group, and what stands for it where anything did before.
struct Decided {
    account: AccountId,
    basis: Basis,
    root: Option<ObjectId>,
}

impl Decided {
    fn of(observation: &Observation, known: &impl Directory) -> Option<Self> {
        let own = observation
            .members_of_group()
            .filter_map(|object| known.link(object))
            .min_by(|a, b| (a.basis.rank(), &a.root).cmp(&(b.basis.rank(), &b.root)));
        let named = !matches!(observation.seen, Seen::Subscription(_));
        let claimed = observation.evidence(named);
        let followed = observation
            .payers()
            .find_map(|payer| known.link(payer))
            .map(|link| (Basis::Followed(link.object.clone()), &link.account));
        let matched = observation.email.as_deref().and_then(|email| known.by_email(email));
        let candidates = own
            .map(|link| (link.basis.clone(), &link.account))
            .into_iter()
            .chain(claimed)
            .chain(followed)
            .chain(matched.map(|account| (Basis::Matched, account)));
        let (basis, account) = candidates.min_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()))?;
        let root = own.map(|link| link.root.clone());
        Some(Self { account: account.clone(), basis, root })
    }
}

/// Whom a customer belongs to after an event that names it: as before, unless the event says more.
fn payer_group(
    observation: &Observation,
    payer: &ObjectId,
    decided: &Decided,
    known: &impl Directory,
) -> Group {
    let before = known.link(payer).map(|link| (link.basis.clone(), &link.account));
    let itself = matches!(observation.seen, Seen::Customer(_));
    let told = observation.evidence(!itself).or_else(|| {
        let basis = match &decided.basis {
            Basis::Claimed(claimed) => Basis::Claimed(Claimed { named: true, ..claimed.clone() }),
            // What a person said of one purchase says nothing of who pays, and what follows a
            // customer says nothing of it.
            Basis::Relinked { .. } => Basis::Met,
            Basis::Followed(other) if other == payer => return None,
            weaker @ (Basis::Followed(_) | Basis::Matched | Basis::Met) => weaker.clone(),
        };
        Some((basis, &decided.account))
    });
    let strongest = before.into_iter().chain(told).min_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
    let (basis, account) = strongest.unwrap_or_else(|| (decided.basis.clone(), &decided.account));
    Group { root: payer.clone(), account: account.clone(), basis }
}

#[cfg(test)]
mod tests;
