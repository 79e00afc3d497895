//! `tollgate state`. Owns: showing the digest. Must not know: how it is made.

use clap::Subcommand;

use super::context::{Context, block_on};
use super::{Ending, Outcome};

/// What to do with the state.
#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Print a hash over the facts of all accounts, times of receipt left out
    ///
    /// Two databases that were told the same events, in whatever order and however often, have the
    /// same digest.
    Digest,
}

pub(super) fn run(context: &Context, command: &StateCommand) -> Outcome {
    let StateCommand::Digest = command;
    block_on(async {
        let config = context.load_for_data()?;
        let db = context.open(&config).await?;
        let digest = tollgate_store::digest::state(&db).await?;
        context.output.either(&serde_json::json!({"digest": digest}), || digest.clone())?;
        db.close().await;
        Ok(Ending::Done)
    })?
}
