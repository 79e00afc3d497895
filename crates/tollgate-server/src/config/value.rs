//! Values of settings. Owns: reading a raw text, list or table as what its kind demands, and saying
//! what is wrong with it. Must not know: where a value came from, other settings.

use std::net::SocketAddr;

use tollgate_domain::Timestamp;
use tollgate_domain::buying::RedirectRule;

use super::contact;
use super::fault::{Trouble, nearest};
use super::price_map::{self, PriceMapEntry};
use super::secret::{Secret, mask};
use super::settings::{Kind, SecretKind};
use super::{Cidr, WebhookSecret};

/// A value before it is read: what a file, a variable or a flag holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// Text, or a number, date or flag as its text.
    Text(String),
    /// A list of a file.
    List(Vec<Raw>),
    /// A table of a file.
    Table(Vec<(String, Raw)>),
}

/// A value as its kind demands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Not set.
    Unset,
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Rate`]; `None`: no limit.
    Rate(Option<u32>),
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Address`] and [`Kind::AddressOr`].
    Address(SocketAddr),
    /// Of [`Kind::Text`], [`Kind::Choice`], [`Kind::Url`] and [`Kind::AddressOr`].
    Text(String),
    /// Of [`Kind::Origins`], [`Kind::StripeAccounts`] and [`Kind::Contacts`].
    List(Vec<String>),
    /// Of [`Kind::Ranges`].
    Ranges(Vec<Cidr>),
    /// Of [`Kind::Redirects`].
    Redirects(Vec<RedirectRule>),
    /// Of [`Kind::Secret`].
    Secret(Secret),
    /// Of [`Kind::WebhookSecrets`].
    WebhookSecrets(Vec<WebhookSecret>),
    /// Of [`Kind::PriceMap`].
    PriceMap(Vec<PriceMapEntry>),
}

macro_rules! accessor {
    ($name:ident, $variant:ident, $holds:ty) => {
        pub(super) fn $name(self) -> Option<$holds> {
            if let Self::$variant(held) = self { Some(held) } else { None }
        }
    };
}

impl Value {
    accessor!(number, Number, u64);
    accessor!(flag, Flag, bool);
    accessor!(address, Address, SocketAddr);
    accessor!(text, Text, String);
    accessor!(list, List, Vec<String>);
    accessor!(ranges, Ranges, Vec<Cidr>);
    accessor!(redirects, Redirects, Vec<RedirectRule>);
    accessor!(secret, Secret, Secret);
    accessor!(webhook_secrets, WebhookSecrets, Vec<WebhookSecret>);
    accessor!(price_map, PriceMap, Vec<PriceMapEntry>);

    /// The rate; no limit also where it is unset.
    pub(super) fn rate(self) -> Option<u32> {
        if let Self::Rate(rate) = self { rate } else { None }
    }
}

/// Reads a value; everything wrong with it at once.
pub fn parse(kind: Kind, raw: &Raw) -> Result<Value, Vec<Trouble>> {
    match kind {
        Kind::WebhookSecrets => webhook_secrets(raw).map(Value::WebhookSecrets),
        Kind::PriceMap => price_map::parse(raw).map(Value::PriceMap),
        Kind::Origins => texts(raw).and_then(origins).map_err(one),
        Kind::StripeAccounts => texts(raw).and_then(stripe_accounts).map_err(one),
        Kind::Contacts => texts(raw).and_then(contact::parse).map_err(one),
        Kind::Ranges => texts(raw).and_then(|texts| ranges(&texts)).map_err(one),
        Kind::Redirects => texts(raw).and_then(|texts| redirects(&texts)).map_err(one),
        Kind::Secret(which) => scalar(raw).and_then(|text| secret(which, text)).map_err(one),
        Kind::Number { .. }
        | Kind::Rate
        | Kind::Flag
        | Kind::Address
        | Kind::AddressOr(_)
        | Kind::Choice(_)
        | Kind::Text
        | Kind::LogFilter
        | Kind::Url(_) => match scalar(raw) {
            Ok(text) if text.trim().is_empty() => Ok(Value::Unset),
            Ok(text) => plain(kind, text.trim()).map_err(one),
            Err(trouble) => Err(one(trouble)),
        },
    }
}

fn one(trouble: Trouble) -> Vec<Trouble> {
    vec![trouble]
}

fn plain(kind: Kind, text: &str) -> Result<Value, Trouble> {
    match kind {
        Kind::Number { min, max } => number(text, min, max).map(Value::Number),
        Kind::Rate if text == "none" => Ok(Value::Rate(None)),
        Kind::Rate => number(text, 1, u64::from(u32::MAX))
            .map(|rate| Value::Rate(u32::try_from(rate).ok()))
            .map_err(|trouble| Trouble { mend: format!("{}, or none", trouble.mend), ..trouble }),
        Kind::Flag => flag(text).map(Value::Flag),
        Kind::Address => address(text).map(Value::Address),
        Kind::AddressOr(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::AddressOr(words) => address(text).map(Value::Address).map_err(|trouble| Trouble {
            mend: format!("{}; or write {}", trouble.mend, words.join(" or ")),
            ..trouble
        }),
        Kind::Choice(words) => choice(text, words),
        Kind::Url(schemes) => url(text, schemes).map(Value::Text),
        Kind::LogFilter => log_filter(text).map(Value::Text),
        Kind::Text
        | Kind::Origins
        | Kind::Ranges
        | Kind::StripeAccounts
        | Kind::Contacts
        | Kind::Redirects
        | Kind::Secret(_)
        | Kind::WebhookSecrets
        | Kind::PriceMap => not_placeholder(text).map(|()| Value::Text(text.to_owned())),
    }
}

fn scalar(raw: &Raw) -> Result<&str, Trouble> {
    match raw {
        Raw::Text(text) => Ok(text),
        Raw::List(_) | Raw::Table(_) => {
            Err(Trouble::new("a list or table stands where one value belongs", "give one value"))
        }
    }
}

/// A list of a file, or one text taken apart at its commas. Blank text is the empty list.
fn texts(raw: &Raw) -> Result<Vec<String>, Trouble> {
    match raw {
        Raw::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        Raw::Text(text) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
        Raw::List(items) => items.iter().map(|item| scalar(item).map(str::to_owned)).collect(),
        Raw::Table(_) => Err(Trouble::new("a table stands where a list belongs", "give a list")),
    }
}

fn number(text: &str, min: u64, max: u64) -> Result<u64, Trouble> {
    let digits = text.replace('_', "");
    match digits.parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(Trouble::new(
            format!("{:?} is no whole number from {min} to {max}", shorten(text)),
            format!("give a whole number from {min} to {max}"),
        )),
    }
}

fn flag(text: &str) -> Result<bool, Trouble> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(Trouble::new(
            format!("{:?} is neither true nor false", shorten(other)),
            "write true, false, 1 or 0; other spellings are refused because they are guessed wrong",
        )),
    }
}

fn address(text: &str) -> Result<SocketAddr, Trouble> {
    text.parse().map_err(|_| {
        Trouble::new(
            format!("{:?} is no IP address with a port", shorten(text)),
            "write it like 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for every interface",
        )
    })
}

fn choice(text: &str, words: &[&'static str]) -> Result<Value, Trouble> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let meant = nearest(text, words.iter().copied())
        .map_or_else(String::new, |word| format!("; did you mean {word}?"));
    Err(Trouble::new(
        format!("{:?} is not one of {}", shorten(text), words.join(", ")),
        format!("write {}{meant}", words.join(" or ")),
    ))
}

fn url(text: &str, schemes: &[&'static str]) -> Result<String, Trouble> {
    not_placeholder(text)?;
    let scheme = text.split_once(':').map(|(scheme, rest)| (scheme, !rest.is_empty()));
    match scheme {
        Some((scheme, true)) if schemes.contains(&scheme) => Ok(text.to_owned()),
        _ => Err(Trouble::new(
            format!("the address does not begin with {}:", schemes.join(": or ")),
            "check the part before the first colon",
        )),
    }
}

fn origins(texts: Vec<String>) -> Result<Value, Trouble> {
    for text in &texts {
        let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
        if !host.is_some_and(|host| !host.is_empty() && host.chars().all(allowed)) {
            return Err(Trouble::new(
                format!("{:?} is no origin as browsers send it", shorten(text)),
                "write it like https://app.example.com: scheme and host in lower case, no path; \
                 every origin is listed, * is not taken",
            ));
        }
    }
    Ok(Value::List(texts))
}

fn stripe_accounts(texts: Vec<String>) -> Result<Value, Trouble> {
    for text in &texts {
        let rest = text.strip_prefix("acct_").unwrap_or_default();
        if rest.is_empty() || !rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Trouble::new(
                format!("{:?} does not begin with acct_", shorten(text)),
                "copy the ids of connected accounts from Stripe's dashboard, Connect",
            ));
        }
    }
    Ok(Value::List(texts))
}

/// A level, or directives such as `info,sqlx=warn`. The filter itself takes any word for the name
/// of a module, so a mistyped level would pass unseen and log nothing.
fn log_filter(text: &str) -> Result<String, Trouble> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let lower = text.to_lowercase();
    for directive in lower.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !LEVELS.contains(&level) {
            let meant = nearest(level, LEVELS)
                .map_or_else(String::new, |word| format!("; did you mean {word}?"));
            return Err(Trouble::new(
                format!("{:?} is no log level", shorten(level)),
                format!("write {}, or directives such as info,sqlx=warn{meant}", LEVELS.join(", ")),
            ));
        }
    }
    Ok(lower)
}

fn ranges(texts: &[String]) -> Result<Value, Trouble> {
    let range = |text: &String| {
        Cidr::parse(text).ok_or_else(|| {
            Trouble::new(
                format!("{:?} is no range of addresses", shorten(text)),
                "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7",
            )
        })
    };
    texts.iter().map(range).collect::<Result<_, _>>().map(Value::Ranges)
}

fn redirects(texts: &[String]) -> Result<Value, Trouble> {
    let rule = |text: &String| {
        RedirectRule::parse(text).map_err(|error| {
            Trouble::new(error.to_string(), "list the places of your application and no others")
        })
    };
    texts.iter().map(rule).collect::<Result<_, _>>().map(Value::Redirects)
}

fn secret(which: SecretKind, text: &str) -> Result<Value, Trouble> {
    let text = text.trim();
    if text.is_empty() {
        return match which {
            SecretKind::StripeKey => Err(Trouble::new(
                "the API key is blank",
                "give the key, or remove the setting to run without one",
            )),
            SecretKind::Other => Ok(Value::Unset),
        };
    }
    not_placeholder(text)?;
    if which == SecretKind::StripeKey {
        stripe_key(text)?;
    }
    Ok(Value::Secret(Secret::new(text)))
}

fn stripe_key(text: &str) -> Result<(), Trouble> {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    let what = if begins(&["sk_test_", "sk_live_", "rk_test_", "rk_live_"]) {
        if !text.contains(char::is_whitespace) {
            return Ok(());
        }
        "holds white space inside"
    } else if begins(&["pk_"]) {
        "is the publishable key, which may only identify the account to browsers"
    } else if begins(&["whsec_"]) {
        "is a webhook signing secret"
    } else {
        "does not begin with sk_test_, sk_live_, rk_test_ or rk_live_"
    };
    Err(Trouble::new(
        format!("the API key {} {what}", mask(text)),
        "copy the secret key from Stripe's dashboard, Developers, API keys",
    ))
}

fn webhook_secrets(raw: &Raw) -> Result<Vec<WebhookSecret>, Vec<Trouble>> {
    let parts: Vec<Raw> = match raw {
        Raw::Text(text) => text.split(',').map(|part| Raw::Text(part.to_owned())).collect(),
        Raw::List(items) => items.clone(),
        Raw::Table(_) => vec![raw.clone()],
    };
    let several = parts.len() > 1;
    let (mut secrets, mut troubles) = (Vec::<WebhookSecret>::new(), Vec::new());
    for (number, part) in (1_usize..).zip(&parts) {
        match webhook_secret(part, number) {
            Ok(secret) if secrets.iter().any(|known| known.secret == secret.secret) => {
                troubles.push(Trouble::new(
                    format!("entry {number}: the secret {} is given twice", secret.secret),
                    "give each secret once",
                ));
            }
            Ok(secret) => secrets.push(secret),
            Err(trouble) if several => troubles
                .push(Trouble { what: format!("entry {number}: {}", trouble.what), ..trouble }),
            Err(trouble) => troubles.push(trouble),
        }
    }
    if troubles.is_empty() { Ok(secrets) } else { Err(troubles) }
}

fn webhook_secret(raw: &Raw, number: usize) -> Result<WebhookSecret, Trouble> {
    let (mut text, mut label, mut not_after) = (None, number.to_string(), None);
    match raw {
        Raw::Text(secret) => text = Some(secret.as_str()),
        Raw::Table(entries) => {
            for (name, value) in entries {
                match name.as_str() {
                    "secret" => text = Some(scalar(value)?),
                    "label" => scalar(value)?.clone_into(&mut label),
                    "not_after" => not_after = Some(instant(scalar(value)?)?),
                    other => {
                        return Err(Trouble::new(
                            format!("{other:?} is no part of a webhook secret"),
                            "use secret, label and not_after",
                        ));
                    }
                }
            }
        }
        Raw::List(_) => {
            return Err(Trouble::new("a list stands inside the list", "give one text per secret"));
        }
    }
    let text = text.unwrap_or_default().trim();
    check_webhook_secret(text)?;
    Ok(WebhookSecret { label, secret: Secret::new(text), not_after })
}

/// Least length of a signing secret; Stripe's have 38.
const SECRET_BYTES_MIN: usize = 16;

fn check_webhook_secret(text: &str) -> Result<(), Trouble> {
    let copy =
        "copy the signing secret (whsec_…) of the endpoint from Stripe's dashboard, Webhooks";
    if text.is_empty() {
        return Err(Trouble::new(
            "the webhook signing secret is blank, so anybody could sign with it",
            format!("{copy}, or remove the setting"),
        ));
    }
    not_placeholder(text)?;
    if ["sk_", "rk_", "pk_"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err(Trouble::new(
            format!("{} is an API key, not a webhook signing secret", mask(text)),
            copy,
        ));
    }
    if text.len() < SECRET_BYTES_MIN {
        return Err(Trouble::new(
            format!(
                "the webhook signing secret has {} characters, of at least {SECRET_BYTES_MIN}: a \
                 short one can be guessed",
                text.len()
            ),
            copy,
        ));
    }
    Ok(())
}

fn instant(text: &str) -> Result<Timestamp, Trouble> {
    Timestamp::parse(text)
        .map_err(|error| Trouble::new(error.to_string(), "write it like 2026-11-21T10:00:00Z"))
}

/// Refuses texts of example files that nobody replaced.
pub fn not_placeholder(text: &str) -> Result<(), Trouble> {
    if is_placeholder(text) {
        return Err(Trouble::new(
            format!("{} is a placeholder", shorten(text)),
            "replace it with the real value, or remove the setting",
        ));
    }
    Ok(())
}

fn is_placeholder(text: &str) -> bool {
    const PREFIXES: [&str; 8] =
        ["whsec_", "sk_test_", "sk_live_", "rk_test_", "rk_live_", "price_", "prod_", "acct_"];
    const WORDS: [&str; 7] =
        ["changeme", "change_me", "change-me", "replace_me", "replaceme", "placeholder", "todo"];
    let lower = text.trim().to_lowercase();
    let body = PREFIXES.iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
    let only = |set: &str| body.chars().all(|c| set.contains(c));
    body.is_empty()
        || only(".…*")
        || (body.len() >= 3 && only("x"))
        || body.ends_with("...")
        || body.ends_with('…')
        || body.starts_with("your_")
        || body.starts_with("your-")
        || (body.starts_with('<') && body.ends_with('>'))
        || WORDS.contains(&body)
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}
