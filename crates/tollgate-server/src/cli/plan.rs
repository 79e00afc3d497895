//! `tollgate plan`. Owns: its subcommands. Must not know: what each does (one file each below).

use clap::Subcommand;

use super::Outcome;
use super::context::Context;

mod agenda;
mod diff;
pub(super) mod keep;
mod pull;
pub(super) mod push;
mod show;
mod what_if;

pub(super) use show::money_text;

/// What to do with the catalog.
#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Show plans, features and prices, and which Stripe price sells what
    Show,
    /// Show who would gain, lose or go over a limit with another catalog; changes nothing
    WhatIf(what_if::WhatIfArgs),
    /// Compare the catalog with what is for sale in Stripe; changes nothing
    Diff(diff::DiffArgs),
    /// Make in Stripe what the catalog offers; what others made is never altered
    Push(push::PushArgs),
    /// Write a catalog from what is for sale in Stripe
    Pull(pull::PullArgs),
}

pub(super) fn run(context: &Context, command: PlanCommand) -> Outcome {
    match command {
        PlanCommand::Show => show::run(context),
        PlanCommand::WhatIf(args) => what_if::run(context, &args),
        PlanCommand::Diff(args) => diff::run(context, &args),
        PlanCommand::Push(args) => push::run(context, &args),
        PlanCommand::Pull(args) => pull::run(context, &args),
    }
}
