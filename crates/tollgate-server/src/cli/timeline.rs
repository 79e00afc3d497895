//! `tollgate timeline`. Owns: spans of time as a table. Must not know: how spans are found.

use clap::Args;
use tollgate_domain::entitlement::timeline;
use tollgate_domain::facts::Window;
use tollgate_domain::ids::AccountId;
use tollgate_store::facts;

use super::asking::Asking;
use super::at::{self, At};
use super::context::{Context, block_on};
use super::output::{FAINT, NOTICE, STRONG, styled, table};
use super::{Ending, Outcome, Usage};
use crate::api::timeline::{DEFAULT_DAYS, timeline_out};

/// Which account and when.
#[derive(Debug, Args)]
pub(super) struct TimelineArgs {
    /// The account, as the application calls it
    #[arg(value_parser = |text: &str| AccountId::parse(text))]
    account: AccountId,
    /// Begin here [default: 30 days ago]
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<At>,
    /// End here [default: in 30 days]
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<At>,
}

pub(super) fn run(context: &Context, args: &TimelineArgs) -> Outcome {
    block_on(show(context, args))?
}

async fn show(context: &Context, args: &TimelineArgs) -> Outcome {
    let asking = Asking::open(context).await?;
    let now = asking.now;
    let from = args.from.map_or(Ok(now.plus_days(-DEFAULT_DAYS)), |at| at.instant(now))?;
    let to = args.to.map_or(Ok(now.plus_days(DEFAULT_DAYS)), |at| at.instant(now))?;
    if from >= to {
        return Err(Usage(format!("--from ({from}) must be before --to ({to})")).into());
    }
    let catalog = &asking.config.catalog;
    let window = Window::spanning(from, to, now, catalog);
    let facts = facts::load(&asking.db, &args.account, window).await?;
    let timeline = timeline::timeline(&facts, catalog, from, to, now);
    let out = timeline_out(catalog, (&args.account, facts.revision), &timeline, now);
    context.output.either(&out, || {
        let rows = out.spans.iter().map(|span| {
            let note = match (span.in_grace_period, span.forecast) {
                (true, true) => "in grace, forecast",
                (true, false) => "in grace",
                (false, true) => "forecast",
                (false, false) => "",
            };
            let source = match span.source.id {
                Some(id) => format!("{} {id}", span.source.kind),
                None => span.source.kind.to_owned(),
            };
            vec![span.from.clone(), span.to.clone(), span.tier.to_owned(), source, note.to_owned()]
        });
        let heading = format!(
            "{} {}",
            styled(STRONG, &args.account),
            styled(FAINT, format_args!("now {now}"))
        );
        let spans = table(&["from", "to", "plan", "source", ""], rows.collect());
        let more = out.next_from.as_ref().map_or_else(String::new, |from| {
            let count = out.spans.len();
            format!(
                "\n{}",
                styled(NOTICE, format_args!("cut after {count} spans: go on with --from {from}"))
            )
        });
        format!("{heading}\n{spans}{more}")
    })?;
    Ok(Ending::Done)
}
