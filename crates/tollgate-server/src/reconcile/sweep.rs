//! Every object, list by list. Owns: which lists, which of their elements look different, and what
//! is open here that no list showed. Must not know: how one object is settled.

use std::collections::HashMap;

use serde_json::value::RawValue;
use tollgate_domain::drift::{self, Comparison};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, ObjectId};
use tollgate_domain::owner::{self, Owner};
use tollgate_domain::payment::{AdjustmentKind, InvoiceStatus, SessionMode, SessionStatus};
use tollgate_domain::{Catalog, Drift, Facts, FetchCause, Observation, Seen, Timestamp};
use tollgate_store::{StoreError, accounts, facts, links};
use tollgate_stripe::client::{
    ApiPath, Cursor, Form, KeyMode, Operation, PINNED_VERSION, Page, StripeClient,
};
use tollgate_stripe::fetched::{self, FetchedKind, Showing};

use super::run::{Course, Kind};
use super::settle::{Outcome, Settled, Take, Why, class_of, settle, take_in};
use super::{Example, ReconcileError, Step, connected, report};

/// How far back lists are walked that only grow; an import walks them whole.
const RECENT_DAYS: i64 = 60;
/// The same for refunds and disputes, which go on for longer.
const SLOW_DAYS: i64 = 180;
/// Accounts looked at together.
const ACCOUNTS: u32 = 50;

/// Walks one list of every Stripe account to its end.
pub(super) async fn list(course: &mut Course<'_>, step: Step) -> Result<(), ReconcileError> {
    let Some(kind) = step.kind() else { return Ok(()) };
    let recent = |days: i64| course.app.clock.now().plus_days(-days).unix_seconds().to_string();
    let since = |days| match course.order.kind {
        Kind::Import => Form::new(),
        Kind::Sweep | Kind::Events => Form::new().with("created[gte]", recent(days)),
    };
    let filter = match step {
        Step::Subscriptions => Form::new().with("status", "all"),
        Step::Sessions => since(RECENT_DAYS).with("status", "complete"),
        Step::OpenInvoices => Form::new().with("status", "open"),
        Step::Refunds | Step::Disputes => since(SLOW_DAYS),
        Step::Customers | Step::Invoices => since(RECENT_DAYS),
        Step::Events | Step::Account | Step::Known => return Ok(()),
    };
    let accounts = connected::stripe_accounts(course.app);
    let begun = accounts.iter().position(|one| *one == course.progress.stripe_account);
    for account in accounts.into_iter().skip(begun.unwrap_or(0)) {
        if course.progress.stripe_account != account {
            course.progress.after = None;
            course.progress.stripe_account.clone_from(&account);
        }
        let client = connected::client_of(&course.client, account.as_deref());
        walk(course, &client, step, kind, &filter).await?;
    }
    course.progress.stripe_account = None;
    Ok(())
}

/// Walks a list of one Stripe account from where the run is.
async fn walk(
    course: &mut Course<'_>,
    client: &StripeClient,
    step: Step,
    kind: FetchedKind,
    filter: &Form,
) -> Result<(), ReconcileError> {
    let (operation, path) = place(kind);
    let mut filter = filter.clone();
    if kind == FetchedKind::Invoice {
        // Which payments paid it leads refunds and disputes to it.
        filter = filter.expand("data.payments");
    }
    loop {
        let cursor = course.progress.after.clone().map_or(Cursor::Newest, Cursor::After);
        let page = match client.page(operation, &ApiPath::new(path), &filter, &cursor).await {
            Err(error) if course.is_closed(client, &error) => {
                course.progress.after = None;
                return Ok(());
            }
            page => page?,
        };
        compare(course, client, kind, &page).await?;
        course.progress.after = page.last_id();
        course.beat(step).await?;
        if !page.has_more || course.progress.after.is_none() {
            course.progress.after = None;
            return Ok(());
        }
    }
}

const fn place(kind: FetchedKind) -> (Operation, &'static str) {
    match kind {
        FetchedKind::Customer => (Operation::get("customers.list"), "/v1/customers"),
        FetchedKind::Subscription => (Operation::get("subscriptions.list"), "/v1/subscriptions"),
        FetchedKind::Session => (Operation::get("checkout.sessions.list"), "/v1/checkout/sessions"),
        FetchedKind::Invoice => (Operation::get("invoices.list"), "/v1/invoices"),
        FetchedKind::Refund => (Operation::get("refunds.list"), "/v1/refunds"),
        FetchedKind::Dispute => (Operation::get("disputes.list"), "/v1/disputes"),
        FetchedKind::Charge => (Operation::get("charges.list"), "/v1/charges"),
        FetchedKind::InvoicePayment => {
            (Operation::get("invoice_payments.list"), "/v1/invoice_payments")
        }
    }
}

/// Asks for every object of a page that looks different.
async fn compare(
    course: &mut Course<'_>,
    client: &StripeClient,
    kind: FetchedKind,
    page: &Page,
) -> Result<(), ReconcileError> {
    let mut told = Vec::with_capacity(page.items.len());
    for item in &page.items {
        course.report.objects = course.report.objects.saturating_add(1);
        let shown = showing(client, kind, item, page.date);
        match read(&shown) {
            Some(seen) if is_draft(&seen) => {}
            Some(seen) => told.push((seen, shown)),
            None => course.report.unreadable = course.report.unreadable.saturating_add(1),
        }
    }
    let references: Vec<ObjectId> =
        told.iter().flat_map(|(seen, _)| &seen.references).cloned().collect();
    let links = links::find_now(&course.app.engine.db, &references).await?;
    let mut known: HashMap<AccountId, Facts> = HashMap::new();
    for (mut seen, shown) in told {
        let Some(id) = seen.references.first().cloned() else { continue };
        // In a dry run, what a missed event explains was reported as that event.
        let explained = course.order.dry && course.was_listed(id.as_str());
        course.listed(id.as_str());
        let Owner::Found(owner) = owner::choose(&seen, &links) else {
            course.report.foreign = course.report.foreign.saturating_add(1);
            if course.order.kind == Kind::Import && is_missed(&seen, &course.app.config.catalog) {
                take_in(course.app, &Showing { cause: FetchCause::Import, ..shown }).await?;
            }
            continue;
        };
        if !course.is_about(&owner.account) {
            continue;
        }
        let facts = match known.entry(owner.account.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let loaded = facts::load(&course.app.engine.db, &owner.account, Window::ALL).await;
                let Some(facts) = readable(course, &owner.account, loaded)? else { continue };
                entry.insert(facts)
            }
        };
        pretend_newest(&mut seen, facts, id.as_str());
        let catalog = &course.app.config.catalog;
        let differs = drift::compare(&seen, &owner, facts, catalog) != Comparison::Same;
        if differs && !explained {
            let changed = look_closer(course, client, kind, id.as_str()).await?;
            if changed {
                known.remove(&owner.account);
            }
        } else if drift::sells_unknown(&seen.seen, catalog) {
            count_unknown_price(course, id.as_str(), Some(&owner.account));
        }
    }
    Ok(())
}

/// Whether somebody should own an object whom an import finds nobody for: a subscription to something of
/// the catalog that runs, or an object that names an owner in vain. It is taken in as an event would be: it
/// waits for its owner, and a finding tells of it.
fn is_missed(seen: &Observation, catalog: &Catalog) -> bool {
    match &seen.seen {
        Seen::Subscription(told) => !told.state.status.is_terminal() && seen.sells(catalog),
        Seen::Customer(told) => !told.deleted && seen.invalid_claim.is_some(),
        Seen::Schedule(_)
        | Seen::Session(_)
        | Seen::Invoice(_)
        | Seen::InvoicePayment(_)
        | Seen::Adjustment(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => false,
    }
}

fn showing<'o>(
    client: &'o StripeClient,
    kind: FetchedKind,
    object: &'o RawValue,
    at: Timestamp,
) -> Showing<'o> {
    Showing {
        kind,
        object,
        at,
        livemode: client.mode() == KeyMode::Live,
        account: client.connected(),
        api_version: PINNED_VERSION,
        cause: FetchCause::Doubt,
        covers: &[],
    }
}

fn read(showing: &Showing<'_>) -> Option<Observation> {
    fetched::read(&showing.to_body().ok()?)?.told.ok()
}

/// No event we take in tells of drafts before they are final.
fn is_draft(seen: &Observation) -> bool {
    matches!(&seen.seen, Seen::Invoice(seen) if seen.state.status == InvoiceStatus::Draft)
}

/// A page raises a suspicion, no more: as if it were newer than all that is known.
fn pretend_newest(seen: &mut Observation, facts: &Facts, id: &str) {
    if let Seen::Subscription(subscription) = &mut seen.seen {
        let (covers, floor) = drift::covered(facts, id);
        let version = &mut subscription.state.version;
        version.at = floor.map_or(version.at, |floor| floor.max(version.at));
        seen.at = version.at;
        subscription.state.covers = covers;
    }
}

/// Asks for one object and counts what came of it. Returns whether anything was taken in.
async fn look_closer(
    course: &mut Course<'_>,
    client: &StripeClient,
    kind: FetchedKind,
    id: &str,
) -> Result<bool, ReconcileError> {
    let take = match (course.order.dry, course.order.allow_ends) {
        (true, _) => Take::Nothing,
        (false, true) => Take::All,
        (false, false) => Take::AllButEnds,
    };
    let Some(client) = &connected::client_for(course.app, client, id).await? else {
        course.report.foreign = course.report.foreign.saturating_add(1);
        return Ok(false);
    };
    if course.was_closed(client) {
        return Ok(false);
    }
    let settled = match settle(course.app, client, kind, id, reason(course), take).await {
        Ok(settled) => settled,
        Err(ReconcileError::Stripe(error)) if course.is_closed(client, &error) => return Ok(false),
        // What is stored of this object's account cannot be read; the others can.
        Err(ReconcileError::Store(error)) if !error.is_unavailable() => {
            tracing::error!(object = id, %error, "an object cannot be compared");
            course.report.unreadable = course.report.unreadable.saturating_add(1);
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let kept = settled.ends && take == Take::AllButEnds;
    if settled.ends {
        course.ends.found(client, (kind, id), &settled, kept);
    }
    if !kept {
        count(course, id, &settled, !course.order.dry);
    }
    Ok(settled.revision.is_some())
}

/// Why a run asks for objects.
pub(super) fn reason(course: &Course<'_>) -> Why {
    match course.order.kind {
        Kind::Import => Why::Cause(FetchCause::Import),
        Kind::Sweep | Kind::Events => {
            Why::Compare { whole_since: course.whole_since, history_until: course.history_until }
        }
    }
}

/// Counts what came of asking for one object.
pub(super) fn count(course: &mut Course<'_>, id: &str, settled: &Settled, repaired: bool) {
    let report = &mut course.report;
    let one_more = |count: &mut u64| *count = count.saturating_add(1);
    match &settled.outcome {
        Outcome::Same | Outcome::Gone => {}
        Outcome::Settled => one_more(&mut report.settled),
        Outcome::Foreign => one_more(&mut report.foreign),
        Outcome::Unproven => {
            one_more(&mut report.unproven);
            report.show(|| Example {
                object: id.to_owned(),
                account_id: settled.account.as_ref().map(ToString::to_string),
                drift: "not_found".to_owned(),
                changes: Vec::new(),
                repaired: false,
            });
        }
        Outcome::Unreadable(_) => one_more(&mut report.unreadable),
        Outcome::Differs(cause, changes) => {
            if let Some(class) = class_of(*cause) {
                report.found(class, repaired);
            } else {
                one_more(&mut report.imported);
                if course.order.kind == Kind::Import {
                    report.sums.add(id, settled.moved);
                }
            }
            report.show(|| Example {
                object: id.to_owned(),
                account_id: settled.account.as_ref().map(ToString::to_string),
                drift: cause.as_str().to_owned(),
                changes: report::shown(changes),
                repaired,
            });
        }
    }
    if settled.sells_unknown {
        count_unknown_price(course, id, settled.account.as_ref());
    }
}

fn count_unknown_price(course: &mut Course<'_>, id: &str, account: Option<&AccountId>) {
    course.report.found(Drift::UnknownPrice, false);
    course.report.show(|| Example {
        object: id.to_owned(),
        account_id: account.map(ToString::to_string),
        drift: Drift::UnknownPrice.as_str().to_owned(),
        changes: Vec::new(),
        repaired: false,
    });
}

/// Asks for everything that is open here and that no list showed: it ended, changed its state, or is
/// unknown to Stripe.
pub(super) async fn known(course: &mut Course<'_>) -> Result<(), ReconcileError> {
    let client = course.client.clone();
    loop {
        let after = course.progress.after.as_deref().and_then(|id| AccountId::parse(id).ok());
        let page = accounts::list(&course.app.engine.db, after.as_ref(), ACCOUNTS).await?;
        let Some(last) = page.last() else {
            course.progress.after = None;
            return Ok(());
        };
        course.progress.after = Some(last.account.to_string());
        for head in &page {
            let loaded = facts::load(&course.app.engine.db, &head.account, Window::ALL).await;
            let Some(facts) = readable(course, &head.account, loaded)? else { continue };
            for (kind, id, uncertain) in open_objects(&facts) {
                let unseen = course.whole && !course.was_listed(&id);
                if unseen || uncertain {
                    course.report.objects = course.report.objects.saturating_add(1);
                    look_closer(course, &client, kind, &id).await?;
                }
            }
        }
        course.beat(Step::Known).await?;
    }
}

/// Facts, unless this account's cannot be read: that is counted, and the run goes on with the others.
fn readable(
    course: &mut Course<'_>,
    account: &AccountId,
    loaded: Result<Facts, StoreError>,
) -> Result<Option<Facts>, ReconcileError> {
    match loaded {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.is_unavailable() => Err(error.into()),
        Err(error) => {
            tracing::error!(%account, %error, "an account cannot be read, and is not compared");
            course.report.unreadable = course.report.unreadable.saturating_add(1);
            Ok(None)
        }
    }
}

/// What an account has that may still change, and whether there is a doubt about it.
fn open_objects(facts: &Facts) -> Vec<(FetchedKind, String, bool)> {
    let mut open = Vec::new();
    for (id, one) in &facts.subscriptions {
        let over = one.state().is_some_and(|state| state.status.is_terminal());
        if !over {
            open.push((FetchedKind::Subscription, id.to_string(), one.is_uncertain()));
        }
    }
    for (id, one) in &facts.invoices {
        if one.state.status < InvoiceStatus::Void {
            open.push((FetchedKind::Invoice, id.to_string(), false));
        }
    }
    for (id, one) in &facts.purchases {
        let pending = one.mode == SessionMode::Payment
            && one.status == SessionStatus::Complete
            && one.paid_at.is_none()
            && one.failed_at.is_none();
        if pending {
            open.push((FetchedKind::Session, id.to_string(), false));
        }
    }
    for (id, one) in &facts.adjustments {
        let (kind, over) = match one.kind {
            AdjustmentKind::Refund => {
                (FetchedKind::Refund, matches!(&*one.status, "succeeded" | "failed" | "canceled"))
            }
            AdjustmentKind::Dispute => (
                FetchedKind::Dispute,
                matches!(&*one.status, "won" | "lost" | "prevented" | "warning_closed"),
            ),
            AdjustmentKind::ChargeRefunds => continue,
        };
        if !over {
            open.push((kind, id.to_string(), false));
        }
    }
    open
}

/// Compares all of one account: what its customers have, what hangs on its payments, and what is
/// open here.
pub(super) async fn one_account(course: &mut Course<'_>) -> Result<(), ReconcileError> {
    let Some(account) = course.order.account.clone() else { return Ok(()) };
    let facts = facts::load(&course.app.engine.db, &account, Window::ALL).await?;
    let own = course.client.clone();
    for customer in facts.customers.keys() {
        course.listed(customer.as_str());
        look_closer(course, &own, FetchedKind::Customer, customer.as_str()).await?;
        let client = connected::client_for(course.app, &own, customer.as_str()).await?;
        let Some(client) = &client else { continue };
        let of = Form::new().with("customer", customer.as_str());
        let all = of.clone().with("status", "all");
        walk(course, client, Step::Account, FetchedKind::Subscription, &all).await?;
        walk(course, client, Step::Account, FetchedKind::Session, &of).await?;
        walk(course, client, Step::Account, FetchedKind::Invoice, &of).await?;
    }
    for one in facts.purchases.values() {
        let Some(intent) = &one.payment_intent else { continue };
        let client = connected::client_for(course.app, &own, one.id.as_str()).await?;
        let Some(client) = &client else { continue };
        let of = Form::new().with("payment_intent", intent.as_str());
        walk(course, client, Step::Account, FetchedKind::Refund, &of).await?;
        walk(course, client, Step::Account, FetchedKind::Dispute, &of).await?;
    }
    let facts = facts::load(&course.app.engine.db, &account, Window::ALL).await?;
    for (kind, id, uncertain) in open_objects(&facts) {
        if uncertain || !course.was_listed(&id) {
            look_closer(course, &own, kind, &id).await?;
        }
    }
    // What the account's customers have was counted; the rest of the lists is others'.
    course.progress.after = None;
    Ok(())
}
