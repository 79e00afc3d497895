//! `tollgate reconcile`. Owns: its arguments, the bar and the report. Must not know: how anything is
//! compared.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tollgate_domain::ids::AccountId;

use super::context::{Context, block_on};
use super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, one_line, styled};
use super::{Ending, Outcome};
use crate::reconcile::{self, Kind, Order, Report, Step};
use crate::run::QueueOnly;

/// What to compare.
#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// Find differences and repair nothing; ends with exit code 3 where there are some
    #[arg(long)]
    dry_run: bool,
    /// Compare this account only, which must be known, and change nothing of any other
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    account: Option<AccountId>,
    /// Also end what Stripe says is over where that concerns many accounts
    ///
    /// A run that would take what they pay for from more than five accounts and more than one in a
    /// hundred repairs everything else, says so and ends nothing, unless this is given.
    #[arg(long)]
    allow_ends: bool,
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(context: &Context, args: &ReconcileArgs) -> Outcome {
    let order = Order {
        kind: Kind::Sweep,
        account: args.account.clone(),
        dry: args.dry_run,
        allow_ends: args.allow_ends,
    };
    let report = carry_out(context, order)?;
    context.output.either(&report, || {
        let about = args.account.as_ref().map(|account| format!("account {account}: "));
        format!("{}{}", about.unwrap_or_default(), shown(&report, args.dry_run))
    })?;
    let found = args.dry_run && report.drifted() > 0;
    Ok(if found { Ending::Found } else { Ending::Done })
}

pub(super) fn carry_out(context: &Context, order: Order) -> anyhow::Result<Report> {
    block_on(async {
        let mut config = context.load_for_data()?;
        let db = context.open_or_begin(&config).await?;
        crate::stripe::binding::settle_mode(&mut config.stripe, &db).await?;
        crate::intake::squeeze::keep_dictionary(&db).await?;
        let engine = QueueOnly::start(config, context.clock.clone(), db);
        let app = &engine.app;
        let bar = Bar::new(context.output.is_json());
        let done = reconcile::reconcile(app, order, &|step, report| bar.show(step, report)).await;
        bar.0.finish_and_clear();
        engine.end().await;
        Ok(done?)
    })?
}

/// The steps behind us, and what is counted in the one under way: how long Stripe's lists are is
/// known only at their end.
pub(super) struct Bar(pub(super) ProgressBar);

impl Bar {
    pub(super) fn new(quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let steps = u64::try_from(Step::ALL.len()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} [{bar:18}] {pos}/{len} {msg} {elapsed:.dim}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    pub(super) fn show(&self, step: Step, report: &Report) {
        let place = Step::ALL.iter().position(|one| *one == step).unwrap_or(0);
        self.0.set_position(u64::try_from(place).unwrap_or(0));
        let counted = if step == Step::Events { report.events } else { report.objects };
        let found = report.drifted().saturating_add(report.imported);
        self.0.set_message(format!("{}: {counted} seen, {found} different", step.words()));
    }
}

/// The report for people.
pub(super) fn shown(report: &Report, dry: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} events and {} objects compared", report.events, report.objects);
    if report.imported > 0 {
        let done = if dry { "to be brought in" } else { "brought in" };
        let _ = writeln!(text, "{} {done}", styled(GOOD, report.imported));
    }
    if report.drift.is_empty() && report.imported == 0 {
        let _ = writeln!(text, "{}", styled(GOOD, "no difference"));
    }
    for (class, count) in &report.drift {
        let _ = writeln!(text, "{:>7} {class}", styled(NOTICE, count));
    }
    if !dry && report.drifted() > 0 {
        let _ = writeln!(text, "{} repaired", styled(STRONG, report.repaired));
    }
    for (count, what) in
        [(report.settled, "doubts settled"), (report.foreign, "objects of nobody here")]
    {
        if count > 0 {
            let _ = writeln!(text, "{}", styled(FAINT, format_args!("{count} {what}")));
        }
    }
    if report.ends > 0 {
        let word = if dry { "would lose" } else { "lost" };
        let what = format!("{} accounts {word} what they paid for", report.ends);
        let _ = writeln!(text, "{}", styled(NOTICE, what));
    }
    if report.unproven > 0 {
        let what = format!(
            "{} that live here are not found at Stripe, and nothing says they are over: left as they are",
            report.unproven
        );
        let _ = writeln!(text, "{}", styled(BAD, what));
    }
    if report.unreadable > 0 {
        let _ = writeln!(text, "{} could not be read", styled(BAD, report.unreadable));
    }
    for example in &report.examples {
        let account = example.account_id.as_deref().unwrap_or("-");
        let changes = example.changes.join("; ");
        let (object, account) = (styled(STRONG, &example.object), one_line(account));
        let _ = write!(text, "\n{object} {} {account}", example.drift);
        if !changes.is_empty() {
            let _ = write!(text, "\n  {}", one_line(&changes));
        }
    }
    text.trim_end().to_owned()
}
