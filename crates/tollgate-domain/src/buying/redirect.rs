//! Where customers may be sent after Stripe's pages. Owns: the allow-list and matching against it.
//! Must not know: where the list comes from, which pages there are.
//!
//! A URL that a caller may choose freely is an open redirect with Stripe's good name on it. A rule
//! is an origin, with `*.` for any subdomain and `:*` for any port, and perhaps a path under which
//! everything is allowed:
//!
//! ```text
//! https://app.example.com            https://*.example.com
//! https://app.example.com/billing    http://localhost:*
//! ```

use std::fmt;

/// One entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRule {
    text: String,
    secure: bool,
    host: String,
    subdomains: bool,
    port: PortRule,
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortRule {
    Any,
    One(u16),
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRuleError {
    /// Its form is wrong.
    #[error(
        "{0:?} is no rule: write https://host, https://*.host, https://host/path or http://localhost:*"
    )]
    Form(String),
    /// Unencrypted to another machine.
    #[error(
        "{0:?} would send customers over an unencrypted connection; only loopback may be http://"
    )]
    Unencrypted(String),
}

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// It is no plain absolute http(s) URL.
    NoUrl,
    /// No rule allows it.
    NotAllowed,
}

/// The allow-list. An empty one allows this machine only, for trying out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectRules(pub Vec<RedirectRule>);

/// The parts of a URL that matter.
struct Parts<'a> {
    secure: bool,
    host: String,
    port: Option<&'a str>,
    path: &'a str,
}

/// Splits a URL as strictly as browsers are lenient: what they would repair is no URL here.
fn split(text: &str) -> Option<Parts<'_>> {
    let visible = |c: char| c.is_ascii_graphic() && !"\\\"<>^`|".contains(c);
    if text.len() > 2000 || !text.chars().all(visible) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let host_char = |c: char| c.is_ascii_alphanumeric() || "-.:*".contains(c);
    if host.is_empty() || !host.chars().all(host_char) || port == Some("") {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(Parts { secure, host: host.to_ascii_lowercase(), port, path })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl RedirectRule {
    /// Reads one entry.
    pub fn parse(text: &str) -> Result<Self, RedirectRuleError> {
        let form = || RedirectRuleError::Form(text.chars().take(80).collect());
        let text = text.trim();
        if text.contains(['?', '#', '{', '}']) {
            return Err(form());
        }
        let parts = split(text).ok_or_else(form)?;
        let (subdomains, host) = match parts.host.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, parts.host.as_str()),
        };
        // A wildcard over a whole top-level domain is a slip.
        if host.contains('*') || (subdomains && !host.contains('.')) || climbs(parts.path) {
            return Err(form());
        }
        if !parts.secure && !is_loopback(host) {
            return Err(RedirectRuleError::Unencrypted(text.chars().take(80).collect()));
        }
        let port = match parts.port {
            None => PortRule::One(usual_port(parts.secure)),
            Some("*") => PortRule::Any,
            Some(port) => PortRule::One(port.parse().map_err(|_| form())?),
        };
        Ok(Self {
            text: text.to_owned(),
            secure: parts.secure,
            host: host.to_owned(),
            subdomains,
            port,
            path: parts.path.trim_end_matches('/').to_owned(),
        })
    }

    fn allows(&self, url: &Parts<'_>, port: u16) -> bool {
        let host = if self.subdomains {
            url.host
                .strip_suffix(&self.host)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            url.host == self.host
        };
        let path = match url.path.strip_prefix(self.path.as_str()) {
            // Above a path there is what the rule does not allow, so nothing may climb.
            Some(rest) => {
                self.path.is_empty()
                    || ((rest.is_empty() || rest.starts_with('/')) && !climbs(url.path))
            }
            None => false,
        };
        let port = match self.port {
            PortRule::Any => true,
            PortRule::One(one) => one == port,
        };
        self.secure == url.secure && host && path && port
    }
}

impl fmt::Display for RedirectRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a path has a segment that leads up, plain or percent-encoded.
fn climbs(path: &str) -> bool {
    let dots = path.to_ascii_lowercase().replace("%2e", ".");
    dots.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
        || dots.contains("%2f")
        || dots.contains("%5c")
}

impl RedirectRules {
    /// Whether a customer may be sent there.
    pub fn check(&self, url: &str) -> Result<(), RedirectRefusal> {
        let parts = split(url).ok_or(RedirectRefusal::NoUrl)?;
        let port = match parts.port {
            None => usual_port(parts.secure),
            Some(port) => port.parse().map_err(|_| RedirectRefusal::NoUrl)?,
        };
        if parts.host.contains('*') {
            return Err(RedirectRefusal::NoUrl);
        }
        let allowed = if self.0.is_empty() {
            is_loopback(&parts.host)
        } else {
            self.0.iter().any(|rule| rule.allows(&parts, port))
        };
        if allowed { Ok(()) } else { Err(RedirectRefusal::NotAllowed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> RedirectRules {
        RedirectRules(texts.iter().map(|text| RedirectRule::parse(text).unwrap()).collect())
    }

    #[test]
    fn only_what_a_rule_names_is_allowed() {
        let rules = rules(&[
            "https://app.example.com",
            "https://*.example.org",
            "https://shop.example.net/billing",
            "http://localhost:*",
            "https://odd.example.com:8443",
        ]);
        for good in [
            "https://app.example.com",
            "https://app.example.com/",
            "https://APP.example.com/done?session_id={CHECKOUT_SESSION_ID}#top",
            "https://app.example.com:443/x",
            "https://a.example.org/x",
            "https://a.b.example.org",
            "https://shop.example.net/billing",
            "https://shop.example.net/billing/done?x=1",
            "http://localhost:5173/ok",
            "http://localhost",
            "https://odd.example.com:8443/x",
        ] {
            assert_eq!(rules.check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.test",
            "https://evil.test/https://app.example.com",
            "https://example.org",
            "https://xexample.org",
            "https://.example.org",
            "https://shop.example.net/",
            "https://shop.example.net/billings",
            "https://shop.example.net/billing/../admin",
            "https://shop.example.net/billing/%2E%2e/admin",
            "https://shop.example.net/billing%2f..%2fadmin",
            "https://odd.example.com",
            "http://localhost.evil.test",
            "http://127.0.0.1:5173",
        ] {
            assert_eq!(rules.check(bad), Err(RedirectRefusal::NotAllowed), "{bad}");
        }
    }

    #[test]
    fn what_browsers_would_repair_is_no_url() {
        let rules = rules(&["https://app.example.com"]);
        for bad in [
            "",
            "/done",
            "//app.example.com",
            "app.example.com",
            "javascript:alert(1)",
            "https:app.example.com",
            "https:///app.example.com",
            "https://app.example.com\\@evil.test",
            "https://app.example.com@evil.test",
            "https://app.example.com:x",
            "https://app.example.com:",
            " https://app.example.com",
            "https://app.example.com/a b",
            "https://app.example.com/\nx",
            "https://\u{430}pp.example.com",
            "https://*.example.com",
            "data:text/html,x",
        ] {
            assert_eq!(rules.check(bad), Err(RedirectRefusal::NoUrl), "{bad}");
        }
    }

    #[test]
    fn without_rules_only_this_machine_is_allowed() {
        let none = RedirectRules::default();
        for good in ["http://localhost:3000/x", "http://127.0.0.1:8080", "http://[::1]/x"] {
            assert_eq!(none.check(good), Ok(()), "{good}");
        }
        assert_eq!(none.check("https://app.example.com"), Err(RedirectRefusal::NotAllowed));
    }

    #[test]
    fn rules_that_would_allow_too_much_are_refused() {
        for bad in [
            "*",
            "https://*",
            "https://*.com",
            "https://a.*.com",
            "app.example.com",
            "https://x/?a",
            "https://x/../y",
            "https://a@b.c",
            "",
        ] {
            assert!(matches!(RedirectRule::parse(bad), Err(RedirectRuleError::Form(_))), "{bad}");
        }
        assert!(matches!(
            RedirectRule::parse("http://app.example.com"),
            Err(RedirectRuleError::Unencrypted(_))
        ));
        assert_eq!(RedirectRule::parse(" https://a.b/c/ ").unwrap().to_string(), "https://a.b/c/");
    }
}
