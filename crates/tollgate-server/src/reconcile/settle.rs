//! One object, asked for and taken in where it tells something new. Owns: the order of it: what is
//! known first, then the request, then the comparison. Must not know: lists, runs, queues.

use serde_json::value::RawValue;
use tollgate_domain::change::FieldChange;
use tollgate_domain::drift::{self, Comparison, Drift, Evidence};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, CustomerId, ObjectId, PriceId, SubscriptionId};
use tollgate_domain::owner::{self, FoundOwner, Owner};
use tollgate_domain::{Facts, FetchCause, Observation, Timestamp};
use tollgate_store::facts::TouchedObjects;
use tollgate_store::{facts, inbox, links};
use tollgate_stripe::client::{KeyMode, PINNED_VERSION, StripeClient};
use tollgate_stripe::fetched::{self, FetchedKind, Showing};

use super::ask::{Answer, ask, lacks};
use super::report::Moved;
use super::{ReconcileError, connected};
use crate::app::App;
use crate::intake::fetched::TakeError;
use crate::intake::{ReplyStatus, touch};

/// Why an object is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// For this cause, whatever is found.
    Cause(FetchCause),
    /// To find out whether and how it differs, no event having been missed since an instant.
    Compare {
        /// See [`Evidence::whole_since`].
        whole_since: Option<Timestamp>,
        /// What is older than this and unknown here is brought in, and was never missed: nobody
        /// listened.
        history_until: Option<Timestamp>,
    },
}

/// How much of what is found is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// All of it.
    All,
    /// All but what ends a subscription that is paid for.
    AllButEnds,
    /// Nothing: it is only said what would be.
    Nothing,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// We know it so.
    Same,
    /// A doubt was (or in a dry run would be) settled; nothing else changes.
    Settled,
    /// It differs in this way, and was (or would be) taken in.
    Differs(FetchCause, Vec<FieldChange>),
    /// Nobody here owns it, or its Stripe account is not ours any more.
    Foreign,
    /// Stripe does not know it, and neither did we know it as living.
    Gone,
    /// We know it as living, Stripe answers that there is no such object, and nothing else says that
    /// it is over. Nothing ends by that.
    Unproven,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// An object after it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What came of it.
    pub outcome: Outcome,
    /// Whose it is.
    pub account: Option<AccountId>,
    /// The account's revision where something was committed.
    pub revision: Option<u64>,
    /// It sells something the catalog does not map.
    pub sells_unknown: bool,
    /// Taking it in ends (or would end) what the account pays for.
    pub ends: bool,
    /// Stripe's clock when it was shown; `None` where it was not.
    pub at: Option<Timestamp>,
    /// Money that the object says was paid or paid back.
    pub moved: Option<Moved>,
}

impl Settled {
    const fn only(outcome: Outcome, account: Option<AccountId>) -> Self {
        let sells_unknown = false;
        let (revision, ends, at, moved) = (None, false, None, None);
        Self { outcome, account, revision, sells_unknown, ends, at, moved }
    }
}

/// Asks for one object, in the Stripe account it is of, and takes it in where it tells something new.
pub async fn settle(
    app: &App,
    client: &StripeClient,
    kind: FetchedKind,
    id: &str,
    why: Why,
    take: Take,
) -> Result<Settled, ReconcileError> {
    let Some(client) = &connected::client_for(app, client, id).await? else {
        return Ok(Settled::only(Outcome::Foreign, None));
    };
    // What is known before the request is sent is what the reply covers.
    let before = known(app, id).await?;
    let (covers, floor) =
        before.as_ref().map(|facts| drift::covered(facts, id)).unwrap_or_default();
    let account = before.as_ref().map(|facts| facts.account.clone());
    let (object, at) = match ask(client, kind, id).await? {
        Answer::Shown { object, at } => (object, at),
        Answer::Gone => match absent(client, kind, id, before.as_ref()).await? {
            Absence::Ended { object, at } => (object, at),
            Absence::Unknown => return Ok(Settled::only(Outcome::Gone, account)),
            Absence::Unproven => return Ok(Settled::only(Outcome::Unproven, account)),
        },
    };
    let showing = Showing {
        kind,
        object: &object,
        at: floor.map_or(at, |floor| at.max(floor)),
        livemode: client.mode() == KeyMode::Live,
        account: client.connected(),
        api_version: PINNED_VERSION,
        cause: FetchCause::Doubt,
        covers: &covers,
    };
    let mut settled = judge(app, account, &showing, why, take).await?;
    settled.at = Some(at);
    Ok(settled)
}

/// Compares what Stripe shows with what is known, and takes it in where it tells something new. What
/// a thin event named is an event's own object: it is kept as an event would be, also where it tells
/// nothing new, nobody owns it yet, or it cannot be read.
async fn judge(
    app: &App,
    account: Option<AccountId>,
    showing: &Showing<'_>,
    why: Why,
    take: Take,
) -> Result<Settled, ReconcileError> {
    let keep = why == Why::Cause(FetchCause::ThinEvent) && take != Take::Nothing;
    let kept = Showing { cause: FetchCause::ThinEvent, ..*showing };
    let told = match fetched::read(&showing.to_body()?).map(|read| read.told) {
        Some(Ok(told)) => told,
        Some(Err(error)) => {
            if keep {
                take_in(app, &kept).await?;
            }
            return Ok(Settled::only(Outcome::Unreadable(error.to_string()), account));
        }
        None => return Ok(Settled::only(Outcome::Unreadable("no object".to_owned()), account)),
    };
    let Some(owner) = owner_of(app, &told).await? else {
        if keep {
            take_in(app, &kept).await?;
        }
        return Ok(Settled::only(Outcome::Foreign, None));
    };
    let mut objects = TouchedObjects::default();
    touch(&mut objects, &told);
    let facts = matter(app, &owner.account, objects).await?;
    let compared = drift::compare(&told, &owner, &facts, &app.config.catalog);
    let mut settled = Settled::only(Outcome::Same, Some(owner.account.clone()));
    settled.sells_unknown = drift::sells_unknown(&told.seen, &app.config.catalog);
    settled.moved = Moved::by(&told);
    let cause = match (&compared, why) {
        // It is how the object stands now: an event that was lost and is older must not be the newest.
        (Comparison::Same, Why::Cause(cause)) if keep => cause,
        (Comparison::Same, _) => return Ok(settled),
        (_, Why::Cause(cause)) => cause,
        (Comparison::Unsettled, Why::Compare { .. }) => FetchCause::Doubt,
        (Comparison::Differs(_), Why::Compare { history_until, .. })
            if !drift::is_known(&told, &facts) && is_older(showing.object, history_until) =>
        {
            FetchCause::Import
        }
        (Comparison::Differs(_), Why::Compare { whole_since, .. }) => {
            let id = told.references.first().map_or("", ObjectId::as_str);
            let stuck = inbox::is_stuck(&app.engine.db, id).await?;
            let evidence = Evidence { stuck, whole_since };
            FetchCause::Drift(drift::classify(&told, &facts, evidence))
        }
    };
    settled.outcome = match compared {
        Comparison::Differs(changes) => Outcome::Differs(cause, changes),
        Comparison::Same | Comparison::Unsettled => Outcome::Settled,
    };
    settled.ends = drift::would_end(&told.seen, &facts);
    if take == Take::All || (take == Take::AllButEnds && !settled.ends) {
        settled.revision = take_in(app, &Showing { cause, ..*showing }).await?;
    }
    Ok(settled)
}

/// Whether an object was made before an instant. Every object of Stripe's says when it was.
fn is_older(object: &RawValue, than: Option<Timestamp>) -> bool {
    #[derive(serde::Deserialize)]
    struct Made {
        created: i64,
    }
    let made = serde_json::from_str::<Made>(object.get()).ok();
    made.zip(than).is_some_and(|(made, than)| made.created < than.unix_seconds())
}

pub(super) async fn take_in(
    app: &App,
    showing: &Showing<'_>,
) -> Result<Option<u64>, ReconcileError> {
    let reply = app.take_fetched(showing).await.map_err(|error| match error {
        TakeError::NoObject | TakeError::NotCommitted(_) => ReconcileError::NotCommitted,
    })?;
    match reply.status {
        ReplyStatus::Processed | ReplyStatus::Duplicate => Ok(reply.revision),
        // Stored as an event would be; the retry worker has it now.
        ReplyStatus::Ignored | ReplyStatus::Waiting | ReplyStatus::Failed => Ok(None),
    }
}

/// The facts that matter of the account an object is linked to: what may be asked for and is found
/// missing (customers, subscriptions) always does.
async fn known(app: &App, id: &str) -> Result<Option<Facts>, ReconcileError> {
    let Ok(object) = ObjectId::parse(id) else { return Ok(None) };
    let links = links::find_now(&app.engine.db, std::slice::from_ref(&object)).await?;
    let Some(link) = links.get(&object) else { return Ok(None) };
    Ok(Some(matter(app, &link.account, TouchedObjects::default()).await?))
}

/// What matters now of an account, and these objects.
async fn matter(
    app: &App,
    account: &AccountId,
    objects: TouchedObjects,
) -> Result<Facts, ReconcileError> {
    let now = app.clock.now();
    let window = Window::at(now, now, &app.config.catalog);
    Ok(facts::load_with(&app.engine.db, account, objects, window).await?)
}

async fn owner_of(app: &App, told: &Observation) -> Result<Option<FoundOwner>, ReconcileError> {
    let links = links::find_now(&app.engine.db, &told.references).await?;
    match owner::choose(told, &links) {
        Owner::Found(owner) => Ok(Some(*owner)),
        Owner::Nobody => Ok(None),
    }
}

/// What an object that Stripe does not know is to us.
enum Absence {
    /// A subscription that is over; this stands for it.
    Ended { object: Box<RawValue>, at: Timestamp },
    /// Nothing that we know as living.
    Unknown,
    /// Alive as far as we know, and "not found" proves nothing.
    Unproven,
}

/// "Not found" alone never ends anything: a wrong key is answered so, too. A subscription is over
/// when its customer is there and the customer's own list does not have it. Stripe shows a deleted
/// customer as deleted, so one it does not find has never been there.
async fn absent(
    client: &StripeClient,
    kind: FetchedKind,
    id: &str,
    facts: Option<&Facts>,
) -> Result<Absence, ReconcileError> {
    match kind {
        FetchedKind::Subscription => {
            let known = facts.zip(SubscriptionId::parse(id).ok());
            let known = known.and_then(|(facts, id)| facts.subscriptions.get(&id));
            let Some((known, state)) = known.and_then(|one| Some((one, one.state()?))) else {
                return Ok(Absence::Unknown);
            };
            if state.status.is_terminal() {
                return Ok(Absence::Unknown);
            }
            let Some(customer) = &known.customer else { return Ok(Absence::Unproven) };
            let Some(at) = lacks(client, customer, &known.id).await? else {
                return Ok(Absence::Unproven);
            };
            let sold: Vec<(PriceId, u64)> =
                state.items.iter().map(|item| (item.price.clone(), item.quantity)).collect();
            let object = fetched::gone_subscription(&known.id, &sold, at);
            Ok(Absence::Ended { object, at })
        }
        FetchedKind::Customer => {
            let known = facts.zip(CustomerId::parse(id).ok());
            let known = known.and_then(|(facts, id)| facts.customers.get(&id));
            let alive = known.is_some_and(|known| known.deleted_at.is_none());
            Ok(if alive { Absence::Unproven } else { Absence::Unknown })
        }
        FetchedKind::Session
        | FetchedKind::Invoice
        | FetchedKind::Refund
        | FetchedKind::Dispute
        | FetchedKind::Charge
        | FetchedKind::InvoicePayment => Ok(Absence::Unknown),
    }
}

/// The class of a cause, for counting.
pub(super) const fn class_of(cause: FetchCause) -> Option<Drift> {
    match cause {
        FetchCause::Drift(drift) => Some(drift),
        FetchCause::Doubt | FetchCause::ThinEvent | FetchCause::Sync | FetchCause::Import => None,
    }
}
