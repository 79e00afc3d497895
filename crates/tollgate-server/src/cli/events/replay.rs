//! `tollgate events replay`. Owns: its report. Must not know: what becomes of an event.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_domain::ids::EventId;
use tollgate_store::inbox;

use super::super::asking::Asking;
use super::super::context::Context;
use super::super::{Ending, Outcome};
use super::{FilterArgs, chosen};
use crate::app::App;
use crate::workers::retry;

pub(super) async fn run(
    context: &Context,
    asking: &Asking,
    ids: &[EventId],
    filter: &FilterArgs,
    dry_run: bool,
) -> Outcome {
    filter.instead_of(ids)?;
    let filter = filter.filter(asking.now)?;
    let chosen = chosen(asking, ids, &filter).await?;
    if dry_run {
        let value = json!({"dryRun": true, "events": chosen.len(), "ids": chosen});
        let text = || format!("{} events would be worked on again", chosen.len());
        context.output.either(&value, text)?;
        return Ok(Ending::Done);
    }
    let db = &asking.db;
    let set = if ids.is_empty() {
        inbox::set_for_replay(db, &filter, asking.now).await?
    } else {
        inbox::set_ids_for_replay(db, ids, asking.now).await?
    };
    // A running server may take some of them first; each is worked on once all the same.
    let clock = context.clock.clone();
    let mut config = asking.config.clone();
    crate::stripe::binding::settle_mode(&mut config.stripe, db).await?;
    let app = App::build(config, clock, asking.db.clone(), None);
    while retry::round(&app).await? > 0 {}
    let after = outcomes(asking, &chosen).await?;
    let failed = after.get("failed").copied().unwrap_or(0);
    let value = json!({"replayed": set, "statuses": after});
    context.output.either(&value, || {
        let counts: Vec<String> =
            after.iter().map(|(status, count)| format!("{count} {status}")).collect();
        format!("worked on {set} events again: {}", counts.join(", "))
    })?;
    Ok(if failed == 0 { Ending::Done } else { Ending::Found })
}

async fn outcomes(asking: &Asking, ids: &[String]) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut counts = BTreeMap::new();
    for id in ids {
        for row in inbox::find(&asking.db, &EventId::parse(id)?).await? {
            let count: &mut u64 = counts.entry(row.outcome.status.as_str()).or_default();
            *count = count.saturating_add(1);
        }
    }
    Ok(counts)
}
