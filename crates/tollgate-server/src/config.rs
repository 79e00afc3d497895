//! Configuration. Owns: what can be set, its defaults, and the checked result every other part
//! takes its numbers from. Must not know: the database, the network, what the numbers are used for.
//!
//! Values come from, later wins: defaults, `tollgate.toml`, the environment and `.env`, flags.
//! The environment is read here and nowhere else, as one map ([`environment::Environment`]).

use std::net::SocketAddr;

use tollgate_domain::Catalog;

mod address_range;
mod assemble;
mod catalog_source;
mod contact;
mod database;
pub mod dotenv;
pub mod environment;
pub mod fault;
mod layers;
pub mod load;
pub mod price_map;
mod reader;
pub mod reference;
mod replaced_names;
pub mod secret;
mod secret_files;
pub mod settings;
pub mod value;

pub use address_range::Cidr;
pub use catalog_source::{CatalogOverlay, OverlayFault};
pub use contact::SecurityContact;
pub use database::{DatabaseConfig, DatabaseUrl};
pub use environment::Environment;
pub use fault::{Fault, Faults, Origin};
pub use load::{Flags, Loaded, Shown, Sources, load, open_to_others};
pub use secret::Secret;
pub use secret_files::SECRET_FILE_BYTES_MAX;

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: DatabaseUrl,
    /// How it is connected to.
    pub database: DatabaseConfig,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where `/metrics` is served.
    pub metrics_listen: MetricsListen,
    /// Whom to tell of a weakness; `None`: there is no `security.txt`.
    pub security_contact: Option<SecurityContact>,
    /// Plans, features and prices, with the price map and the overriding settings applied.
    pub catalog: Catalog,
    /// The file the catalog was read from; `None` for a built-in one.
    pub catalog_file: Option<std::path::PathBuf>,
    /// What was added to the catalog's text.
    pub catalog_overlay: CatalogOverlay,
    /// What events are checked with. Empty: the webhook route answers 503.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// The Stripe account this deployment belongs to.
    pub stripe: StripeConfig,
    /// Where customers may be sent after Stripe's pages.
    pub redirects: tollgate_domain::buying::RedirectRules,
    /// A customer's e-mail may tell the account, where nothing else does.
    pub match_email: bool,
    /// Billing routes are open. Checks and the webhook work without.
    pub billing_enabled: bool,
    /// Limits of the HTTP side.
    pub http: HttpLimits,
    /// Requests per minute.
    pub rate: RateLimits,
    /// Limits of the intake queue.
    pub intake: IntakeLimits,
    /// Limits of the answer cache.
    pub cache: CacheLimits,
    /// For how long records are kept.
    pub retention: RetentionConfig,
    /// Pace of the workers.
    pub workers: WorkerLimits,
    /// Logging.
    pub log: LogConfig,
}

/// Where `/metrics` is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsListen {
    /// On a listener of its own.
    Apart {
        /// Where.
        address: SocketAddr,
        /// Whether somebody wants it there; else there is no need to have it at all.
        chosen: bool,
    },
    /// Beside the API.
    BesideApi,
    /// Nowhere.
    Off,
}

impl MetricsListen {
    /// The word for [`Self::BesideApi`].
    pub const BESIDE_API: &str = "api";
    /// The word for [`Self::Off`].
    pub const OFF: &str = "off";
}

/// A secret of a webhook endpoint, with what is needed to rotate it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    /// Its name in logs and metrics, such as `1` or `old`.
    pub label: String,
    /// The secret, `whsec_…`.
    pub secret: Secret,
    /// Signatures made with it count before this instant.
    pub not_after: Option<tollgate_domain::Timestamp>,
}

/// Which of Stripe's two worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Livemode {
    /// Real money.
    Live,
    /// Test data.
    Test,
}

impl Livemode {
    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "live" => Some(Self::Live),
            "test" => Some(Self::Test),
            _ => None,
        }
    }

    /// The world of an event with this `livemode`.
    pub const fn of(livemode: bool) -> Self {
        if livemode { Self::Live } else { Self::Test }
    }

    /// Name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Whether an event's `livemode` belongs to this world.
    pub const fn matches(self, livemode: bool) -> bool {
        matches!((self, livemode), (Self::Live, true) | (Self::Test, false))
    }
}

/// The Stripe account this deployment belongs to. Events of another are stored and ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeConfig {
    /// API key.
    pub secret_key: Option<Secret>,
    /// Set, or read from the key; `None`: that of the first event seen.
    pub mode: Option<Livemode>,
    /// The mode is that of the key, not a setting of its own. What the database is bound to goes
    /// before it.
    pub mode_of_key: bool,
    /// The connected account (`acct_…`) that calls are made for and whose events are ours.
    pub account: Option<String>,
    /// More connected accounts whose events are taken as ours.
    pub accounts: Vec<String>,
    /// Where the API is.
    pub api_base: tollgate_stripe::client::ApiBase,
    /// Where the customer portal leads back to unless the caller says.
    pub portal_return_url: Option<String>,
}

impl StripeConfig {
    /// The connected accounts (`acct_…`) that are named beside our own, each once.
    pub fn connected_accounts(&self) -> impl Iterator<Item = &str> {
        let named = self.accounts.iter().enumerate();
        let first = named
            .filter(|(place, one)| !self.accounts.iter().take(*place).any(|before| before == *one));
        first.map(|(_, one)| one.as_str()).filter(|one| self.account.as_deref() != Some(*one))
    }

    /// Whether a connected account is named beside our own.
    pub fn is_connected(&self, account: &str) -> bool {
        self.connected_accounts().any(|one| one == account)
    }
}

impl Default for StripeConfig {
    /// Stripe itself, without a key, of the mode seen first; no connected accounts.
    fn default() -> Self {
        Self {
            secret_key: None,
            mode: None,
            mode_of_key: false,
            account: None,
            accounts: Vec::new(),
            api_base: tollgate_stripe::client::ApiBase::stripe(),
            portal_return_url: None,
        }
    }
}

/// Limits of the HTTP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest request body.
    pub body_bytes_max: usize,
    /// Longest webhook body.
    pub webhook_body_bytes_max: usize,
    /// From the end of the head to the reply.
    pub request_timeout_ms: u64,
    /// For the head of a request to arrive.
    pub header_timeout_ms: u64,
    /// Connections open at once.
    pub connections_max: usize,
    /// Connections open at once from one address.
    pub connections_per_address_max: usize,
    /// For a peer to take something of what it is sent.
    pub write_timeout_ms: u64,
    /// Bytes of request bodies that are being received, all together.
    pub bodies_bytes_max: usize,
    /// An idle connection is closed after this.
    pub keep_alive_ms: u64,
    /// From SIGTERM to the closing of the listener, while the engine says that it is not ready.
    pub lame_duck_ms: u64,
    /// From the closing of the listener to the end, for requests in flight.
    pub drain_ms: u64,
    /// Peers that are believed when they say whom a request comes from.
    pub trusted_proxies: Vec<Cidr>,
    /// The header they say it in.
    pub forwarded_header: ForwardedHeader,
    /// Origins browsers may call from; empty: no CORS.
    pub cors_origins: Vec<String>,
}

/// The header in which proxies say whom a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// Its name, as HTTP libraries spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// Requests per minute and caller; `None`: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// Routes without a key, per client address.
    pub public_per_min: Option<u32>,
    /// The state of the engine, per client address.
    pub health_per_min: Option<u32>,
    /// Requests without a valid key, per client address.
    pub unauthorized_per_min: Option<u32>,
    /// Webhooks without a right signature, per client address.
    pub bad_signatures_per_min: Option<u32>,
    /// Billing routes.
    pub billing_per_min: Option<u32>,
    /// Admin routes.
    pub admin_per_min: Option<u32>,
    /// Checks and entitlements.
    pub check_per_min: Option<u32>,
    /// Usage.
    pub usage_per_min: Option<u32>,
}

/// Limits of the intake queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Events waiting for a writer; more get 503.
    pub queue_max: usize,
    /// Events in one transaction.
    pub batch_max: usize,
    /// Transactions at once (SQLite always has one).
    pub writers: usize,
    /// From arrival to 503 when nothing could be committed.
    pub ack_timeout_ms: u64,
}

/// For how many days records are kept; 0: for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Bodies of events that are done with.
    pub event_bodies_days: u32,
    /// Bodies of events that were set aside for want of an owner.
    pub set_aside_days: u32,
    /// Journal entries.
    pub journal_days: u32,
    /// Counters after the end of their period.
    pub usage_days: u32,
}

/// Limits of the answer cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLimits {
    /// Accounts held.
    pub accounts_max: usize,
    /// Pace of asking the database what other instances changed.
    pub poll_ms: u64,
}

/// Pace of the retry worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLimits {
    /// A claimed event belongs to its worker so long.
    pub lease_ms: u64,
    /// Pace of looking for due events.
    pub poll_ms: u64,
    /// Events claimed at once.
    pub batch: usize,
    /// Attempts before an event is dead.
    pub attempts_max: u32,
    /// First wait after a failure; doubles each time.
    pub backoff_base_ms: u64,
    /// Longest wait after a failure.
    pub backoff_cap_ms: u64,
    /// Days for which an event waits for an owner, or for Stripe to show its object.
    pub waiting_days_max: u32,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or filter directives such as `info,sqlx=warn`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Config {
    /// The webhook secrets in the form signatures are checked with.
    pub fn signing_secrets(&self) -> Vec<tollgate_stripe::SigningSecret> {
        self.webhook_secrets
            .iter()
            .filter_map(|configured| {
                // A blank secret is refused on loading, so none is left out here.
                let parsed = tollgate_stripe::SigningSecret::parse(
                    configured.secret.expose(),
                    &configured.label,
                );
                let parsed = parsed.ok()?;
                Some(match configured.not_after {
                    Some(end) => parsed.until(end),
                    None => parsed,
                })
            })
            .collect()
    }
}
