//! What can be set. Owns: the sections, and finding a setting. Must not know: values. Files, variables,
//! checks, `config show` and the reference page are made from it.

mod kind;
mod table;

pub use kind::{Kind, SecretKind, Setting};
pub use table::SETTINGS;

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
