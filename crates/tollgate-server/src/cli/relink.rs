//! `tollgate relink`. Owns: its arguments and its report. Must not know: what goes along.

use clap::Args;
use tollgate_domain::ids::{AccountId, ObjectId};

use super::context::{Context, block_on};
use super::output::{STRONG, styled};
use super::{Ending, Outcome, Usage};
use crate::api::admin::relink::RelinkOut;
use crate::app::App;
use crate::relink::{Order, RelinkError};
use crate::workers::retry;

/// What is to be moved where.
#[derive(Debug, Args)]
pub(super) struct RelinkArgs {
    /// A Stripe object: a subscription, a customer, a checkout session, an invoice, a payment
    #[arg(value_parser = |text: &str| ObjectId::parse(text))]
    object: ObjectId,
    /// The account it belongs to from now on
    #[arg(long, value_name = "ACCOUNT", value_parser = |text: &str| AccountId::parse(text))]
    to: AccountId,
    /// Why, 10 to 500 characters; written to both accounts' journals
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who says so, for the journals
    #[arg(long, value_name = "NAME", default_value = "command line")]
    by: String,
}

pub(super) fn run(context: &Context, args: &RelinkArgs) -> Outcome {
    let order = Order {
        object: args.object.clone(),
        to: args.to.clone(),
        reason: args.reason.clone(),
        by: args.by.clone(),
    };
    let out = block_on(carry_out(context, &order))??;
    context.output.either(&out, || shown(&out))?;
    Ok(Ending::Done)
}

async fn carry_out(context: &Context, order: &Order) -> anyhow::Result<RelinkOut> {
    let config = context.load_for_data()?;
    let db = context.open(&config).await?;
    let app = App::build(config, context.clock.clone(), db.clone(), None);
    let done = app.intake.relink(order).await;
    // What waited for the object belongs to it.
    if done.is_ok() {
        while retry::round(&app).await? > 0 {}
    }
    db.close().await;
    let done = done.map_err(|error| match error {
        RelinkError::Terms(refused) => Usage(refused.to_string()).into(),
        refused @ (RelinkError::ObjectUnknown { .. } | RelinkError::Store(_)) => {
            anyhow::Error::from(refused)
        }
    })?;
    Ok(RelinkOut::of(order, &done))
}

fn shown(out: &RelinkOut) -> String {
    let to = styled(STRONG, &out.account_id);
    let from = match &out.from_account_id {
        Some(from) if *from == out.account_id => {
            return format!("{} belongs to {to} already, and stays there", out.object_id);
        }
        Some(from) => format!(" from {from}"),
        None => String::new(),
    };
    let count = out.objects.len();
    let objects = if count == 1 { "object" } else { "objects" };
    format!("moved {count} {objects}{from} to {to}: {}", out.objects.join(", "))
}
