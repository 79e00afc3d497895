//! The table of settings. Owns: each setting's name, kind, default, other names and meaning. Must not
//! know: values. Files, variables, checks, `config show` and the reference page are made from it.

mod kind;

pub use kind::{Kind, SecretKind, Setting};

use super::MetricsListen;

/// What every variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "TOLLGATE__";

/// The sections in the order of the reference page, with what they are about.
pub const SECTIONS: &[(&str, &str)] = &[
    ("database", "Where everything is kept."),
    ("server", "Where Tollgate listens."),
    ("catalog", "Plans, features and prices."),
    ("stripe", "The Stripe account this deployment belongs to."),
    ("identity", "How accounts are recognised."),
    ("billing", "What is switched on."),
    ("http", "Limits of the HTTP side."),
    (
        "rate",
        "Requests per minute: per key, else per client address, where all of an IPv6 network (/64) are one. `none` for no limit.",
    ),
    ("intake", "The queue between webhooks and the database."),
    ("cache", "Ready-made answers in memory."),
    (
        "retention",
        "For how many days records are kept; 0 for ever. What is too old is removed by a running server, once a day.",
    ),
    ("workers", "Retries of events that failed or wait for their owner."),
    ("log", "Logging, to standard error."),
    ("redis", "A shared accelerator."),
    ("discord", "Discord."),
    ("telemetry", "Where reports go."),
];

/// A setting by its key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

const fn number(
    key: &'static str,
    (min, max): (u64, u64),
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        key,
        kind: Kind::Number { min, max },
        default,
        names: &[],
        used: true,
        process_only: false,
        doc,
    }
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    names: &'static [&'static str],
    doc: &'static str,
) -> Setting {
    Setting { key, kind, default, names, used: true, process_only: false, doc }
}

/// A setting that neither a file nor `.env` may give.
const fn process_only(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { key, kind, default, names: &[], used: true, process_only: true, doc }
}

/// A setting that is accepted and checked, and not used by this version.
const fn later(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    names: &'static [&'static str],
    doc: &'static str,
) -> Setting {
    Setting { key, kind, default, names, used: false, process_only: false, doc }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting(
        "database.url",
        Kind::Url(&["sqlite", "postgres", "postgresql"]),
        "sqlite:.tollgate/tollgate.db",
        &["DATABASE_URL"],
        "`sqlite:PATH` or `postgres://user:password@host:port/name`. Another machine is spoken to with TLS: `?sslmode=verify-full` also proves who it is (`&sslrootcert=FILE` for a certificate authority of your own); `?sslmode=disable` only where the network is yours.",
    ),
    number(
        "database.connections_max",
        (2, 1_000),
        "8",
        "Connections to PostgreSQL, and one more that listens; for SQLite: readers, beside one writer.",
    ),
    setting(
        "database.pooling",
        Kind::Choice(&["session", "transaction"]),
        "session",
        &[],
        "`transaction` where `database.url` leads to PgBouncer in transaction mode, or a pooler like it: settings go with every transaction, and no statement stays prepared.",
    ),
    setting(
        "database.listen_url",
        Kind::Url(&["postgres", "postgresql"]),
        "",
        &[],
        "PostgreSQL itself, for `LISTEN`, where `database.url` leads to a pooler in transaction mode. Without it other instances' changes are seen by polling, after `cache.poll_ms`.",
    ),
    setting(
        "server.listen",
        Kind::Address,
        "127.0.0.1:8080",
        &[],
        "Address and port of the API; port 0 takes a free one.",
    ),
    setting(
        "server.metrics_listen",
        Kind::AddressOr(&[MetricsListen::BESIDE_API, MetricsListen::OFF]),
        "127.0.0.1:9464",
        &[],
        "The listener of `/metrics`. `api` serves it beside the API, to whoever reaches that; `off` nowhere. Where the default is taken `serve` says so in its log and starts without; an address that is set is needed.",
    ),
    setting(
        "server.public_url",
        Kind::Url(&["https", "http"]),
        "",
        &[],
        "Where customers reach your application. An upgrade URL that is a path is one of this site; while neither is set, replies name none.",
    ),
    setting(
        "server.security_contact",
        Kind::Contacts,
        "",
        &[],
        "Whom to tell of a weakness, the preferred one first. Served as `/.well-known/security.txt` (RFC 9116); without it there is none.",
    ),
    setting(
        "server.security_policy",
        Kind::Url(&["https"]),
        "",
        &[],
        "A page that says what is done with a report; named in `security.txt`.",
    ),
    setting(
        "catalog.source",
        Kind::Text,
        "sietch",
        &[],
        "`sietch`, `propiq`, `levels`, `saas`, or the path of a catalog file (relative to the file that says so).",
    ),
    setting(
        "catalog.grace_hours",
        Kind::Number { min: 0, max: 2160 },
        "",
        &["GRACE_PERIOD_HOURS"],
        "Hours of access after a first failed payment, for every plan; unset: as the catalog says.",
    ),
    setting(
        "catalog.upgrade_url",
        Kind::Text,
        "",
        &["UPGRADE_URL"],
        "Where a denial sends people; `{plan}` and `{account}` are filled in.",
    ),
    setting(
        "stripe.secret_key",
        Kind::Secret(SecretKind::StripeKey),
        "",
        &["STRIPE_SECRET_KEY"],
        "API key, `sk_…` or restricted `rk_…`. Decides the mode when `stripe.mode` is unset.",
    ),
    setting(
        "stripe.webhook_secrets",
        Kind::WebhookSecrets,
        "",
        &["STRIPE_WEBHOOK_SECRET"],
        "Signing secrets of the webhook endpoints, `whsec_…`; several separated by commas while one is rotated. In the file an entry may be a table: `{ secret, label, not_after }`.",
    ),
    setting(
        "stripe.mode",
        Kind::Choice(&["live", "test"]),
        "",
        &[],
        "Events of the other mode are stored and ignored. Unset: read from the key; without a key the mode of the first event seen is kept.",
    ),
    setting(
        "stripe.account",
        Kind::Text,
        "",
        &[],
        "`acct_…`: the connected account this deployment is for. Calls are made for it, and its events are ours. Unset: the account the key belongs to.",
    ),
    setting(
        "stripe.accounts",
        Kind::StripeAccounts,
        "",
        &[],
        "Connected accounts (`acct_…`) whose events are taken as ours and whose objects are read in their account. Events of all other connected accounts are stored and ignored (`foreign_account`); those of your own account name none. Nothing is bought or changed in them.",
    ),
    setting(
        "stripe.price_map",
        Kind::PriceMap,
        "",
        &["STRIPE_PRODUCT_PRICE_MAP"],
        "Plan ids, `badge` and `boost` to price ids: JSON (`{\"premium\": [\"price_m\", \"price_y\"]}`), `plan=price,plan:price`, or a table in the file. Adds to the catalog's own.",
    ),
    setting(
        "stripe.portal_return_url",
        Kind::Url(&["https", "http"]),
        "",
        &["STRIPE_PORTAL_RETURN_URL"],
        "Where the customer portal leads back to, for callers that do not say.",
    ),
    setting(
        "stripe.api_base",
        Kind::Url(&["https", "http"]),
        "https://api.stripe.com",
        &["STRIPE_API_BASE"],
        "Where Stripe's API is. `http:` only on this machine, for the sandbox. A live key goes to Stripe's own hosts only.",
    ),
    process_only(
        "stripe.live_key_elsewhere",
        Kind::Flag,
        "false",
        "`true` sends a live key to a `stripe.api_base` that is not Stripe's, such as a proxy of yours: whoever runs that host has the key. Only a variable of the process can set it, no file and no `.env`.",
    ),
    setting(
        "identity.match_email",
        Kind::Flag,
        "false",
        &[],
        "A customer nobody claims belongs to the one account whose verified e-mail is the customer's. Anybody can give any e-mail at a checkout, so switch it on only where Stripe's customers are made by you.",
    ),
    setting(
        "billing.enabled",
        Kind::Flag,
        "",
        &["ENABLE_BILLING", "FEATURE_BILLING_ENABLED"],
        "`true` demands an API key, a webhook secret and at least one price or product named by its id (lookup keys do not count), and refuses to start without. `false` closes every billing route with 503 `billing_disabled`; checks and the webhook work on. Unset: open, nothing demanded.",
    ),
    setting(
        "billing.redirect_allow",
        Kind::Redirects,
        "",
        &[],
        "Where customers may be sent after Stripe's pages: `https://app.example.com`, `https://*.example.com`, `https://example.com/billing`, `http://localhost:*`. Empty: only to this machine, for trying out.",
    ),
    later("billing.stream", Kind::Flag, "true", &["ENABLE_BILLING_STREAM"], "The live stream."),
    later(
        "billing.gatekeeper",
        Kind::Flag,
        "true",
        &["FEATURE_GATEKEEPER_ENABLED"],
        "The gatekeeper of communities.",
    ),
    number("http.body_bytes_max", (1024, 16_777_216), "65536", "Longest request body in bytes."),
    number(
        "http.webhook_body_bytes_max",
        (65_536, 16_777_216),
        "1048576",
        "Longest webhook body in bytes.",
    ),
    number(
        "http.request_timeout_ms",
        (100, 600_000),
        "10000",
        "From the end of a request's head to the reply.",
    ),
    number("http.header_timeout_ms", (100, 600_000), "10000", "For a head to arrive."),
    number(
        "http.connections_max",
        (1, 1_000_000),
        "4096",
        "Connections open at once; whoever comes then gets 503 `too_many_connections`.",
    ),
    number(
        "http.connections_per_address_max",
        (1, 1_000_000),
        "1024",
        "Connections open at once from one address, or one IPv6 network (/64); those of `http.trusted_proxies` may have more.",
    ),
    number(
        "http.write_timeout_ms",
        (100, 600_000),
        "10000",
        "A peer that takes nothing of an answer for so long is cut off.",
    ),
    number(
        "http.bodies_bytes_max",
        (65_536, 17_179_869_184),
        "67108864",
        "Memory in bytes for request bodies that have not come completely, all together; beyond it: 503 `overloaded`.",
    ),
    number("http.keep_alive_ms", (1000, 3_600_000), "60000", "An idle connection ends then."),
    number(
        "http.lame_duck_ms",
        (0, 600_000),
        "0",
        "From SIGTERM to the closing of the listener: `/readyz` answers 503, everything else is served. Behind a load balancer: the time until it notices.",
    ),
    number(
        "http.drain_ms",
        (0, 600_000),
        "20000",
        "From the closing of the listener to the end, for requests in flight.",
    ),
    setting(
        "http.trusted_proxies",
        Kind::Ranges,
        "",
        &[],
        "Address ranges of your proxies, such as `10.0.0.0/8`. What they say of whom a request comes from is believed, from the end of the list as far as it names them.",
    ),
    setting(
        "http.forwarded_header",
        Kind::Choice(&["x-forwarded-for", "forwarded"]),
        "x-forwarded-for",
        &[],
        "The header your proxies say it in; the other one is not looked at, because anybody can send it.",
    ),
    setting(
        "http.cors_origins",
        Kind::Origins,
        "",
        &[],
        "Origins browsers may call from, such as `https://app.example.com`. Empty: none.",
    ),
    setting(
        "rate.public_per_min",
        Kind::Rate,
        "100",
        &[],
        "Routes that need no key: plans, features, the description of the API and its documentation.",
    ),
    setting(
        "rate.health_per_min",
        Kind::Rate,
        "60",
        &[],
        "`/health`, and `/metrics` where it is served beside the API. `/livez` and `/readyz` have no limit: load balancers ask them, and what they cost is bounded.",
    ),
    setting(
        "rate.unauthorized_per_min",
        Kind::Rate,
        "60",
        &[],
        "Requests without a valid key that are told so (401), per client address; more are told to wait (429). Valid keys are taken meanwhile, from that address too.",
    ),
    setting(
        "rate.bad_signatures_per_min",
        Kind::Rate,
        "60",
        &[],
        "Webhooks without a right signature that are told so (400), per client address; more are told to wait (429). Rightly signed ones are taken meanwhile, from that address too.",
    ),
    setting("rate.billing_per_min", Kind::Rate, "60", &[], "Billing routes."),
    setting("rate.admin_per_min", Kind::Rate, "30", &[], "Admin routes."),
    setting("rate.check_per_min", Kind::Rate, "none", &[], "Checks and entitlements."),
    setting("rate.usage_per_min", Kind::Rate, "none", &[], "Usage."),
    number(
        "intake.queue_max",
        (1, 1_000_000),
        "8192",
        "Events waiting for a writer; more get 503.",
    ),
    number("intake.batch_max", (1, 1000), "200", "Most events in one transaction."),
    number(
        "intake.writers",
        (1, 16),
        "2",
        "Transactions at once on PostgreSQL; SQLite always has one.",
    ),
    number(
        "intake.ack_timeout_ms",
        (100, 20_000),
        "5000",
        "From arrival to 503 when nothing could be committed.",
    ),
    number(
        "cache.accounts_max",
        (0, 100_000_000),
        "50000",
        "Accounts held in memory; 0 switches the cache off.",
    ),
    number(
        "cache.poll_ms",
        (10, 1000),
        "250",
        "Pace of asking the database what other instances changed. It bounds staleness, so at most a second.",
    ),
    number(
        "retention.event_bodies_days",
        (0, 36_500),
        "90",
        "Bodies of events that are done with. Key, type, outcome and length stay for ever, so an event that comes again is known; without its body it cannot be replayed.",
    ),
    number(
        "retention.journal_days",
        (0, 36_500),
        "0",
        "Entries of the journal (the audit log). Its hash chain goes on from the last entry that was removed.",
    ),
    number(
        "retention.billing_events_days",
        (0, 36_500),
        "30",
        "Billing events (the table `billing_events`). Their numbers go on.",
    ),
    number(
        "retention.usage_days",
        (400, 36_500),
        "800",
        "Counters of used units after their period's end. At least 400, so that what counts for a year is there.",
    ),
    number(
        "workers.lease_ms",
        (1000, 600_000),
        "30000",
        "A claimed event belongs to its worker for this long.",
    ),
    number("workers.poll_ms", (10, 60_000), "1000", "Pace of looking for due events."),
    number("workers.batch", (1, 1000), "50", "Most events claimed at once."),
    number("workers.attempts_max", (1, 100), "12", "Attempts before an event is dead."),
    number(
        "workers.backoff_base_ms",
        (10, 3_600_000),
        "30000",
        "First wait after a failure; doubles each time.",
    ),
    number("workers.backoff_cap_ms", (10, 86_400_000), "600000", "Longest wait after a failure."),
    number(
        "workers.waiting_days_max",
        (1, 365),
        "30",
        "Days an event waits for an owner; it is ignored then. A thin event whose object Stripe does \
         not show in these days is dead.",
    ),
    setting(
        "log.level",
        Kind::LogFilter,
        "info",
        &["LOG_LEVEL"],
        "`error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,sqlx=warn`.",
    ),
    setting(
        "log.format",
        Kind::Choice(&["json", "pretty"]),
        "json",
        &[],
        "One JSON object a line, or lines for people.",
    ),
    later(
        "redis.enabled",
        Kind::Flag,
        "",
        &["FEATURE_REDIS_ENABLED"],
        "Use Redis where `redis.url` is set.",
    ),
    later(
        "redis.url",
        Kind::Url(&["redis", "rediss"]),
        "",
        &["REDIS_URL"],
        "`redis://…` or `rediss://…`.",
    ),
    later(
        "redis.retries_max",
        Kind::Number { min: 0, max: 10 },
        "3",
        &["REDIS_MAX_RETRIES"],
        "Retries of one command.",
    ),
    later(
        "redis.connect_timeout_ms",
        Kind::Number { min: 1000, max: 30_000 },
        "5000",
        &["REDIS_CONNECT_TIMEOUT"],
        "For a connection to be made.",
    ),
    later(
        "redis.entitlement_ttl_seconds",
        Kind::Number { min: 60, max: 3600 },
        "300",
        &["REDIS_ENTITLEMENT_TTL"],
        "How long an answer is kept.",
    ),
    later(
        "discord.public_key",
        Kind::Text,
        "",
        &["DISCORD_PUBLIC_KEY"],
        "The application's public key.",
    ),
    later(
        "discord.bot_token",
        Kind::Secret(SecretKind::Other),
        "",
        &["DISCORD_BOT_TOKEN"],
        "The bot's token.",
    ),
    later(
        "telemetry.sentry_dsn",
        Kind::Secret(SecretKind::Other),
        "",
        &["SENTRY_DSN"],
        "Errors go to this Sentry project.",
    ),
    later(
        "telemetry.posthog_api_key",
        Kind::Secret(SecretKind::Other),
        "",
        &["POSTHOG_API_KEY"],
        "Product events go to this PostHog project.",
    ),
    later(
        "telemetry.otlp_endpoint",
        Kind::Url(&["http", "https"]),
        "",
        &["OTEL_EXPORTER_OTLP_ENDPOINT"],
        "Traces go to this OpenTelemetry collector.",
    ),
];
