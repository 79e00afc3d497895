//! What a running server says of itself. Owns: asking it. Must not know: how it finds that out.

use http::Uri;
use serde::Deserialize;
use tollgate_store::migrations;

use super::super::context::Context;
use super::super::http_client::HttpClient;
use super::super::output::one_line;
use super::{Finding, fault, fine, look_at_skew, notice};

/// Characters shown of an answer that is none of ours.
const SHOWN_CHARS: usize = 200;

/// The part of `/readyz` that is looked at.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    schema_version: Option<u32>,
    stopping: bool,
    database: Part,
    tasks: Part,
    stripe: Part,
    webhook: Part,
}

/// A refusal of ours.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
}

#[derive(Debug, Deserialize)]
struct Part {
    status: String,
    detail: Option<String>,
}

pub(super) async fn look_at_server(context: &Context, url: &Uri) -> Vec<Finding> {
    let base = url.to_string();
    let Ok(address) = format!("{}/readyz", base.trim_end_matches('/')).parse() else {
        let what = format!("{url} is no address of a server");
        return vec![fault("server", what, "give it like http://127.0.0.1:8080")];
    };
    let answer = match HttpClient::new().get(&address).await {
        Ok(answer) => answer,
        Err(error) => {
            return vec![fault("server", error.to_string(), "is it running? `tollgate serve`")];
        }
    };
    if let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) {
        let what = format!("{url} answers {}: {}", answer.status, one_line(&problem.code));
        return vec![fault(
            "server",
            what,
            format!("see {}/docs/errors#{}", base.trim_end_matches('/'), one_line(&problem.code)),
        )];
    }
    let Ok(health) = serde_json::from_slice::<Answer>(&answer.body) else {
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = one_line(&text).chars().take(SHOWN_CHARS).collect();
        let what = format!("{url} answers {} and is no Tollgate: {text}", answer.status);
        return vec![fault("server", what, "give the address where `tollgate serve` listens")];
    };
    let mut findings = Vec::new();
    if answer.status.is_success() {
        findings.push(fine("server", format!("{url} is ready (version {})", health.version)));
    } else {
        let what = format!("{url} is not ready (version {})", health.version);
        findings.push(fault("server", what, "what follows says why; its log says more"));
    }
    if health.stopping {
        findings.push(notice("server", "it is about to stop", "wait, or ask another one"));
    }
    let parts = [
        ("its database", health.database),
        ("its tasks", health.tasks),
        ("Stripe", health.stripe),
        ("its webhook", health.webhook),
    ];
    for (name, part) in parts {
        if matches!(part.status.as_str(), "ok" | "unknown") {
            continue;
        }
        let why = part.detail.map_or_else(String::new, |why| format!(": {}", one_line(&why)));
        let what = format!("{name}: {}{why}", one_line(&part.status));
        findings.push(if part.status == "off" {
            fine("server", what)
        } else {
            fault("server", what, "see its log, and `tollgate doctor` on its machine")
        });
    }
    let known = migrations::known();
    if health.schema_version != Some(known) {
        let theirs = health.schema_version.map_or_else(|| "another".to_owned(), |v| v.to_string());
        let what = format!(
            "it works with schema {theirs}, this program with {known}: they are of different versions"
        );
        findings.push(notice("server", what, "roll the newer version out everywhere"));
    }
    findings.extend(answer.date.map(|at| look_at_skew("the server", at, context.clock.now())));
    findings
}
