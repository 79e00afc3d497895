//! `tollgate doctor`. Owns: looking for everything that could be wrong and saying how to mend it.
//! Must not know: how the parts it looks at work.

use std::time::Duration;

use clap::Args;
use http::Uri;
use serde::Serialize;
use tollgate_domain::Timestamp;

use super::context::{Context, block_on};
use super::http_client::parse_address;
use super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, one_line, styled};
use super::{Ending, Outcome};
use crate::config::{self, Config, Faults, Loaded};

mod configuration;
mod database;
mod server;
mod stripe;

/// A clock before this is wrong: Tollgate did not exist.
const CLOCK_MIN_SECONDS: i64 = 1_767_225_600;

/// Longest look at one of the database, Stripe and the running server; the last is looked at beside the
/// others.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Clocks that differ by so many seconds are worth a notice, and by so many a fault: the signature of
/// an event holds for 300 seconds, and that has to do for its delivery too.
const SKEW_NOTICE_SECONDS: i64 = 10;
const SKEW_FAULT_SECONDS: i64 = 120;

/// Where to look.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3 when something is found.")]
pub(super) struct DoctorArgs {
    /// Also ask this running server [default: TOLLGATE_URL, else none]
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
    let mut findings = configuration::look_at_files(context);
    findings.push(look_at_clock(context.clock.now()));
    let loaded = config::load(&context.sources);
    match &loaded {
        Ok(loaded) => {
            findings.extend(configuration::look_at_config(loaded));
            findings.extend(configuration::look_at_secrets(context, &loaded.config));
            findings.extend(configuration::look_at_prices(&loaded.config));
        }
        Err(faults) => findings.extend(faults.0.iter().map(|one| {
            fault(
                "configuration",
                format!("{}: {}", one.origin, one.trouble.what),
                one.trouble.mend.clone(),
            )
        })),
    }
    findings.extend(block_on(async {
        let own = async {
            let mut findings = Vec::new();
            if let Ok(loaded) = &loaded {
                look_at_own(context, &loaded.config, &mut findings).await;
            }
            findings
        };
        let (mut own, running) = tokio::join!(own, look_at_running(context, args, &loaded));
        own.extend(running);
        own
    })?);
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

/// The database, and Stripe.
async fn look_at_own(context: &Context, config: &Config, findings: &mut Vec<Finding>) {
    let mut database = None;
    let look = database::look_at_database(context, config, findings, &mut database);
    if tokio::time::timeout(LOOK_MAX, look).await.is_err() {
        findings.push(too_slow("database"));
    }
    let look = async {
        match &database {
            Some(db) => stripe::look_at_key(context, config, db).await,
            None => stripe::look_at_reach(context, config).await,
        }
    };
    match tokio::time::timeout(LOOK_MAX, look).await {
        Ok(found) => findings.extend(found),
        Err(_) => findings.push(too_slow("stripe")),
    }
    if let Some(db) = database {
        tokio::time::timeout(LOOK_MAX, db.close()).await.ok();
    }
}

/// The server that is named, if one is.
async fn look_at_running(
    context: &Context,
    args: &DoctorArgs,
    loaded: &Result<Loaded, Faults>,
) -> Vec<Finding> {
    let named = loaded.as_ref().ok().and_then(|one| one.environment.get("TOLLGATE_URL"));
    let url = match (&args.url, named.map(str::trim).filter(|text| !text.is_empty())) {
        (Some(url), _) => url.clone(),
        (None, Some(text)) => match parse_address(text) {
            Ok(url) => url,
            Err(why) => return vec![fault("server", format!("TOLLGATE_URL: {why}"), "correct it")],
        },
        (None, None) => return Vec::new(),
    };
    let look = tokio::time::timeout(LOOK_MAX, server::look_at_server(context, &url));
    look.await.unwrap_or_else(|_| vec![too_slow("server")])
}

fn too_slow(about: &'static str) -> Finding {
    let what = format!("no answer within {} s", LOOK_MAX.as_secs());
    fault(about, what, "see whether it hangs, and what it waits for")
}

/// Whether another clock says the same as ours.
fn look_at_skew(whose: &str, theirs: Timestamp, ours: Timestamp) -> Finding {
    let ahead = ours.unix_seconds().saturating_sub(theirs.unix_seconds());
    let seconds = ahead.saturating_abs();
    if seconds < SKEW_NOTICE_SECONDS {
        return fine("clock", format!("as {whose}'s"));
    }
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("this machine's clock is {seconds} s {side} {whose}'s");
    let mend = "set both by NTP; signatures, leases and grace periods depend on it";
    if seconds < SKEW_FAULT_SECONDS {
        notice("clock", what, mend)
    } else {
        fault("clock", what, mend)
    }
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
