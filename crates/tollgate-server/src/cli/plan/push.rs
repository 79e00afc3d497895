//! `tollgate plan push`. Owns: asking before anything is changed, and telling what was done. Must
//! not know: how it is done.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;
use tollgate_domain::catalog::push::{self, Agenda, Standing, Step};

use super::super::context::{Context, block_on};
use super::super::output::{BAD, FAINT, GOOD, NOTICE, one_line, print_line, print_note, styled};
use super::super::{Ending, Outcome, Usage};
use super::agenda::{self, Sides};
use super::keep::Keeper;
use crate::catalog_sync::{
    PortalStanding, Push, in_words, look_at_portal, portal_wish, settle_portal,
};

/// How to push.
#[derive(Debug, Args)]
#[command(
    after_help = "Running it again changes nothing. Exit code 3 when something is in the way, and with\n\
    --dry-run when something would be done."
)]
pub(in super::super) struct PushArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Also withdraw what we made and the catalog offers no more
    #[arg(long)]
    prune: bool,
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

pub(super) fn run(context: &Context, args: &PushArgs) -> Outcome {
    block_on(push(context, args))?
}

async fn push(context: &Context, args: &PushArgs) -> Outcome {
    let sides = Sides::read(context).await?;
    let (_, portal) = sides.portal().await?;
    let found = push::agenda(&sides.config.catalog, &sides.stock);
    let keeper = Keeper::new(context, &sides.config);
    keeper.check(&found.steps)?;
    let wanted = !found.steps.is_empty()
        || (args.prune && !found.surplus.is_empty())
        || !matches!(portal, PortalStanding::Right(_));
    let blocked = is_blocked(&found);
    if args.dry_run || !wanted {
        context.output.either(&agenda::value(&found, &sides.stock, &portal), || {
            let report = agenda::report(&found, &sides.stock, &portal);
            let end = if wanted { "nothing was changed" } else { "nothing to be done" };
            format!("{report}\n\n{}", styled(GOOD, end))
        })?;
        return Ok(if blocked || (args.dry_run && wanted) { Ending::Found } else { Ending::Done });
    }
    if !args.yes {
        print_note(agenda::report(&found, &sides.stock, &portal));
        confirm(&sides)?;
    }
    let Sides { config, client, stock } = sides;
    let mut run = Push { client: &client, catalog: config.catalog, stock, nonce: nonce(context) };
    let json = context.output.is_json();
    let told = |step: &Step| {
        if !json {
            print_line(format_args!("{} {}", styled(GOOD, "+"), one_line(&in_words(step))));
        }
    };
    let keep = |key: &str, price: &_| keeper.keep(key, price);
    let mut done = run.run(args.prune, keep, told).await?.iter().map(in_words).collect::<Vec<_>>();
    let url = config.stripe.portal_return_url.as_deref();
    let wish = portal_wish(&run.catalog, &run.stock, url);
    let portal = look_at_portal(&client, &wish).await?;
    let id = settle_portal(&client, &wish, &portal, &run.nonce).await?;
    if !matches!(portal, PortalStanding::Right(_)) {
        let what = format!("let customers change plans and cancel in the portal ({id})");
        if !json {
            print_line(format_args!("{} {what}", styled(GOOD, "+")));
        }
        done.push(what);
    }
    let left = push::agenda(&run.catalog, &run.stock);
    let blocked = is_blocked(&left);
    let value = json!({
        "done": done,
        "kept": keeper.kept(),
        "blocked": blocked,
        "after": agenda::value(&left, &run.stock, &PortalStanding::Right(id)),
    });
    context.output.either(&value, || ending(&keeper, blocked, done.len()))?;
    Ok(if blocked { Ending::Found } else { Ending::Done })
}

fn is_blocked(agenda: &Agenda<'_>) -> bool {
    agenda.offers.iter().any(|(_, standing)| matches!(standing, Standing::Blocked(_)))
}

/// Different for each run.
pub(in super::super) fn nonce(context: &Context) -> String {
    format!("{}-{:08x}", context.clock.now().millis(), fastrand::u32(..))
}

fn ending(keeper: &Keeper, blocked: bool, done: usize) -> String {
    let mut lines = vec![styled(GOOD, format_args!("{done} done"))];
    if !keeper.kept().is_empty() {
        lines.push(styled(
            NOTICE,
            "the catalog names prices that were replaced: restart servers, which read it at start",
        ));
    }
    if blocked {
        lines.push(styled(BAD, "something is in the way: `tollgate plan diff` shows it"));
    } else {
        lines.push(styled(FAINT, "running it again changes nothing"));
    }
    lines.join("\n")
}

fn confirm(sides: &Sides) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Usage("nobody can be asked: add --yes, or --dry-run to only look".to_owned()).into()
        );
    }
    let world = sides.client.mode().as_str();
    let term = console::Term::stderr();
    term.write_str(&format!("\nDo this in the {world} account? [y/N] "))?;
    let answer = term.read_line()?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    anyhow::bail!("nothing was changed")
}
