//! `tollgate events`. Owns: looking into the inbox and replaying from the command line. Must not
//! know: what an event does.

mod discard;
mod replay;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;
use tollgate_domain::ids::{AccountId, EventId};
use tollgate_domain::time::{HOUR_MS, SECOND_MS};
use tollgate_domain::{Actor, Timestamp};
use tollgate_store::Db;
use tollgate_store::inbox::{self, EventFilter, EventRow, EventStatus, TypeStats};
use tollgate_store::journal::{self, JournalFilter, JournalRow};

use super::asking::Asking;
use super::at::{self, At};
use super::context::{Context, block_on};
use super::output::{
    BAD, FAINT, GOOD, NOTICE, STRONG, one_line, print_bytes, print_json, print_line, styled, table,
};
use super::{Ending, Outcome, Usage};
use crate::intake::squeeze;

/// Most pages of the journal looked through for one event.
const JOURNAL_PAGES_MAX: usize = 20;
/// The fields of an event in the order people read them.
const SHOWN: [&str; 19] = [
    "id",
    "type",
    "status",
    "reason",
    "accountId",
    "object",
    "apiVersion",
    "livemode",
    "createdAt",
    "signedAt",
    "receivedAt",
    "processedAt",
    "nextAttemptAt",
    "attempts",
    "duplicates",
    "bodyBytes",
    "changed",
    "note",
    "body",
];

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List events, the newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// At most this many, 1 to 100
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Go on after an earlier list
        #[arg(long, value_parser = cursor)]
        cursor: Option<String>,
    },
    /// Show one event: what became of it, and its body as Stripe sent it
    Show {
        /// Its id, evt_…
        #[arg(value_parser = |text: &str| EventId::parse(text))]
        id: EventId,
        /// Print the body alone, byte for byte
        #[arg(long)]
        raw: bool,
    },
    /// Count events by type
    Stats {
        /// Of the last hours
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
        hours: u32,
    },
    /// Work on events again; what is already so does not change
    Replay {
        /// Ids of events; without any, those the filter finds
        #[arg(value_parser = |text: &str| EventId::parse(text))]
        ids: Vec<EventId>,
        #[command(flatten)]
        filter: FilterArgs,
        /// Only say how many events would be worked on
        #[arg(long)]
        dry_run: bool,
    },
    /// Let go of events that were given up and that nothing can be made of
    Discard(discard::DiscardArgs),
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// received, processed, ignored, waiting, failed or dead
    #[arg(long, value_parser = status)]
    status: Option<EventStatus>,
    /// Stripe's type, such as invoice.paid
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Those of this account
    #[arg(long, value_parser = |text: &str| AccountId::parse(text))]
    account: Option<AccountId>,
    /// Received at this time or later: 2026-11-21T10:00:00Z, -2d
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<At>,
    /// Received before this time
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<At>,
}

fn cursor(text: &str) -> Result<String, String> {
    if inbox::is_cursor(text) {
        return Ok(text.to_owned());
    }
    Err("it is not one that an earlier list gave after `more:`, or as nextCursor".to_owned())
}

fn status(text: &str) -> Result<EventStatus, String> {
    EventStatus::parse(text).ok_or_else(|| {
        let known: Vec<&str> = EventStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("there is no such status; there are {}", known.join(", "))
    })
}

impl FilterArgs {
    fn filter(&self, now: Timestamp) -> Result<EventFilter, Usage> {
        Ok(EventFilter {
            status: self.status,
            event_type: self.event_type.clone(),
            account: self.account.clone(),
            from: self.from.map(|at| at.instant(now)).transpose()?,
            until: self.until.map(|at| at.instant(now)).transpose()?,
        })
    }

    /// Refuses ids beside a filter, and neither of the two.
    fn instead_of(&self, ids: &[EventId]) -> Result<(), Usage> {
        if ids.is_empty() != self.is_empty() {
            return Ok(());
        }
        let what = "name events by id, or give a filter such as --status dead; not both";
        Err(Usage(what.to_owned()))
    }

    const fn is_empty(&self) -> bool {
        self.status.is_none()
            && self.event_type.is_none()
            && self.account.is_none()
            && self.from.is_none()
            && self.until.is_none()
    }
}

pub(super) fn run(context: &Context, command: EventsCommand) -> Outcome {
    block_on(async {
        let asking = Asking::open(context).await?;
        match command {
            EventsCommand::List { filter, limit, cursor } => {
                let filter = filter.filter(asking.now)?;
                list(context, &asking, &filter, cursor.as_deref(), limit).await
            }
            EventsCommand::Show { id, raw } => show(context, &asking, &id, raw).await,
            EventsCommand::Stats { hours } => stats(context, &asking, hours).await,
            EventsCommand::Replay { ids, filter, dry_run } => {
                replay::run(context, &asking, &ids, &filter, dry_run).await
            }
            EventsCommand::Discard(args) => discard::run(context, &asking, &args).await,
        }
    })?
}

async fn list(
    context: &Context,
    asking: &Asking,
    filter: &EventFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome {
    let db = &asking.db;
    let (rows, next) = inbox::list(db, filter, cursor, limit).await?;
    let value = json!({"data": rows.iter().map(row_value).collect::<Vec<_>>(), "nextCursor": next});
    context.output.either(&value, || {
        if rows.is_empty() {
            return "no such events".to_owned();
        }
        let lines = rows.iter().map(|row| {
            let account = row.outcome.account.as_ref().map_or("", AccountId::as_str);
            vec![
                row.received_at.to_string(),
                row.key.event.to_string(),
                row.event_type.clone(),
                account.to_owned(),
                shown(row.outcome.status),
                row.outcome.reason.clone().unwrap_or_default(),
            ]
        });
        let mut text =
            table(&["received", "event", "type", "account", "status", "reason"], lines.collect());
        if let Some(next) = &next {
            text.push('\n');
            text.push_str(&styled(FAINT, format_args!("more: --cursor {next}")));
        }
        text
    })?;
    Ok(Ending::Done)
}

fn shown(status: EventStatus) -> String {
    let style = match status {
        EventStatus::Processed => GOOD,
        EventStatus::Failed | EventStatus::Dead => BAD,
        EventStatus::Waiting | EventStatus::Received => NOTICE,
        EventStatus::Ignored => FAINT,
    };
    styled(style, status.as_str())
}

fn row_value(row: &EventRow) -> serde_json::Value {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let outcome = &row.outcome;
    json!({
        "id": row.key.event.as_str(),
        "type": row.event_type,
        "status": outcome.status.as_str(),
        "accountId": outcome.account.as_ref().map(AccountId::as_str),
        "reason": outcome.reason,
        "livemode": row.key.livemode,
        "apiVersion": row.api_version,
        "object": row.object.as_ref().map(ToString::to_string),
        "createdAt": text(row.created_at),
        "signedAt": text(row.signed_at),
        "receivedAt": row.received_at.to_string(),
        "processedAt": text(outcome.processed_at),
        "nextAttemptAt": text(outcome.next_attempt_at),
        "attempts": outcome.attempts,
        "duplicates": row.duplicates,
        "bodyBytes": row.body_len,
    })
}

async fn show(context: &Context, asking: &Asking, id: &EventId, raw: bool) -> Outcome {
    let db = &asking.db;
    let rows = inbox::find(db, id).await?;
    if rows.is_empty() {
        anyhow::bail!("there is no event {id}; `tollgate events list` shows what there is");
    }
    let mut values = Vec::new();
    for row in &rows {
        if row.body_removed && raw {
            anyhow::bail!("{}", body_removed(&row.key.event));
        }
        let body = body(db, row).await?;
        if raw {
            print_bytes(&body);
            return Ok(Ending::Done);
        }
        let mut value = row_value(row);
        let parsed =
            serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        let parsed = if row.body_removed { serde_json::Value::Null } else { parsed };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("changed".to_owned(), changed(db, row).await?.into());
            fields.insert("body".to_owned(), parsed);
            if row.body_removed {
                fields.insert("note".to_owned(), body_removed(&row.key.event).into());
            }
        }
        values.push(value);
    }
    if context.output.is_json() {
        print_json(&json!({"data": values}))?;
        return Ok(Ending::Done);
    }
    for value in &values {
        print_line(told(value)?);
    }
    Ok(Ending::Done)
}

fn body_removed(event: &EventId) -> String {
    format!(
        "the body of {event} was removed after the days set by retention.event_bodies_days; what it \
         changed is in the journal, and `tollgate reconcile` compares the objects it was about"
    )
}

async fn body(db: &Db, row: &EventRow) -> anyhow::Result<Vec<u8>> {
    if row.body_removed {
        return Ok(Vec::new());
    }
    match inbox::body(db, &row.key).await? {
        Some(stored) => Ok(squeeze::restore(db, &stored).await?),
        None => Ok(Vec::new()),
    }
}

/// What the event changed, by the journal: entries of its account, about the time it was worked
/// on, that name it as their cause.
async fn changed(db: &Db, row: &EventRow) -> anyhow::Result<Vec<serde_json::Value>> {
    let (Some(account), Some(processed_at)) = (&row.outcome.account, row.outcome.processed_at)
    else {
        return Ok(Vec::new());
    };
    let filter = JournalFilter {
        account: Some(account.clone()),
        since: Some(row.received_at),
        until: Some(processed_at.plus_ms(SECOND_MS)),
        ..JournalFilter::default()
    };
    let caused =
        |entry: &JournalRow| matches!(&entry.actor, Actor::Stripe(id) if *id == row.key.event);
    let (mut entries, mut cursor) = (Vec::new(), None);
    for _ in 0..JOURNAL_PAGES_MAX {
        let (page, next) = journal::list(db, &filter, cursor.as_deref(), 100).await?;
        entries.extend(page.into_iter().filter(caused));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    let shown = entries.into_iter().map(|entry| {
        let details: BTreeMap<_, _> = entry.details.into_iter().collect();
        json!({
            "sequence": entry.sequence,
            "kind": entry.kind,
            "subject": entry.subject,
            "details": details,
        })
    });
    Ok(shown.collect())
}

fn told(value: &serde_json::Value) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for name in SHOWN {
        let Some(field) = value.get(name) else { continue };
        let text = match field.as_str() {
            Some(text) => one_line(text).into_owned(),
            None if field.is_null() || field.as_array().is_some_and(Vec::is_empty) => continue,
            None if field.is_object() || field.is_array() => {
                format!("\n{}", serde_json::to_string_pretty(field)?)
            }
            None => field.to_string(),
        };
        lines.push(format!("{} {text}", styled(STRONG, format_args!("{name:<13}"))));
    }
    Ok(lines.join("\n"))
}

async fn stats(context: &Context, asking: &Asking, hours: u32) -> Outcome {
    let since = asking.now.plus_ms(i64::from(hours).saturating_mul(-HOUR_MS));
    let stats = inbox::stats(&asking.db, since).await?;
    let value = json!({
        "since": since.to_string(),
        "types": stats.iter().map(stats_value).collect::<Vec<_>>(),
    });
    context.output.either(&value, || {
        if stats.is_empty() {
            return format!("no events in the last {hours} hours");
        }
        let rows = stats.iter().map(|one| {
            let millis = |us: Option<u64>| {
                us.map_or_else(String::new, |us| format!("{}.{} ms", us / 1000, us % 1000 / 100))
            };
            vec![
                one.event_type.clone(),
                one.total.to_string(),
                one.processed.to_string(),
                one.ignored.to_string(),
                one.waiting.to_string(),
                one.failed.to_string(),
                one.dead.to_string(),
                success(one),
                millis(one.mean_us),
                millis(one.p99_us),
            ]
        });
        let heading = [
            "type",
            "total",
            "processed",
            "ignored",
            "waiting",
            "failed",
            "dead",
            "success",
            "mean",
            "p99",
        ];
        table(&heading, rows.collect())
    })?;
    Ok(Ending::Done)
}

fn stats_value(one: &TypeStats) -> serde_json::Value {
    json!({
        "type": one.event_type,
        "total": one.total,
        "processed": one.processed,
        "ignored": one.ignored,
        "waiting": one.waiting,
        "failed": one.failed,
        "dead": one.dead,
        "received": one.received,
        "success": success(one),
        "meanMicroseconds": one.mean_us,
        "p99Microseconds": one.p99_us,
    })
}

/// How many of all came to a good end, in tenths of a percent: one that waits has not.
fn success(one: &TypeStats) -> String {
    let well = one.processed.saturating_add(one.ignored);
    match well.saturating_mul(1000).checked_div(one.total) {
        Some(permille) => format!("{}.{} %", permille / 10, permille % 10),
        None => String::new(),
    }
}

/// Ids of the events to be worked on.
async fn chosen(
    asking: &Asking,
    ids: &[EventId],
    filter: &EventFilter,
) -> anyhow::Result<Vec<String>> {
    let db = &asking.db;
    let mut chosen = Vec::new();
    for id in ids {
        let rows = inbox::find(db, id).await?;
        if rows.is_empty() {
            anyhow::bail!("there is no event {id}; `tollgate events list` shows what there is");
        }
        if rows.iter().all(|row| row.body_removed) {
            anyhow::bail!("{}", body_removed(id));
        }
        chosen.push(id.to_string());
    }
    let mut cursor = None;
    while ids.is_empty() {
        let (rows, next) = inbox::list(db, filter, cursor.as_deref(), 100).await?;
        // Without its body an event cannot be worked on again.
        let rows = rows.into_iter().filter(|row| !row.body_removed);
        chosen.extend(rows.map(|row| row.key.event.to_string()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(chosen)
}
