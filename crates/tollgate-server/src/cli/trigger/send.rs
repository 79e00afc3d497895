//! Sending events. Owns: signing, sending, counting what was answered. Must not know: where events
//! come from.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tollgate_sandbox::StripeEvent;
use tollgate_stripe::SigningSecret;

use crate::cli::http_client::{HttpClient, HttpError};
use crate::cli::output::{BAD, FAINT, GOOD, Output, STRONG, print_json, print_line, styled};
use crate::clock::Clock;

/// Requests under way at once where the order does not matter.
const CONCURRENCY: usize = 16;
/// Most deliveries told one by one; more are only counted.
const TOLD_MAX: usize = 40;
/// From so many deliveries on a progress bar is shown.
const BAR_FROM: usize = 50;

/// An event ready to be signed and sent.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Letter {
    /// Its id, or the name of its file.
    pub(in crate::cli) name: String,
    /// Its type.
    pub(in crate::cli) kind: String,
    /// What is sent.
    pub(in crate::cli) body: Bytes,
}

impl Letter {
    pub(in crate::cli) fn of(event: &StripeEvent) -> Self {
        Self {
            name: event.id.clone(),
            kind: event.kind.clone(),
            body: Bytes::copy_from_slice(event.body.as_bytes()),
        }
    }
}

/// Signs and sends.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Sender {
    address: Uri,
    secret: SigningSecret,
    client: HttpClient,
}

impl Sender {
    pub(in crate::cli) fn new(address: Uri, secret: SigningSecret) -> Self {
        Self { address, secret, client: HttpClient::new() }
    }

    /// Sends everything, one after the other or several at once.
    pub(in crate::cli) async fn send_all(
        self,
        letters: Vec<Letter>,
        in_order: bool,
        clock: Clock,
        output: Output,
    ) -> Report {
        let bar = bar(letters.len(), output);
        let at_once = if in_order { 1 } else { CONCURRENCY };
        let mut answers = futures_util::stream::iter(letters)
            .map(|letter| self.send(letter, &clock))
            .buffered(at_once);
        let mut report = Report { address: self.address.to_string(), deliveries: Vec::new() };
        while let Some(delivery) = answers.next().await {
            bar.inc(1);
            report.deliveries.push(delivery);
            // Where nobody listens, the others need not try.
            if report.deliveries.iter().all(Delivered::is_unreachable)
                && report.deliveries.len() >= 3
            {
                break;
            }
        }
        bar.finish_and_clear();
        report
    }

    async fn send(&self, letter: Letter, clock: &Clock) -> Delivered {
        let signature = tollgate_stripe::sign(&self.secret, &letter.body, clock.now());
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        if let Ok(signature) = HeaderValue::from_str(&signature) {
            headers.insert("stripe-signature", signature);
        }
        let answer = self.client.post(&self.address, headers, letter.body).await;
        let answer = answer.map(|answer| {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            (answer.status, body)
        });
        Delivered { name: letter.name, kind: letter.kind, answer }
    }
}

fn bar(count: usize, output: Output) -> ProgressBar {
    if count < BAR_FROM || output.is_json() {
        return ProgressBar::hidden();
    }
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What became of one delivery.
#[derive(Debug)]
struct Delivered {
    name: String,
    kind: String,
    answer: Result<(StatusCode, serde_json::Value), HttpError>,
}

impl Delivered {
    fn is_accepted(&self) -> bool {
        matches!(&self.answer, Ok((status, _)) if status.is_success())
    }

    const fn is_unreachable(&self) -> bool {
        matches!(self.answer, Err(HttpError::Unreachable { .. }))
    }

    /// `processed`, `duplicate`, …, `http 400`, or `unreachable`.
    fn outcome(&self) -> String {
        match &self.answer {
            Ok((status, body)) if status.is_success() => body
                .get("status")
                .and_then(|status| status.as_str())
                .unwrap_or("accepted")
                .to_owned(),
            Ok((status, _)) => format!("http {}", status.as_u16()),
            Err(HttpError::Unreachable { .. }) => "unreachable".to_owned(),
            Err(HttpError::TimedOut { .. }) => "timed out".to_owned(),
            Err(HttpError::Garbled { .. }) => "garbled".to_owned(),
        }
    }

    fn message(&self) -> String {
        let text = |body: &serde_json::Value, name: &str| {
            body.get(name).and_then(|field| field.as_str()).map(str::to_owned)
        };
        match &self.answer {
            Ok((_, body)) => text(body, "message")
                .or_else(|| text(body, "detail"))
                .or_else(|| text(body, "title"))
                .unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    fn line(&self) -> String {
        let outcome = self.outcome();
        let (mark, outcome) = if self.is_accepted() && outcome != "failed" {
            (styled(GOOD, "✓"), outcome)
        } else {
            (styled(BAD, "✗"), styled(BAD, outcome))
        };
        let detail = styled(FAINT, format_args!("{} {}", self.name, self.message()));
        format!("{mark} {:<44} {outcome:<10} {detail}", self.kind)
    }
}

impl Delivered {
    /// An attempt as the sandbox tells it.
    fn told(attempt: &serde_json::Value, address: &str) -> Self {
        let text = |name: &str| {
            attempt.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let status = attempt.get("status").and_then(serde_json::Value::as_u64);
        let status =
            status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
        let answer = match status {
            Some(status) => Ok((status, serde_json::from_str(&text("body")).unwrap_or_default())),
            None => Err(HttpError::Unreachable { address: address.to_owned(), cause: text("why") }),
        };
        Self { name: text("event"), kind: text("type"), answer }
    }
}

/// What became of all deliveries.
#[derive(Debug)]
pub(in crate::cli) struct Report {
    address: String,
    deliveries: Vec<Delivered>,
}

impl Report {
    /// What the sandbox at an address tells of its attempts.
    pub(super) fn told(address: &str, attempts: &[serde_json::Value]) -> Self {
        let deliveries = attempts.iter().map(|one| Delivered::told(one, address)).collect();
        Self { address: address.to_owned(), deliveries }
    }

    /// Whether every delivery was answered with a 2xx.
    pub(in crate::cli) fn is_accepted(&self) -> bool {
        self.deliveries.iter().all(Delivered::is_accepted)
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for delivery in &self.deliveries {
            let count: &mut u64 = counts.entry(delivery.outcome()).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    /// Why the command failed: the first delivery that was not accepted.
    pub(in crate::cli) fn failure(&self) -> anyhow::Error {
        let mut refused = self.deliveries.iter().filter(|one| !one.is_accepted());
        let Some(first) = refused.next() else {
            return anyhow::anyhow!("nothing failed");
        };
        let others = refused.count();
        let more = if others == 0 { String::new() } else { format!(", and {others} more") };
        let hint = match &first.answer {
            Err(HttpError::Unreachable { .. }) => {
                "; is the server running? `tollgate dev` starts one"
            }
            Ok((status, _)) if *status == StatusCode::BAD_REQUEST => {
                "; is it signed with the secret the server knows?"
            }
            Ok(_) | Err(_) => "",
        };
        anyhow::anyhow!("{} ({}): {}{more}{hint}", first.name, first.outcome(), first.message())
    }

    /// Prints every delivery (few) and the count of each outcome.
    pub(in crate::cli) fn tell(&self, output: Output) -> anyhow::Result<()> {
        let counts = self.counts();
        if output.is_json() {
            let deliveries = self.deliveries.iter().map(|one| {
                json!({
                    "event": one.name,
                    "type": one.kind,
                    "outcome": one.outcome(),
                    "httpStatus": one.answer.as_ref().ok().map(|(status, _)| status.as_u16()),
                    "message": one.message(),
                })
            });
            return print_json(&json!({
                "url": self.address,
                "sent": self.deliveries.len(),
                "outcomes": counts,
                "deliveries": deliveries.collect::<Vec<_>>(),
            }));
        }
        let many = self.deliveries.len() > TOLD_MAX;
        let worth_telling = |one: &&Delivered| !many || !one.is_accepted();
        for delivery in self.deliveries.iter().filter(worth_telling).take(TOLD_MAX) {
            print_line(delivery.line());
        }
        let counts: Vec<String> =
            counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let sum = format!("{} sent: {}", self.deliveries.len(), counts.join(", "));
        print_line(format_args!("{} {}", styled(STRONG, sum), styled(FAINT, &self.address)));
        Ok(())
    }
}
