//! `tollgate duplicates`. Owns: showing accounts that pay twice, and ending all subscriptions of one
//! but the kept one. Must not know: how a subscription is ended.

use anyhow::Context as _;
use clap::Args;
use tollgate_domain::ids::{AccountId, SubscriptionId};

use super::context::{Context, block_on};
use super::output::{FAINT, GOOD, NOTICE, STRONG, styled};
use super::{Ending, Outcome};
use crate::api::admin::duplicates::{AccountOut, DuplicateOut, MoneyOut, all, shown};
use crate::app::App;
use crate::billing::duplicates::DuplicateChoice;
use crate::run::QueueOnly;

/// Which accounts, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "tollgate duplicates\n\
    tollgate duplicates acme\n\
    tollgate duplicates acme --keep sub_123 --refund --apply\n\n\
    Exit code 3 when there are duplicates and nothing was applied.")]
pub(super) struct DuplicatesArgs {
    /// This account only
    #[arg(value_parser = |text: &str| AccountId::parse(text))]
    account: Option<AccountId>,
    /// The subscription to keep [default: the highest plan, then the older one]
    #[arg(long, value_name = "SUBSCRIPTION", requires = "account",
        value_parser = |text: &str| SubscriptionId::parse(text))]
    keep: Option<SubscriptionId>,
    /// Credit what is unused of the others to the customer's balance at Stripe
    #[arg(long, requires = "apply")]
    refund: bool,
    /// End the others now; without this nothing is changed
    #[arg(long, requires = "account")]
    apply: bool,
}

pub(super) fn run(context: &Context, args: &DuplicatesArgs) -> Outcome {
    block_on(async {
        let config = context.load_for_data()?;
        let db = context.open(&config).await?;
        let engine = QueueOnly::start(config, context.clock.clone(), db);
        let done = work(context, args, &engine.app).await;
        engine.end().await;
        done
    })?
}

async fn work(context: &Context, args: &DuplicatesArgs, app: &App) -> Outcome {
    let Some(account) = &args.account else {
        let found = all(app, None).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        return show(context, &found, &[]);
    };
    let keep = args.keep.as_ref();
    let before = app.duplicates(account, keep).await.context("they could not be read")?;
    let mut ended = Vec::new();
    if args.apply {
        let choice = DuplicateChoice { account, keep, credit: args.refund };
        let done = app.end_duplicates(&choice).await.context("they could not be ended")?;
        ended.extend(done.iter().map(ToString::to_string));
    }
    let mut found = Vec::new();
    if !before.is_empty() {
        let subscriptions = shown(&app.config.catalog, &before);
        found.push(AccountOut { account_id: account.to_string(), subscriptions });
    }
    show(context, &found, &ended)
}

fn show(context: &Context, found: &[AccountOut], ended: &[String]) -> Outcome {
    let value = serde_json::json!({"data": found, "ended": ended});
    context.output.either(&value, || {
        if found.is_empty() {
            return "no account has two subscriptions that give plans".to_owned();
        }
        let lines = found.iter().flat_map(|account| {
            let head = styled(STRONG, &account.account_id);
            std::iter::once(head).chain(account.subscriptions.iter().map(|one| line(one, ended)))
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(if found.is_empty() || !ended.is_empty() { Ending::Done } else { Ending::Found })
}

fn line(one: &DuplicateOut, ended: &[String]) -> String {
    let action = match one.action {
        "keep" => styled(GOOD, "keep "),
        _ if ended.contains(&one.subscription_id) => styled(NOTICE, "ended"),
        _ => styled(NOTICE, "end  "),
    };
    let money = |money: &MoneyOut| format!("{} {}", money.amount, money.currency);
    let paid = match (&one.paid, &one.unused) {
        (Some(paid), Some(unused)) => {
            format!("paid {}, of that unused {} (minor units)", money(paid), money(unused))
        }
        _ => "nothing is known of its payment".to_owned(),
    };
    format!(
        "  {action} {}  {} {}  {}",
        one.subscription_id,
        one.tier,
        one.status,
        styled(FAINT, paid)
    )
}
