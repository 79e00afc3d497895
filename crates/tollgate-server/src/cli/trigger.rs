//! `tollgate trigger`. Owns: which events are sent where, and telling what became of them. Must not
//! know: what events look like (the sandbox does), how a request is made.

use clap::{Args, ValueEnum};
use http::Uri;
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::{AccountId, MemberId};
use tollgate_sandbox::delivery::{self, DeliveryOptions};
use tollgate_sandbox::{
    ApiVersion, Override, Scenario, ScenarioError, ScenarioOptions, StripeEvent, single,
};
use tollgate_stripe::SigningSecret;

use super::at::{self, At};
use super::context::{Context, block_on};
use super::http_client::parse_address;
use super::output::{FAINT, STRONG, print_note, styled, table};
use super::{Ending, Outcome, Usage};
use crate::config::{Config, Secret};

mod folder;
pub(super) mod send;
mod through;

use send::{Letter, Report, Sender};

/// What to send where.
#[derive(Debug, Args)]
#[command(after_help = "tollgate trigger list\n\
    tollgate trigger scenario dunning --account acme\n\
    tollgate trigger invoice.paid --account acme --override amount_paid=9900\n\
    tollgate trigger scenario renewal --api-version 2020-08-27 --times 20 --shuffle --duplicate\n\
    tollgate trigger --from-folder events/ --sign\n\n\
    Where `tollgate dev` runs, events go through its sandbox, which knows afterwards what happened.\n\
    With --override, --url, --secret or --from-folder they are sent directly.")]
pub(super) struct TriggerArgs {
    /// An event type such as invoice.paid, or `scenario NAME`, or `list`
    #[arg(value_name = "EVENT|scenario NAME|list", required_unless_present = "from_folder", num_args = 1..=2, conflicts_with = "from_folder")]
    what: Vec<String>,
    /// The account the events are about
    #[arg(long, default_value = "acme", value_parser = |text: &str| AccountId::parse(text))]
    account: AccountId,
    /// The member who boosts or buys a badge
    #[arg(long, value_parser = |text: &str| MemberId::parse(text))]
    member: Option<MemberId>,
    /// The plan that is bought or changed to
    #[arg(long)]
    plan: Option<String>,
    /// How often it is paid
    #[arg(long, value_enum, default_value = "month")]
    interval: IntervalArg,
    /// Change the event's object: path=value, such as items.data.0.quantity=3
    #[arg(long = "override", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Write the events in this version of Stripe's API [default: the newest]
    #[arg(long, value_name = "VERSION", value_parser = ApiVersion::parse)]
    api_version: Option<ApiVersion>,
    /// Send so many of them, each time with events of their own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    times: u32,
    /// Send in any order
    #[arg(long)]
    shuffle: bool,
    /// Send every event twice
    #[arg(long)]
    duplicate: bool,
    /// Makes the events and their order the same each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Let the story end at this time [default: now]
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<At>,
    /// Send every .json file under this folder that holds events
    #[arg(long, value_name = "DIR", requires = "sign")]
    from_folder: Option<std::path::PathBuf>,
    /// Sign the bodies of the folder anew
    #[arg(long, requires = "from_folder")]
    sign: bool,
    /// Give each event of the folder an id of its own; collections of samples often share one
    #[arg(long, requires = "from_folder")]
    fresh_ids: bool,
    /// The server [default: TOLLGATE_URL, else the one of `tollgate dev`]
    #[arg(long, value_parser = parse_address)]
    url: Option<Uri>,
    /// What to sign with [default: STRIPE_WEBHOOK_SECRET, else the one of `tollgate dev`]
    #[arg(long, value_name = "WHSEC")]
    secret: Option<String>,
}

/// How often a price is paid.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum IntervalArg {
    Month,
    Year,
    Once,
}

impl From<IntervalArg> for Interval {
    fn from(argument: IntervalArg) -> Self {
        match argument {
            IntervalArg::Month => Self::Month,
            IntervalArg::Year => Self::Year,
            IntervalArg::Once => Self::OneTime,
        }
    }
}

/// What the words ask for.
enum Asked<'a> {
    List,
    Scenario(&'a str),
    Event(&'a str),
    Folder(&'a std::path::Path),
}

impl TriggerArgs {
    fn asked(&self) -> Result<Asked<'_>, Usage> {
        if let Some(folder) = &self.from_folder {
            return Ok(Asked::Folder(folder));
        }
        let words: Vec<&str> = self.what.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["list"] => Ok(Asked::List),
            ["scenario"] => {
                Err(Usage("which scenario? `tollgate trigger list` shows them all".to_owned()))
            }
            ["scenario", _] if !self.overrides.is_empty() => Err(Usage(
                "--override changes one event, so it does not go with a scenario".to_owned(),
            )),
            ["scenario", name] => Ok(Asked::Scenario(name)),
            [event] => Ok(Asked::Event(event)),
            words => Err(Usage(format!(
                "{:?} is neither an event type nor `scenario NAME` nor `list`",
                words.join(" ")
            ))),
        }
    }
}

pub(super) fn run(context: &Context, args: &TriggerArgs) -> Outcome {
    let asked = args.asked()?;
    if let Asked::List = asked {
        return list(context);
    }
    if let Some(report) = through::tell(context, args, &asked)? {
        return finish(context, &report);
    }
    let config = context.load_for_data()?;
    let sender =
        Sender::new(webhook_address(context, args, &config)?, secret(context, args, &config)?);
    let letters = match asked {
        Asked::Folder(folder) => {
            let read = folder::read(&context.path(folder), args.fresh_ids)?;
            folder::tell_skipped(&read);
            read.letters
        }
        Asked::Scenario(name) => generated(context, args, &config, |options| {
            Scenario::build(name, &config.catalog, options)
        })?,
        Asked::Event(kind) => {
            let edits: Vec<Override> = args
                .overrides
                .iter()
                .map(|text| Override::parse(text))
                .collect::<Result<_, _>>()
                .map_err(|error| Usage(error.to_string()))?;
            generated(context, args, &config, |options| {
                single::event(kind, &config.catalog, options, &edits).map(|event| vec![event])
            })?
        }
        Asked::List => Vec::new(),
    };
    let in_order = args.from_folder.is_none() && !args.shuffle;
    let clock = context.clock.clone();
    let report = block_on(sender.send_all(letters, in_order, clock, context.output))?;
    finish(context, &report)
}

fn finish(context: &Context, report: &Report) -> Outcome {
    report.tell(context.output)?;
    if report.is_accepted() { Ok(Ending::Done) } else { Err(report.failure()) }
}

/// The events of every telling, in the order they are to be sent.
fn generated(
    context: &Context,
    args: &TriggerArgs,
    config: &Config,
    build: impl Fn(&ScenarioOptions) -> Result<Vec<StripeEvent>, ScenarioError>,
) -> anyhow::Result<Vec<Letter>> {
    if !config.catalog.sells_anything() {
        let text = "the catalog maps no Stripe price, so the events name prices of the sandbox, which only \
                    `tollgate dev` knows (map yours with STRIPE_PRODUCT_PRICE_MAP)";
        print_note(styled(FAINT, text));
    }
    let now = context.clock.now();
    let ends_at = args.at.map_or(Ok(now), |at| at.instant(now))?;
    let seed = args.seed.unwrap_or_else(|| u64::try_from(now.millis()).unwrap_or_default());
    let tellings = usize::try_from(args.times)?;
    let mut told: Vec<Vec<StripeEvent>> = Vec::with_capacity(tellings);
    for telling in 0..u64::from(args.times) {
        let options = options(args, ends_at, seed.wrapping_add(telling));
        told.push(build(&options).map_err(|error| Usage(error.to_string()))?);
    }
    let events = told.iter().map(Vec::len).max().unwrap_or(0);
    let order =
        DeliveryOptions { times: tellings, duplicate: args.duplicate, shuffle: args.shuffle, seed };
    let find = |delivery: delivery::Delivery| {
        told.get(delivery.telling)?.get(delivery.event).map(Letter::of)
    };
    Ok(delivery::plan(events, order).into_iter().filter_map(find).collect())
}

fn options(args: &TriggerArgs, at: Timestamp, seed: u64) -> ScenarioOptions {
    let mut options = ScenarioOptions::new(args.account.clone(), at);
    options.member.clone_from(&args.member);
    options.plan.clone_from(&args.plan);
    options.interval = args.interval.into();
    options.seed = seed;
    options.api_version = args.api_version.unwrap_or_default();
    options
}

fn webhook_address(context: &Context, args: &TriggerArgs, config: &Config) -> anyhow::Result<Uri> {
    let address = match (&args.url, context.variable("TOLLGATE_URL")?) {
        (Some(address), _) => address.clone(),
        (None, Some(text)) => {
            parse_address(&text).map_err(|error| Usage(format!("TOLLGATE_URL: {error}")))?
        }
        (None, None) => {
            let left = context.dev_state()?.map(|dev| dev.url);
            parse_address(&left.unwrap_or_else(|| format!("http://{}", config.listen)))
                .map_err(Usage)?
        }
    };
    if address.path() != "/" {
        return Ok(address);
    }
    let base = address.to_string();
    Ok(format!("{}/api/v1/billing/webhook", base.trim_end_matches('/')).parse()?)
}

fn secret(context: &Context, args: &TriggerArgs, config: &Config) -> anyhow::Result<SigningSecret> {
    let configured = config.webhook_secrets.first().map(|one| one.secret.clone());
    let left = || -> anyhow::Result<Option<Secret>> {
        Ok(context.dev_state()?.map(|dev| Secret::new(dev.webhook_secret)))
    };
    let secret = match (&args.secret, configured) {
        (Some(given), _) => Some(Secret::new(given.as_str())),
        (None, Some(configured)) => Some(configured),
        (None, None) => left()?,
    };
    let Some(secret) = secret else {
        let what = "nothing to sign with: give --secret, set STRIPE_WEBHOOK_SECRET, or start `tollgate dev`";
        return Err(Usage(what.to_owned()).into());
    };
    Ok(SigningSecret::parse(secret.expose(), "trigger")
        .map_err(|error| Usage(error.to_string()))?)
}

fn list(context: &Context) -> Outcome {
    let scenarios = Scenario::list();
    let value = serde_json::json!({
        "scenarios": scenarios
            .iter()
            .map(|one| serde_json::json!({"name": one.name, "description": one.description}))
            .collect::<Vec<_>>(),
        "events": single::event_types().collect::<Vec<_>>(),
        "apiVersions": ApiVersion::ALL.iter().map(|version| version.as_str()).collect::<Vec<_>>(),
    });
    context.output.either(&value, || {
        let rows =
            scenarios.iter().map(|one| vec![one.name.to_owned(), one.description.to_owned()]);
        let versions: Vec<&str> = ApiVersion::ALL.iter().map(|version| version.as_str()).collect();
        format!(
            "{}\n{}\n\n{}\n{}\n\n{}\n{}",
            styled(STRONG, "Scenarios"),
            table(&["name", "what happens"], rows.collect()),
            styled(STRONG, "Events"),
            single::event_types().collect::<Vec<_>>().join("\n"),
            styled(STRONG, "API versions"),
            versions.join("\n")
        )
    })?;
    Ok(Ending::Done)
}
