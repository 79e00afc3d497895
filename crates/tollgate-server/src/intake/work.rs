//! One batch in memory. Owns: the decisions about its events in order. Must not know: which accounts
//! and objects they may reach, SQL, transactions, time. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tollgate_domain::change::Change;
use tollgate_domain::decide;
use tollgate_domain::handover::Handover;
use tollgate_domain::ids::{AccountId, CustomerId, ObjectId};
use tollgate_domain::owner::{self, Directory, FoundOwner, Links, Owner, Regrouping};
use tollgate_domain::{Actor, Catalog, Decision, Facts, Link, Observation};
use tollgate_store::StoreError;
use tollgate_store::facts::Touched;
use tollgate_store::inbox::{self, EventKey, EventStatus, KnownEvent};
use tollgate_store::thin_events::End;

use super::delivery::{Content, Delivery};
use super::notice::{self, Standing};
use super::reach::{candidates, deleted_customer, observation, touch};
use super::read::ignored;
use crate::unit_of_work::ledger::Ledger;

/// What came of one delivery, before anything is written.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Done before; nothing to write but the count.
    Duplicate,
    /// The same event as an earlier one of this batch.
    Repeats(usize),
    /// Stored without effects.
    Ignored(&'static str),
    /// Nobody's and nothing of the catalog: set aside until one of these objects is linked or one
    /// of these prices is mapped.
    Foreign(Vec<ObjectId>),
    /// Stored until its owner is known.
    Waiting(Waiting),
    /// Stored and given up: trying again cannot help.
    Dead(&'static str),
    /// Stored to be tried again.
    Failed(String),
    /// Its decision, for its account.
    Decided(AccountId, Arc<Decision>),
    /// A thin event whose object was read, or whose happening was told.
    Read(End),
    /// A thin event whose object was not read yet.
    Unread,
}

/// An event without an owner that sells something of ours, or that names an owner in vain.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// A link of one of these objects may tell the owner.
    pub(super) objects: Vec<ObjectId>,
    /// Where it names an owner that cannot be one.
    pub(super) invalid_claim: Option<&'static str>,
}

/// Why a batch was not decided.
#[derive(Debug)]
pub(super) enum Undecided {
    /// A delivery moves or joins groups of objects that were linked before: all of their links are
    /// needed, and it is committed alone.
    NeedsGroups {
        /// Which delivery.
        place: usize,
        /// What stands for the groups.
        roots: Vec<ObjectId>,
    },
    /// A decision could not be taken down.
    Store(StoreError),
}

impl From<StoreError> for Undecided {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What the database knows of the objects and people a batch names.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The links of the objects named; with `whole_groups` those of all of their groups.
    pub(super) links: HashMap<ObjectId, Link>,
    /// See `links`.
    pub(super) whole_groups: bool,
    /// Accounts by their verified e-mail in lower case.
    pub(super) emails: HashMap<String, AccountId>,
    /// The accounts that know of customers the batch shows deleted.
    pub(super) payers: BTreeMap<CustomerId, BTreeSet<AccountId>>,
    /// Whether e-mails count at all.
    pub(super) match_email: bool,
    /// The mode of this deployment, where it is settled.
    pub(super) livemode: Option<bool>,
    /// Whether subscriptions of checkouts sell something of the catalog, as far as their own events
    /// have said so.
    pub(super) sold: HashMap<String, bool>,
    /// What is known of what thin events name.
    pub(super) standing: Standing,
}

impl Known {
    /// The same with all links of some groups.
    pub(super) fn with_groups(mut self, links: HashMap<ObjectId, Link>) -> Self {
        self.links.extend(links);
        self.whole_groups = true;
        self
    }
}

/// The links and e-mails as the batch has left them so far.
struct Book<'b> {
    links: &'b Links,
    emails: &'b HashMap<String, AccountId>,
}

impl Directory for Book<'_> {
    fn link(&self, object: &ObjectId) -> Option<&Link> {
        self.links.link(object)
    }

    fn by_email(&self, email: &str) -> Option<&AccountId> {
        self.emails.get(&email.to_lowercase())
    }
}

/// Links to be written.
#[derive(Debug, Default)]
pub(super) struct LinkWrites<'w> {
    /// Of objects that had none.
    pub(super) new: Vec<&'w Link>,
    /// That say something else than before.
    pub(super) changed: Vec<&'w Link>,
}

/// One batch.
#[derive(Debug)]
pub(super) struct Work<'a> {
    deliveries: &'a [&'a Delivery],
    known: Known,
    links: Links,
    /// The accounts each delivery may turn out to belong to.
    candidates: Vec<Vec<AccountId>>,
    /// Events whose effects were committed before and that someone replays.
    replayed: HashSet<EventKey>,
}

impl<'a> Work<'a> {
    /// All objects whose links the batch needs.
    pub(super) fn references(deliveries: &[&Delivery]) -> Vec<ObjectId> {
        let all: HashSet<&ObjectId> = deliveries
            .iter()
            .copied()
            .filter_map(observation)
            .flat_map(|seen| &seen.references)
            .collect();
        all.into_iter().cloned().collect()
    }

    /// All e-mails the batch names, in lower case.
    pub(super) fn emails(deliveries: &[&Delivery]) -> Vec<String> {
        let named = deliveries.iter().copied().filter_map(observation);
        let all: BTreeSet<String> =
            named.filter_map(|seen| Some(seen.email.as_ref()?.to_lowercase())).collect();
        all.into_iter().collect()
    }

    /// The customers the batch shows deleted.
    pub(super) fn deleted_customers(deliveries: &[&Delivery]) -> Vec<CustomerId> {
        let deleted =
            deliveries.iter().copied().filter_map(observation).filter_map(deleted_customer);
        let all: BTreeSet<&CustomerId> = deleted.collect();
        all.into_iter().cloned().collect()
    }

    /// A batch of which this is known.
    pub(super) fn new(deliveries: &'a [&'a Delivery], known: Known) -> Self {
        let candidates = candidates(deliveries, &known);
        let links = known.links.values().cloned().collect();
        Self { deliveries, known, links, candidates, replayed: HashSet::new() }
    }

    /// Every account the batch may touch, sorted.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        let mut all: Vec<AccountId> = self.candidates.iter().flatten().cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every object the batch may touch, by account.
    pub(super) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for (delivery, accounts) in self.deliveries.iter().zip(&self.candidates) {
            let Some(seen) = observation(delivery) else { continue };
            for account in accounts {
                touch(touched.accounts.entry(account.clone()).or_default(), seen);
            }
        }
        touched
    }

    /// Decides about every delivery. Events whose owner becomes known later in the batch are
    /// decided then, so that only those wait whose owner is really unknown.
    pub(super) fn decide(
        &mut self,
        known: &HashMap<EventKey, KnownEvent>,
        facts: &mut BTreeMap<AccountId, Facts>,
        ledger: &mut Ledger<'_>,
    ) -> Result<Vec<Verdict>, Undecided> {
        self.replayed = known
            .iter()
            .filter(|(_, event)| event.account.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        let mut first: HashMap<&EventKey, usize> = HashMap::new();
        let mut verdicts = Vec::with_capacity(self.deliveries.len());
        for (place, delivery) in self.deliveries.iter().enumerate() {
            let done = known.get(&delivery.key).is_some_and(|event| is_done(event.status));
            verdicts.push(match first.get(&delivery.key) {
                Some(earlier) => Verdict::Repeats(*earlier),
                None if done => Verdict::Duplicate,
                None => self.decide_one(place, facts, ledger)?,
            });
            first.entry(&delivery.key).or_insert(place);
        }
        while self.decide_open(&mut verdicts, facts, ledger)? {}
        notice::match_snapshots(self.deliveries, &mut verdicts);
        Ok(verdicts)
    }

    /// Tries those without an owner again; returns whether one of them was decided.
    fn decide_open(
        &mut self,
        verdicts: &mut [Verdict],
        facts: &mut BTreeMap<AccountId, Facts>,
        ledger: &mut Ledger<'_>,
    ) -> Result<bool, Undecided> {
        let is_open =
            |verdict: &Verdict| matches!(verdict, Verdict::Waiting(_) | Verdict::Foreign(_));
        let mut progress = false;
        for (place, verdict) in verdicts.iter_mut().enumerate() {
            if is_open(verdict) {
                *verdict = self.decide_one(place, facts, ledger)?;
                progress |= !is_open(verdict);
            }
        }
        Ok(progress)
    }

    fn is_of_other_mode(&self, delivery: &Delivery) -> bool {
        self.known.livemode.is_some_and(|livemode| livemode != delivery.key.livemode)
    }

    fn decide_one(
        &mut self,
        place: usize,
        facts: &mut BTreeMap<AccountId, Facts>,
        ledger: &mut Ledger<'_>,
    ) -> Result<Verdict, Undecided> {
        let deliveries: &'a [&'a Delivery] = self.deliveries;
        let Some(delivery) = deliveries.get(place) else {
            return Ok(Verdict::Failed("no delivery".to_owned()));
        };
        let seen = match &delivery.content {
            Content::Ignored(reason) => return Ok(Verdict::Ignored(reason)),
            Content::NoEvent(why) => return Ok(Verdict::Dead(why)),
            Content::Garbled(why) => return Ok(Verdict::Failed(why.clone())),
            Content::Thin(_) | Content::Effect(_) if self.is_of_other_mode(delivery) => {
                return Ok(Verdict::Ignored(ignored::OTHER_MODE));
            }
            Content::Thin(notice) => return Ok(self.known.standing.of(&delivery.key, notice)),
            Content::Effect(seen) => seen,
        };
        let book = Book { links: &self.links, emails: &self.known.emails };
        let Owner::Found(found) = owner::choose(seen, &book) else {
            return Ok(self.without_owner(seen, ledger.catalog));
        };
        self.take_links((place, seen), &found, facts, ledger)?;
        self.tell_payees((place, seen), &found.account, facts, ledger)?;
        let Some(facts) = facts.get_mut(&found.account) else {
            let why = "the owner changed while the event was processed";
            return Ok(Verdict::Failed(why.to_owned()));
        };
        // A defect in a rule must cost one event, not the neighbours it was committed with.
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| {
            tollgate_domain::decide(seen, &found, facts, ledger.catalog)
        }));
        let Ok(mut decision) = decided else {
            let why = "a rule failed on this event; please report it";
            return Ok(Verdict::Failed(why.to_owned()));
        };
        // A replay that changes nothing must tell nothing: journal and consumers know already.
        if !decision.changes.iter().any(is_news) {
            if self.replayed.contains(&delivery.key) {
                decision = Decision::default();
            } else if self.known.standing.was_told(&delivery.key) {
                // A thin event told of the same happening, and its object was newer.
                decision.journal.clear();
            }
        }
        let decision = ledger.decide(decision, facts)?;
        Ok(Verdict::Decided(found.account, decision))
    }

    /// That a customer is gone ends what it pays for in every account, not only in its own.
    fn tell_payees(
        &self,
        (place, seen): (usize, &Observation),
        owner: &AccountId,
        facts: &mut BTreeMap<AccountId, Facts>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), StoreError> {
        if deleted_customer(seen).is_none() {
            return Ok(());
        }
        let others = self.candidates.get(place).into_iter().flatten();
        for account in others.filter(|account| *account != owner) {
            let Some(facts) = facts.get_mut(account) else { continue };
            let Some(decision) = decide::customer_gone(facts, seen) else { continue };
            ledger.decide(decision, facts)?;
        }
        Ok(())
    }

    /// An event that sells something of ours waits, and so does one that names an owner in vain:
    /// somebody has to see to it. All others are of another product in the same Stripe account.
    fn without_owner(&self, seen: &Observation, catalog: &Catalog) -> Verdict {
        let unlinked = seen.references.iter().filter(|object| self.links.link(object).is_none());
        let mut objects: Vec<ObjectId> = unlinked.cloned().collect();
        let email = seen.email.as_deref().filter(|_| self.known.match_email);
        objects.extend(email.map(inbox::email_key));
        if seen.invalid_claim.is_some() || super::heard::sells(seen, &self.known.sold, catalog) {
            return Verdict::Waiting(Waiting { objects, invalid_claim: seen.invalid_claim });
        }
        objects.extend(seen.price_keys());
        objects.extend(super::heard::waits_as_paid(seen));
        Verdict::Foreign(objects)
    }

    /// Takes in what the event tells of its objects' owners: what it links, and what changes hands.
    fn take_links(
        &mut self,
        (place, seen): (usize, &Observation),
        found: &FoundOwner,
        facts: &mut BTreeMap<AccountId, Facts>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), Undecided> {
        let stored =
            |one: &&Regrouping| self.known.links.values().any(|link| link.root == one.root);
        let roots = || found.links.regroupings.iter().filter(stored).map(|one| one.root.clone());
        // What changes hands is written before all else, so it must not have been decided in the
        // same batch.
        let moves = found.links.regroupings.iter().any(Regrouping::is_move);
        let needed = roots().next().is_some() || (moves && self.deliveries.len() > 1);
        if needed && !self.known.whole_groups {
            return Err(Undecided::NeedsGroups { place, roots: roots().collect() });
        }
        for (regrouping, objects) in self.links.moves(&found.links) {
            let handover = Handover {
                subject: &regrouping.root,
                objects: &objects,
                is_payer: regrouping.is_payer,
                actor: Actor::Stripe(seen.event.clone()),
                reason: "an event tells of a stronger claim",
                at: seen.at,
            };
            hand_over(&handover, regrouping, facts, ledger)?;
        }
        self.links.apply(&found.links);
        Ok(())
    }

    /// Whether a link brings its object to another account or group than before.
    pub(super) fn moves(&self, link: &Link) -> bool {
        let known = self.known.links.get(&link.object);
        known.is_none_or(|known| (&known.account, &known.root) != (&link.account, &link.root))
    }

    /// The links this batch writes.
    pub(super) fn link_writes(&self) -> LinkWrites<'_> {
        let mut writes = LinkWrites::default();
        let roots: HashSet<&ObjectId> = self.known.links.values().map(|link| &link.root).collect();
        for link in self.links.iter() {
            match self.known.links.get(&link.object) {
                None if roots.contains(&link.object) => writes.changed.push(link),
                None => writes.new.push(link),
                Some(stored) => {
                    let same = (&stored.account, &stored.root) == (&link.account, &link.root)
                        && (link.object != link.root || stored.basis == link.basis)
                        && stored.gone_at == link.gone_at;
                    if !same {
                        writes.changed.push(link);
                    }
                }
            }
        }
        writes
    }
}

/// Gives the facts at hand to their new account, and takes down what both accounts decide.
fn hand_over(
    handover: &Handover<'_>,
    regrouping: &Regrouping,
    facts: &mut BTreeMap<AccountId, Facts>,
    ledger: &mut Ledger<'_>,
) -> Result<(), StoreError> {
    let mut take = |account: &AccountId| {
        facts.remove(account).unwrap_or_else(|| Facts::unknown(account.clone()))
    };
    let (mut from, mut to) = (take(&regrouping.from), take(&regrouping.to));
    let (gives, takes) = handover.decide(&from, &to);
    from.hand_over(&mut to, handover.objects);
    for (mut one, decision) in [(from, gives), (to, takes)] {
        ledger.decide(decision, &mut one)?;
        facts.insert(one.account.clone(), one);
    }
    Ok(())
}

/// Whether a change can be news when its event's effects were committed before. What an event adds
/// to a history was written then, whatever has come since.
const fn is_news(change: &Change) -> bool {
    !matches!(change, Change::AppendSubscriptionState(..))
}

/// Only these are duplicates; a failed, waiting, received or dead event is run again.
const fn is_done(status: EventStatus) -> bool {
    status.is_final()
}
