//! `tollgate migrate`. Owns: the schema from the command line. Must not know: what the migrations do.

use anyhow::Context as _;
use clap::Subcommand;
use tollgate_store::migrations::{self, MigrationStatus};
use tollgate_store::{Db, StoreError};

use super::context::{Context, block_on};
use super::output::{GOOD, NOTICE, styled, table};
use super::{Ending, Outcome, Usage};
use crate::workers::presence;

/// The schema version from which on it can be told whether a server is running.
const LEASES_SINCE: u32 = 3;

/// What to do with the schema.
#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// Bring the schema up to this version
    Up,
    /// Show which migrations are applied; exit code 3 when some are not, or when the schema is a newer
    /// version's
    Status,
    /// Take migrations back, and with them the data they brought; refused while a server is running
    Down {
        /// The version to go back to; 0 for an empty database
        #[arg(long, value_name = "VERSION")]
        to: u32,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(context: &Context, command: &MigrateCommand) -> Outcome {
    block_on(async {
        let config = context.load()?.config;
        let up = matches!(command, MigrateCommand::Up);
        let db = context.connect(&config, up).await?;
        let done = match command {
            MigrateCommand::Up => bring_up(context, &db).await,
            MigrateCommand::Status => status(context, &db).await,
            MigrateCommand::Down { to, yes } => down(context, &db, *to, *yes).await,
        };
        db.close().await;
        done.with_context(|| format!("on {}", config.database_url))
    })?
}

async fn bring_up(context: &Context, db: &Db) -> Outcome {
    let applied = migrations::up(db, context.clock.now()).await?;
    let value = serde_json::json!({"applied": applied});
    context.output.either(&value, || match applied.len() {
        0 => "the schema is this version's already".to_owned(),
        count => format!("applied {count}: {}", numbers(&applied)),
    })?;
    Ok(Ending::Done)
}

async fn status(context: &Context, db: &Db) -> Outcome {
    let all = migrations::status(db).await?;
    let pending = all.iter().filter(|one| one.applied_at.is_none()).count();
    let newer = match migrations::check(db).await {
        Err(error @ StoreError::SchemaNewer { .. }) => Some(error.to_string()),
        Ok(()) | Err(_) => None,
    };
    let value = serde_json::json!({
        "pending": pending,
        "newer": newer,
        "migrations": all.iter().map(|one| serde_json::json!({
            "version": one.version,
            "name": one.name,
            "appliedAt": one.applied_at.map(|at| at.to_string()),
        })).collect::<Vec<_>>(),
    });
    context.output.either(&value, || {
        let rows = all.iter().map(|one| {
            let applied = match one.applied_at {
                Some(at) => styled(GOOD, at),
                None => styled(NOTICE, "pending"),
            };
            vec![one.version.to_string(), one.name.to_owned(), applied]
        });
        let table = table(&["version", "name", "applied"], rows.collect());
        match &newer {
            Some(what) => format!("{table}\n\n{}", styled(NOTICE, what)),
            None => table,
        }
    })?;
    Ok(if pending == 0 && newer.is_none() { Ending::Done } else { Ending::Found })
}

async fn down(context: &Context, db: &Db, to: u32, yes: bool) -> Outcome {
    let all = migrations::status(db).await?;
    let newest = all.last().map_or(0, |one| one.version);
    if to > newest {
        let what = format!("there is no version {to}: this Tollgate knows 0 to {newest}");
        return Err(Usage(what).into());
    }
    let is_there = all.iter().any(|one| one.version > to && one.applied_at.is_some());
    if is_there && !yes {
        let what = format!("going back to version {to} throws data away; add --yes to do it");
        return Err(Usage(what).into());
    }
    refuse_beside_a_server(context, db, &all).await?;
    let reverted = migrations::down(db, to).await?;
    let value = serde_json::json!({"reverted": reverted});
    context.output.either(&value, || match reverted.len() {
        0 => format!("the schema is at version {to} already"),
        count => format!("took back {count}: {}", numbers(&reverted)),
    })?;
    Ok(Ending::Done)
}

/// What a running server stands on is not taken away.
async fn refuse_beside_a_server(
    context: &Context,
    db: &Db,
    all: &[MigrationStatus],
) -> anyhow::Result<()> {
    let can_tell = all.iter().any(|one| one.version >= LEASES_SINCE && one.applied_at.is_some());
    if can_tell && presence::is_served(db, context.clock.now()).await? {
        anyhow::bail!(
            "a server is running on this database: stop every one of them first (one that was \
             killed is forgotten after 15 seconds)"
        );
    }
    Ok(())
}

fn numbers(versions: &[u32]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
