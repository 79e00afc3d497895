//! `tollgate import`. Owns: its arguments and the sums it shows. Must not know: what is imported, what
//! it is tried on.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use tollgate_domain::FetchCause;
use tollgate_domain::money::{Currency, Money};

use super::context::{Context, block_on};
use super::output::{STRONG, one_line, styled};
use super::plan::money_text;
use super::reconcile::{Bar, carry_out, shown};
use super::serve::Signals;
use super::{Ending, Outcome};
use crate::reconcile::report::Sums;
use crate::reconcile::{Kind, Order, Report};
use crate::trial;

/// What to bring in.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Import into a copy of the database, say what came of it, and drop the copy
    ///
    /// Nothing is written to the database, and none is made where there is none. The copy is a file
    /// in the folder for temporary files (TMPDIR) and about as large as what is known of all accounts.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, args: &ImportArgs) -> Outcome {
    let report = if args.dry_run {
        try_out(context)?
    } else {
        let order = Order { kind: Kind::Import, account: None, dry: false, allow_ends: false };
        carry_out(context, order)?
    };
    context.output.either(&report, || {
        // What came in is summed up; one by one only what is left to do something about.
        let mut shortened = report.clone();
        shortened.examples.retain(|one| one.drift != FetchCause::Import.as_str());
        let mut text = shown(&shortened, args.dry_run);
        summarize(&mut text, &report.sums);
        if args.dry_run {
            text.push_str("\n\nnothing was written: this was done on a copy");
        }
        text
    })?;
    Ok(Ending::Done)
}

fn try_out(context: &Context) -> anyhow::Result<Report> {
    block_on(async {
        let config = context.load_for_data()?;
        let database = context.open_if_begun(&config).await?;
        let bar = Bar::new(context.output.is_json());
        let watch = |step, report: &Report| bar.show(step, report);
        let import = trial::import(config, context.clock.clone(), database.as_ref(), &watch);
        let mut signals = Signals::listen()?;
        // The copy goes with the import when that is given up.
        let done = tokio::select! {
            done = import => done.with_context(|| {
                let place = std::env::temp_dir();
                format!("the trial on a copy in {} (TMPDIR names another place)", place.display())
            }),
            () = signals.end() => Err(anyhow::anyhow!("interrupted: nothing was written, the copy is removed")),
        };
        bar.0.finish_and_clear();
        if let Some(database) = database {
            database.close().await;
        }
        done
    })?
}

/// Objects by kind, money by currency, accounts by plan.
fn summarize(text: &mut String, sums: &Sums) {
    for (title, counts) in
        [("objects", &sums.objects), ("accounts by plan", &sums.accounts_by_plan)]
    {
        if counts.is_empty() {
            continue;
        }
        let _ = write!(text, "\n\n{}", styled(STRONG, title));
        for (name, count) in counts {
            let _ = write!(text, "\n{count:>9} {}", one_line(name));
        }
    }
    if sums.money.is_empty() {
        return;
    }
    let _ = write!(text, "\n\n{}", styled(STRONG, "money"));
    for (currency, moved) in &sums.money {
        let amount = |amount_minor| match Currency::parse(currency) {
            Some(currency) => money_text(Money { amount_minor, currency }),
            None => format!("{amount_minor} {}", one_line(currency)),
        };
        let _ = write!(text, "\n  {} paid", amount(moved.paid_minor));
        if moved.refunded_minor > 0 {
            let _ = write!(text, ", {} paid back", amount(moved.refunded_minor));
        }
    }
}
