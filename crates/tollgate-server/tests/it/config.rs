//! The configuration as a whole: layers, faults, what must be refused and how it is told.

use std::path::Path;

use proptest::prelude::*;
use tollgate_domain::catalog::PriceTarget;
use tollgate_domain::ids::{PriceId, PriceRef};
use tollgate_server::config::settings::SETTINGS;
use tollgate_server::config::{
    self, Environment, Faults, Flags, Loaded, MetricsListen, Sources, reference,
};

mod secret_files;
mod stripe;

/// A working directory of its own with the files and variables a test needs.
struct Place {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
    flags: Flags,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, variables: Vec::new(), flags: Flags::default() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Loaded, Faults> {
        config::load(&Sources {
            directory: self.directory.path().to_path_buf(),
            environment: self.variables.iter().cloned().collect::<Environment>(),
            flags: self.flags.clone(),
        })
    }

    fn faults(&self) -> Vec<String> {
        let faults = self.load().expect_err("a fault was expected");
        faults.0.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn where_the_metrics_listen_is_an_address_or_a_word() {
    let read = |text: &str| {
        let place = Place::new().variable("TOLLGATE__SERVER__METRICS_LISTEN", text);
        place.load().map(|loaded| loaded.config.metrics_listen)
    };
    let address = "[::1]:9000".parse().unwrap();
    let default = "127.0.0.1:9480".parse().unwrap();
    for (text, expected) in [
        ("[::1]:9000", MetricsListen::Apart { address, chosen: true }),
        ("127.0.0.1:9480", MetricsListen::Apart { address: default, chosen: true }),
        (" ", MetricsListen::Apart { address: default, chosen: false }),
        ("api", MetricsListen::BesideApi),
        ("off", MetricsListen::Off),
    ] {
        assert_eq!(read(text).unwrap(), expected, "{text:?}");
    }
    let blank = Place::new().file("tollgate.toml", "[server]\nmetrics_listen = \"\"\n");
    let blank = blank.load().unwrap().config.metrics_listen;
    assert_eq!(blank, MetricsListen::Apart { address: default, chosen: false });
    for wrong in ["everywhere", "9480", "API"] {
        let told = read(wrong).unwrap_err().to_string();
        assert!(told.contains("METRICS_LISTEN") && told.contains("write api or off"), "{told}");
    }
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let loaded = Place::new().load().unwrap();
    let config = &loaded.config;
    assert_eq!(config.database_url.expose(), "sqlite:.tollgate/tollgate.db");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.catalog.name, "sietch");
    assert!(config.webhook_secrets.is_empty() && config.billing_enabled);
    assert_eq!((config.rate.public_per_min, config.rate.check_per_min), (Some(100), None));
    assert_eq!(
        (config.http.body_bytes_max, config.http.webhook_body_bytes_max),
        (65_536, 1_048_576)
    );
    assert_eq!((config.workers.attempts_max, config.workers.waiting_days_max), (12, 30));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn later_layers_win() {
    let mut place = Place::new().file("tollgate.toml", "[server]\nlisten = \"127.0.0.1:1\"\n");
    let listen = |place: &Place| place.load().unwrap().config.listen.port();
    assert_eq!(listen(&place), 1);
    place = place.file(".env", "TOLLGATE__SERVER__LISTEN=127.0.0.1:2\n");
    assert_eq!(listen(&place), 2);
    place = place.variable("TOLLGATE__SERVER__LISTEN", "127.0.0.1:3");
    assert_eq!(listen(&place), 3);
    place.flags.listen = Some("127.0.0.1:4".to_owned());
    assert_eq!(listen(&place), 4);
}

#[test]
fn our_own_variable_wins_over_the_origin_systems_name() {
    let place = Place::new()
        .variable("DATABASE_URL", "postgres://a@db/one")
        .variable("TOLLGATE__DATABASE__URL", "postgres://a@db/two");
    assert_eq!(place.load().unwrap().config.database_url.expose(), "postgres://a@db/two");
    let place = Place::new()
        .file(".env", "TOLLGATE__DATABASE__URL=postgres://a@db/file\n")
        .variable("DATABASE_URL", "postgres://a@db/process");
    assert_eq!(place.load().unwrap().config.database_url.expose(), "postgres://a@db/process");
}

#[test]
fn every_wrong_value_is_refused_with_a_way_out() {
    let cases: &[(&str, &str, &str)] = &[
        ("ENABLE_BILLING", "yes", "neither true nor false"),
        ("ENABLE_BILLING", "True", "neither true nor false"),
        ("FEATURE_REDIS_ENABLED", "on", "neither true nor false"),
        ("GRACE_PERIOD_HOURS", "-1", "no whole number from 0 to 2160"),
        ("GRACE_PERIOD_HOURS", "24.5", "no whole number"),
        ("GRACE_PERIOD_HOURS", "99999", "no whole number"),
        ("UPGRADE_URL", "ftp://x", "begins with https://"),
        ("UPGRADE_URL", "https://x/{tier}", "placeholders"),
        ("REDIS_MAX_RETRIES", "11", "from 0 to 10"),
        ("REDIS_CONNECT_TIMEOUT", "999", "from 1000 to 30000"),
        ("REDIS_ENTITLEMENT_TTL", "59", "from 60 to 3600"),
        ("REDIS_URL", "http://redis", "does not begin with redis: or rediss:"),
        ("DATABASE_URL", "mysql://db", "does not begin with sqlite: or postgres:"),
        ("STRIPE_SECRET_KEY", " ", "blank"),
        ("STRIPE_SECRET_KEY", "sk_test_...", "placeholder"),
        ("STRIPE_SECRET_KEY", "your_stripe_key", "placeholder"),
        ("STRIPE_SECRET_KEY", "changeme", "placeholder"),
        ("STRIPE_SECRET_KEY", "pk_test_tollgate", "publishable"),
        ("STRIPE_SECRET_KEY", "whsec_tollgate", "webhook signing secret"),
        ("STRIPE_SECRET_KEY", "sk_test_toll gate", "white space"),
        ("STRIPE_SECRET_KEY", "abc", "does not begin with sk_test_"),
        ("STRIPE_WEBHOOK_SECRET", "", "blank"),
        (
            "STRIPE_WEBHOOK_SECRET",
            "whsec_tollgate_a1,",
            "entry 2: the webhook signing secret is blank",
        ),
        ("STRIPE_WEBHOOK_SECRET", "whsec_tollgate1", "at least 16"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_xxx", "placeholder"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_", "placeholder"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_<secret>...", "placeholder"),
        ("STRIPE_WEBHOOK_SECRET", "sk_test_tollgate", "is an API key"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_tollgate_a1,whsec_tollgate_a1", "given twice"),
        ("STRIPE_PRODUCT_PRICE_MAP", "premium=price_1,,", "entry 2"),
        ("STRIPE_PRODUCT_PRICE_MAP", "premium=price_1,basic=price_1", "cannot sell"),
        ("STRIPE_PRODUCT_PRICE_MAP", "premum=price_1", "did you mean \"premium\"?"),
        ("STRIPE_PRODUCT_PRICE_MAP", "{\"premium\": }", "no JSON object"),
        ("TOLLGATE__STRIPE__MODE", "production", "is not one of live, test"),
        ("TOLLGATE__STRIPE__ACCOUNT", "123", "does not begin with acct_"),
        ("TOLLGATE__SERVER__METRICS_LISTEN", "127.0.0.1:8080", "is where the API listens"),
        ("TOLLGATE__SERVER__LISTEN", "localhost:8080", "no IP address with a port"),
        ("TOLLGATE__SERVER__LISTEN", "8080", "no IP address with a port"),
        ("TOLLGATE__HTTP__TRUSTED_PROXIES", "10.0.0.0/8,ten", "\"ten\" is no range"),
        ("TOLLGATE__RATE__PUBLIC_PER_MIN", "0", "or none"),
        ("TOLLGATE__INTAKE__BATCH_MAX", "0", "from 1 to 1000"),
        ("TOLLGATE__WORKERS__BACKOFF_CAP_MS", "10", "shorter than the first one"),
        ("LOG_LEVEL", "debgu", "did you mean debug?"),
        ("LOG_LEVEL", "info,sqlx=loud", "\"loud\" is no log level"),
        ("TOLLGATE__HTTP__CORS_ORIGINS", "*", "no origin"),
        ("TOLLGATE__HTTP__CORS_ORIGINS", "https://app.example.com/", "no origin"),
        ("TOLLGATE__LOG__FORMAT", "jsn", "did you mean json?"),
        ("TOLLGATE__CATALOG__SOURCE", "seitch", "did you mean sietch?"),
        ("TOLLGATE__CATALOG__SOURCE", "nowhere/catalog.toml", "cannot be read"),
        ("TOLLGATE__SERVER__LISTN", "x", "did you mean TOLLGATE__SERVER__LISTEN?"),
        ("TOLLGATE__COMPLETELY__DIFFERENT", "x", "no setting is called"),
    ];
    for (name, value, told) in cases {
        let faults = Place::new().variable(name, value).faults();
        let one = faults.iter().find(|fault| fault.contains(told));
        let one = one.unwrap_or_else(|| panic!("{name}={value}: {told:?} not in {faults:#?}"));
        assert!(one.contains(name) && one.contains("mend: "), "{name}={value}: {one}");
        assert!(one.contains("docs/configuration.md#"), "{name}={value}: {one}");
    }
}

#[test]
fn every_mistake_in_a_file_is_told_at_once_with_its_line() {
    let place = Place::new()
        .file(
            "tollgate.toml",
            "[server]\nlissten = \"127.0.0.1:1\"\n\n[htttp]\nx = 1\n\n[http]\nbody_bytes_max = \"many\"\n\
             [billing]\nenabled = \"maybe\"\n",
        )
        .variable("UPGRADE_URL", "changeme");
    let faults = place.faults();
    for told in [
        "tollgate.toml:2: there is no setting server.lissten\n  mend: did you mean listen?",
        "tollgate.toml:4: there is no section [htttp]\n  mend: did you mean [http]?",
        "tollgate.toml:8: \"many\" is no whole number",
        "tollgate.toml:10: \"maybe\" is neither true nor false",
        "UPGRADE_URL: changeme is a placeholder",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(told)), "{told:?} not in {faults:#?}");
    }
    assert_eq!(faults.len(), 5, "{faults:#?}");
}

#[test]
fn a_file_that_is_no_toml_and_one_that_is_missing_are_faults() {
    let faults = Place::new().file("tollgate.toml", "[server]\nlisten = = 1\n").faults();
    assert!(faults[0].starts_with("tollgate.toml:2: the file is no TOML"), "{faults:#?}");
    let mut place = Place::new();
    place.flags.config = Some("absent.toml".into());
    assert!(place.faults()[0].starts_with("absent.toml: cannot be read"));
}

#[test]
fn a_catalog_with_mistakes_is_told_with_its_own_lines() {
    let place = Place::new()
        .file("tollgate.toml", "[catalog]\nsource = \"catalog.toml\"\n")
        .file("catalog.toml", "nonsense = 1\n");
    let faults = place.faults();
    assert!(faults[0].starts_with("catalog.toml:1: "), "{faults:#?}");
}

#[test]
fn a_variable_that_lacks_an_underscore_is_told_of_and_a_strangers_is_not() {
    let place = Place::new()
        .variable("TOLLGATE_STRIPE_MODE", "test")
        .variable("TOLLGATE_HTTP__DRAIN_MS", "5")
        .variable("TOLLGATE_STRIPE__SECRET_KEY_FILE", "/run/key")
        .variable("TOLLGATE_DATABASE_URL", "")
        .variable("TOLLGATE_SERVER_PORT", "tcp://10.0.0.1:80")
        .variable("TOLLGATE_URL", "http://127.0.0.1:1");
    let loaded = place.load().unwrap();
    assert_eq!(loaded.config.stripe.mode, None);
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    for name in
        ["TOLLGATE__STRIPE__MODE", "TOLLGATE__HTTP__DRAIN_MS", "TOLLGATE__STRIPE__SECRET_KEY"]
    {
        assert!(told.iter().any(|one| one.contains(name)), "{name}: {told:#?}");
    }
}

#[test]
fn billing_asked_for_by_name_lists_everything_that_is_missing() {
    let faults = Place::new().variable("ENABLE_BILLING", "true").faults();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].contains("STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET"), "{faults:#?}");
    let complete = Place::new()
        .variable("ENABLE_BILLING", "1")
        .variable("STRIPE_SECRET_KEY", "sk_test_tollgate1")
        .variable("STRIPE_WEBHOOK_SECRET", "whsec_tollgate_config_1")
        .variable("STRIPE_PRODUCT_PRICE_MAP", "premium=price_1");
    assert!(complete.load().unwrap().config.billing_enabled);
    // Lookup keys, of which every built-in catalog has some, map nothing by themselves.
    let unmapped = Place::new()
        .variable("ENABLE_BILLING", "true")
        .variable("STRIPE_SECRET_KEY", "sk_test_tollgate1")
        .variable("STRIPE_WEBHOOK_SECRET", "whsec_tollgate_config_1");
    let faults = unmapped.faults();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].contains("missing: STRIPE_PRODUCT_PRICE_MAP"), "{faults:#?}");
}

#[test]
fn two_names_of_one_setting_may_not_contradict_each_other() {
    let place = |a: &str, b: &str| {
        Place::new().variable("ENABLE_BILLING", a).variable("FEATURE_BILLING_ENABLED", b)
    };
    assert!(place("false", "true").faults()[0].contains("say different things"));
    assert!(!place("false", "0").load().unwrap().config.billing_enabled);
}

#[test]
fn mapped_prices_reach_the_catalog_and_change_its_version() {
    let plain = Place::new().load().unwrap().config.catalog;
    let forms = [
        Place::new().variable(
            "STRIPE_PRODUCT_PRICE_MAP",
            r#"{"premium": ["price_m", "price_y"], "badge": "price_b"}"#,
        ),
        Place::new().file(
            ".env",
            r#"STRIPE_PRODUCT_PRICE_MAP={"premium": ["price_m", "price_y"], "badge": "price_b"}"#,
        ),
        Place::new()
            .variable("STRIPE_PRODUCT_PRICE_MAP", "premium=price_m,premium:price_y,badge:price_b"),
        Place::new().file(
            "tollgate.toml",
            "[stripe.price_map]\npremium = [\"price_m\", \"price_y\"]\nbadge = \"price_b\"\n",
        ),
    ];
    let mut versions = Vec::new();
    for place in forms {
        let catalog = place.load().unwrap().config.catalog;
        let (premium, _) = catalog.find_plan("premium").unwrap();
        let sells = |price: &str| {
            let id = PriceId::parse(price).unwrap();
            catalog.price_target(PriceRef { id: &id, lookup_key: None, product: None })
        };
        assert_eq!(sells("price_y"), Some(PriceTarget::Plan(premium)));
        assert_eq!(sells("price_b"), Some(PriceTarget::Badge));
        versions.push(catalog.version);
    }
    assert!(versions.iter().all(|version| *version == versions[0] && *version != plain.version));
}

#[test]
fn settings_over_the_catalog_are_applied() {
    let place = Place::new()
        .variable("GRACE_PERIOD_HOURS", "72")
        .variable("UPGRADE_URL", "https://example.com/up");
    let catalog = place.load().unwrap().config.catalog;
    assert!(catalog.plans.iter().all(|plan| plan.grace_hours == 72));
    assert!(catalog.upgrade_url.starts_with("https://example.com/up?"));
}

#[test]
fn settings_of_parts_not_built_are_taken_and_honestly_said_to_do_nothing() {
    let place = Place::new()
        .variable("REDIS_URL", "redis://cache:6379")
        .variable("DISCORD_BOT_TOKEN", "tollgate.bot.token");
    let warnings: Vec<String> =
        place.load().unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings.iter().all(|warning| warning.contains("not used by this version")));
}

#[test]
fn names_of_the_origin_systems_without_a_meaning_are_told_once_with_what_to_use() {
    let place = Place::new()
        .variable("STRIPE_PRICE_ID_BASIC", "price_1")
        .variable("STRIPE_PRICE_ID_PREMIUM", "price_2")
        .variable("STRIPE_PRICE_IDS", "basic:price_1")
        .variable("ADMIN_API_KEYS", "key:name")
        .variable("UPSTASH_REDIS_REST_URL", "https://example.com")
        .variable("UPSTASH_REDIS_REST_TOKEN", "a-token-nobody-is-shown")
        .variable("BILLING_EVENTS_REDIS_URL", "")
        .file(".env", "STRIPE_PUBLISHABLE_KEY=pk_test_tollgate\n");
    let warnings: Vec<String> =
        place.load().unwrap().warnings.iter().map(ToString::to_string).collect();
    let told = |needles: &[&str]| {
        let all = |warning: &&String| needles.iter().all(|needle| warning.contains(needle));
        assert_eq!(warnings.iter().filter(all).count(), 1, "{needles:?} in {warnings:#?}");
    };
    told(&[
        "STRIPE_PRICE_IDS, STRIPE_PRICE_ID_BASIC, STRIPE_PRICE_ID_PREMIUM mean nothing",
        "STRIPE_PRODUCT_PRICE_MAP",
    ]);
    told(&["ADMIN_API_KEYS means nothing", "tollgate keys create"]);
    told(&["UPSTASH_REDIS_REST_TOKEN, UPSTASH_REDIS_REST_URL mean nothing"]);
    told(&["STRIPE_PUBLISHABLE_KEY means nothing", ".env:1"]);
    assert!(warnings.iter().all(|warning| !warning.contains("a-token-nobody-is-shown")));
    assert!(warnings.iter().all(|warning| !warning.contains("BILLING_EVENTS_REDIS_URL")));
}

#[test]
fn what_is_shown_never_holds_a_secret() {
    let place = Place::new()
        .variable("STRIPE_SECRET_KEY", "sk_test_tollgatesecretvalue1")
        .variable("STRIPE_WEBHOOK_SECRET", "whsec_tollgatesecretvalue2,abcsecretvalue567890")
        .variable("DATABASE_URL", "postgres://user:tollgatesecretvalue3@db/name")
        .variable("SENTRY_DSN", "https://tollgatesecretvalue4@sentry.example/1");
    let loaded = place.load().unwrap();
    let shown = format!("{:?} {:?} {:?}", loaded.shown, loaded.config, loaded.warnings);
    assert!(!shown.contains("secretvalue"), "{shown}");
    let value =
        |key: &str| loaded.shown.iter().find(|one| one.key == key).unwrap().value.clone().unwrap();
    let masked = config::secret::mask("whsec_tollgatesecretvalue2");
    assert_eq!(value("stripe.webhook_secrets"), format!("{masked},****"));
    assert_eq!(value("database.url"), "postgres://user:****@db/name");
}

#[cfg(unix)]
#[test]
fn an_env_file_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new().file(".env", "LOG_LEVEL=debug\n");
    let path = place.directory.path().join(".env");
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = place.load().unwrap().warnings;
        assert_eq!(!warnings.is_empty(), warned, "{mode:o}: {warnings:?}");
    }
}

#[test]
fn a_path_in_a_file_is_relative_to_that_file() {
    let place = Place::new();
    let inner = place.directory.path().join("etc");
    std::fs::create_dir(&inner).unwrap();
    let text = tollgate_domain::catalog::builtin_text("saas").unwrap();
    std::fs::write(inner.join("mine.toml"), text).unwrap();
    std::fs::write(inner.join("tollgate.toml"), "[catalog]\nsource = \"mine.toml\"\n").unwrap();
    let mut place = place;
    place.flags.config = Some(Path::new("etc").join("tollgate.toml"));
    assert_eq!(place.load().unwrap().config.catalog.name, "mine");
}

#[test]
fn the_reference_page_names_every_setting_that_acts_and_each_default_is_allowed() {
    let page = reference::page();
    for setting in SETTINGS {
        let heading = format!("### `{}`\n", setting.key);
        assert_eq!(page.contains(&heading), setting.used, "{}", setting.key);
        assert_eq!(page.contains(&setting.variable()), setting.used, "{}", setting.key);
        let section = format!("\n## {}\n", setting.section());
        let acts = SETTINGS.iter().any(|one| one.used && one.section() == setting.section());
        assert_eq!(page.matches(&section).count(), usize::from(acts), "{}", setting.key);
    }
    assert!(Place::new().load().is_ok(), "the defaults themselves have no fault");
}

#[test]
fn a_grace_beyond_what_catalogs_allow_is_refused_and_not_cut() {
    let max = tollgate_domain::catalog::parse::GRACE_HOURS_MAX;
    let place = |hours: u32| Place::new().variable("GRACE_PERIOD_HOURS", &hours.to_string());
    assert!(place(max).load().is_ok());
    assert!(place(max + 1).load().is_err());
}

/// Any text with some of the characters that mean something in the forms values have.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".*", "[a-z_0-9.,:={}\\[\\]\"'# \n\u{0}-]{0,60}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_anywhere_makes_loading_panic(value in text(), dotenv in text(), file in text()) {
        let mut place = Place::new().file(".env", &dotenv).file("tollgate.toml", &file);
        for setting in config::settings::SETTINGS {
            place = place.variable(&setting.variable(), &value);
        }
        if let Err(faults) = place.load() {
            prop_assert!(!faults.0.is_empty() && !faults.to_string().is_empty());
        }
    }

    #[test]
    fn no_value_in_a_file_makes_loading_panic(value in text(), place in 0..config::settings::SETTINGS.len()) {
        let (section, name) = config::settings::SETTINGS[place].key.split_once('.').unwrap();
        let quoted = serde_json::to_string(&value).unwrap();
        let place = Place::new().file("tollgate.toml", &format!("[{section}]\n{name} = {quoted}\n"));
        if let Err(faults) = place.load() {
            prop_assert!(faults.0.iter().all(|fault| fault.to_string().contains("mend: ")));
        }
    }
}

#[test]
fn whom_to_tell_of_a_weakness_is_an_address() {
    let contact = "TOLLGATE__SERVER__SECURITY_CONTACT";
    let policy = "TOLLGATE__SERVER__SECURITY_POLICY";
    let loaded = Place::new().variable(contact, "mailto:a@example.com, tel:+1-201-555-0123").load();
    let contact_set = loaded.unwrap().config.security_contact.unwrap();
    assert_eq!(contact_set.contacts, ["mailto:a@example.com", "tel:+1-201-555-0123"]);
    assert_eq!(Place::new().load().unwrap().config.security_contact, None);

    let faults = Place::new().variable(contact, "security@example.com").faults();
    assert!(faults[0].contains("no address to report a weakness to"), "{faults:?}");
    assert!(faults[0].contains("mailto:security@example.com"), "{faults:?}");
    let faults = Place::new().variable(policy, "https://example.com/policy").faults();
    assert!(faults[0].contains("nobody to report to"), "{faults:?}");
    let place = Place::new().variable(contact, "mailto:a@example.com");
    let faults = place.variable(policy, "https://example.com/a\nContact: b").faults();
    assert!(faults[0].contains("no address of a page"), "{faults:?}");
}
