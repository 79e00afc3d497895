//! Findings: what an operator must hear of. Owns: when a finding about an account is open, and the
//! changes that open and close it. Must not know: who shows them.
//!
//! Nothing paid for is silently worth nothing. A finding about an account follows from its facts
//! and the catalog, so it closes by itself when the cause is gone; one that an event brought (a
//! claim that cannot be, an event of the other mode) is closed by what settles it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::change::{Change, Decision};
use crate::entitlement::resolve::resolve;
use crate::entitlement::stale::{ends_at, overdue_since};
use crate::entitlement::{Absence, Considered, Resolution, SourceKind, Standing};
use crate::facts::Facts;
use crate::ids::SubscriptionId;
use crate::payment::{Goods, Invoice, Purchase, PurchaseKind, SessionMode};
use crate::sale;
use crate::schedule;
use crate::subscription::{Subscription, SubscriptionStatus};
use crate::time::Timestamp;

mod code;

pub use code::{FindingCode, UnknownCode};

/// How long the other events of a paid checkout may take.
const UNHEARD_HOURS: i64 = 1;

/// One matter an operator must hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of matter.
    pub code: FindingCode,
    /// The object it is about, a Stripe id where there is one; with the code it is the key.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
    /// What was seen, in words; no personal data.
    pub detail: String,
    /// Other objects concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// When its cause was gone; `None` while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
}

impl Finding {
    /// An open one without other objects.
    pub fn new(
        code: FindingCode,
        subject: impl Into<String>,
        since: Timestamp,
        detail: impl Into<String>,
    ) -> Self {
        let (subject, detail) = (subject.into(), detail.into());
        Self { code, subject, since, detail, objects: Vec::new(), closed_at: None }
    }

    /// What makes it the same matter within an account.
    pub fn key(&self) -> String {
        format!("{}/{}", self.code.as_str(), self.subject)
    }
}

impl Decision {
    /// Applies it to the facts it was made of, and adds what follows from them then that an operator
    /// must hear of: a finding is a fact like them. Returns what the account has then.
    pub fn apply_to(&mut self, facts: &mut Facts, catalog: &Catalog, now: Timestamp) -> Resolution {
        for change in &self.changes {
            facts.apply(change);
        }
        let resolution = resolve(facts, catalog, now);
        let findings = review_by(&resolution, facts, catalog);
        for change in &findings {
            facts.apply(change);
        }
        self.changes.extend(findings);
        resolution
    }
}

/// The changes that bring an account's findings up to its facts: new ones are opened, those of which
/// something else is true now say so, those whose cause is gone are closed. Empty when nothing is to
/// be done, as nearly always.
pub fn review(facts: &Facts, catalog: &Catalog, now: Timestamp) -> Vec<Change> {
    review_by(&resolve(facts, catalog, now), facts, catalog)
}

/// [`review`] by what the facts give.
fn review_by(resolution: &Resolution, facts: &Facts, catalog: &Catalog) -> Vec<Change> {
    let now = resolution.at;
    let due = derive(resolution, facts, catalog);
    let mut changes = Vec::new();
    for (key, finding) in &due {
        match facts.findings.get(key).filter(|known| known.closed_at.is_none()) {
            None => changes.push(Change::SaveFinding(finding.clone())),
            // The same matter, of which more is known: a third subscription, another price.
            Some(known)
                if (&known.detail, &known.objects) != (&finding.detail, &finding.objects) =>
            {
                let finding = Finding { since: known.since, ..finding.clone() };
                changes.push(Change::SaveFinding(finding));
            }
            Some(_) => {}
        }
    }
    for (key, known) in &facts.findings {
        if known.closed_at.is_none() && known.code.is_derived() && !due.contains_key(key) {
            changes.push(closed(known, now));
        }
    }
    changes
}

fn closed(known: &Finding, now: Timestamp) -> Change {
    Change::SaveFinding(Finding { closed_at: Some(now), ..known.clone() })
}

/// Every finding that follows from an account's facts, by key.
fn derive(resolution: &Resolution, facts: &Facts, catalog: &Catalog) -> BTreeMap<String, Finding> {
    let (now, considered) = (resolution.at, &resolution.considered);
    let claims = contradictions(facts, now);
    let mut all: BTreeMap<_, _> = claims.map(|finding| (finding.key(), finding)).collect();
    let bought = facts.invoices.is_empty() && facts.purchases.is_empty();
    if facts.subscriptions.is_empty() && bought && facts.operator_facts.is_empty() {
        return all;
    }
    let about = considered.iter().filter_map(|source| about_source(source, facts, now));
    let stale =
        schedule::stale(facts, now).into_iter().filter_map(|id| stale_finding(id, facts, now));
    let unclear = facts.subscriptions.values().filter(|one| runs(one, facts, now));
    let unclear = unclear.filter_map(|one| unclear_finding(one, now));
    let matters = facts.purchases.values().filter(|one| one.relevance().includes(now));
    let unheard = matters.filter_map(|one| {
        let since = unheard_since(one, facts).filter(|since| *since <= now)?;
        let id = one.subscription.as_ref()?.as_str();
        let what = format!("{} was paid, and nothing else came of its subscription", one.id);
        Some(Finding::new(FindingCode::SubscriptionUnclear, id, since, what))
    });
    let unclear = unclear.chain(unheard);
    let bought = facts.purchases.values();
    let bought = bought.filter_map(|purchase| about_purchase(purchase, facts, catalog, now));
    for finding in
        about.chain(stale).chain(unclear).chain(duplicates(considered, now)).chain(bought)
    {
        all.insert(finding.key(), finding);
    }
    all
}

/// Objects that still matter, whose own metadata names another account.
fn contradictions(facts: &Facts, now: Timestamp) -> impl Iterator<Item = Finding> {
    let subscriptions = facts.subscriptions.values().filter(move |one| runs(one, facts, now));
    let subscriptions = subscriptions.map(|one| (one.id.as_str(), &one.own_claim));
    let stands = move |one: &&Purchase| {
        one.relevance().includes(now) && sale::undone(one, facts.adjustments.values()).is_none()
    };
    let purchases = facts.purchases.values().filter(stands);
    let purchases = purchases.map(|one| (one.id.as_str(), &one.own_claim));
    let customers = facts.customers.values().filter(|one| one.deleted_at.is_none());
    let customers = customers.map(|one| (one.id.as_str(), &one.own_claim));
    subscriptions.chain(purchases).chain(customers).filter_map(|(id, claim)| {
        let claim = claim.as_ref()?;
        let named = claim.against(&facts.account)?;
        let detail = format!("names {named}, belongs to {}", facts.account);
        Some(Finding::new(FindingCode::ClaimContradicts, id, claim.at, detail))
    })
}

/// Whether a subscription is not over.
fn runs(subscription: &Subscription, facts: &Facts, now: Timestamp) -> bool {
    let is_final = subscription.state().is_none_or(|state| state.status.is_terminal());
    !is_final && ends_at(subscription, facts).is_none_or(|end| now < end)
}

fn about_source(source: &Considered, facts: &Facts, now: Timestamp) -> Option<Finding> {
    let Standing::NotInForce(absence) = source.standing else { return None };
    let id = source.id.as_deref()?;
    let since = source.since.unwrap_or(now);
    match (source.kind, absence) {
        (SourceKind::Subscription, Absence::PriceUnknown) => {
            let Some(known) = facts.subscriptions.get(id) else {
                return Some(paid_for_nothing(id, facts, since));
            };
            let state = known.state()?;
            let live = matches!(
                state.status,
                SubscriptionStatus::Active
                    | SubscriptionStatus::Trialing
                    | SubscriptionStatus::PastDue
            );
            let prices: Vec<String> =
                state.items.iter().map(|item| item.price.to_string()).collect();
            let detail = format!("{} with price {}", state.status.as_str(), prices.join(", "));
            (live && runs(known, facts, now)).then(|| Finding {
                objects: prices,
                ..Finding::new(FindingCode::PriceUnknown, id, since, detail)
            })
        }
        (SourceKind::Grant | SourceKind::Waiver, Absence::PlanUnknown) => {
            let detail = "its plan is not in the catalog";
            Some(Finding::new(FindingCode::GrantLostByCatalog, id, since, detail))
        }
        _ => None,
    }
}

/// A paid purchase, whose money is still there, that grants nothing or less than it did.
fn about_purchase(
    purchase: &Purchase,
    facts: &Facts,
    catalog: &Catalog,
    now: Timestamp,
) -> Option<Finding> {
    let paid_at = purchase.paid_at.filter(|_| purchase.mode == SessionMode::Payment)?;
    if sale::undone(purchase, facts.adjustments.values()).is_some() {
        return None;
    }
    let sales = sale::sales(purchase, catalog);
    let id = purchase.id.as_str();
    if purchase.gives_nobody(&sales) && purchase.relevance().includes(now) {
        let detail = "a badge was paid, and nothing says for which member";
        return Some(Finding::new(FindingCode::PurchaseUnconfirmed, id, paid_at, detail));
    }
    if sales.is_empty() {
        // A purchase that names nobody and nothing of ours is another product's.
        if purchase.kind == PurchaseKind::Other && !purchase.names_owner {
            return None;
        }
        let paid = purchase.total.map_or_else(String::new, |total| {
            format!(" {} {} (minor units)", total.amount_minor, total.currency.as_str())
        });
        let objects = purchase.lines.iter().map(|line| line.price.to_string()).collect();
        let code = FindingCode::PurchaseUnconfirmed;
        return Some(Finding { objects, ..Finding::new(code, id, paid_at, format!("paid{paid}")) });
    }
    let lost = sales.iter().find_map(|sale| {
        let Goods::Plan { plan, days, .. } = &sale.goods else { return None };
        let runs = now < paid_at.plus_days(i64::from(*days));
        let stands = catalog.plan_sold(sale).is_some_and(|plan| !plan.lost);
        (runs && !stands).then_some(plan)
    })?;
    let detail = format!("the catalog has nothing of the rank of {lost}, which was bought");
    Some(Finding::new(FindingCode::GrantLostByCatalog, id, now, detail))
}

/// A subscription of which only paid invoices are known, for prices the catalog does not know.
fn paid_for_nothing(id: &str, facts: &Facts, since: Timestamp) -> Finding {
    let of =
        |invoice: &&Invoice| invoice.subscription.as_ref().is_some_and(|one| one.as_str() == id);
    let lines = facts.invoices.values().filter(of).filter_map(|invoice| invoice.lines.as_ref());
    let mut prices: Vec<String> =
        lines.flat_map(|lines| &lines.all).map(|line| line.price.to_string()).collect();
    prices.sort_unstable();
    prices.dedup();
    let detail = format!("invoices paid for price {}", prices.join(", "));
    Finding { objects: prices, ..Finding::new(FindingCode::PriceUnknown, id, since, detail) }
}

fn stale_finding(id: &SubscriptionId, facts: &Facts, now: Timestamp) -> Option<Finding> {
    let known = facts.subscriptions.get(id).filter(|known| runs(known, facts, now))?;
    let since = overdue_since(known, facts)?;
    let detail = if known.state()?.status == SubscriptionStatus::Trialing {
        "its trial is over, and no news came".to_owned()
    } else {
        format!("active, and holds on stale evidence since {since}")
    };
    Some(Finding::new(FindingCode::StaleSubscription, id.as_str(), since, detail))
}

/// Since when, or from when on, it is to be told that of the subscription a checkout paid for nothing
/// else came: neither its events nor its invoices, so it gives nothing.
pub(crate) fn unheard_since(purchase: &Purchase, facts: &Facts) -> Option<Timestamp> {
    let id =
        purchase.subscription.as_ref().filter(|_| purchase.mode == SessionMode::Subscription)?;
    let is_known = facts.subscriptions.contains_key(id)
        || facts.invoices.values().any(|one| one.subscription.as_ref() == Some(id));
    let since = purchase.paid_at?.plus_hours(UNHEARD_HOURS);
    (!is_known).then_some(since)
}

fn unclear_finding(subscription: &Subscription, now: Timestamp) -> Option<Finding> {
    let since = subscription.unclear_since().filter(|since| *since <= now)?;
    let what = if let SubscriptionStatus::Unknown(status) = &subscription.state()?.status {
        let status: String = status.chars().take(40).collect();
        format!("its status {status:?} is none this version knows")
    } else if subscription.is_uncertain() {
        "events of one second contradict each other".to_owned()
    } else {
        "its items were never shown completely".to_owned()
    };
    let code = FindingCode::SubscriptionUnclear;
    Some(Finding::new(code, subscription.id.as_str(), since, what))
}

/// The subscriptions that give plans beside the one that wins.
fn duplicates(considered: &[Considered], now: Timestamp) -> Option<Finding> {
    let giving: Vec<&str> = considered
        .iter()
        .filter(|source| source.kind == SourceKind::Subscription && source.counts())
        .filter_map(|source| source.id.as_deref())
        .collect();
    if giving.len() < 2 {
        return None;
    }
    // Named by the least id, so that it stays the same matter whichever of them wins.
    let first = giving.iter().min()?;
    let objects = giving.iter().map(|id| (*id).to_owned()).collect();
    let detail = format!("{} subscriptions give plans at once", giving.len());
    let code = FindingCode::DuplicateSubscription;
    Some(Finding { objects, ..Finding::new(code, *first, now, detail) })
}

#[cfg(test)]
mod tests;
