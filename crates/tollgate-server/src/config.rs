//! Configuration. Owns: what can be set, its defaults, and the checked result every other part
//! takes its numbers from. Must not know: the database, the network, what the numbers are used for.
//!
//! Values come from, later wins: defaults, `tollgate.toml`, the environment and `.env`, flags.
//! The environment is read here and nowhere else, as one map ([`environment::Environment`]).

use std::net::SocketAddr;

use tollgate_domain::Catalog;
use tollgate_store::{DbOptions, Pooling};

mod assemble;
mod catalog_source;
mod contact;
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

pub use catalog_source::{CatalogOverlay, OverlayFault};
pub use contact::SecurityContact;
pub use environment::Environment;
pub use fault::{Fault, Faults, Origin};
pub use load::{Flags, Loaded, Shown, Sources, load, open_to_others};
pub use secret::Secret;
pub use secret_files::SECRET_FILE_BYTES_MAX;

/// How the database is connected to.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Most connections at once.
    pub connections_max: u32,
    /// What a connection to PostgreSQL is.
    pub pooling: Pooling,
    /// PostgreSQL itself, where `database_url` leads to a pooler.
    pub listen_url: Option<DatabaseUrl>,
}

impl DatabaseConfig {
    /// The same for the store.
    pub fn options(&self) -> DbOptions {
        DbOptions {
            connections_max: self.connections_max,
            pooling: self.pooling,
            listen_url: self.listen_url.as_ref().map(|url| url.expose().to_owned()),
            ..DbOptions::default()
        }
    }
}

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

/// A database address; shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

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

/// A range of addresses, `10.0.0.0/8` or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: std::net::IpAddr,
    prefix_bits: u8,
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
    /// Journal entries.
    pub journal_days: u32,
    /// Billing events.
    pub billing_events_days: u32,
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

impl DatabaseUrl {
    /// Takes a text that has been checked.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The whole address, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it names SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl std::fmt::Display for DatabaseUrl {
    /// The address with stars for the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret_part = self.0.split_once("://").and_then(|(scheme, rest)| {
            let (user_info, host) = rest.rsplit_once('@')?;
            let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
            Some((scheme, user, host))
        });
        match secret_part {
            Some((scheme, user, host)) => write!(f, "{scheme}://{user}:****@{host}"),
            None => f.write_str(&self.0),
        }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `::1/128` or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: std::net::IpAddr = address.trim().parse().ok()?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.trim().parse().ok().filter(|bits| *bits <= bits_max)?,
            None => bits_max,
        };
        Some(Self { network, prefix_bits })
    }

    /// Whether an address lies in the range. An IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        let shift = |width: u32| width.saturating_sub(u32::from(self.prefix_bits));
        match (self.network, address.to_canonical()) {
            (V4(network), V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (V6(network), V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(shift(128)).unwrap_or(0) == 0
            }
            (V4(_), V6(_)) | (V6(_), V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_they_say() {
        let contains = |range: &str, address: &str| {
            Cidr::parse(range).unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("::1", "10.0.0.1"));
        for bad in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0.0/-1"] {
            assert!(Cidr::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_database_address_is_shown_without_its_password() {
        let shown = |text: &str| DatabaseUrl::new(text.to_owned()).to_string();
        assert_eq!(shown("postgres://u:p@ss@db:5432/t"), "postgres://u:****@db:5432/t");
        assert_eq!(shown("postgres://db/t"), "postgres://db/t");
        assert_eq!(shown("sqlite:.tollgate/tollgate.db"), "sqlite:.tollgate/tollgate.db");
    }
}
