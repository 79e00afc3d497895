//! `tollgate plan what-if`. Owns: the proposed file, the progress bar and the report. Must not
//! know: how catalogs are compared.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tollgate_domain::catalog::builtin_text;
use tollgate_store::accounts;

use super::super::asking::Asking;
use super::super::at::{self, At};
use super::super::context::{Context, block_on};
use super::super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, styled, table};
use super::super::{Ending, Outcome};
use crate::api::admin::catalog::{
    LimitOut, SAMPLES_DEFAULT, SampleOut, TallyOut, WhatIfOut, what_if_out,
};
use crate::what_if::{Comparison, compare_all, read_proposed};

/// Fewer accounts than this need no progress bar.
const BAR_FROM: u64 = 1_000;

/// What is proposed.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 3 with --check when an account would lose something or go over a limit."
)]
pub(in super::super) struct WhatIfArgs {
    /// The proposed catalog: a TOML file, or the name of a built-in one
    file: PathBuf,
    /// Compare at this time: 2026-11-21T10:00:00Z, +30d [default: now]
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<At>,
    /// Show so many accounts of each kind
    #[arg(long, default_value_t = SAMPLES_DEFAULT, value_name = "N")]
    samples: usize,
    /// End with exit code 3 when an account would lose something or go over a limit
    #[arg(long)]
    check: bool,
}

pub(super) fn run(context: &Context, args: &WhatIfArgs) -> Outcome {
    block_on(compare(context, args))?
}

async fn compare(context: &Context, args: &WhatIfArgs) -> Outcome {
    let shown = args.file.display().to_string();
    let text = match builtin_text(&shown) {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(context.path(&args.file))
            .with_context(|| format!("the catalog {shown} cannot be read"))?,
    };
    let asking = Asking::open(context).await?;
    let proposed = read_proposed(&asking.config, &shown, &text)?;
    let comparison = Comparison {
        today: &asking.config.catalog,
        proposed: &proposed,
        at: args.at.map_or(Ok(asking.now), |at| at.instant(asking.now))?,
        now: asking.now,
        samples_max: args.samples,
    };
    let bar = bar(context, accounts::count(&asking.db).await?);
    let (summary, _) = compare_all(&asking.db, comparison, None, |so_far| {
        bar.set_position(so_far);
        true
    })
    .await?;
    bar.finish_and_clear();
    asking.db.close().await;
    let out = what_if_out(&summary, comparison, None);
    context.output.either(&out, || report(&out))?;
    let bad = out.losing.accounts > 0 || out.exceeding.accounts > 0;
    Ok(if args.check && bad { Ending::Found } else { Ending::Done })
}

fn bar(context: &Context, count: u64) -> ProgressBar {
    if count < BAR_FROM || context.output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {pos}/{len} accounts {per_sec} {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn report(out: &WhatIfOut<'_>) -> String {
    let mut parts = vec![headline(out)];
    if !out.moves.is_empty() {
        let rows = out
            .moves
            .iter()
            .map(|one| vec![one.from.to_owned(), one.to.to_owned(), one.accounts.to_string()]);
        parts.push(table(&["from", "to", "accounts"], rows.collect()));
    }
    if !out.features.is_empty() {
        let number = |count: u64| if count == 0 { String::new() } else { count.to_string() };
        let rows = out.features.iter().map(|one| {
            let counts = [one.gained, one.lost, one.raised, one.lowered, one.exceeded];
            std::iter::once(one.feature.to_owned()).chain(counts.map(number)).collect()
        });
        let heading = ["feature", "gain", "lose", "raised", "lowered", "over"];
        parts.push(table(&heading, rows.collect()));
    }
    for (style, what, tally) in [
        (GOOD, "would gain", &out.gaining),
        (BAD, "would lose", &out.losing),
        (NOTICE, "would be over a limit", &out.exceeding),
    ] {
        parts.extend(samples(&styled(style, what), tally));
    }
    if !out.unpriced.is_empty() {
        let rows = out
            .unpriced
            .iter()
            .map(|one| vec![one.price.to_owned(), one.accounts.to_string()])
            .collect();
        let heading = styled(BAD, "prices that would give nothing; name them in the catalog");
        parts.push(format!("{heading}\n{}", table(&["price", "accounts"], rows)));
    }
    if !out.lost_grants.is_empty() {
        let rows = out
            .lost_grants
            .iter()
            .map(|one| vec![one.plan.to_owned(), one.accounts.to_string()])
            .collect();
        let heading = styled(BAD, "bought plans that would be gone; keep a plan of their rank");
        parts.push(format!("{heading}\n{}", table(&["plan", "accounts"], rows)));
    }
    if out.kept_sales > 0 {
        let kept = out.kept_sales;
        parts.push(format!(
            "{kept} one-time purchases would be sold otherwise and stay as they were sold {}",
            styled(FAINT, "(tollgate regrade decides them again)")
        ));
    }
    parts.join("\n\n")
}

fn headline(out: &WhatIfOut<'_>) -> String {
    let at = styled(FAINT, format_args!("at {}", out.at));
    if out.changed == 0 {
        let same = styled(GOOD, "nothing would change");
        return format!("{same} for {} accounts {at}", out.accounts);
    }
    format!(
        "{} of {} accounts would change: {} gain, {} lose, {} go over a limit {at}",
        styled(STRONG, out.changed),
        out.accounts,
        out.gaining.accounts,
        out.losing.accounts,
        out.exceeding.accounts,
    )
}

fn samples(heading: &str, tally: &TallyOut<'_>) -> Option<String> {
    if tally.accounts == 0 {
        return None;
    }
    let rows = tally.samples.iter().map(|one| {
        let plan = one.tier.as_ref().map(|tier| format!("{} > {}", tier.from, tier.to));
        vec![one.account_id.to_owned(), plan.unwrap_or_default(), differences(one)]
    });
    let shown = u64::try_from(tally.samples.len()).unwrap_or(u64::MAX);
    let more = match tally.accounts.saturating_sub(shown) {
        0 => String::new(),
        more => format!("\n{}", styled(FAINT, format_args!("and {more} more"))),
    };
    let drawn = table(&["account", "plan", "what"], rows.collect());
    Some(format!("{heading}\n{drawn}{more}"))
}

/// What is different, in one line.
fn differences(sample: &SampleOut<'_>) -> String {
    let gained = sample.gained.iter().map(|key| format!("+{key}"));
    let lost = sample.lost.iter().map(|key| format!("-{key}"));
    let moved = sample.raised.iter().chain(&sample.lowered).map(limit);
    let over = sample
        .exceeded
        .iter()
        .map(|over| format!("{}: {} used of {}", over.feature, over.used, over.limit));
    gained.chain(lost).chain(moved).chain(over).collect::<Vec<_>>().join(", ")
}

fn limit(moved: &LimitOut<'_>) -> String {
    let text = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |count| count.to_string());
    format!("{} {} > {}", moved.feature, text(moved.from), text(moved.to))
}
