//! Decisions about Stripe's events. Owns: what each event does to an account's facts, what the
//! journal says of it. Must not know: how the owner was found, how a
//! decision is executed, who is entitled to what.
//!
//! Two laws hold for every set of events of an account, in any order and with any repetition
//! (`tests/it/convergence.rs` checks both):
//!
//! 1. The facts come out the same. State is read from the object, never from the event's name;
//!    each kind of fact has a merge that is commutative, associative and idempotent.
//! 2. The journal tells equally often of the same kinds of things. Every event leaves exactly one
//!    primary entry, which consumers are told of if it is about a subscription; every other billing
//!    event is news of an object, each told once (see [`crate::news`]).

use crate::act;
use crate::catalog::Catalog;
use crate::change::{Actor, BillingEvent, Change, Decision, JournalEntry};
use crate::entitlement::resolve::GraceWindow;
use crate::facts::{Customer, Facts};
use crate::ids::{CustomerId, InvoiceId, MemberId, SubscriptionId};
use crate::news::{News, Told};
use crate::observation::{Observation, Seen};
use crate::owner::FoundOwner;
use crate::subscription::Subscription;
use crate::time::Timestamp;

mod adjustment;
mod customer;
mod invoice;
mod session;
mod subscription;

pub use customer::customer_gone;

/// Decides what an event does for its owner. `facts` are those of `owner.account`.
///
/// Of the facts it reads no more than: `known`, the customer, the object itself (for a subscription
/// its schedule too, for an invoice its subscription too), and the purchases, adjustments and invoice
/// payments of the same payment intent or charge.
/// Whoever loads facts for it may leave out the rest, subscriptions' histories included.
///
/// Never fails: whatever an event shows is taken in as far as it goes, and what does not fit
/// (an unknown price, a stale observation) is said in the journal.
pub fn decide(
    observation: &Observation,
    owner: &FoundOwner,
    facts: &Facts,
    catalog: &Catalog,
) -> Decision {
    let mut draft = Draft::begin(observation, owner, facts, catalog);
    let primary = match &observation.seen {
        Seen::Customer(seen) => customer::decide(&mut draft, seen),
        Seen::Subscription(seen) => subscription::decide(&mut draft, seen),
        Seen::Schedule(seen) => subscription::decide_schedule(&mut draft, seen),
        Seen::Session(seen) => session::decide(&mut draft, seen),
        Seen::Invoice(seen) => invoice::decide(&mut draft, seen),
        Seen::InvoicePayment(seen) => invoice::decide_payment(&mut draft, seen),
        Seen::Adjustment(seen) => adjustment::decide(&mut draft, seen),
        Seen::CatalogObject(seen) => {
            Primary::new(&seen.id, vec![("object", seen.object.to_owned())])
        }
        Seen::EntitlementSummary(seen) => customer::decide_summary(&mut draft, seen),
    };
    draft.finish(primary)
}

/// Tells, once, that a grace ended without payment (see [`grace_windows`]): `None` while it runs,
/// when it was told of already, or when the subscription is unknown. Access ended at the instant
/// itself, whenever this is told.
///
/// A dunning cycle is named by the invoice that failed first, else by the subscription's newest
/// invoice, so that a failure that becomes known late is not told of again.
///
/// [`grace_windows`]: crate::entitlement::resolve::grace_windows
pub fn grace_ended(facts: &Facts, window: &GraceWindow, now: Timestamp) -> Option<Decision> {
    let id = &window.subscription;
    let ended_at = window.ends_at;
    let known = facts.subscriptions.get(id)?;
    let state = known.state()?;
    let invoice = window.invoice.as_ref().or(state.latest_invoice.as_ref());
    let news = News::GraceEnded(invoice.cloned());
    if ended_at > now || known.told.contains(&news) {
        return None;
    }
    let billing = news.billing_event(id.as_str(), Some(id), invoice);
    let mut after = Subscription { history: Vec::new(), ..known.clone() };
    after.told.insert(news);
    let mut details = vec![("status", state.status.as_str().to_owned())];
    details.extend(invoice.map(|invoice| ("invoice", invoice.to_string())));
    details.sort_unstable();
    Some(Decision {
        changes: vec![Change::SaveSubscription(after)],
        journal: vec![JournalEntry {
            kind: billing.kind.as_str(),
            subject: id.to_string(),
            actor: Actor::System,
            occurred_at: ended_at,
            details,
            billing: Some(billing),
        }],
    })
}

/// What the primary entry of the journal says of an event.
struct Primary {
    subject: String,
    details: Vec<(&'static str, String)>,
    billing: Option<BillingEvent>,
}

impl Primary {
    /// One that consumers are not told of.
    fn new(subject: &impl ToString, details: Vec<(&'static str, String)>) -> Self {
        Self { subject: subject.to_string(), details, billing: None }
    }
}

/// A decision in the making.
struct Draft<'a> {
    observation: &'a Observation,
    owner: &'a FoundOwner,
    facts: &'a Facts,
    catalog: &'a Catalog,
    decision: Decision,
    /// What consumers are told beside the event itself.
    news: Vec<BillingEvent>,
    /// Prices of ours that the catalog does not map.
    unknown_prices: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    fn begin(
        observation: &'a Observation,
        owner: &'a FoundOwner,
        facts: &'a Facts,
        catalog: &'a Catalog,
    ) -> Self {
        let mut decision = Decision::default();
        if !facts.known {
            act::begin_account(
                &mut decision,
                facts,
                &Actor::Stripe(observation.event.clone()),
                observation.at,
            );
        }
        Self {
            observation,
            owner,
            facts,
            catalog,
            decision,
            news: Vec::new(),
            unknown_prices: Vec::new(),
        }
    }

    fn change(&mut self, change: Change) {
        self.decision.changes.push(change);
    }

    /// Tells once that an object has come to this; `told` is what was told of it.
    fn tell(
        &mut self,
        told: &mut Told,
        news: News,
        id: &impl AsRef<str>,
        subscription: Option<&SubscriptionId>,
        invoice: Option<&InvoiceId>,
    ) {
        if !told.contains(&news) {
            self.news.push(news.billing_event(id.as_ref(), subscription, invoice));
            told.insert(news);
        }
    }

    /// The member that facts name: the one this very event claims, whoever owns the object.
    fn member(&self) -> Option<&'a MemberId> {
        self.observation.claim.as_ref()?.member.as_ref()
    }

    /// Takes in that the event's object belongs to a customer.
    fn meet_customer(&mut self) {
        if let Some(id) = &self.observation.customer {
            self.meet(id);
        }
    }

    fn meet(&mut self, id: &CustomerId) {
        let known = self.facts.customers.get(id);
        let mut met = known.cloned().unwrap_or_else(|| Customer {
            id: id.clone(),
            member: None,
            email: None,
            deleted_at: None,
            at: None,
            event: None,
            own_claim: None,
        });
        met.member = least_member(met.member.as_ref(), self.member());
        if let Some(gone) = self.owner.customer_gone_at.and_then(|at| met.gone_since(at)) {
            if met.deleted_at.is_none() {
                self.decision.journal.push(customer::gone_entry(&gone, self.observation));
            }
            met = gone;
        }
        if known != Some(&met) {
            self.change(Change::SaveCustomer(met));
        }
    }

    fn journal(
        &mut self,
        kind: &'static str,
        subject: String,
        mut details: Vec<(&'static str, String)>,
        billing: Option<BillingEvent>,
    ) {
        details.sort_unstable();
        self.decision.journal.push(JournalEntry {
            kind,
            subject,
            actor: Actor::Stripe(self.observation.event.clone()),
            occurred_at: self.observation.at,
            details,
            billing,
        });
    }

    fn finish(mut self, primary: Primary) -> Decision {
        let Primary { subject, mut details, billing } = primary;
        if let Some(claimed) = &self.owner.contradicted {
            let details =
                vec![("claimed", claimed.to_string()), ("linked", self.owner.account.to_string())];
            self.journal("owner.contradicted", subject.clone(), details, None);
        }
        if !self.unknown_prices.is_empty() {
            self.unknown_prices.sort_unstable();
            self.unknown_prices.dedup();
            let details = vec![
                ("catalog", self.catalog.version.clone()),
                ("prices", self.unknown_prices.join(",")),
            ];
            self.journal("catalog.price_unknown", subject.clone(), details, None);
        }
        let fetched = self.observation.fetched;
        details.extend(fetched.map(|cause| ("cause", cause.as_str().to_owned())));
        let kind = self.observation.kind.journal_kind();
        self.journal(kind, subject.clone(), details, billing);
        for told in std::mem::take(&mut self.news) {
            self.journal(told.kind.as_str(), subject.clone(), Vec::new(), Some(told));
        }
        self.decision
    }
}

/// The lesser of what is present: a merge of values that should be equal, free of order.
fn least<'m, T: Ord>(a: Option<&'m T>, b: Option<&'m T>) -> Option<&'m T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

fn least_member(a: Option<&MemberId>, b: Option<&MemberId>) -> Option<MemberId> {
    least(a, b).cloned()
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests;
