//! What Stripe says. Owns: whether it can be reached, whose key it is, what time it has. Must not know:
//! what is bought.

use std::sync::Arc;
use std::time::Duration;

use tollgate_store::Db;
use tollgate_stripe::client::{ApiPath, ClientOptions, Form, Operation, Patience, SecretKey};
use tollgate_stripe::{StripeClient, StripeError};

use super::super::context::Context;
use super::{Finding, fault, fine, look_at_skew, notice};
use crate::config::Config;
use crate::stripe::{DatabaseGuard, KeyStanding};

/// Longest wait for Stripe.
const STRIPE_MAX: Duration = Duration::from_secs(5);

/// Whether Stripe answers, where there is no database to compare its account with.
pub(super) async fn look_at_reach(context: &Context, config: &Config) -> Vec<Finding> {
    let key = config.stripe.secret_key.as_ref();
    let Some(key) = key.and_then(|key| SecretKey::parse(key.expose()).ok()) else {
        return vec![none()];
    };
    let options = ClientOptions {
        patience: Patience { tries_max: 1, total: STRIPE_MAX, ..Patience::request() },
        ..ClientOptions::new(config.stripe.api_base.clone(), key)
    };
    let client = match StripeClient::new(&options) {
        Ok(client) => client,
        Err(error) => return vec![fault("stripe", error.to_string(), "see the system's log")],
    };
    let path = ApiPath::new("/v1/account");
    let asked = client.call(Operation::get("account.retrieve"), &path, &Form::new(), None).await;
    let skew = client.last_reply_at().map(|at| look_at_skew("Stripe", at, context.clock.now()));
    let standing = match asked {
        Ok(_) => fine("stripe", "it answers; whose key it is cannot be told without the database"),
        Err(error) => unanswered(config, &error),
    };
    std::iter::once(standing).chain(skew).collect()
}

fn none() -> Finding {
    fine("stripe", "no API key is set: events alone, nothing is asked or sold")
}

fn unanswered(config: &Config, error: &StripeError) -> Finding {
    let base = config.stripe.api_base.as_str();
    if matches!(error, StripeError::Unreachable { .. }) {
        return fault(
            "stripe",
            format!("{base} cannot be reached: {error}"),
            "check that this machine may open connections to it, and https://status.stripe.com",
        );
    }
    notice(
        "stripe",
        format!("{base}: {error}"),
        "check STRIPE_SECRET_KEY, its permissions and its mode",
    )
}

/// Whether the key opens the account the data belongs to; nothing without a key.
pub(super) async fn look_at_key(context: &Context, config: &Config, db: &Db) -> Vec<Finding> {
    let key = config.stripe.secret_key.as_ref();
    let Some(key) = key.and_then(|key| SecretKey::parse(key.expose()).ok()) else {
        return vec![none()];
    };
    let guard = DatabaseGuard::new(db.clone(), &config.catalog);
    let options = ClientOptions {
        account: config.stripe.account.clone(),
        guard: Some(Arc::new(guard.clone())),
        patience: Patience { tries_max: 1, total: STRIPE_MAX, ..Patience::request() },
        ..ClientOptions::new(config.stripe.api_base.clone(), key)
    };
    let client = match StripeClient::new(&options) {
        Ok(client) => client,
        Err(error) => return vec![fault("stripe", error.to_string(), "see the system's log")],
    };
    let admitted = client.admit_key().await;
    let skew = client.last_reply_at().map(|at| look_at_skew("Stripe", at, context.clock.now()));
    let standing = match (admitted, guard.standing()) {
        (Ok(()), KeyStanding::Right(binding)) => {
            let account = binding.account.as_deref().unwrap_or("an account without a name");
            let mode = binding.mode.as_str();
            fine("stripe", format!("the key opens the database's account: {account}, {mode} mode"))
        }
        (Ok(()), _) => fine("stripe", "the key opens the database's account"),
        (Err(error @ StripeError::WrongKey { .. }), _) => fault(
            "stripe",
            format!("{}: {error}", error.code()),
            "set the right STRIPE_SECRET_KEY; where the data really moved to another account, `tollgate setup rebind`",
        ),
        (Err(error), _) => unanswered(config, &error),
    };
    std::iter::once(standing).chain(skew).collect()
}
