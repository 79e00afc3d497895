//! One run, from its lease to its report. Owns: which steps, one run at a time, going on after a
//! crash. Must not know: what a step compares.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use tollgate_domain::ids::AccountId;
use tollgate_domain::{Drift, Timestamp};
use tollgate_store::leases::{self, Lease};
use tollgate_store::reconciliation_runs::{self as runs, Run, RunEnd};
use tollgate_store::{StoreError, accounts, inbox, meta, migrations};
use tollgate_stripe::client::{Patience, StripeClient, StripeError};

use super::ends::Ends;
use super::steps::Progress;
use super::{Example, ReconcileError, Report, Step, connected, ends, events, plans, sweep};
use crate::app::App;
use crate::metrics::ReasonLabel;

/// What only one instance does at a time.
const LEASE: &str = "reconciliation";
/// A run that is not heard of for so long belongs to whoever wants it.
const LEASE_MS: i64 = 120_000;
/// Objects remembered as listed; beyond it nothing is asked for because no list showed it.
const LISTED_MAX: usize = 4_000_000;
/// Runs are kept so long.
const KEPT_DAYS: i64 = 90;

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Events that never came.
    Events,
    /// Those, and every object.
    Sweep,
    /// Every object of an account that existed before, without calling it a difference.
    Import,
}

tollgate_domain::names!(Kind {
    Events => "events",
    Sweep => "sweep",
    Import => "import",
});

/// A run that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What to compare.
    pub kind: Kind,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Find, and repair nothing.
    pub dry: bool,
    /// End whatever Stripe says is over, however many accounts that concerns.
    pub allow_ends: bool,
}

impl Order {
    fn steps(&self) -> &'static [Step] {
        match (self.kind, &self.account) {
            (Kind::Events, _) => &[Step::Events],
            (_, Some(_)) => &Step::ONE,
            (Kind::Sweep, None) => &Step::ALL,
            (Kind::Import, None) => &Step::IMPORT,
        }
    }
}

/// A run that has begun: it holds the lease.
#[derive(Debug)]
pub struct Begun {
    /// Its id, `rec_…`.
    pub id: String,
    order: Order,
    lease: Lease,
    progress: Progress,
    report: Report,
    /// When it began; what it compares is compared after that.
    pub started_at: Timestamp,
    /// It goes on where another one like it was broken off.
    pub resumed: bool,
}

/// Where the database remembers when Stripe was first asked for what it has.
const ASKED_SINCE: &str = "stripe_asked_since";

/// Who is told how a run comes along.
pub type Watcher<'a> = &'a (dyn Fn(Step, &Report) + Send + Sync);

/// A run under way.
pub(super) struct Course<'a> {
    pub(super) app: &'a App,
    pub(super) client: StripeClient,
    pub(super) order: &'a Order,
    pub(super) report: Report,
    pub(super) progress: Progress,
    /// What ends somebody's subscription, kept until it is known how many there are.
    pub(super) ends: Ends,
    /// Connected Stripe accounts (`acct_…`) that do not let the key in.
    closed: BTreeSet<String>,
    /// Hashes of the ids that lists have shown.
    listed: HashSet<u64>,
    /// Since when no event can have been missed, as far as this run knows.
    pub(super) whole_since: Option<Timestamp>,
    /// See [`history_until`].
    pub(super) history_until: Option<Timestamp>,
    /// The lists were walked from their beginning, in this process.
    pub(super) whole: bool,
    id: &'a str,
    lease: &'a Lease,
    watch: Watcher<'a>,
}

/// Begins a run, or goes on with one like it that was broken off.
pub async fn begin(app: &App, order: Order) -> Result<Begun, ReconcileError> {
    // To a key of another account everything we know would be gone.
    app.stripe.as_ref().ok_or(ReconcileError::NoKey)?.admit_key().await?;
    let (db, now) = (&app.engine.db, app.clock.now());
    if let Some(account) = &order.account
        && accounts::revision(db, account).await?.is_none()
    {
        return Err(ReconcileError::UnknownAccount(account.clone()));
    }
    let owner = app.intake.instance();
    let lease = leases::take(db, LEASE, owner, now, now.plus_ms(LEASE_MS)).await?;
    let lease = lease.ok_or(ReconcileError::Busy)?;
    let begun = begin_under(app, order, &lease).await;
    match begun {
        Ok(begun) => Ok(begun),
        Err(error) => {
            leases::release(db, &lease).await.ok();
            Err(error)
        }
    }
}

async fn begin_under(app: &App, order: Order, lease: &Lease) -> Result<Begun, ReconcileError> {
    let (db, now) = (&app.engine.db, app.clock.now());
    let kind = order.kind.as_str();
    let broken_off = runs::unfinished(db, kind, order.account.as_ref(), order.dry).await?;
    let begun = |id, progress, report, started_at, resumed| Begun {
        id,
        order: order.clone(),
        lease: lease.clone(),
        progress,
        report,
        started_at,
        resumed,
    };
    if let Some(run) = broken_off
        && let Ok(progress) = serde_json::from_str(&run.progress)
        && let Ok(report) = serde_json::from_str(&run.report)
    {
        return Ok(begun(run.id, progress, report, run.started_at, true));
    }
    let id = format!("rec_{:x}_{:08x}", now.millis(), fastrand::u32(..));
    let begun = begun(id, Progress::default(), Report::default(), now, false);
    // Events are looked for all the time; such a run has its row when there is something to say.
    if order.kind != Kind::Events {
        note(app, &begun).await?;
    }
    Ok(begun)
}

async fn note(app: &App, begun: &Begun) -> Result<(), ReconcileError> {
    let run = Run {
        id: begun.id.clone(),
        kind: begun.order.kind.as_str().to_owned(),
        account: begun.order.account.clone(),
        dry_run: begun.order.dry,
        status: "running".to_owned(),
        progress: text(&begun.progress)?,
        report: text(&begun.report)?,
        error: None,
        started_at: begun.started_at,
        updated_at: begun.started_at,
        finished_at: None,
    };
    Ok(runs::insert(&app.engine.db, &run).await?)
}

/// Until when what happened at Stripe is history: before the database was made nobody listened, nor
/// before the first event was delivered or, if that was earlier, Stripe was first asked. What was
/// never delivered after that was missed, however late a key is given.
async fn history_until(app: &App) -> Result<Option<Timestamp>, StoreError> {
    let db = &app.engine.db;
    let asked_since = match meta::find(db, ASKED_SINCE).await? {
        Some(text) => text.parse().ok().map(Timestamp::from_millis),
        // Runs of a version that did not keep it: the key may have been there from the start.
        None if events::was_asked(app).await? => None,
        None => {
            let now = app.clock.now();
            meta::save(db, ASKED_SINCE, &now.millis().to_string()).await?;
            Some(now)
        }
    };
    let delivered_since = inbox::first_delivered_at(db).await?;
    let listened_since = asked_since.zip(delivered_since).map(|(asked, told)| asked.min(told));
    Ok(migrations::made_at(db).await?.max(listened_since))
}

/// Carries a begun run out. One that the engine's stop breaks off is gone on with later.
pub async fn carry_out(
    app: &App,
    begun: Begun,
    watch: Watcher<'_>,
) -> Result<Report, ReconcileError> {
    let db = &app.engine.db;
    let client = app.stripe.as_ref().ok_or(ReconcileError::NoKey)?;
    let mut course = Course {
        app,
        client: client.with_patience(Patience::background()),
        order: &begun.order,
        report: begun.report.clone(),
        whole: begun.progress == Progress::default(),
        progress: begun.progress.clone(),
        whole_since: events::whole_since(app).await?,
        history_until: history_until(app).await?,
        ends: Ends::default(),
        closed: BTreeSet::new(),
        listed: HashSet::new(),
        id: &begun.id,
        lease: &begun.lease,
        watch,
    };
    let done = course.walk().await;
    let report = std::mem::take(&mut course.report);
    drop(course);
    let noteworthy = report.drifted() > 0 || done.is_err();
    if begun.order.kind == Kind::Events && noteworthy {
        note(app, &begun).await?;
    }
    let now = app.clock.now();
    match &done {
        Err(ReconcileError::LeaseLost | ReconcileError::Stopping) => {}
        done => {
            let ended = match done {
                Ok(()) => RunEnd::Done,
                Err(error @ ReconcileError::TooManyEnds { .. }) => {
                    RunEnd::Stopped(error.to_string())
                }
                Err(error) => RunEnd::Failed(error.to_string()),
            };
            runs::finish(db, &begun.id, &text(&report)?, &ended, now).await?;
            runs::forget(db, now.plus_days(-KEPT_DAYS)).await?;
        }
    }
    if !begun.order.dry {
        for class in Drift::ALL {
            let count = report.drift.get(class.as_str()).copied().unwrap_or_default();
            let label = ReasonLabel { reason: class.as_str() };
            app.metrics.drift.get_or_create(&label).inc_by(count);
        }
    }
    leases::release(db, &begun.lease).await?;
    done.map(|()| report)
}

/// Begins a run and carries it out.
pub async fn reconcile(
    app: &App,
    order: Order,
    watch: Watcher<'_>,
) -> Result<Report, ReconcileError> {
    let begun = begin(app, order).await?;
    carry_out(app, begun, watch).await
}

impl Course<'_> {
    async fn walk(&mut self) -> Result<(), ReconcileError> {
        let began = self.app.clock.now();
        let at = self.progress.step;
        let left = self.order.steps().iter().skip_while(|step| at.is_some_and(|at| **step != at));
        for step in left.copied() {
            if self.progress.step != Some(step) {
                self.progress = Progress { step: Some(step), ..Progress::default() };
            }
            (self.watch)(step, &self.report);
            match step {
                Step::Events => events::fill(self).await?,
                Step::Account => sweep::one_account(self).await?,
                Step::Known => sweep::known(self).await?,
                Step::Customers
                | Step::Subscriptions
                | Step::Sessions
                | Step::Invoices
                | Step::OpenInvoices
                | Step::Refunds
                | Step::Disputes => sweep::list(self, step).await?,
            }
        }
        ends::settle_all(self).await?;
        if self.order.kind == Kind::Import {
            events::begin_at(self.app, began).await?;
            match plans::count(self).await {
                Ok(plans) => self.report.sums.accounts_by_plan = plans,
                // What was brought in is in, whatever becomes of the sums.
                Err(ReconcileError::Store(error)) => {
                    tracing::warn!(%error, "the accounts are not counted by plan");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Called after every page: the run is alive, has come so far, and may go on.
    pub(super) async fn beat(&mut self, step: Step) -> Result<(), ReconcileError> {
        (self.watch)(step, &self.report);
        let (db, now) = (&self.app.engine.db, self.app.clock.now());
        if self.app.is_stopping() {
            return Err(ReconcileError::Stopping);
        }
        if !leases::renew(db, self.lease, now.plus_ms(LEASE_MS)).await? {
            return Err(ReconcileError::LeaseLost);
        }
        runs::save(db, self.id, &text(&self.progress)?, &text(&self.report)?, now).await?;
        Ok(())
    }

    /// Whether an error is that a connected account does not let the key in. It is told once, and
    /// the run goes on with the other accounts.
    pub(super) fn is_closed(&mut self, client: &StripeClient, error: &StripeError) -> bool {
        let Some(account) = client.connected().filter(|_| connected::is_closed(client, error))
        else {
            return false;
        };
        if self.closed.insert(account.to_owned()) {
            tracing::error!(stripe.account = account, %error, "a connected account is not compared");
            self.report.unreadable = self.report.unreadable.saturating_add(1);
            self.report.show(|| Example {
                object: account.to_owned(),
                account_id: None,
                drift: "account_closed".to_owned(),
                changes: Vec::new(),
                repaired: false,
            });
        }
        true
    }

    /// Whether a connected account is known not to let the key in.
    pub(super) fn was_closed(&self, client: &StripeClient) -> bool {
        client.connected().is_some_and(|account| self.closed.contains(account))
    }

    /// Remembers that a list showed an object.
    pub(super) fn listed(&mut self, id: &str) {
        if self.listed.len() >= LISTED_MAX {
            self.whole = false;
            return;
        }
        self.listed.insert(hash(id));
    }

    /// Whether what belongs to an account is compared in this run.
    pub(super) fn is_about(&self, account: &AccountId) -> bool {
        self.order.account.as_ref().is_none_or(|only| only == account)
    }

    /// Whether a list showed an object.
    pub(super) fn was_listed(&self, id: &str) -> bool {
        self.listed.contains(&hash(id))
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn text(value: &impl serde::Serialize) -> Result<String, ReconcileError> {
    Ok(serde_json::to_string(value)?)
}
