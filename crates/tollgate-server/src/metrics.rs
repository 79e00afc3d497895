//! Metrics. Owns: every metric's name, labels and meaning. Must not know: who reports it.
//!
//! Labels come from closed sets (routes, event types we handle, reasons), never from accounts or
//! from what a caller sent.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Labels of [`Metrics::webhook_events`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// A Stripe event type that has effects, else `other`.
    pub event_type: String,
    /// `processed`, `duplicate`, `ignored`, `waiting`, `failed`, `dead`, `unavailable`, …
    pub result: &'static str,
}

/// One label called `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// A reason from a closed set.
    pub reason: &'static str,
}

/// One label called `code`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// The code of a finding.
    pub code: &'static str,
}

/// One label called `result`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// A result from a closed set.
    pub result: &'static str,
}

/// Labels of [`Metrics::stripe_requests`] and [`Metrics::stripe_request`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The operation's name, such as `customers.create`.
    pub operation: &'static str,
    /// How one try of it ended.
    pub outcome: &'static str,
}

/// Labels of [`Metrics::stripe_held`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HeldLabels {
    /// The operation's name.
    pub operation: &'static str,
    /// `budget` or `breaker`.
    pub by: &'static str,
}

/// One label called `task`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TaskLabel {
    /// A kind of background task.
    pub task: &'static str,
}

/// One label called `status`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabel {
    /// An HTTP status class or an inbox status.
    pub status: &'static str,
}

/// All metrics of one running engine.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Events by type and result, retries and replays included.
    pub webhook_events: Family<EventLabels, Counter>,
    /// Deliveries that were not acknowledged, by reason.
    pub webhooks_refused: Family<ReasonLabel, Counter>,
    /// Time from the whole request to the answer after the commit.
    pub webhook_ack: Histogram,
    /// Events committed together.
    pub intake_batch: Histogram,
    /// Batches that were decided without locks and had to be done again with them, by reason.
    pub intake_redone: Family<ReasonLabel, Counter>,
    /// Deliveries waiting for the writer.
    pub intake_queue: Gauge,
    /// Events of the inbox that are not done, by status.
    pub inbox_pending: Family<StatusLabel, Gauge>,
    /// Checks answered, by where the entitlements came from.
    pub checks: Family<ResultLabel, Counter>,
    /// Checks answered from the cache: the hot one of `checks`, found once.
    pub checks_cached: Counter,
    /// Checks that had to ask the database.
    pub checks_loaded: Counter,
    /// Loads of an account's facts for reading.
    pub fact_loads: Counter,
    /// Time to answer a check from the database.
    pub check_load: Histogram,
    /// Requests answered, by class of status.
    pub requests: Family<StatusLabel, Counter>,
    /// The counters of `requests`, found once: 1xx to 5xx.
    requests_by_class: [Counter; 5],
    /// Requests refused by a rate limit.
    pub rate_limited: Family<ReasonLabel, Counter>,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were not admitted, by reason.
    pub connections_refused: Family<ReasonLabel, Counter>,
    /// Milliseconds since the change feed was last read to its end.
    pub feed_age: Gauge<i64>,
    /// Times the change feed could not tell what changed, so that the cache was emptied.
    pub feed_gaps: Counter,
    /// Unexpected ends of background tasks, by task.
    pub task_ends: Family<TaskLabel, Counter>,
    /// Failures of background work, by worker.
    pub worker_errors: Family<ReasonLabel, Counter>,
    /// Differences from Stripe that reconciliations found, by class.
    pub drift: Family<ReasonLabel, Counter>,
    /// Records removed for their age.
    pub removed: Family<ReasonLabel, Counter>,
    /// Tries of calls to Stripe, by operation and outcome.
    pub stripe_requests: Family<CallLabels, Counter>,
    /// Time of one try, by operation and outcome.
    pub stripe_request: Family<CallLabels, Histogram>,
    /// Calls that had to wait, or were not made.
    pub stripe_held: Family<HeldLabels, Counter>,
    /// 1 while calls to Stripe are held back because it is down.
    pub stripe_breaker_open: Gauge,
    /// Open findings, by code; as old as the last scrape or readiness check.
    pub findings: Family<CodeLabel, Gauge>,
    /// Stripe's view of a customer's features differs from ours.
    pub entitlement_mismatches: Counter<u64, AtomicU64>,
}

/// From a quarter of a millisecond to eight seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh metrics, all at zero.
    pub fn new() -> Self {
        let checks: Family<ResultLabel, Counter> = Family::default();
        let requests: Family<StatusLabel, Counter> = Family::default();
        let class = |status| requests.get_or_create(&StatusLabel { status }).clone();
        let by = |result| checks.get_or_create(&ResultLabel { result }).clone();
        let (checks_cached, checks_loaded) = (by("cached"), by("loaded"));
        let requests_by_class =
            [class("1xx"), class("2xx"), class("3xx"), class("4xx"), class("5xx")];
        let mut metrics = Self {
            registry: Registry::with_prefix("tollgate"),
            webhook_events: Family::default(),
            webhooks_refused: Family::default(),
            webhook_ack: seconds(),
            intake_batch: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            intake_redone: Family::default(),
            intake_queue: Gauge::default(),
            inbox_pending: Family::default(),
            checks_cached,
            checks_loaded,
            checks,
            fact_loads: Counter::default(),
            check_load: seconds(),
            requests_by_class,
            requests,
            rate_limited: Family::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            feed_age: Gauge::default(),
            feed_gaps: Counter::default(),
            task_ends: Family::default(),
            worker_errors: Family::default(),
            drift: Family::default(),
            removed: Family::default(),
            stripe_requests: Family::default(),
            stripe_request: Family::new_with_constructor(seconds),
            stripe_held: Family::default(),
            stripe_breaker_open: Gauge::default(),
            findings: Family::default(),
            entitlement_mismatches: Counter::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        let version = env!("CARGO_PKG_VERSION");
        r.register("build", "Version of this binary", Info::new([("version", version)]));
        r.register("webhook_events", "Events by type and result", self.webhook_events.clone());
        let refused = self.webhooks_refused.clone();
        r.register("webhooks_refused", "Deliveries not acknowledged, by reason", refused);
        let ack = self.webhook_ack.clone();
        r.register_with_unit("webhook_ack_duration", "Time to acknowledge", Unit::Seconds, ack);
        r.register("intake_batch_events", "Events committed together", self.intake_batch.clone());
        let redone = self.intake_redone.clone();
        r.register(
            "intake_redone",
            "Batches done again in a locked transaction, by reason",
            redone,
        );
        r.register("intake_queue_depth", "Deliveries waiting", self.intake_queue.clone());
        r.register("inbox_events", "Events not done, by status", self.inbox_pending.clone());
        r.register("checks", "Checks by where the answer came from", self.checks.clone());
        r.register("fact_loads", "Loads of an account's facts", self.fact_loads.clone());
        let load = self.check_load.clone();
        r.register_with_unit("check_load_duration", "Time to load facts", Unit::Seconds, load);
        r.register("http_requests", "Requests by class of status", self.requests.clone());
        r.register("rate_limited", "Requests refused by a rate limit", self.rate_limited.clone());
        r.register("http_connections", "Open connections", self.connections.clone());
        r.register(
            "http_connections_refused",
            "Connections that were not admitted: all are taken (full), or all of the address",
            self.connections_refused.clone(),
        );
        let age = self.feed_age.clone();
        r.register("change_feed_age_milliseconds", "Since the feed was last read", age);
        let gaps = self.feed_gaps.clone();
        r.register("change_feed_gaps", "Times changes may have been missed", gaps);
        r.register("drift", "Differences from Stripe that were found", self.drift.clone());
        r.register("removed", "Records removed because of their age", self.removed.clone());
        let ends = self.task_ends.clone();
        r.register("task_ends", "Unexpected ends of background tasks", ends);
        r.register("worker_errors", "Failures of background work", self.worker_errors.clone());
        let calls = self.stripe_requests.clone();
        r.register("stripe_requests", "Tries of calls to Stripe by operation and outcome", calls);
        let call = self.stripe_request.clone();
        r.register_with_unit("stripe_request_duration", "Time of one try", Unit::Seconds, call);
        let held = self.stripe_held.clone();
        r.register("stripe_requests_held", "Calls to Stripe that were held back", held);
        let breaker = self.stripe_breaker_open.clone();
        r.register("stripe_breaker_open", "Calls to Stripe are held back", breaker);
        r.register("findings", "Open findings by code", self.findings.clone());
        let mismatches = self.entitlement_mismatches.clone();
        r.register("entitlement_mismatches", "Stripe's features differ from ours", mismatches);
    }

    /// Counts one answered request.
    pub fn count_request(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.requests_by_class.get(class) {
            counter.inc();
        }
    }

    /// The OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).ok();
        text
    }
}
