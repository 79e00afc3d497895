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
use crate::stripe::Binding;

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
        return Err(Usage("no key: set STRIPE_SECRET_KEY".to_owned()).into());
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

fn words(binding: Option<&Binding>) -> String {
    let Some(Binding { mode, account }) = binding else { return "no account yet".to_owned() };
    let account = account.as_deref().unwrap_or("an account without a name");
    format!("{account} in {} mode", mode.as_str())
}
