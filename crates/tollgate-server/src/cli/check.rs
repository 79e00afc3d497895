//! `tollgate check`. Owns: one answer for people or programs. Must not know: how it is decided.

use clap::Args;
use tollgate_domain::catalog::Limit;
use tollgate_domain::entitlement::{Answer, Resolution};
use tollgate_domain::ids::{AccountId, FeatureKey};

use super::asking::Asking;
use super::at::{self, At};
use super::context::{Context, block_on};
use super::output::{BAD, FAINT, GOOD, STRONG, print_json, print_line, styled};
use super::{Ending, Outcome};
use crate::api::checks::{self, CheckIn};

/// What is asked.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 when the account may, 3 when it may not.\n\n\
    tollgate check acme weekly_digest\n\
    tollgate check acme weekly_digest --at +26h")]
pub(super) struct CheckArgs {
    /// The account, as the application calls it
    #[arg(value_parser = |text: &str| AccountId::parse(text))]
    account: AccountId,
    /// The feature's key
    #[arg(value_parser = |text: &str| FeatureKey::parse(text))]
    feature: FeatureKey,
    /// Ask as of this time: 2026-11-21T10:00:00Z, +26h, -2d
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<At>,
    /// Ask for this many uses or units
    #[arg(long, default_value_t = 1, value_name = "N")]
    usage: u64,
}

pub(super) fn run(context: &Context, args: &CheckArgs) -> Outcome {
    block_on(ask(context, args))?
}

async fn ask(context: &Context, args: &CheckArgs) -> Outcome {
    let asking = Asking::open(context).await?;
    let resolved = asking.resolve(&args.account, args.at).await?;
    let resolution = &resolved.resolution;
    let answer = asking.answer(&args.account, &resolved, &args.feature, args.usage).await?;
    let catalog = &asking.config.catalog;
    if context.output.is_json() {
        let question = CheckIn {
            account_id: args.account.as_str().into(),
            feature: args.feature.as_str().into(),
            requested_usage: Some(args.usage),
            consume: false,
            min_revision: None,
            at: None,
            explain: true,
        };
        let reply = checks::render(catalog, resolution, &answer, &question)?;
        print_json(&serde_json::from_slice::<serde_json::Value>(&reply)?)?;
    } else {
        let tier = catalog.plan(resolution.plan).map_or("no plan", |plan| plan.name.as_str());
        for line in told(args, &answer, resolution, tier) {
            print_line(line);
        }
        if let Some(plan) = answer.required_plan.and_then(|index| catalog.plan(index)) {
            let link = catalog.upgrade_link(plan, &args.account);
            let link = link.map_or_else(String::new, |link| format!(" ({link})"));
            print_line(format_args!("  needs       {}{link}", plan.name));
        }
        let hint = format!("tollgate why {} {}", args.account, args.feature);
        print_line(styled(FAINT, format_args!("  more: {hint}")));
    }
    Ok(if answer.can_access { Ending::Done } else { Ending::Found })
}

fn told(args: &CheckArgs, answer: &Answer, resolution: &Resolution, tier: &str) -> Vec<String> {
    let verdict = if answer.can_access { styled(GOOD, "yes") } else { styled(BAD, "no") };
    let question =
        format!("{} may use {}", styled(STRONG, &args.account), styled(STRONG, &args.feature));
    let mut lines = vec![
        format!("{question}: {verdict}"),
        format!("  because     {} ({})", answer.message, answer.reason.as_str()),
        format!("  plan        {tier}, by {}", resolution.source.as_str()),
    ];
    match (answer.limit, answer.usage) {
        (Some(Limit::Count(limit)), Some(used)) => {
            lines.push(format!("  used        {used} of {limit}"));
        }
        (Some(Limit::Count(limit)), None) => lines.push(format!("  limit       {limit}")),
        (Some(Limit::Unlimited), _) => lines.push("  limit       none".to_owned()),
        (None, _) => {}
    }
    let times = [
        ("grace until", resolution.grace_until.filter(|_| resolution.in_grace)),
        ("resets at", answer.resets_at),
        ("valid until", resolution.valid_until),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            lines.push(format!("  {name:<11} {time}"));
        }
    }
    lines
}
