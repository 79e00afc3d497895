//! What an account costs that nobody has in memory, however much ever happened to it. Owns: making
//! an account with a long past and one with a short one, and loading both. Must not know: how a
//! load is made.

use anyhow::Context as _;
use tokio::time::Instant;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, EventId, InvoiceId, SessionId};
use tollgate_domain::owner::{self, Links, Owner};
use tollgate_domain::payment::SessionStatus;
use tollgate_domain::{Facts, Timestamp};
use tollgate_sandbox::{Scenario, ScenarioOptions};
use tollgate_store::accounts::AccountHead;
use tollgate_store::{Db, DbOptions, accounts, facts, migrations};

use super::Bench;
use super::client::Sample;
use super::figures::{CpuUsed, Figure, ratio};
use super::place::Place;
use super::report::ColdReport;
use crate::clock::Clock;
use crate::config::StripeConfig;
use crate::intake::{Content, read};

/// Of each kind: invoices, observations, purchases and notes, years of them.
const LONG: usize = 10_000;
/// The same for the account it is compared with.
const SHORT: usize = 10;
/// Time between two of one kind: ten thousand of them are fourteen months.
const APART_MS: i64 = 3_600_000;
/// Changes written in one transaction.
const CHUNK: usize = 1_000;
/// Loads in one measurement.
const LOADS: usize = 200;

/// Measures both accounts in turn.
pub(super) async fn measure(bench: &Bench<'_>, place: &Place) -> anyhow::Result<ColdReport> {
    let now = Clock::System.now();
    let db = Db::open(&place.database().await?, &DbOptions::default()).await?;
    migrations::up(&db, now).await?;
    bench.note("cold: writing two accounts");
    let short = write(bench, &db, "short", SHORT, now).await?;
    let long = write(bench, &db, "long", LONG, now).await?;
    let (mut of_short, mut of_long) = (Vec::new(), Vec::new());
    for round in 1..=bench.args.rounds {
        bench.note(&format!("cold: round {round} of {}", bench.args.rounds));
        of_short.push(load(bench, &db, &short, now).await?);
        of_long.push(load(bench, &db, &long, now).await?);
    }
    db.close().await;
    let (short, long) = (Figure::median(&of_short), Figure::median(&of_long));
    let growth = ratio(long.p50_ms, short.p50_ms);
    Ok(ColdReport { facts_of_each_kind: LONG, short, long, growth })
}

/// Loads and resolves an account again and again.
async fn load(
    bench: &Bench<'_>,
    db: &Db,
    account: &AccountId,
    now: Timestamp,
) -> anyhow::Result<Figure> {
    let window = Window::at(now, now, &bench.catalog);
    let mut sample = Sample::default();
    let begun = Instant::now();
    for _ in 0..LOADS {
        let one = Instant::now();
        let facts = facts::load(db, account, window).await?;
        let resolution = tollgate_domain::resolve(&facts, &bench.catalog, now);
        sample.latencies_us.push(u32::try_from(one.elapsed().as_micros()).unwrap_or(u32::MAX));
        anyhow::ensure!(resolution.known, "the account is not there");
    }
    sample.elapsed = begun.elapsed();
    Ok(Figure::of(&sample, CpuUsed::default()))
}

/// Writes an account that has a subscription and, of each kind, so many facts of the past.
async fn write(
    bench: &Bench<'_>,
    db: &Db,
    name: &str,
    count: usize,
    now: Timestamp,
) -> anyhow::Result<AccountId> {
    let account = AccountId::parse(name)?;
    let life = lived(bench, &account, now)?;
    let head = AccountHead { known: true, revision: 1, ..AccountHead::unknown(account.clone()) };
    let mut tx = db.begin().await?;
    accounts::save(&mut tx, &[head], now).await?;
    tx.commit().await?;
    for changes in past(&life, count, now)?.chunks(CHUNK) {
        let mut tx = db.begin().await?;
        facts::save(&mut tx, &[(&account, changes)]).await?;
        tx.commit().await?;
    }
    Ok(account)
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
    let purchase = life.purchases.values().next().context("a purchase")?;
    let mut changes: Vec<Change> =
        life.customers.values().cloned().map(Change::SaveCustomer).collect();
    changes.push(Change::SaveSubscription(subscription.clone()));
    changes.push(Change::AppendSubscriptionState(subscription.id.clone(), state.clone()));
    for (number, ago) in (1_i64..).take(count).enumerate() {
        let at = now.plus_ms(-ago.saturating_mul(APART_MS)).plus_days(-90);
        let mut invoice = invoice.clone();
        invoice.id = InvoiceId::parse(&format!("in_past{number}"))?;
        invoice.state.at = at;
        invoice.state.created = Some(at);
        invoice.state.period_start = Some(at);
        invoice.state.period_end = Some(at.plus_days(30));
        invoice.paid_at = Some(at);
        changes.push(Change::SaveInvoice(invoice));
        let mut state = state.clone();
        state.version.at = at;
        state.version.event = EventId::parse(&format!("evt_past{number}"))?;
        changes.push(Change::AppendSubscriptionState(subscription.id.clone(), state));
        let mut purchase = purchase.clone();
        purchase.id = SessionId::parse(&format!("cs_past{number}"))?;
        purchase.status = SessionStatus::Expired;
        purchase.paid_at = None;
        changes.push(Change::SavePurchase(purchase));
        changes.push(Change::Note(format!("bench:in_past{number}")));
    }
    Ok(changes)
}
