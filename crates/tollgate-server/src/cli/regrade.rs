//! `tollgate regrade`. Owns: its arguments, the bar and the report. Must not know: how a sale is
//! decided.

use std::fmt::Write as _;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use tollgate_domain::ids::AccountId;
use tollgate_domain::regrade::Terms;

use super::context::{Context, block_on};
use super::output::{FAINT, GOOD, NOTICE, STRONG, styled};
use super::{Ending, Outcome, Usage};
use crate::regrade::{self, Order, RegradeError, Report};
use crate::run::QueueOnly;

/// What is to be decided again.
#[derive(Debug, Args)]
#[command(
    after_help = "A catalog that changes leaves past one-time purchases as they were sold. This decides \
                  them again by today's catalog, on purpose, and journals each.\n\n\
                  tollgate regrade --dry-run --reason \"price list of 2026\"\n\
                  tollgate regrade --account acme --reason \"sold under the wrong plan\"\n\n\
                  Exit code 3 with --dry-run when something would change."
)]
pub(super) struct RegradeArgs {
    /// Say what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    /// This account only
    #[arg(long, value_name = "ACCOUNT", value_parser = |text: &str| AccountId::parse(text))]
    account: Option<AccountId>,
    /// Why, 10 to 500 characters; stands in the journal
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who; stands in the journal
    #[arg(long, value_name = "NAME", default_value = "cli")]
    by: String,
    /// Also take back what today's catalog does not sell at all; else that stays as it was sold
    #[arg(long)]
    take_back: bool,
}

pub(super) fn run(context: &Context, args: &RegradeArgs) -> Outcome {
    let report = block_on(carry_out(context, args))??;
    context.output.either(&report, || shown(&report, args.dry_run))?;
    let found = args.dry_run && report.changed > 0;
    Ok(if found { Ending::Found } else { Ending::Done })
}

async fn carry_out(context: &Context, args: &RegradeArgs) -> anyhow::Result<Report> {
    let config = context.load_for_data()?;
    let db = context.open(&config).await?;
    crate::intake::squeeze::keep_dictionary(&db).await?;
    let engine = QueueOnly::start(config, context.clock.clone(), db);
    let target = if context.output.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let order = Order {
        account: args.account.as_ref(),
        dry: args.dry_run,
        terms: Terms { by: &args.by, reason: &args.reason, take_back: args.take_back },
    };
    let done = regrade::regrade(&engine.app, order, |so_far| bar.set_position(so_far)).await;
    bar.finish_and_clear();
    engine.end().await;
    done.map_err(|error| match error {
        RegradeError::Terms(refused) => Usage(refused.to_string()).into(),
        RegradeError::Store(error) => error.into(),
    })
}

/// The report for people.
fn shown(report: &Report, dry: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} accounts looked at", report.accounts);
    let done = if dry { "would be decided anew" } else { "decided anew" };
    let count = if report.changed == 0 { styled(GOOD, 0) } else { styled(NOTICE, report.changed) };
    let _ = writeln!(text, "{count} purchases {done}");
    if report.kept > 0 {
        let why = "kept as sold: today's catalog does not sell them (--take-back takes them back)";
        let _ = writeln!(text, "{} {why}", report.kept);
    }
    for one in &report.examples {
        let to = match (one.kept, one.to.as_str()) {
            (true, _) => styled(FAINT, "stays"),
            (false, "") => "nothing".to_owned(),
            (false, to) => to.to_owned(),
        };
        let from = if one.from.is_empty() { "nothing" } else { &one.from };
        let account = styled(STRONG, &one.account_id);
        let _ = writeln!(text, "  {account} {} {from} > {to}", styled(FAINT, &one.session));
    }
    text.trim_end().to_owned()
}
