//! What an account costs that nobody has in memory, however much ever happened to it. Owns: making
//! an account with a long past and one with a shorter one, and loading both. Must not know: how a
//! load is made.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use tokio::time::Instant;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, EventId, InvoiceId, ObjectId, SessionId};
use tollgate_domain::owner::{self, Links, Owner};
use tollgate_domain::payment::{Invoice, InvoicePayment};
use tollgate_domain::{Facts, Timestamp};
use tollgate_sandbox::{Scenario, ScenarioOptions};
use tollgate_store::accounts::AccountHead;
use tollgate_store::facts::{Touched, TouchedObjects};
use tollgate_store::{Db, DbOptions, accounts, facts, migrations};

use super::Bench;
use super::client::Sample;
use super::figures::{CpuUsed, Figure, ratio};
use super::place::Place;
use super::report::{ColdReport, Growth};
use crate::clock::Clock;
use crate::config::StripeConfig;
use crate::intake::{Content, read};

/// Of each kind (invoices with what paid them, observations, purchases) the account with the
/// long past has so many.
const LONG: usize = 10_000;
/// The same for the account it is compared with: six weeks, so that what is recent is the same.
const SHORT: usize = 1_000;
/// Time between two of one kind, up to the present: ten thousand of them are fourteen months.
const APART_MS: i64 = 3_600_000;
/// Changes written in one transaction.
const CHUNK: usize = 1_000;
/// Loads in one measurement.
const LOADS: usize = 200;

/// What an account is loaded for.
#[derive(Debug, Clone, Copy)]
enum Question {
    /// A check.
    Now,
    /// A check of an instant when a quarter of its past had happened.
    Past,
    /// The payment of its newest invoice arrives.
    Event,
}

/// An account to be loaded.
struct Account {
    id: AccountId,
    count: usize,
    /// What its event is about.
    touched: TouchedObjects,
}

/// Measures both accounts in turn.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<ColdReport> {
    let now = Clock::System.now();
    let db = Db::open(&place.database().await?, &DbOptions::default()).await?;
    migrations::up(&db, now).await?;
    bench.note("cold: writing two accounts");
    let short = write(bench, &db, "short", SHORT, now).await?;
    let long = write(bench, &db, "long", LONG, now).await?;
    let accounts = (&short, &long);
    let loaded = count(&facts_for(bench, &db, &long, Question::Now, now).await?);
    let checks = compare(bench, &db, accounts, Question::Now, now).await?;
    let past = compare(bench, &db, accounts, Question::Past, now).await?;
    let events = compare(bench, &db, accounts, Question::Event, now).await?;
    db.close().await;
    Ok(ColdReport { long_facts: LONG, short_facts: SHORT, loaded, checks, past, events })
}

/// How many facts of each kind there are.
fn count(facts: &Facts) -> BTreeMap<&'static str, usize> {
    let observations = facts.subscriptions.values().map(|one| one.history.len()).sum();
    [
        ("invoices", facts.invoices.len()),
        ("payments of invoices", facts.invoice_payments.len()),
        ("observations", observations),
        ("purchases", facts.purchases.len()),
    ]
    .into()
}

/// Loads two accounts for the same question, round for round.
async fn compare(
    bench: &Bench<'_>,
    db: &Db,
    (short, long): (&Account, &Account),
    question: Question,
    now: Timestamp,
) -> anyhow::Result<Growth> {
    let (mut of_short, mut of_long) = (Vec::new(), Vec::new());
    for round in 1..=bench.args.rounds {
        bench.note(&format!("cold: {question:?}, round {round} of {}", bench.args.rounds));
        of_short.push(load(bench, db, short, question, now).await?);
        of_long.push(load(bench, db, long, question, now).await?);
    }
    let (short, long) = (Figure::median(&of_short), Figure::median(&of_long));
    let growth = ratio(long.p50_ms, short.p50_ms);
    Ok(Growth { short, long, growth })
}

/// Loads and resolves an account again and again.
async fn load(
    bench: &Bench<'_>,
    db: &Db,
    account: &Account,
    question: Question,
    now: Timestamp,
) -> anyhow::Result<Figure> {
    let mut sample = Sample::default();
    let begun = Instant::now();
    for _ in 0..LOADS {
        let one = Instant::now();
        let facts = facts_for(bench, db, account, question, now).await?;
        let at = account.at(question, now);
        let facts = if at < now { facts.as_of(at) } else { facts };
        let resolution = tollgate_domain::resolve(&facts, &bench.catalog, at);
        sample.latencies_us.push(u32::try_from(one.elapsed().as_micros()).unwrap_or(u32::MAX));
        anyhow::ensure!(resolution.known, "the account is not there");
    }
    sample.elapsed = begun.elapsed();
    Ok(Figure::of(&sample, CpuUsed::default()))
}

impl Account {
    fn at(&self, question: Question, now: Timestamp) -> Timestamp {
        let lived_ms = i64::try_from(self.count).unwrap_or(i64::MAX).saturating_mul(APART_MS);
        match question {
            Question::Now | Question::Event => now,
            Question::Past => now.plus_ms(-(lived_ms / 4 * 3)),
        }
    }
}

async fn facts_for(
    bench: &Bench<'_>,
    db: &Db,
    account: &Account,
    question: Question,
    now: Timestamp,
) -> anyhow::Result<Facts> {
    let window = Window::at(account.at(question, now), now, &bench.catalog);
    let Question::Event = question else {
        return Ok(facts::load(db, &account.id, window).await?);
    };
    let touched = Touched { accounts: [(account.id.clone(), account.touched.clone())].into() };
    let mut tx = db.begin().await?;
    let heads: HashMap<AccountId, AccountHead> =
        accounts::lock(&mut tx, std::slice::from_ref(&account.id)).await?;
    let mut all = facts::load_touched(&mut tx, &touched, &heads, window).await?;
    tx.rollback().await?;
    all.remove(&account.id).context("the account is not there")
}

/// Writes an account that has a subscription and, of each kind, so many facts of the past.
async fn write(
    bench: &Bench<'_>,
    db: &Db,
    name: &str,
    count: usize,
    now: Timestamp,
) -> anyhow::Result<Account> {
    let id = AccountId::parse(name)?;
    let life = lived(bench, &id, now)?;
    let head = AccountHead { known: true, revision: 1, ..AccountHead::unknown(id.clone()) };
    let mut tx = db.begin().await?;
    accounts::save(&mut tx, &[head], now).await?;
    tx.commit().await?;
    for changes in past(&life, count, now)?.chunks(CHUNK) {
        let mut tx = db.begin().await?;
        facts::save(&mut tx, &[(&id, changes)]).await?;
        tx.commit().await?;
    }
    let touched = TouchedObjects {
        subscriptions: life.subscriptions.keys().cloned().collect(),
        invoices: vec![InvoiceId::parse("in_past0")?],
        payment_intents: vec![ObjectId::parse("pi_past0")?],
        ..TouchedObjects::default()
    };
    Ok(Account { id, count, touched })
}

/// The facts a short life leaves: a subscription with its invoice, and something bought once.
fn lived(bench: &Bench<'_>, account: &AccountId, now: Timestamp) -> anyhow::Result<Facts> {
    let mut facts = Facts::unknown(account.clone());
    let mut links = Links::default();
    let ours = StripeConfig::default();
    for scenario in ["checkout", "badge"] {
        let options = ScenarioOptions::new(account.clone(), now);
        for event in Scenario::build(scenario, &bench.catalog, &options)? {
            let reading = read::read(event.body.as_bytes(), &ours);
            let Content::Effect(seen) = &reading.content else { continue };
            let chosen = owner::choose(seen, &links);
            let Owner::Found(owner) = chosen else { continue };
            let decision = tollgate_domain::decide(seen, &owner, &facts, &bench.catalog);
            for change in &decision.changes {
                facts.apply(change);
            }
            links.apply(&owner.links);
        }
    }
    Ok(facts)
}

/// Everything of that life, and copies of it in the past.
fn past(life: &Facts, count: usize, now: Timestamp) -> anyhow::Result<Vec<Change>> {
    let subscription = life.subscriptions.values().next().context("a subscription")?;
    let state = subscription.state().context("its state")?;
    let invoice = life.invoices.values().next().context("an invoice")?;
    let bought = life.purchases.values().find(|one| !one.sales.is_empty());
    let bought = bought.context("a purchase")?;
    let mut changes: Vec<Change> =
        life.customers.values().cloned().map(Change::SaveCustomer).collect();
    changes.push(Change::SaveSubscription(subscription.clone()));
    changes.push(Change::AppendSubscriptionState(subscription.id.clone(), state.clone()));
    for (number, ago) in (1_i64..).take(count).enumerate() {
        let at = now.plus_ms(-ago.saturating_mul(APART_MS));
        changes.extend(billed(invoice, number, at)?);
        let mut state = state.clone();
        state.version.at = at;
        state.version.event = EventId::parse(&format!("evt_past{number}"))?;
        changes.push(Change::AppendSubscriptionState(subscription.id.clone(), state));
        let mut bought = bought.clone();
        bought.id = SessionId::parse(&format!("cs_past{number}"))?;
        bought.payment_intent = Some(ObjectId::parse(&format!("pi_cs_past{number}"))?);
        bought.paid_at = Some(at);
        changes.push(Change::SavePurchase(bought));
    }
    Ok(changes)
}

/// An invoice of the past that was paid for the time until the next one, and what paid it.
fn billed(invoice: &Invoice, number: usize, at: Timestamp) -> anyhow::Result<[Change; 2]> {
    let mut invoice = invoice.clone();
    invoice.id = InvoiceId::parse(&format!("in_past{number}"))?;
    invoice.state.at = at;
    invoice.state.created = Some(at);
    invoice.state.period_start = Some(at.plus_ms(-APART_MS));
    invoice.state.period_end = Some(at);
    invoice.paid_at = Some(at);
    for line in invoice.lines.iter_mut().flat_map(|lines| &mut lines.all) {
        (line.start, line.end) = (at, at.plus_ms(APART_MS));
    }
    let payment = ObjectId::parse(&format!("pi_past{number}"))?;
    let paid = InvoicePayment { payment, invoice: invoice.id.clone(), at };
    Ok([Change::SaveInvoice(invoice), Change::SaveInvoicePayment(paid)])
}
