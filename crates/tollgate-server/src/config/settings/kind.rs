//! What a setting is. Owns: the kinds of values and what the table says of each setting. Must not
//! know: any single setting.

use super::VARIABLE_PREFIX;

/// What may stand in a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within bounds, both included.
    Number {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// A whole number from 1, or `none`.
    Rate,
    /// `true`, `false`, `1` or `0`.
    Flag,
    /// An IP address with a port.
    Address,
    /// An IP address with a port, or one of these words.
    AddressOr(&'static [&'static str]),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// A list of web origins; in one variable separated by commas.
    Origins,
    /// A log level or filter directives.
    LogFilter,
    /// A list of address ranges.
    Ranges,
    /// A list of Stripe accounts, `acct_…`.
    StripeAccounts,
    /// A list of places customers may be sent to.
    Redirects,
    /// A list of addresses to report to.
    Contacts,
    /// An address with one of these schemes.
    Url(&'static [&'static str]),
    /// A secret.
    Secret(SecretKind),
    /// Secrets of webhook endpoints, one or several.
    WebhookSecrets,
    /// Plan ids to price ids.
    PriceMap,
}

/// Which secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// `sk_…` or `rk_…`.
    StripeKey,
    /// Of another service.
    Other,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.name`, as in the file.
    pub key: &'static str,
    /// What may stand in it.
    pub kind: Kind,
    /// Its default as a text; empty for "not set".
    pub default: &'static str,
    /// Names of the origin systems in the environment.
    pub names: &'static [&'static str],
    /// Whether this version does anything with it.
    pub used: bool,
    /// Whether only a variable of the process may set it: neither a file nor `.env`, which whoever
    /// can write into the working directory can write as well.
    pub process_only: bool,
    /// What it means.
    pub doc: &'static str,
}

impl Setting {
    /// Its own variable, `TOLLGATE__SECTION__NAME`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.replace('.', "__").to_uppercase())
    }

    /// Its section.
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(section, _)| section)
    }

    /// Whether its value may be in a file that a variable `…_FILE` names: secrets, and addresses of
    /// databases, which have a password in them.
    pub fn takes_file(&self) -> bool {
        let has_password =
            |kind| matches!(kind, Kind::Url(schemes) if schemes.contains(&"postgres"));
        self.is_secret() || has_password(self.kind)
    }

    /// Whether its value must not be shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_) | Kind::WebhookSecrets)
    }
}

/// A whole number.
pub(super) const fn number(
    key: &'static str,
    (min, max): (u64, u64),
    default: &'static str,
    doc: &'static str,
) -> Setting {
    setting(key, Kind::Number { min, max }, default, &[], doc)
}

/// A setting of any kind.
pub(super) const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    names: &'static [&'static str],
    doc: &'static str,
) -> Setting {
    Setting { key, kind, default, names, used: true, process_only: false, doc }
}

/// A setting that neither a file nor `.env` may give.
pub(super) const fn process_only(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { process_only: true, ..setting(key, kind, default, &[], doc) }
}

/// A setting that is accepted and checked, and not used by this version.
pub(super) const fn later(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    names: &'static [&'static str],
    doc: &'static str,
) -> Setting {
    Setting { used: false, ..setting(key, kind, default, names, doc) }
}
