//! `tollgate setup`. Owns: the order of the parts, what is asked, and the table of what was done.
//! Must not know: how products, endpoints and the portal are made.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
use tollgate_domain::catalog::push::{self, Standing, Step};
use tollgate_store::meta;
use tollgate_stripe::StripeClient;
use tollgate_stripe::client::{KeyMode, SecretKey};
use tollgate_stripe::shop::{Payload, fetch_account_id, fetch_stock};

use super::context::{Context, block_on};
use super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, print_note, styled, table};
use super::plan::keep::Keeper;
use super::plan::push::nonce;
use super::{Ending, Outcome, Usage};
use crate::api::webhooks;
use crate::billing::portal::CONFIGURATION;
use crate::catalog_sync::{
    PortalStanding, Push, in_words, look_at_portal, portal_wish, settle_portal,
};
use crate::config::Config;
use crate::stripe::Binding;

mod endpoint;
mod private;
mod rebind;

use endpoint::EndpointSetup;
use private::DotEnv;
use rebind::RebindArgs;

/// What to set up.
#[derive(Debug, Subcommand)]
pub(super) enum SetupCommand {
    /// Make everything Tollgate needs in a Stripe account; running it again changes nothing
    ///
    /// Checks the key, makes or finds the catalog's products and prices, the webhook endpoint with
    /// exactly the events that have effects, and the customer portal's configuration, and saves the
    /// webhook's secret into .env without showing it.
    Stripe(StripeArgs),
    /// Let the database belong to the Stripe account of the configured key
    ///
    /// A database belongs to the account and mode of the first key that was used with it, and works
    /// with no other. This is for the rare case that the data really moved to another account.
    Rebind(RebindArgs),
}

/// How to set Stripe up.
#[derive(Debug, Args)]
#[command(
    after_help = "The key is read from STRIPE_SECRET_KEY (or .env), else asked for; it is never an \
    argument, where other programs could read it.\n\
    Exit code 3 when something is in the way."
)]
pub(super) struct StripeArgs {
    /// Ask nothing
    #[arg(long)]
    non_interactive: bool,
    /// Where Stripe reaches the server, with https and a public name
    #[arg(long, value_name = "URL", value_parser = server_address)]
    url: Option<String>,
    /// Where the customer portal leads back to
    #[arg(long, value_name = "URL")]
    return_url: Option<String>,
    /// This is meant for the account where real money moves
    #[arg(long)]
    live: bool,
    /// The form of the events: snapshots carry their objects, thin ones name them, and each object is
    /// asked for with the key [default: as it is set up, else snapshot]
    #[arg(long, value_enum, value_name = "FORM")]
    events: Option<EventsForm>,
    /// Make a new webhook endpoint, where the secret of the one that is there is lost
    #[arg(long)]
    replace_endpoint: bool,
    /// Also withdraw products and prices we made and the catalog offers no more
    #[arg(long)]
    prune: bool,
}

/// The form of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EventsForm {
    /// With their objects
    Snapshot,
    /// With references to their objects
    Thin,
}

impl EventsForm {
    const fn payload(self) -> Payload {
        match self {
            Self::Snapshot => Payload::Snapshot,
            Self::Thin => Payload::Thin,
        }
    }
}

/// The address of a server, without its path.
fn server_address(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let uri: http::Uri =
        text.parse().map_err(|error| format!("{text:?} is no address: {error}"))?;
    let schemed = matches!(uri.scheme_str(), Some("https" | "http"));
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if schemed && bare && uri.authority().is_some() {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} must look like https://billing.example.com, without a path"))
}

/// What became of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Became {
    /// It was made.
    Made,
    /// It was there and was changed.
    Changed,
    /// It was there and is as it should be.
    Found,
    /// It was not asked for.
    Skipped,
    /// People have to do something.
    Blocked,
}

/// A line of the report.
#[derive(Debug, Serialize)]
struct Row {
    part: &'static str,
    result: Became,
    what: String,
}

/// What is told in the end.
#[derive(Debug, Default)]
struct Report(Vec<Row>);

impl Report {
    fn add(&mut self, part: &'static str, result: Became, what: impl Into<String>) {
        self.0.push(Row { part, result, what: what.into() });
    }

    fn is_blocked(&self) -> bool {
        self.0.iter().any(|row| row.result == Became::Blocked)
    }
}

pub(super) fn run(context: &Context, command: &SetupCommand) -> Outcome {
    let args = match command {
        SetupCommand::Stripe(args) => args,
        SetupCommand::Rebind(args) => return rebind::run(context, args),
    };
    let somebody_there = std::io::stdin().is_terminal() && !context.output.is_json();
    if !args.non_interactive && !somebody_there {
        let why = "nobody can be asked here: add --non-interactive";
        return Err(Usage(why.to_owned()).into());
    }
    block_on(set_up(context, args))?
}

async fn set_up(context: &Context, args: &StripeArgs) -> Outcome {
    let config = context.load()?.config;
    let mut env = DotEnv::open(context)?;
    let mut report = Report::default();
    let client = open(context, &config, args, &mut env, &mut report).await?;
    let account = check_key(&client, args).await?;
    let mode = client.mode().as_str();
    let named = account.as_deref().unwrap_or("an account it may not name (a restricted key)");
    report.add("key", Became::Found, format!("opens {named} in {mode} mode"));
    let binding = Binding { mode: client.mode(), account: account.clone() };
    // The key was accepted, so it is worth keeping.
    env.save()?;
    let nonce = nonce(context);
    let pushed = push_catalog(context, &config, args, (&client, &nonce), &mut report).await?;
    let id = set_up_portal(&config, args, (&client, &nonce), &pushed, &mut report).await?;
    match remember(context, &config, &id, &binding).await {
        Ok(changed) => {
            let result = if changed { Became::Changed } else { Became::Found };
            report.add("database", result, "knows its account and the portal of its customers");
        }
        Err(error) => {
            let what = format!("{error:#}; `tollgate migrate up`, then run it again");
            report.add("database", Became::Blocked, what);
        }
    }
    let url = address(args)?;
    match url {
        Some(url) => {
            let url = format!("{url}{}", webhooks::PATH);
            let setup = EndpointSetup {
                client: &client,
                nonce: &nonce,
                url: &url,
                catalog: &config.catalog.name,
                payload: args.events.map(EventsForm::payload),
                replace: args.replace_endpoint,
                secrets: &config.webhook_secrets,
            };
            setup.run(&mut env, &mut report).await?;
        }
        None => report.add(
            "webhook",
            Became::Skipped,
            "no address was given; run it again with --url https://… once the server has one",
        ),
    }
    tell(context, account.as_deref(), mode, &report)?;
    Ok(if report.is_blocked() { Ending::Found } else { Ending::Done })
}

/// The client, with the key that is configured or typed in.
async fn open(
    context: &Context,
    config: &Config,
    args: &StripeArgs,
    env: &mut DotEnv,
    report: &mut Report,
) -> anyhow::Result<StripeClient> {
    if config.stripe.secret_key.is_some() {
        return context.stripe(config).await;
    }
    if args.non_interactive {
        let why = "no key: set STRIPE_SECRET_KEY in the environment or in .env";
        return Err(Usage(why.to_owned()).into());
    }
    let term = console::Term::stderr();
    term.write_str(
        "Secret key (sk_… or rk_…, from Stripe's dashboard, API keys; it is not shown): ",
    )?;
    let text = term.read_secure_line()?;
    let key = SecretKey::parse(&text)?;
    let client = context.stripe_with(config, key).await?;
    env.set("STRIPE_SECRET_KEY", text.trim());
    report.add(".env", Became::Changed, "STRIPE_SECRET_KEY saved");
    Ok(client)
}

/// The account the key opens, where it may name it.
async fn check_key(client: &StripeClient, args: &StripeArgs) -> anyhow::Result<Option<String>> {
    match (client.mode(), args.live) {
        (KeyMode::Live, false) if args.non_interactive => {
            let why =
                "the key opens the account where real money moves: add --live if that is meant";
            return Err(Usage(why.to_owned()).into());
        }
        (KeyMode::Live, false) => {
            let term = console::Term::stderr();
            term.write_str("This key opens the account where real money moves. Go on? [y/N] ")?;
            if !matches!(term.read_line()?.trim(), "y" | "Y" | "yes") {
                anyhow::bail!("nothing was changed");
            }
        }
        (KeyMode::Test, true) => {
            let why = "--live was given, and the key is one of the test mode";
            return Err(Usage(why.to_owned()).into());
        }
        (KeyMode::Live, true) | (KeyMode::Test, false) => {}
    }
    client.admit_key().await.context("the key is not used")?;
    fetch_account_id(client).await.context("Stripe does not take the key")
}

/// Where the server is, as given or typed in.
fn address(args: &StripeArgs) -> anyhow::Result<Option<String>> {
    if args.url.is_some() || args.non_interactive {
        return Ok(args.url.clone());
    }
    let term = console::Term::stderr();
    loop {
        term.write_str(
            "Address of your server, as Stripe reaches it (https://…; empty for later): ",
        )?;
        let text = term.read_line()?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        match server_address(&text) {
            Ok(url) => return Ok(Some(url)),
            Err(why) => term.write_line(&why)?,
        }
    }
}

async fn push_catalog<'c>(
    context: &Context,
    config: &Config,
    args: &StripeArgs,
    (client, nonce): (&'c StripeClient, &str),
    report: &mut Report,
) -> anyhow::Result<Push<'c>> {
    let stock = fetch_stock(client).await.context("what is for sale cannot be read")?;
    let keeper = Keeper::new(context, config);
    keeper.check(&push::agenda(&config.catalog, &stock).steps)?;
    let catalog = config.catalog.clone();
    let mut run = Push { client, catalog, stock, nonce: nonce.to_owned() };
    let json = context.output.is_json();
    let told = |step: &Step| {
        if !json {
            print_note(format_args!("{} {}", styled(GOOD, "+"), in_words(step)));
        }
    };
    let done = run.run(args.prune, |key, price| keeper.keep(key, price), told).await?;
    let after = push::agenda(&run.catalog, &run.stock);
    let count = |wanted: fn(&Standing) -> bool| {
        after.offers.iter().filter(|(_, standing)| wanted(standing)).count()
    };
    let ours = count(|standing| matches!(standing, Standing::Sold(_)));
    let adopted = count(|standing| matches!(standing, Standing::Adopted(_)));
    let what = format!("{ours} prices of ours, {adopted} adopted, {} changes", done.len());
    let made = done
        .iter()
        .any(|step| matches!(step, Step::CreateProduct { .. } | Step::CreatePrice { .. }));
    let result = match (done.is_empty(), made) {
        (true, _) => Became::Found,
        (false, true) => Became::Made,
        (false, false) => Became::Changed,
    };
    report.add("prices", result, what);
    for price in keeper.kept() {
        let what = format!("names {price}, which was replaced and is still paid; restart servers");
        report.add("catalog", Became::Changed, what);
    }
    for (offer, _) in after.offers.iter().filter(|(_, s)| matches!(s, Standing::Blocked(_))) {
        let what = format!(
            "{} {} cannot be sold: `tollgate plan diff` says why",
            offer.key,
            offer.interval.word()
        );
        report.add("prices", Became::Blocked, what);
    }
    if !after.surplus.is_empty() {
        let what =
            format!("{} of ours are offered no more; --prune withdraws them", after.surplus.len());
        report.add("prices", Became::Skipped, what);
    }
    drop(after);
    Ok(run)
}

/// Makes the portal's configuration what it should be; returns its id.
async fn set_up_portal(
    config: &Config,
    args: &StripeArgs,
    (client, nonce): (&StripeClient, &str),
    pushed: &Push<'_>,
    report: &mut Report,
) -> anyhow::Result<String> {
    let url = args.return_url.as_deref().or(config.stripe.portal_return_url.as_deref());
    let wish = portal_wish(&pushed.catalog, &pushed.stock, url);
    let standing = look_at_portal(client, &wish)
        .await
        .context("the portal's configurations cannot be read")?;
    let id = settle_portal(client, &wish, &standing, nonce)
        .await
        .context("the portal's configuration cannot be made")?;
    let (result, plans) = (
        match standing {
            PortalStanding::Right(_) => Became::Found,
            PortalStanding::Differs(_) => Became::Changed,
            PortalStanding::Missing => Became::Made,
        },
        wish.products.len(),
    );
    report.add("portal", result, format!("{id}: customers choose among {plans} products"));
    if wish.left_out() > 0 {
        let what = format!("{} products do not fit into Stripe's portal", wish.left_out());
        report.add("portal", Became::Blocked, what);
    }
    Ok(id)
}

/// Tells the servers which account is theirs and which portal is ours; made with the database where
/// that is not there yet. Returns whether they knew another portal.
async fn remember(
    context: &Context,
    config: &Config,
    id: &str,
    binding: &Binding,
) -> anyhow::Result<bool> {
    let db = context.open_or_begin(config).await?;
    binding.claim(&db).await?;
    let known = meta::find(&db, CONFIGURATION).await?;
    let changed = known.as_deref() != Some(id);
    if changed {
        meta::save(&db, CONFIGURATION, id).await?;
    }
    db.close().await;
    Ok(changed)
}

fn tell(
    context: &Context,
    account: Option<&str>,
    mode: &str,
    report: &Report,
) -> anyhow::Result<()> {
    let value = json!({
        "account": account,
        "mode": mode,
        "ok": !report.is_blocked(),
        "parts": report.0,
    });
    context.output.either(&value, || {
        let rows = report.0.iter().map(|row| {
            let (style, word) = match row.result {
                Became::Made => (GOOD, "made"),
                Became::Changed => (GOOD, "changed"),
                Became::Found => (FAINT, "found"),
                Became::Skipped => (NOTICE, "skipped"),
                Became::Blocked => (BAD, "blocked"),
            };
            vec![row.part.to_owned(), styled(style, word), row.what.clone()]
        });
        let next = if report.is_blocked() {
            styled(NOTICE, "mend what is blocked and run it again")
        } else {
            format!("next: {}", styled(STRONG, "tollgate config check && tollgate serve"))
        };
        format!("{}\n\n{next}", table(&["part", "result", "what"], rows.collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::server_address;

    #[test]
    fn a_servers_address_has_no_path() {
        assert_eq!(server_address("https://b.example/"), Ok("https://b.example".to_owned()));
        assert_eq!(server_address("http://127.0.0.1:80"), Ok("http://127.0.0.1:80".to_owned()));
        for bad in
            ["", "b.example", "ftp://b.example", "https://b.example/hook", "https://b.example?x=1"]
        {
            assert!(server_address(bad).is_err(), "{bad}");
        }
    }
}
