//! Loading. Owns: from files, environment and flags to a checked [`Config`], with every fault at
//! once. Must not know: the command line, the database.

use std::path::{Path, PathBuf};

use tollgate_domain::Catalog;

use super::catalog_source::{self, CatalogWishes};
use super::environment::Environment;
use super::fault::{Fault, Faults, Origin, Trouble};
use super::layers::Layers;
use super::price_map::PriceMapEntry;
use super::settings::{self, SETTINGS};
use super::value::{self, Raw, Value};
use super::{
    CacheLimits, Cidr, Config, DatabaseUrl, HttpLimits, IntakeLimits, Livemode, LogConfig,
    LogFormat, RateLimits, Secret, StripeConfig, WebhookSecret, WorkerLimits,
};

/// Where a configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The working directory: `tollgate.toml` and `.env` are looked for here.
    pub directory: PathBuf,
    /// Variables of the process.
    pub environment: Environment,
    /// Flags of the command line.
    pub flags: Flags,
}

/// What flags of the command line set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`; must exist.
    pub config: Option<PathBuf>,
    /// `--listen ADDRESS`.
    pub listen: Option<String>,
    /// `--catalog FILE-or-name`.
    pub catalog: Option<String>,
}

/// A configuration without faults.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed and most likely not wanted.
    pub warnings: Vec<Fault>,
    /// Every setting with its value as text (secrets masked) and its origin.
    pub shown: Vec<Shown>,
    /// The environment, `.env` included, for the few commands that need a variable of their own.
    pub environment: Environment,
}

/// A setting as `config show` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its key.
    pub key: &'static str,
    /// Its value, secrets masked; `None` when it is not set.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// Whether this version does anything with it.
    pub used: bool,
}

/// Loads and checks a configuration.
pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let environment = with_dotenv(sources, &mut faults, &mut warnings);
    let mut layers = Layers::default();
    read_file(sources, &mut layers, &mut faults);
    layers.read_environment(&environment, &mut faults);
    read_flags(&sources.flags, &mut layers);

    let mut reader = Reader { layers: &layers, faults, shown: Vec::new() };
    let values = Values::read(&mut reader);
    let Reader { mut faults, shown, .. } = reader;
    let catalog = catalog_source::load(&values.catalog_wishes(sources), &mut faults);
    values.check_together(&layers, catalog.as_ref(), &mut faults);
    warnings.extend(shown.iter().filter_map(unused));
    match (catalog, faults.is_empty()) {
        (Some(catalog), true) => {
            Ok(Loaded { config: values.into_config(catalog), warnings, shown, environment })
        }
        _ => Err(Faults(faults)),
    }
}

fn with_dotenv(
    sources: &Sources,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Environment {
    let path = sources.directory.join(".env");
    let origin = || Origin::File { path: PathBuf::from(".env"), line: None };
    let environment = sources.environment.clone();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(mode) = open_to_others(&path) {
                let what = format!("the file is readable by others (mode {mode:03o})");
                let trouble = Trouble::new(what, "chmod 600 .env");
                warnings.push(Fault::new(origin(), "", trouble));
            }
            environment.with_dotenv(Path::new(".env"), &text, faults)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => environment,
        Err(error) => {
            let trouble = Trouble::new(format!("cannot be read: {error}"), "check its permissions");
            faults.push(Fault::new(origin(), "", trouble));
            environment
        }
    }
}

/// The permissions of a file that its group or others may read; `None` when only its owner may.
pub fn open_to_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

fn read_file(sources: &Sources, layers: &mut Layers, faults: &mut Vec<Fault>) {
    let (name, demanded) = match &sources.flags.config {
        Some(path) => (path.clone(), true),
        None => (PathBuf::from("tollgate.toml"), false),
    };
    match std::fs::read_to_string(sources.directory.join(&name)) {
        Ok(text) => layers.read_file(&name, &text, faults),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !demanded => {}
        Err(error) => {
            let origin = Origin::File { path: name, line: None };
            let trouble = Trouble::new(
                format!("cannot be read: {error}"),
                "check the path given with --config; `tollgate init` writes a file to begin with",
            );
            faults.push(Fault::new(origin, "", trouble));
        }
    }
}

fn read_flags(flags: &Flags, layers: &mut Layers) {
    let given = [
        ("server.listen", "--listen", &flags.listen),
        ("catalog.source", "--catalog", &flags.catalog),
    ];
    for (key, flag, text) in given {
        if let (Some(setting), Some(text)) = (settings::find(key), text) {
            layers.set(setting, Raw::Text(text.clone()), Origin::Flag(flag));
        }
    }
}

fn unused(shown: &Shown) -> Option<Fault> {
    let set = !shown.used && shown.origin != Origin::Default;
    set.then(|| {
        let trouble = Trouble::new(
            format!("{} is set, but not used by this version", shown.key),
            "nothing to do; it is checked and kept for a later version",
        );
        Fault::new(shown.origin.clone(), shown.key, trouble)
    })
}

/// Reads settings by key, collecting faults. After a fault the value returned is meaningless; the
/// faults keep it from being used.
struct Reader<'a> {
    layers: &'a Layers,
    faults: Vec<Fault>,
    shown: Vec<Shown>,
}

impl Reader<'_> {
    fn value(&mut self, key: &'static str) -> Value {
        let Some(setting) = settings::find(key) else { return Value::Unset };
        let (raw, origin) = self.layers.get(setting);
        let unset = origin == Origin::Default && setting.default.is_empty();
        let value = if unset { Ok(Value::Unset) } else { value::parse(setting.kind, &raw) };
        let value = value.unwrap_or_else(|troubles| {
            let fault = |trouble| Fault::new(origin.clone(), key, trouble);
            self.faults.extend(troubles.into_iter().map(fault));
            Value::Unset
        });
        self.shown.push(Shown { key, value: show(key, &value), origin, used: setting.used });
        value
    }

    fn number(&mut self, key: &'static str) -> u64 {
        match self.value(key) {
            Value::Number(number) => number,
            _ => 0,
        }
    }

    fn size(&mut self, key: &'static str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    fn count(&mut self, key: &'static str) -> u32 {
        u32::try_from(self.number(key)).unwrap_or(u32::MAX)
    }

    fn rate(&mut self, key: &'static str) -> Option<u32> {
        match self.value(key) {
            Value::Rate(rate) => rate,
            _ => None,
        }
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key) {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn list(&mut self, key: &'static str) -> Vec<String> {
        match self.value(key) {
            Value::List(items) => items,
            _ => Vec::new(),
        }
    }
}

fn show(key: &str, value: &Value) -> Option<String> {
    let joined = |items: &[String]| items.join(",");
    match value {
        Value::Unset => None,
        Value::Number(number) => Some(number.to_string()),
        Value::Rate(rate) => Some(rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string())),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Address(address) => Some(address.to_string()),
        Value::Text(text) if key.ends_with(".url") => {
            Some(DatabaseUrl::new(text.clone()).to_string())
        }
        Value::Text(text) => Some(text.clone()),
        Value::List(items) => Some(joined(items)),
        Value::Ranges(ranges) => {
            Some(joined(&ranges.iter().map(Cidr::to_string).collect::<Vec<_>>()))
        }
        Value::Secret(secret) => Some(secret.to_string()),
        Value::WebhookSecrets(secrets) => {
            Some(joined(&secrets.iter().map(|one| one.secret.to_string()).collect::<Vec<_>>()))
        }
        Value::PriceMap(entries) => {
            let entry =
                |entry: &PriceMapEntry| format!("{}={}", entry.target, entry.prices.join("+"));
            Some(joined(&entries.iter().map(entry).collect::<Vec<_>>()))
        }
    }
}

/// Every value read, before the catalog is known and the values are checked against each other.
struct Values {
    database_url: String,
    listen: Option<std::net::SocketAddr>,
    metrics_listen: Option<std::net::SocketAddr>,
    catalog_source: (String, Origin),
    grace_hours: Option<u32>,
    upgrade_url: (Option<String>, Origin),
    price_map: (Vec<PriceMapEntry>, Origin),
    webhook_secrets: Vec<WebhookSecret>,
    secret_key: Option<Secret>,
    mode: Option<Livemode>,
    account: Option<String>,
    billing_enabled: Option<bool>,
    http: HttpLimits,
    rate: RateLimits,
    intake: IntakeLimits,
    cache: CacheLimits,
    workers: WorkerLimits,
    log: LogConfig,
}

impl Values {
    fn read(reader: &mut Reader<'_>) -> Self {
        let origin = |reader: &Reader<'_>, key| {
            settings::find(key).map_or(Origin::Default, |setting| reader.layers.get(setting).1)
        };
        let catalog_source =
            (reader.text("catalog.source").unwrap_or_default(), origin(reader, "catalog.source"));
        let price_map = match reader.value("stripe.price_map") {
            Value::PriceMap(entries) => entries,
            _ => Vec::new(),
        };
        let values = Self {
            database_url: reader.text("database.url").unwrap_or_default(),
            listen: read_address(reader, "server.listen"),
            metrics_listen: read_address(reader, "server.metrics_listen"),
            catalog_source,
            grace_hours: read_grace_hours(reader),
            upgrade_url: (
                reader.text("catalog.upgrade_url"),
                origin(reader, "catalog.upgrade_url"),
            ),
            price_map: (price_map, origin(reader, "stripe.price_map")),
            webhook_secrets: match reader.value("stripe.webhook_secrets") {
                Value::WebhookSecrets(secrets) => secrets,
                _ => Vec::new(),
            },
            secret_key: match reader.value("stripe.secret_key") {
                Value::Secret(key) => Some(key),
                _ => None,
            },
            mode: match reader.text("stripe.mode").as_deref() {
                Some("live") => Some(Livemode::Live),
                Some("test") => Some(Livemode::Test),
                _ => None,
            },
            account: reader.text("stripe.account"),
            billing_enabled: reader.flag("billing.enabled"),
            http: read_http(reader),
            rate: read_rate(reader),
            intake: read_intake(reader),
            cache: CacheLimits {
                accounts_max: reader.size("cache.accounts_max"),
                poll_ms: reader.number("cache.poll_ms"),
            },
            workers: read_workers(reader),
            log: read_log(reader),
        };
        for setting in SETTINGS.iter().filter(|setting| !setting.used) {
            reader.value(setting.key);
        }
        values
    }

    fn catalog_wishes<'a>(&'a self, sources: &'a Sources) -> CatalogWishes<'a> {
        CatalogWishes {
            directory: &sources.directory,
            source: &self.catalog_source.0,
            source_origin: &self.catalog_source.1,
            price_map: &self.price_map.0,
            price_map_origin: &self.price_map.1,
            grace_hours: self.grace_hours,
            upgrade_url: self.upgrade_url.0.as_deref(),
            upgrade_url_origin: &self.upgrade_url.1,
        }
    }

    fn key_mode(&self) -> Option<Livemode> {
        let key = self.secret_key.as_ref()?.expose();
        match key.get(2..8)? {
            "_live_" => Some(Livemode::Live),
            "_test_" => Some(Livemode::Test),
            _ => None,
        }
    }

    fn check_together(&self, layers: &Layers, catalog: Option<&Catalog>, faults: &mut Vec<Fault>) {
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
        if let Some(account) = self.account.as_deref()
            && !account.starts_with("acct_")
        {
            fault(
                "stripe.account",
                format!("{account:?} does not begin with acct_"),
                "copy the account's id from Stripe's dashboard, Settings",
            );
        }
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

    /// Billing asked for by name is refused with anything missing, all of it named at once.
    fn check_billing(&self, catalog: Option<&Catalog>, layers: &Layers, faults: &mut Vec<Fault>) {
        let already = |key: &str| faults.iter().any(|fault| fault.setting == key);
        let missing = [
            ("stripe.secret_key", "STRIPE_SECRET_KEY", self.secret_key.is_none()),
            ("stripe.webhook_secrets", "STRIPE_WEBHOOK_SECRET", self.webhook_secrets.is_empty()),
            (
                "stripe.price_map",
                "STRIPE_PRODUCT_PRICE_MAP",
                catalog.is_some_and(|catalog| catalog.prices.is_empty()),
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
            "set them, or do not set billing.enabled to true",
        );
        faults.push(Fault::new(origin, "billing.enabled", trouble));
    }

    fn into_config(self, catalog: Catalog) -> Config {
        let mode = self.mode.or_else(|| self.key_mode());
        let unspecified = std::net::SocketAddr::from(([127, 0, 0, 1], 8080));
        Config {
            database_url: DatabaseUrl::new(self.database_url),
            listen: self.listen.unwrap_or(unspecified),
            metrics_listen: self.metrics_listen,
            catalog,
            webhook_secrets: self.webhook_secrets,
            stripe: StripeConfig { secret_key: self.secret_key, mode, account: self.account },
            billing_enabled: self.billing_enabled.unwrap_or(true),
            http: self.http,
            rate: self.rate,
            intake: self.intake,
            cache: self.cache,
            workers: self.workers,
            log: self.log,
        }
    }
}

fn read_address(reader: &mut Reader<'_>, key: &'static str) -> Option<std::net::SocketAddr> {
    match reader.value(key) {
        Value::Address(address) => Some(address),
        _ => None,
    }
}

fn read_grace_hours(reader: &mut Reader<'_>) -> Option<u32> {
    match reader.value("catalog.grace_hours") {
        Value::Number(hours) => u32::try_from(hours).ok(),
        _ => None,
    }
}

fn read_http(reader: &mut Reader<'_>) -> HttpLimits {
    HttpLimits {
        body_bytes_max: reader.size("http.body_bytes_max"),
        webhook_body_bytes_max: reader.size("http.webhook_body_bytes_max"),
        request_timeout_ms: reader.number("http.request_timeout_ms"),
        header_timeout_ms: reader.number("http.header_timeout_ms"),
        connections_max: reader.size("http.connections_max"),
        keep_alive_ms: reader.number("http.keep_alive_ms"),
        drain_ms: reader.number("http.drain_ms"),
        trusted_proxies: match reader.value("http.trusted_proxies") {
            Value::Ranges(ranges) => ranges,
            _ => Vec::new(),
        },
        cors_origins: reader.list("http.cors_origins"),
    }
}

fn read_rate(reader: &mut Reader<'_>) -> RateLimits {
    RateLimits {
        public_per_min: reader.rate("rate.public_per_min"),
        billing_per_min: reader.rate("rate.billing_per_min"),
        admin_per_min: reader.rate("rate.admin_per_min"),
        check_per_min: reader.rate("rate.check_per_min"),
        usage_per_min: reader.rate("rate.usage_per_min"),
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
        waiting_retry_ms: reader.number("workers.waiting_retry_ms"),
        waiting_days_max: reader.count("workers.waiting_days_max"),
    }
}

fn read_log(reader: &mut Reader<'_>) -> LogConfig {
    LogConfig {
        level: reader.text("log.level").unwrap_or_default(),
        format: match reader.text("log.format").as_deref() {
            Some("pretty") => LogFormat::Pretty,
            _ => LogFormat::Json,
        },
    }
}
