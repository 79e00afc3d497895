//! `tollgate doctor`. Owns: looking for everything that could be wrong and saying how to mend it.
//! Must not know: how the parts it looks at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use http::Uri;
use serde::Serialize;
use tollgate_domain::catalog::{PlanIndex, PriceTarget};
use tollgate_domain::{FindingCode, Timestamp};
use tollgate_store::findings::FindingFilter;
use tollgate_store::{Db, Durability, migrations};
use tollgate_stripe::client::{ClientOptions, Patience, SecretKey};
use tollgate_stripe::{StripeClient, StripeError};

use super::context::{Context, block_on, sqlite_path};
use super::dev_state::FILE;
use super::http_client::{HttpClient, parse_address};
use super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, one_line, styled};
use super::{Ending, Outcome};
use crate::config::load::open_to_others;
use crate::config::{self, Config, Loaded, secret};
use crate::stripe::{DatabaseGuard, KeyStanding};

/// A clock before this is wrong: Tollgate did not exist.
const CLOCK_MIN_SECONDS: i64 = 1_767_225_600;

/// Objects named for each code of a finding.
const SUBJECTS_SHOWN: usize = 3;

/// Where to look.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3 when something is found.")]
pub(super) struct DoctorArgs {
    /// Also ask this running server [default: none]
    #[arg(long, value_parser = parse_address)]
    url: Option<Uri>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Fine,
    Notice,
    Fault,
}

/// What one look found.
#[derive(Debug, Serialize)]
struct Finding {
    about: &'static str,
    severity: Severity,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

fn fine(about: &'static str, what: impl Into<String>) -> Finding {
    Finding { about, severity: Severity::Fine, what: what.into(), mend: None }
}

fn notice(about: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, severity: Severity::Notice, what: what.into(), mend: Some(mend.into()) }
}

fn fault(about: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, severity: Severity::Fault, what: what.into(), mend: Some(mend.into()) }
}

pub(super) fn run(context: &Context, args: &DoctorArgs) -> Outcome {
    let mut findings = look_at_files(context);
    findings.push(look_at_clock(context.clock.now()));
    match config::load(&context.sources) {
        Ok(loaded) => {
            findings.extend(look_at_config(&loaded));
            findings.extend(look_at_secrets(context, &loaded.config));
            findings.extend(look_at_prices(&loaded.config));
            findings.extend(block_on(look_at_database(context, &loaded.config))?);
        }
        Err(faults) => findings.extend(faults.0.into_iter().map(|one| {
            fault(
                "configuration",
                format!("{}: {}", one.origin, one.trouble.what),
                one.trouble.mend,
            )
        })),
    }
    if let Some(url) = &args.url {
        findings.extend(block_on(look_at_server(url))?);
    }
    let found = findings.iter().filter(|one| one.severity != Severity::Fine).count();
    let value = serde_json::json!({"ok": found == 0, "findings": findings});
    context.output.either(&value, || {
        let mut lines: Vec<String> = findings.iter().map(line).collect();
        lines.push(match found {
            0 => format!("\n{}", styled(GOOD, "nothing found")),
            1 => format!("\n{}", styled(STRONG, "1 thing found")),
            more => format!("\n{}", styled(STRONG, format_args!("{more} things found"))),
        });
        lines.join("\n")
    })?;
    Ok(if found == 0 { Ending::Done } else { Ending::Found })
}

fn line(finding: &Finding) -> String {
    let mark = match finding.severity {
        Severity::Fine => styled(GOOD, "✓"),
        Severity::Notice => styled(NOTICE, "!"),
        Severity::Fault => styled(BAD, "✗"),
    };
    let mend = finding.mend.as_ref().map_or_else(String::new, |mend| {
        format!("\n{:17}{}", "", styled(FAINT, format_args!("mend: {mend}")))
    });
    format!("{mark} {:<14} {}{mend}", finding.about, one_line(&finding.what))
}

fn look_at_clock(now: Timestamp) -> Finding {
    if now.unix_seconds() < CLOCK_MIN_SECONDS {
        let what = format!("the clock says {now}");
        return fault("clock", what, "set it, by NTP; signatures and grace periods depend on it");
    }
    fine("clock", now.to_string())
}

fn look_at_files(context: &Context) -> Vec<Finding> {
    let private = [".env", FILE];
    let open = private.iter().filter_map(|name| {
        let mode = open_to_others(&context.path(name))?;
        Some(notice(
            "files",
            format!("{name} holds secrets and is readable by others (mode {mode:03o})"),
            format!("chmod 600 {name}"),
        ))
    });
    open.collect()
}

fn look_at_config(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = vec![fine("configuration", "no fault")];
    let warnings = loaded
        .warnings
        .iter()
        .filter(|one| !one.setting.is_empty() || one.origin.to_string() != ".env");
    findings.extend(warnings.map(|one| {
        notice(
            "configuration",
            format!("{}: {}", one.origin, one.trouble.what),
            one.trouble.mend.clone(),
        )
    }));
    findings
}

fn look_at_secrets(context: &Context, config: &Config) -> Vec<Finding> {
    let dev = context.dev_state().ok().flatten();
    let in_dev = dev.is_some_and(|dev| dev.database_url == config.database_url.expose());
    if config.webhook_secrets.is_empty() && in_dev {
        return vec![fine("secrets", "the one `tollgate dev` made")];
    }
    if config.webhook_secrets.is_empty() {
        return vec![notice(
            "secrets",
            "no webhook signing secret is set: webhooks are answered with 503",
            "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_…)",
        )];
    }
    let mut findings = Vec::new();
    for one in &config.webhook_secrets {
        let text = one.secret.expose();
        let masked = secret::mask(text);
        if text.starts_with("whsec_") && text.contains(['+', '/', '=']) {
            findings.push(fault(
                "secrets",
                format!("the webhook secret {masked} is base64, as Standard Webhooks has it; Stripe's are not, so no signature of Stripe will match"),
                "copy the signing secret of the endpoint from Stripe's dashboard, Webhooks",
            ));
        }
        if text.contains(char::is_whitespace) {
            findings.push(fault(
                "secrets",
                format!("the webhook secret {masked} holds white space inside"),
                "separate several secrets by commas",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(fine(
            "secrets",
            format!("{} webhook signing secret(s)", config.webhook_secrets.len()),
        ));
    }
    findings
}

fn look_at_prices(config: &Config) -> Vec<Finding> {
    let catalog = &config.catalog;
    let plans = catalog.plans.iter().enumerate().filter(|(_, plan)| !plan.prices.is_empty());
    let mut without: Vec<&str> = plans
        .filter(|(index, _)| !catalog.sells(PriceTarget::Plan(PlanIndex(*index))))
        .map(|(_, plan)| plan.id.as_str())
        .collect();
    if catalog.badge.is_some() && !catalog.sells(PriceTarget::Badge) {
        without.push("badge");
    }
    if catalog.boost.is_some() && !catalog.sells(PriceTarget::Boost) {
        without.push("boost");
    }
    if without.is_empty() {
        return vec![fine(
            "prices",
            format!(
                "everything that is sold has a Stripe price or product ({})",
                catalog.prices.len() + catalog.products.len()
            ),
        )];
    }
    vec![notice(
        "prices",
        format!("no Stripe price is mapped to {}: buying them gives nothing", without.join(", ")),
        "set STRIPE_PRODUCT_PRICE_MAP, or prices or products in the catalog",
    )]
}

async fn look_at_database(context: &Context, config: &Config) -> Vec<Finding> {
    let shown = config.database_url.to_string();
    let mut findings = Vec::new();
    if let Some(path) = sqlite_path(config.database_url.expose()) {
        if !context.path(&path).exists() {
            return vec![fine(
                "database",
                format!("{shown} is not there yet; `tollgate serve` makes it"),
            )];
        }
        if let Some(mode) = open_to_others(&context.path(&path)) {
            findings.push(notice(
                "files",
                format!("{} is readable by others (mode {mode:03o})", path.display()),
                format!("chmod 600 {0}*", path.display()),
            ));
        }
    }
    match context.connect(config, false).await {
        Ok(db) => {
            findings.push(fine("database", format!("{shown} ({})", db.engine())));
            findings.extend(look_at_schema(&db).await);
            findings.push(look_at_durability(&db).await);
            findings.extend(look_at_open_findings(&db).await);
            findings.extend(look_at_key(config, &db).await);
            db.close().await;
        }
        Err(error) => findings.push(fault(
            "database",
            format!("{error:#}"),
            "check DATABASE_URL and that the server is up",
        )),
    }
    findings
}

async fn look_at_schema(db: &Db) -> Vec<Finding> {
    let newest = match migrations::check(db).await {
        Ok(()) => return vec![fine("schema", "this version's")],
        Err(error) => error.to_string(),
    };
    vec![fault(
        "schema",
        newest,
        "`tollgate migrate status` tells more, `tollgate migrate up` brings it up",
    )]
}

/// What the engine itself found: one line for each code, with the first objects.
async fn look_at_open_findings(db: &Db) -> Vec<Finding> {
    let filter = FindingFilter { open: true, ..FindingFilter::default() };
    // Without a schema there is nothing to look at; the schema's own line says so.
    let Ok(open) = super::findings::list(db, filter).await else { return Vec::new() };
    let mut by_code: BTreeMap<FindingCode, Vec<String>> = BTreeMap::new();
    for one in open {
        by_code.entry(one.finding.code).or_default().push(one.finding.subject);
    }
    let line = |(code, subjects): (FindingCode, Vec<String>)| {
        let first: Vec<&str> = subjects.iter().take(SUBJECTS_SHOWN).map(String::as_str).collect();
        let more = subjects.len().saturating_sub(first.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let what = format!(
            "{} ({}): {} {}{more}",
            code.as_str(),
            subjects.len(),
            code.meaning(),
            first.join(", "),
        );
        notice("findings", what, format!("{} `tollgate findings` tells of each", code.remedy()))
    };
    by_code.into_iter().map(line).collect()
}

async fn look_at_durability(db: &Db) -> Finding {
    match db.durability().await {
        Ok(Durability::Full) => fine("durability", "a commit survives a crash"),
        Ok(Durability::Weak { setting, value }) => fault(
            "durability",
            format!("{setting} is {value}: the database may lose acknowledged events in a crash"),
            format!("change {setting} in the database's configuration"),
        ),
        Err(error) => fault("durability", error.to_string(), "check the database's log"),
    }
}

/// Whether the key opens the account the data belongs to; `None` without a key.
async fn look_at_key(config: &Config, db: &Db) -> Option<Finding> {
    let key = SecretKey::parse(config.stripe.secret_key.as_ref()?.expose()).ok()?;
    let guard = DatabaseGuard::new(db.clone(), &config.catalog);
    let options = ClientOptions {
        account: config.stripe.account.clone(),
        guard: Some(Arc::new(guard.clone())),
        patience: Patience { tries_max: 1, ..Patience::request() },
        ..ClientOptions::new(config.stripe.api_base.clone(), key)
    };
    let admitted = match StripeClient::new(&options) {
        Ok(client) => client.admit_key().await,
        Err(error) => return Some(fault("stripe", error.to_string(), "see the system's log")),
    };
    Some(match (admitted, guard.standing()) {
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
        (Err(error), _) => notice(
            "stripe",
            format!("whether the key opens the database's account cannot be told: {error}"),
            "check STRIPE_SECRET_KEY and that Stripe can be reached",
        ),
    })
}

async fn look_at_server(url: &Uri) -> Vec<Finding> {
    let base = url.to_string();
    let Ok(address) = format!("{}/readyz", base.trim_end_matches('/')).parse() else {
        return vec![fault(
            "server",
            format!("{url} is no address of a server"),
            "give it like http://127.0.0.1:8080",
        )];
    };
    match HttpClient::new().get(&address).await {
        Ok(answer) if answer.status.is_success() => vec![fine("server", format!("{url} is ready"))],
        Ok(answer) => {
            let body: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            vec![fault("server", format!("{url} answers {}: {body}", answer.status), "see its log")]
        }
        Err(error) => vec![fault("server", error.to_string(), "is it running? `tollgate serve`")],
    }
}
