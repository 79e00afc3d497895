//! `tollgate plan`. Owns: its subcommands. Must not know: what each does (one file each below).

use clap::Subcommand;

use super::Outcome;
use super::context::Context;

mod show;
mod what_if;

/// What to do with the catalog.
#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Show plans, features and prices, and which Stripe price sells what
    Show,
    /// Show who would gain, lose or go over a limit with another catalog; changes nothing
    WhatIf(what_if::WhatIfArgs),
}

pub(super) fn run(context: &Context, command: PlanCommand) -> Outcome {
    match command {
        PlanCommand::Show => show::run(context),
        PlanCommand::WhatIf(args) => what_if::run(context, &args),
    }
}
