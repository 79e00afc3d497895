//! The configuration put together. Owns: which settings make which part of [`Config`], and what must
//! hold between settings. Must not know: files, variables, flags.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tollgate_domain::Catalog;
use tollgate_domain::buying::{RedirectRule, RedirectRules};
use tollgate_domain::catalog::PRICE_ID_PREFIX;
use tollgate_stripe::client::{ApiBase, ApiBaseError};

use tollgate_store::Pooling;

use super::DatabaseConfig;
use super::catalog_source::{self, CatalogOverlay, CatalogWishes};
use super::contact::{self, SecurityContact};
use super::fault::{Fault, Origin, Trouble};
use super::layers::Layers;
use super::load::Sources;
use super::reader::Reader;
use super::settings::{self, SETTINGS};
use super::value::Value;
use super::{
    CacheLimits, Config, DatabaseUrl, ForwardedHeader, HttpLimits, IntakeLimits, Livemode,
    LogConfig, LogFormat, MetricsListen, RateLimits, RetentionConfig, Secret, StripeConfig,
    WebhookSecret, WorkerLimits, secret,
};

/// Every value read, before the catalog is known and the values are checked against each other.
pub(super) struct Values {
    database_url: String,
    database: DatabaseConfig,
    listen: Option<SocketAddr>,
    metrics_listen: MetricsListen,
    security_contacts: Vec<String>,
    security_policy: Option<String>,
    catalog_source: (String, Origin),
    overlay: CatalogOverlay,
    upgrade_url_origin: Origin,
    price_map_origin: Origin,
    webhook_secrets: Vec<WebhookSecret>,
    secret_key: Option<Secret>,
    mode: Option<Livemode>,
    account: Option<String>,
    accounts: Vec<String>,
    match_email: bool,
    api_base: String,
    live_key_elsewhere: bool,
    portal_return_url: Option<String>,
    redirect_allow: Vec<RedirectRule>,
    billing_enabled: Option<bool>,
    http: HttpLimits,
    rate: RateLimits,
    intake: IntakeLimits,
    cache: CacheLimits,
    retention: RetentionConfig,
    workers: WorkerLimits,
    log: LogConfig,
}

impl Values {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let text = |value: Value| value.text().unwrap_or_default();
        let values = Self {
            database_url: text(reader.value("database.url")),
            database: read_database(reader),
            listen: reader.value("server.listen").address(),
            metrics_listen: read_metrics_listen(reader),
            security_contacts: reader.value("server.security_contact").list().unwrap_or_default(),
            security_policy: reader.value("server.security_policy").text(),
            catalog_source: (text(reader.value("catalog.source")), reader.origin("catalog.source")),
            overlay: read_overlay(reader),
            upgrade_url_origin: reader.origin("catalog.upgrade_url"),
            price_map_origin: reader.origin("stripe.price_map"),
            webhook_secrets: reader
                .value("stripe.webhook_secrets")
                .webhook_secrets()
                .unwrap_or_default(),
            secret_key: reader.value("stripe.secret_key").secret(),
            mode: reader.value("stripe.mode").text().and_then(|mode| Livemode::parse(&mode)),
            account: reader.value("stripe.account").text(),
            accounts: reader.value("stripe.accounts").list().unwrap_or_default(),
            match_email: reader.value("identity.match_email").flag().unwrap_or(false),
            api_base: text(reader.value("stripe.api_base")),
            live_key_elsewhere: reader.value("stripe.live_key_elsewhere").flag().unwrap_or(false),
            portal_return_url: reader.value("stripe.portal_return_url").text(),
            redirect_allow: reader.value("billing.redirect_allow").redirects().unwrap_or_default(),
            billing_enabled: reader.value("billing.enabled").flag(),
            http: read_http(reader),
            rate: read_rate(reader),
            intake: read_intake(reader),
            cache: CacheLimits {
                accounts_max: reader.size("cache.accounts_max"),
                poll_ms: reader.number("cache.poll_ms"),
            },
            retention: RetentionConfig {
                event_bodies_days: reader.count("retention.event_bodies_days"),
                set_aside_days: reader.count("retention.set_aside_days"),
                journal_days: reader.count("retention.journal_days"),
                usage_days: reader.count("retention.usage_days"),
            },
            workers: read_workers(reader),
            log: read_log(reader),
        };
        for setting in SETTINGS.iter().filter(|setting| !setting.used) {
            reader.value(setting.key);
        }
        values
    }

    /// What is allowed and most likely a mistake.
    pub(super) fn warnings(&self, layers: &Layers) -> Vec<Fault> {
        let key = "stripe.webhook_secrets";
        let origin = settings::find(key).map_or(Origin::Default, |found| layers.get(found).1);
        let texts = self.webhook_secrets.iter().map(|one| one.secret.expose());
        let foreign = texts.filter(|text| !text.starts_with("whsec_"));
        let warning = |text: &str| {
            let masked = secret::mask(text);
            let what =
                format!("the webhook secret {masked} does not begin with whsec_, as Stripe's do");
            let mend = "copy the signing secret of the endpoint from Stripe's dashboard, Webhooks";
            Fault::new(origin.clone(), key, Trouble::new(what, mend))
        };
        foreign.map(warning).collect()
    }

    pub(super) fn catalog_wishes<'a>(&'a self, sources: &'a Sources) -> CatalogWishes<'a> {
        CatalogWishes {
            directory: &sources.directory,
            source: &self.catalog_source.0,
            source_origin: &self.catalog_source.1,
            overlay: &self.overlay,
            price_map_origin: &self.price_map_origin,
            upgrade_url_origin: &self.upgrade_url_origin,
        }
    }

    fn key_mode(&self) -> Option<Livemode> {
        let mode = self.secret_key.as_ref()?.expose().split('_').nth(1)?;
        Livemode::parse(mode)
    }

    fn api_base(&self) -> Result<ApiBase, ApiBaseError> {
        let base = ApiBase::parse(&self.api_base)?;
        Ok(if self.live_key_elsewhere { base.with_live_keys() } else { base })
    }

    pub(super) fn check_together(
        &self,
        layers: &Layers,
        catalog: Option<&Catalog>,
        faults: &mut Vec<Fault>,
    ) {
        let mut fault = |key: &str, what: String, mend: &str| {
            let origin = settings::find(key).map_or(Origin::Default, |found| layers.get(found).1);
            faults.push(Fault::new(origin, key, Trouble::new(what, mend)));
        };
        if let (Some(mode), Some(of_key)) = (self.mode, self.key_mode())
            && mode != of_key
        {
            let (mode, of_key) = (mode.as_str(), of_key.as_str());
            fault(
                "stripe.secret_key",
                format!("a {of_key} key is set, but stripe.mode is {mode}"),
                "use the key of that mode, or change stripe.mode; the two worlds share nothing",
            );
        }
        if let (Some(api), MetricsListen::Apart { address, chosen: true }) =
            (self.listen, self.metrics_listen)
            && api == address
            && api.port() != 0
        {
            fault(
                "server.metrics_listen",
                format!("{address} is where the API listens (server.listen)"),
                "give the metrics another port, or `api` to serve them beside the API",
            );
        }
        if let Some(account) = self.account.as_deref()
            && !account.starts_with("acct_")
        {
            fault(
                "stripe.account",
                format!("{account:?} does not begin with acct_"),
                "copy the account's id from Stripe's dashboard, Settings",
            );
        }
        self.check_security_policy(&mut fault);
        self.check_api_base(&mut fault);
        if self.workers.backoff_cap_ms < self.workers.backoff_base_ms {
            fault(
                "workers.backoff_cap_ms",
                "the longest wait is shorter than the first one (workers.backoff_base_ms)"
                    .to_owned(),
                "raise the one or lower the other",
            );
        }
        if self.billing_enabled == Some(true) {
            self.check_billing(catalog, layers, faults);
        }
    }

    fn check_security_policy(&self, fault: &mut impl FnMut(&str, String, &str)) {
        let key = "server.security_policy";
        let Some(policy) = self.security_policy.as_deref() else { return };
        if !policy.starts_with("https:") || !contact::is_contact(policy) {
            let mend = "write it like https://example.com/security";
            fault(key, format!("{policy:?} is no address of a page"), mend);
        } else if self.security_contacts.is_empty() {
            let what = "a policy is named, but nobody to report to".to_owned();
            fault(key, what, "set server.security_contact, or leave the policy out");
        }
    }

    /// A live key is sent to Stripe alone, whatever a file says of where Stripe is.
    fn check_api_base(&self, fault: &mut impl FnMut(&str, String, &str)) {
        let key = "stripe.api_base";
        let is_live = self.key_mode() == Some(Livemode::Live);
        match self.api_base() {
            Err(error) => {
                let mend = "leave it out for Stripe itself; the sandbox prints its own";
                fault(key, error.to_string(), mend);
            }
            Ok(base) if is_live && !base.takes_live_keys() => {
                let base = base.as_str();
                let what = format!("a live key would be sent to {base}, which is not Stripe's");
                let mend = "leave it out for Stripe itself, or use a test key; where that host may have the key, set TOLLGATE__STRIPE__LIVE_KEY_ELSEWHERE=true in the environment of the process";
                fault(key, what, mend);
            }
            Ok(_) => {}
        }
    }

    /// Billing asked for by name is refused with anything missing, all of it named at once.
    fn check_billing(&self, catalog: Option<&Catalog>, layers: &Layers, faults: &mut Vec<Fault>) {
        let already = |key: &str| faults.iter().any(|fault| fault.setting == key);
        let missing = [
            ("stripe.secret_key", "STRIPE_SECRET_KEY", self.secret_key.is_none()),
            ("stripe.webhook_secrets", "STRIPE_WEBHOOK_SECRET", self.webhook_secrets.is_empty()),
            (
                "stripe.price_map",
                "STRIPE_PRODUCT_PRICE_MAP",
                catalog.is_some_and(|catalog| !self.maps_a_price(catalog)),
            ),
        ];
        let names: Vec<&str> = missing
            .iter()
            .filter(|(key, _, missing)| *missing && !already(key))
            .map(|(_, name, _)| *name)
            .collect();
        if names.is_empty() {
            return;
        }
        let origin =
            settings::find("billing.enabled").map_or(Origin::Default, |found| layers.get(found).1);
        let trouble = Trouble::new(
            format!("billing is switched on, but missing: {}", names.join(", ")),
            "set them (STRIPE_PRODUCT_PRICE_MAP, or stripe_prices or stripe_products in the catalog: a lookup key may be nobody's), or do not set billing.enabled to true",
        );
        faults.push(Fault::new(origin, "billing.enabled", trouble));
    }

    /// Whether any of Stripe's prices or products is named by its id. A lookup key only says what a
    /// price would be called: whether there is one nobody knows.
    fn maps_a_price(&self, catalog: &Catalog) -> bool {
        let by_id = |name: &String| name.starts_with(PRICE_ID_PREFIX);
        !self.overlay.price_map.is_empty()
            || !catalog.products.is_empty()
            || catalog.prices.keys().any(by_id)
    }

    pub(super) fn into_config(self, catalog: Catalog) -> Config {
        let mode = self.mode.or_else(|| self.key_mode());
        let api_base = self.api_base().unwrap_or_else(|_| ApiBase::stripe());
        let unspecified = SocketAddr::from(([127, 0, 0, 1], 8080));
        Config {
            database_url: DatabaseUrl::new(self.database_url),
            database: self.database,
            listen: self.listen.unwrap_or(unspecified),
            metrics_listen: self.metrics_listen,
            security_contact: (!self.security_contacts.is_empty()).then_some(SecurityContact {
                contacts: self.security_contacts,
                policy: self.security_policy,
            }),
            catalog,
            catalog_file: catalog_source::file_of(&self.catalog_source.0, &self.catalog_source.1),
            catalog_overlay: self.overlay,
            webhook_secrets: self.webhook_secrets,
            stripe: StripeConfig {
                secret_key: self.secret_key,
                mode,
                mode_of_key: self.mode.is_none(),
                account: self.account,
                accounts: self.accounts,
                api_base,
                portal_return_url: self.portal_return_url,
            },
            redirects: RedirectRules(self.redirect_allow),
            match_email: self.match_email,
            billing_enabled: self.billing_enabled.unwrap_or(true),
            http: self.http,
            rate: self.rate,
            intake: self.intake,
            cache: self.cache,
            retention: self.retention,
            workers: self.workers,
            log: self.log,
        }
    }
}

fn read_database(reader: &mut Reader<'_>) -> DatabaseConfig {
    let connections_max = reader.number("database.connections_max");
    let pooling = match reader.value("database.pooling").text().as_deref() {
        Some("transaction") => Pooling::Transaction,
        _ => Pooling::Session,
    };
    let listen_url = reader.value("database.listen_url").text().filter(|url| !url.is_empty());
    DatabaseConfig {
        connections_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
        pooling,
        listen_url: listen_url.map(DatabaseUrl::new),
    }
}

fn read_overlay(reader: &mut Reader<'_>) -> CatalogOverlay {
    let price_map = reader.value("stripe.price_map").price_map().unwrap_or_default();
    let grace_hours = reader.value("catalog.grace_hours").number();
    CatalogOverlay {
        price_map: price_map.into_iter().map(|entry| (entry.target, entry.prices)).collect(),
        grace_hours: grace_hours.and_then(|hours| u32::try_from(hours).ok()),
        upgrade_url: reader.value("catalog.upgrade_url").text(),
        public_url: reader.value("server.public_url").text(),
        sandbox_prices: false,
    }
}

fn read_http(reader: &mut Reader<'_>) -> HttpLimits {
    HttpLimits {
        body_bytes_max: reader.size("http.body_bytes_max"),
        webhook_body_bytes_max: reader.size("http.webhook_body_bytes_max"),
        request_timeout_ms: reader.number("http.request_timeout_ms"),
        header_timeout_ms: reader.number("http.header_timeout_ms"),
        connections_max: reader.size("http.connections_max"),
        connections_per_address_max: reader.size("http.connections_per_address_max"),
        write_timeout_ms: reader.number("http.write_timeout_ms"),
        bodies_bytes_max: reader.size("http.bodies_bytes_max"),
        keep_alive_ms: reader.number("http.keep_alive_ms"),
        lame_duck_ms: reader.number("http.lame_duck_ms"),
        drain_ms: reader.number("http.drain_ms"),
        trusted_proxies: reader.value("http.trusted_proxies").ranges().unwrap_or_default(),
        forwarded_header: match reader.value("http.forwarded_header").text().as_deref() {
            Some("forwarded") => ForwardedHeader::Forwarded,
            Some(_) | None => ForwardedHeader::XForwardedFor,
        },
        cors_origins: reader.value("http.cors_origins").list().unwrap_or_default(),
    }
}

/// The default of `server.metrics_listen`.
const METRICS_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9480);

fn read_metrics_listen(reader: &mut Reader<'_>) -> MetricsListen {
    const KEY: &str = "server.metrics_listen";
    let chosen = reader.origin(KEY) != Origin::Default;
    let value = reader.value(KEY);
    if let Value::Text(word) = &value {
        let beside = word == MetricsListen::BESIDE_API;
        return if beside { MetricsListen::BesideApi } else { MetricsListen::Off };
    }
    match value.address() {
        Some(address) => MetricsListen::Apart { address, chosen },
        // Blank in a file is as if it were not there.
        None => MetricsListen::Apart { address: METRICS_ADDRESS, chosen: false },
    }
}

fn read_rate(reader: &mut Reader<'_>) -> RateLimits {
    RateLimits {
        public_per_min: reader.value("rate.public_per_min").rate(),
        health_per_min: reader.value("rate.health_per_min").rate(),
        unauthorized_per_min: reader.value("rate.unauthorized_per_min").rate(),
        bad_signatures_per_min: reader.value("rate.bad_signatures_per_min").rate(),
        billing_per_min: reader.value("rate.billing_per_min").rate(),
        admin_per_min: reader.value("rate.admin_per_min").rate(),
        check_per_min: reader.value("rate.check_per_min").rate(),
        usage_per_min: reader.value("rate.usage_per_min").rate(),
    }
}

fn read_intake(reader: &mut Reader<'_>) -> IntakeLimits {
    IntakeLimits {
        queue_max: reader.size("intake.queue_max"),
        batch_max: reader.size("intake.batch_max"),
        writers: reader.size("intake.writers"),
        ack_timeout_ms: reader.number("intake.ack_timeout_ms"),
    }
}

fn read_workers(reader: &mut Reader<'_>) -> WorkerLimits {
    WorkerLimits {
        lease_ms: reader.number("workers.lease_ms"),
        poll_ms: reader.number("workers.poll_ms"),
        batch: reader.size("workers.batch"),
        attempts_max: reader.count("workers.attempts_max"),
        backoff_base_ms: reader.number("workers.backoff_base_ms"),
        backoff_cap_ms: reader.number("workers.backoff_cap_ms"),
        waiting_days_max: reader.count("workers.waiting_days_max"),
    }
}

fn read_log(reader: &mut Reader<'_>) -> LogConfig {
    LogConfig {
        level: reader.value("log.level").text().unwrap_or_default(),
        format: match reader.value("log.format").text().as_deref() {
            Some("pretty") => LogFormat::Pretty,
            _ => LogFormat::Json,
        },
    }
}
