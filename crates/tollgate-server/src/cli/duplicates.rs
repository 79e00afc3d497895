//! `tollgate duplicates`. Owns: showing accounts that pay twice, and ending all subscriptions of one
//! but the kept one. Must not know: how a subscription is ended.

use anyhow::Context as _;
use clap::Args;
use tollgate_domain::ids::{AccountId, SubscriptionId};
use tollgate_store::accounts;

use super::context::{Context, block_on};
use super::output::{FAINT, GOOD, NOTICE, STRONG, styled};
use super::{Ending, Outcome};
use crate::api::admin::duplicates::{AccountOut, DuplicateOut, MoneyOut, all, shown};
use crate::app::App;
use crate::billing::duplicates::{DuplicateChoice, Ended};
use crate::run::QueueOnly;

/// Which accounts, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "tollgate duplicates\n\
    tollgate duplicates acme --refund\n\
    tollgate duplicates acme --keep sub_123 --refund --apply\n\n\
    Without --apply nothing is changed: what would be done is shown.\n\
    Exit code 3 when duplicates are left.")]
pub(super) struct DuplicatesArgs {
    /// This account only
    #[arg(value_parser = |text: &str| AccountId::parse(text))]
    account: Option<AccountId>,
    /// The subscription to keep [default: the highest plan, then the older one]
    #[arg(long, value_name = "SUBSCRIPTION", requires = "account",
        value_parser = |text: &str| SubscriptionId::parse(text))]
    keep: Option<SubscriptionId>,
    /// Credit what is unused of the others to the customer's balance at Stripe
    #[arg(long, requires = "account")]
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
        return show(context, None, &found, None);
    };
    let keep = args.keep.as_ref();
    if accounts::revision(&app.engine.db, account).await?.is_none() {
        return Err(anyhow::anyhow!("there is no account {account}"));
    }
    let mut before = app.duplicates(account, keep).await?;
    let mut done = None;
    // Where there is nothing to end, no key is needed for it.
    if args.apply && before.is_empty() {
        done = Some(Ended::default());
    } else if args.apply {
        let choice = DuplicateChoice { account, keep, credit: args.refund };
        let ended = app.end_duplicates(&choice).await.context("they could not be ended")?;
        before.clone_from(&ended.before);
        done = Some(ended);
    }
    let mut found = Vec::new();
    if !before.is_empty() {
        let subscriptions = shown(&app.config.catalog, &before, args.refund);
        found.push(AccountOut { account_id: account.to_string(), subscriptions });
    }
    show(context, Some(account), &found, done.as_ref())
}

/// What was found, and what was done about it; `None`: nothing was to be done.
fn show(
    context: &Context,
    account: Option<&AccountId>,
    found: &[AccountOut],
    done: Option<&Ended>,
) -> Outcome {
    let texts = |ids: &[SubscriptionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let ended = done.map(|done| texts(&done.ended)).unwrap_or_default();
    let left = done.map(|done| texts(&done.left)).unwrap_or_default();
    let applied = done.is_some();
    let value =
        serde_json::json!({"data": found, "applied": applied, "ended": ended, "left": left});
    context.output.either(&value, || {
        if found.is_empty() {
            let who = account.map_or("no account", AccountId::as_str);
            let has = if account.is_some() { "does not have" } else { "has" };
            return format!("{who} {has} two subscriptions that give plans");
        }
        let lines = found.iter().flat_map(|account| {
            let head = styled(STRONG, &account.account_id);
            std::iter::once(head).chain(account.subscriptions.iter().map(|one| line(one, &ended)))
        });
        let hint = (!applied).then(|| {
            styled(FAINT, "nothing was changed: `tollgate duplicates ACCOUNT --apply` ends them")
        });
        lines.chain(hint).collect::<Vec<_>>().join("\n")
    })?;
    Ok(if found.is_empty() || (applied && left.is_empty()) { Ending::Done } else { Ending::Found })
}

fn line(one: &DuplicateOut, ended: &[String]) -> String {
    let action = match one.action {
        "keep" => styled(GOOD, "keep   "),
        "by_hand" => styled(NOTICE, "by hand"),
        _ if ended.contains(&one.subscription_id) => styled(NOTICE, "ended  "),
        _ => styled(NOTICE, "end    "),
    };
    let money = |money: &MoneyOut| format!("{} {}", money.amount, money.currency);
    let mut paid = match (&one.paid, &one.unused) {
        (Some(paid), Some(unused)) => {
            format!("paid {}, of that unused {} (minor units)", money(paid), money(unused))
        }
        _ => "nothing is known of its payment".to_owned(),
    };
    if let Some(credit) = &one.credit {
        paid = format!("{paid}, to be credited: {}", money(credit));
    }
    let status = one.status.as_deref().unwrap_or("known by its invoices");
    let line = format!(
        "  {action} {}  {} {status}  {}",
        one.subscription_id,
        one.tier,
        styled(FAINT, paid)
    );
    match one.hint {
        Some(hint) => format!("{line}\n          {hint}"),
        None => line,
    }
}
