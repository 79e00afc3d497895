//! What the client is let in with. Owns: the secret key with its mode and its mask, the base URL,
//! idempotency keys, and keeping keys out of texts that are shown. Must not know: what is called.

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

/// A secret (`sk_…`) or restricted (`rk_…`) API key. Has no printable form, and its memory is cleared
/// when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Zeroizing<String>);

/// Which of Stripe's two worlds a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyMode {
    /// No money moves: Stripe's test mode, a sandbox, or our own stand-in.
    Test,
    /// Real money.
    Live,
}

impl KeyMode {
    /// `test` or `live`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// Why a text is no key for the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// Publishable keys open nothing on a server.
    #[error(
        "a publishable key (pk_) cannot call the API; use a secret (sk_) or restricted (rk_) key"
    )]
    Publishable,
    /// It starts with none of the four prefixes.
    #[error("an API key starts with sk_test_, sk_live_, rk_test_ or rk_live_")]
    Prefix,
    /// Nothing follows the prefix, or something that no key contains.
    #[error("an API key has letters, digits and underscores after its prefix")]
    Garbled,
}

impl SecretKey {
    /// Takes a text as a key after checking its form.
    pub fn parse(text: &str) -> Result<Self, SecretKeyError> {
        let text = text.trim();
        if text.starts_with("pk_") {
            return Err(SecretKeyError::Publishable);
        }
        let rest = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"]
            .into_iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .ok_or(SecretKeyError::Prefix)?;
        let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if rest.is_empty() || !rest.bytes().all(usable) {
            return Err(SecretKeyError::Garbled);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Which world it opens.
    pub fn mode(&self) -> KeyMode {
        if self.0.get(3..8) == Some("live_") { KeyMode::Live } else { KeyMode::Test }
    }

    /// The `Authorization` header. The only way to the text.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", *self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, masked)", self.mode().as_str())
    }
}

/// Stripe's own hosts that take API keys.
const STRIPE_HOSTS: [&str; 3] = ["api.stripe.com", "files.stripe.com", "meter-events.stripe.com"];

/// Where the API is: `https://…`, or `http://` on this machine for a stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiBase {
    url: String,
    loopback: bool,
    /// Whether live keys may be sent there: to Stripe, and to a host somebody vouched for.
    live_keys: bool,
}

/// Why a text is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no base URL for Stripe's API: https://host, or http:// with a loopback address; \
     without path, query or user"
)]
pub struct ApiBaseError {
    /// The offending text, cut to 80 characters.
    pub text: String,
}

impl ApiBase {
    /// Stripe itself.
    pub fn stripe() -> Self {
        Self { url: "https://api.stripe.com".to_owned(), loopback: false, live_keys: true }
    }

    /// Takes a URL. A key never travels unencrypted but to this machine.
    pub fn parse(text: &str) -> Result<Self, ApiBaseError> {
        let error = || ApiBaseError { text: text.chars().take(80).collect() };
        let url = reqwest::Url::parse(text.trim()).map_err(|_| error())?;
        let host = url.host_str().ok_or_else(error)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = host == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
        if !plain || !scheme {
            return Err(error());
        }
        let live_keys =
            url.scheme() == "https" && url.port().is_none() && STRIPE_HOSTS.contains(&host);
        Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), loopback, live_keys })
    }

    /// The same for a host that is not Stripe's and may have live keys all the same.
    #[must_use]
    pub fn with_live_keys(self) -> Self {
        Self { live_keys: true, ..self }
    }

    /// Whether live keys may be sent there.
    pub const fn takes_live_keys(&self) -> bool {
        self.live_keys
    }

    /// The URL without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether this is the machine itself, that is, a stand-in.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// Makes a POST happen once: Stripe answers a repeated key with the first answer, for 24 hours.
/// Derived from a stored row, so that a process that died finds the key again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is empty, longer than 255 bytes, or not of visible ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 255 visible ASCII characters")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// Takes a text as a key.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        let usable = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if usable { Ok(Self(text.to_owned())) } else { Err(IdempotencyKeyError) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How every kind of secret of Stripe's begins.
const SECRET_PREFIXES: [&str; 4] = ["sk_", "rk_", "pk_", "whsec_"];
/// Most characters of a foreign text that are kept.
const FOREIGN_TEXT_MAX: usize = 500;

/// A text of Stripe's without what looks like a key in it, cut to 500 characters.
pub(super) fn mask_foreign(text: &str) -> String {
    let mut shown = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "_*".contains(c))) {
        match SECRET_PREFIXES.into_iter().find(|prefix| word.starts_with(prefix)) {
            Some(prefix) => {
                shown.push_str(prefix);
                shown.push_str("***");
                shown.extend(
                    word.chars()
                        .last()
                        .filter(|c| !c.is_ascii_alphanumeric() && *c != '_' && *c != '*'),
                );
            }
            None => shown.push_str(word),
        }
    }
    shown.chars().take(FOREIGN_TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_mode_and_is_never_printed() {
        let live = SecretKey::parse(" sk_live_abc123 ").unwrap();
        assert_eq!(live.mode(), KeyMode::Live);
        assert_eq!(SecretKey::parse("rk_test_abc").unwrap().mode(), KeyMode::Test);
        assert!(!format!("{live:?}").contains("abc123"));
        assert_eq!(SecretKey::parse("pk_test_abc"), Err(SecretKeyError::Publishable));
        assert_eq!(SecretKey::parse("abc"), Err(SecretKeyError::Prefix));
        assert_eq!(SecretKey::parse("sk_test_"), Err(SecretKeyError::Garbled));
        assert_eq!(SecretKey::parse("sk_test_a b"), Err(SecretKeyError::Garbled));
    }

    #[test]
    fn keys_travel_unencrypted_only_within_the_machine() {
        for good in [
            "https://api.stripe.com",
            "https://proxy.example:8443/",
            "http://127.0.0.1:12111",
            "http://[::1]:12111",
            "http://localhost:4243",
        ] {
            assert!(ApiBase::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.stripe.com",
            "http://127.0.0.1.example.com",
            "https://api.stripe.com/v1",
            "https://me@api.stripe.com",
            "https://api.stripe.com?x=1",
            "ftp://127.0.0.1",
            "api.stripe.com",
            "",
        ] {
            assert!(ApiBase::parse(bad).is_err(), "{bad}");
        }
        assert!(ApiBase::parse("http://127.0.0.1:1").unwrap().is_loopback());
        assert!(!ApiBase::stripe().is_loopback());
    }

    #[test]
    fn live_keys_go_to_stripes_own_hosts_only() {
        for good in ["https://api.stripe.com", "https://API.stripe.com:443/"] {
            assert!(ApiBase::parse(good).unwrap().takes_live_keys(), "{good}");
        }
        for bad in [
            "https://stripe.com.example.com",
            "https://apistripe.com",
            "https://api.stripe.com.",
            "https://dashboard.stripe.com",
            "https://api.stripe.com:8443",
            "https://proxy.example.com",
            "http://127.0.0.1:12111",
        ] {
            let base = ApiBase::parse(bad).unwrap();
            assert!(!base.takes_live_keys(), "{bad}");
            assert!(base.with_live_keys().takes_live_keys(), "{bad}");
        }
    }

    #[test]
    fn what_looks_like_a_key_is_masked_in_foreign_texts() {
        assert_eq!(
            mask_foreign("Invalid API Key provided: sk_test_abc*****9876. See whsec_1 (rk_live_2)"),
            "Invalid API Key provided: sk_***. See whsec_*** (rk_***)"
        );
        assert_eq!(mask_foreign("No such price: 'price_1'"), "No such price: 'price_1'");
        assert_eq!(mask_foreign(&"x".repeat(900)).len(), 500);
    }

    #[test]
    fn an_idempotency_key_fits_a_header() {
        assert!(IdempotencyKey::parse("tollgate-customer-1.0").is_ok());
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(bad), Err(IdempotencyKeyError), "{bad}");
        }
    }
}
