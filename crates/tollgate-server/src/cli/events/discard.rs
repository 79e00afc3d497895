//! `tollgate events discard`. Owns: its arguments and its report. Must not know: what becomes of a
//! finding.

use clap::Args;
use serde_json::json;
use tollgate_domain::ids::EventId;
use tollgate_store::inbox::{self, EventFilter, EventStatus};

use super::super::asking::Asking;
use super::super::context::Context;
use super::super::{Ending, Outcome, Usage};
use super::{FilterArgs, chosen};
use crate::app::App;
use crate::intake::DiscardError;

/// Which events are let go of, and why.
#[derive(Debug, Args)]
#[command(
    after_help = "A signed body that is no event, or an event that cannot be worked on, is kept and told of\n\
    (finding event_dead) until it went through or was discarded. What is discarded stays in the inbox\n\
    with the reason, as ignored; `tollgate events replay` takes it back.\n\n\
    tollgate events discard body_5f0c… --reason \"sent by a script that knows the secret\""
)]
pub(in crate::cli) struct DiscardArgs {
    /// Ids of dead events; without any, the dead ones that the filter finds
    #[arg(value_parser = |text: &str| EventId::parse(text))]
    ids: Vec<EventId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Why, 10 to 500 characters; kept with each event
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who says so
    #[arg(long, value_name = "NAME", default_value = "command line")]
    by: String,
    /// Only say how many events would be discarded
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, asking: &Asking, args: &DiscardArgs) -> Outcome {
    args.filter.instead_of(&args.ids)?;
    let filter = args.filter.filter(asking.now)?;
    if filter.status.is_some_and(|status| status != EventStatus::Dead) {
        let what = "only dead events are discarded; the others are worked on by themselves";
        return Err(Usage(what.to_owned()).into());
    }
    for id in &args.ids {
        refuse_alive(asking, id).await?;
    }
    let filter = EventFilter { status: Some(EventStatus::Dead), ..filter };
    let chosen = chosen(asking, &args.ids, &filter).await?;
    let count = chosen.len();
    if args.dry_run {
        let value = json!({"dryRun": true, "events": count, "ids": chosen});
        context.output.either(&value, || format!("{count} events would be discarded"))?;
        return Ok(Ending::Done);
    }
    let ids = chosen.iter().map(|id| EventId::parse(id)).collect::<Result<Vec<_>, _>>()?;
    let clock = context.clock.clone();
    let app = App::build(asking.config.clone(), clock, asking.db.clone(), None);
    let done = app.intake.discard(&ids, &args.reason, &args.by).await;
    let discarded = done.map_err(|error| match error {
        DiscardError::Terms(refused) => Usage(refused.to_string()).into(),
        DiscardError::Store(error) => anyhow::Error::from(error),
    })?;
    let value = json!({"discarded": discarded.len(), "ids": discarded.iter().map(EventId::as_str).collect::<Vec<_>>()});
    context.output.either(&value, || format!("discarded {} events", discarded.len()))?;
    Ok(Ending::Done)
}

/// An event that was not given up may have effects yet.
async fn refuse_alive(asking: &Asking, id: &EventId) -> anyhow::Result<()> {
    let rows = inbox::find(&asking.db, id).await?;
    let alive = rows.iter().find(|row| row.outcome.status != EventStatus::Dead);
    if let Some(row) = alive {
        let status = row.outcome.status.as_str();
        anyhow::bail!("{id} is {status}: only events that were given up (dead) are discarded");
    }
    Ok(())
}
