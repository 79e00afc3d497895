//! `tollgate plan diff`. Owns: its exit code. Must not know: how two sides are compared or shown.

use clap::Args;
use tollgate_domain::catalog::push;

use super::super::context::{Context, block_on};
use super::super::{Ending, Outcome};
use super::agenda::{self, Sides};
use crate::catalog_sync::PortalStanding;

/// Nothing to choose.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3 when something is missing, different or in the way.")]
pub(in super::super) struct DiffArgs {}

pub(super) fn run(context: &Context, _: &DiffArgs) -> Outcome {
    block_on(async {
        let sides = Sides::read(context).await?;
        let (_, portal) = sides.portal().await?;
        let found = push::agenda(&sides.config.catalog, &sides.stock);
        context.output.either(&agenda::value(&found, &sides.stock, &portal), || {
            agenda::report(&found, &sides.stock, &portal)
        })?;
        let settled = found.is_settled() && matches!(portal, PortalStanding::Right(_));
        Ok(if settled { Ending::Done } else { Ending::Found })
    })?
}
