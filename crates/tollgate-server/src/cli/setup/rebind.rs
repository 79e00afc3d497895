//! `tollgate setup rebind`. Owns: asking before a database is given to another Stripe account. Must
//! not know: what is done with the account.

use clap::Args;
use serde_json::json;
use tollgate_stripe::StripeClient;
use tollgate_stripe::client::{ClientOptions, SecretKey};
use tollgate_stripe::shop::fetch_account_id;

use super::super::context::{Context, block_on};
use super::super::output::{GOOD, styled};
use super::super::{Ending, Outcome, Usage};
use crate::config::{Config, Livemode};
use crate::stripe::{Binding, binding};

/// Whether it is meant.
#[derive(Debug, Args)]
pub(in super::super) struct RebindArgs {
    /// It is meant: the data belongs to the account of the configured key from now on
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &RebindArgs) -> Outcome {
    block_on(rebind(context, args))?
}

async fn rebind(context: &Context, args: &RebindArgs) -> Outcome {
    let config = context.load()?.config;
    let Some(key) = &config.stripe.secret_key else {
        return rebind_mode(context, &config, args).await;
    };
    let db = context.open(&config).await?;
    let before = Binding::find(&db).await?;
    // The guard is what is to be changed, so this client has none.
    let options = ClientOptions {
        account: config.stripe.account.clone(),
        ..ClientOptions::new(config.stripe.api_base.clone(), SecretKey::parse(key.expose())?)
    };
    let client = StripeClient::new(&options)?;
    let after = Binding { mode: client.mode(), account: fetch_account_id(&client).await? };
    let changes = before.as_ref() != Some(&after);
    if changes && !args.yes {
        let why = format!(
            "the database belongs to {}; to give it to {}, add --yes",
            words(before.as_ref()),
            words(Some(&after))
        );
        return Err(Usage(why).into());
    }
    after.save(&db).await?;
    binding::save_first_mode(&db, binding::livemode(after.mode)).await?;
    db.close().await;
    let value = json!({
        "before": before.as_ref().map(|one| words(Some(one))),
        "after": words(Some(&after)),
        "changed": changes,
    });
    context.output.either(&value, || {
        let text = format!("the database belongs to {}; restart servers", words(Some(&after)));
        styled(GOOD, text)
    })?;
    Ok(Ending::Done)
}

/// Without a key only the mode can be told: that of the data.
async fn rebind_mode(context: &Context, config: &Config, args: &RebindArgs) -> Outcome {
    let Some(mode) = config.stripe.mode else {
        return Err(
            Usage("no key and no mode: set STRIPE_SECRET_KEY or stripe.mode".to_owned()).into()
        );
    };
    let db = context.open(config).await?;
    if let Some(before) = Binding::find(&db).await? {
        let why =
            format!("the database belongs to {}: set STRIPE_SECRET_KEY", words(Some(&before)));
        return Err(Usage(why).into());
    }
    let before = binding::first_mode(&db).await?;
    let changes = before != Some(mode);
    if changes && !args.yes {
        let kept = before.map_or("no mode yet", Livemode::as_str);
        let why = format!(
            "the database holds data of {kept}; to have it hold {} mode data, add --yes",
            mode.as_str()
        );
        return Err(Usage(why).into());
    }
    binding::save_first_mode(&db, mode).await?;
    db.close().await;
    let value = json!({
        "before": before.map(Livemode::as_str), "after": mode.as_str(), "changed": changes,
    });
    context.output.either(&value, || {
        styled(GOOD, format!("the database holds {} mode data; restart servers", mode.as_str()))
    })?;
    Ok(Ending::Done)
}

fn words(binding: Option<&Binding>) -> String {
    let Some(Binding { mode, account }) = binding else { return "no account yet".to_owned() };
    let account = account.as_deref().unwrap_or("an account without a name");
    format!("{account} in {} mode", mode.as_str())
}
