//! Events through the sandbox that runs. Owns: when a story is told to it instead of to the server.
//! Must not know: how it delivers.

use clap::ValueEnum as _;
use serde_json::{Map, Value, json};

use super::super::Usage;
use super::send::Report;
use super::{Asked, TriggerArgs};
use crate::cli::context::{Context, block_on};
use crate::cli::sandbox::Remote;

/// The sandbox tells a story at most so often.
const TIMES_MAX: u32 = 1_000;

/// Tells a story to the sandbox of `tollgate dev`, where it runs, and waits for its deliveries.
/// `None`: the events are to be sent directly, because nobody runs one, or because they are to go
/// elsewhere or to say what Stripe would not.
pub(super) fn tell(
    context: &Context,
    args: &TriggerArgs,
    asked: &Asked<'_>,
) -> anyhow::Result<Option<Report>> {
    let story = match asked {
        Asked::Scenario(name) => ("scenario", *name),
        Asked::Event(kind) if args.overrides.is_empty() => ("event", *kind),
        Asked::Event(_) | Asked::List | Asked::Folder(_) => return Ok(None),
    };
    let now = context.clock.now();
    // The sandbox tells what has happened, not what will.
    let at = args.at.map(|at| at.instant(now)).transpose()?;
    let ahead = at.is_some_and(|at| at > now);
    let elsewhere = ahead || args.url.is_some() || args.secret.is_some() || args.times > TIMES_MAX;
    if elsewhere || context.variable("TOLLGATE_URL")?.is_some() {
        return Ok(None);
    }
    let Some(base) = context.dev_state()?.and_then(|dev| dev.sandbox_url) else { return Ok(None) };
    block_on(async {
        let sandbox = Remote::at(&base);
        if !sandbox.is_up().await {
            return Ok(None);
        }
        let told = sandbox.post("/scenario", &body(context, args, story)?).await?;
        let attempts = told.get("deliveries").and_then(Value::as_array);
        let attempts = attempts.map(Vec::as_slice).unwrap_or_default();
        Ok(Some(Report::told(sandbox.base(), attempts)))
    })?
}

fn body(context: &Context, args: &TriggerArgs, (what, name): (&str, &str)) -> Result<Value, Usage> {
    let now = context.clock.now();
    let seed = args.seed.unwrap_or_else(|| u64::try_from(now.millis()).unwrap_or_default());
    let mut body = json!({
        "account": args.account.as_str(),
        "seed": seed,
        "times": args.times,
        "duplicate": args.duplicate,
        "shuffle": args.shuffle,
        "interval": args.interval.to_possible_value().map(|value| value.get_name().to_owned()),
    });
    let mut optional = Map::new();
    optional.insert(what.to_owned(), name.into());
    if let Some(member) = &args.member {
        optional.insert("member".to_owned(), member.as_str().into());
    }
    if let Some(plan) = &args.plan {
        optional.insert("plan".to_owned(), plan.as_str().into());
    }
    if let Some(at) = args.at {
        optional.insert("atMs".to_owned(), at.instant(now)?.millis().into());
    }
    if let Some(version) = args.api_version {
        optional.insert("apiVersion".to_owned(), version.as_str().into());
    }
    if let Some(fields) = body.as_object_mut() {
        fields.extend(optional);
    }
    Ok(body)
}
