//! Scripted faults. Owns: which requests are to go wrong, how and how often. Must not know: what a
//! request would have done, how a connection is cut.

use serde::{Deserialize, Serialize};

/// Most rules at once.
pub(super) const RULES_MAX: usize = 100;

/// How a request goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Fault {
    /// An error of Stripe's instead of the effect: 409, 429, 500 and the like.
    Status {
        /// The HTTP status, 400 to 599.
        status: u16,
        /// The error's `code`; `lock_timeout` for 409 and `rate_limit` for 429 by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// `Stripe-Should-Retry`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        should_retry: Option<bool>,
        /// The request takes effect all the same; only its answer is lost.
        #[serde(default)]
        accepted: bool,
    },
    /// No answer at all; the connection stays open.
    Timeout {
        /// The request takes effect all the same.
        #[serde(default)]
        accepted: bool,
    },
    /// The connection is cut without a byte of an answer.
    Cut {
        /// The request takes effect all the same.
        #[serde(default)]
        accepted: bool,
    },
    /// The request is served after a while, by the machine's time.
    Slow {
        /// How long it takes, in milliseconds.
        delay_ms: u64,
    },
}

impl Fault {
    /// Whether the request takes effect.
    pub const fn is_accepted(&self) -> bool {
        match self {
            Self::Status { accepted, .. } | Self::Timeout { accepted } | Self::Cut { accepted } => {
                *accepted
            }
            Self::Slow { .. } => true,
        }
    }
}

/// Which requests go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// `GET`, `POST` or `DELETE`; any where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path, `*` standing for any text: `/v1/customers`, `/v1/*`. Any where none is named.
    #[serde(default = "any_path")]
    pub path: String,
    /// So many requests that fit are served as usual first.
    #[serde(default)]
    pub skip: u32,
    /// So many go wrong, then the rule is spent; without a number it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Only from this time of the sandbox on, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Only before this time of the sandbox, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// What happens to them.
    pub fault: Fault,
}

fn any_path() -> String {
    "*".to_owned()
}

impl FaultRule {
    /// A rule for every request to a path until it is spent.
    pub fn new(path: &str, times: u32, fault: Fault) -> Self {
        Self {
            method: None,
            path: path.to_owned(),
            skip: 0,
            times: Some(times),
            from: None,
            until: None,
            fault,
        }
    }

    fn fits(&self, method: &str, path: &str, now: i64) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.from.is_none_or(|from| from <= now)
            && self.until.is_none_or(|until| now < until)
            && matches(&self.path, path)
    }

    fn is_spent(&self, now: i64) -> bool {
        self.times == Some(0) || self.until.is_some_and(|until| until <= now)
    }
}

/// The rules in force, first come first served.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRule>,
}

impl Faults {
    /// Adds a rule; `false` where there are too many already.
    pub(crate) fn add(&mut self, rule: FaultRule) -> bool {
        let room = self.rules.len() < RULES_MAX;
        if room {
            self.rules.push(rule);
        }
        room
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// What is to happen to a request; counts it.
    pub(crate) fn strike(&mut self, method: &str, path: &str, now: i64) -> Option<Fault> {
        self.rules.retain(|rule| !rule.is_spent(now));
        for rule in self.rules.iter_mut().filter(|rule| rule.fits(method, path, now)) {
            if rule.skip > 0 {
                rule.skip = rule.skip.saturating_sub(1);
                continue;
            }
            rule.times = rule.times.map(|times| times.saturating_sub(1));
            let fault = rule.fault.clone();
            self.rules.retain(|rule| !rule.is_spent(now));
            return Some(fault);
        }
        None
    }
}

/// Whether a text is what a pattern with `*` says.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = left.get(at.saturating_add(part.len())..).unwrap_or_default();
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Fault = Fault::Cut { accepted: true };

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "/v1/x", true),
            ("/v1/customers", "/v1/customers", true),
            ("/v1/customers", "/v1/customers/cus_1", false),
            ("/v1/*/cus_1", "/v1/customers/cus_1", true),
            ("/v1/*/pay", "/v1/invoices/in_1/pay", true),
            ("*.paid", "invoice.paid", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_skips_strikes_and_is_spent() {
        let mut faults = Faults::default();
        faults.add(FaultRule { skip: 1, ..FaultRule::new("/v1/customers", 2, CUT) });
        let mut strike = |method, path| faults.strike(method, path, 0).is_some();
        assert!(!strike("POST", "/v1/customers"));
        assert!(!strike("POST", "/v1/prices"));
        assert!(strike("POST", "/v1/customers"));
        assert!(strike("GET", "/v1/customers"));
        assert!(!strike("POST", "/v1/customers"));
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn a_window_opens_and_closes_by_the_sandboxs_time_and_a_method_is_honoured() {
        let window = FaultRule {
            method: Some("post".to_owned()),
            times: None,
            from: Some(100),
            until: Some(200),
            ..FaultRule::new("/v1/*", 0, CUT)
        };
        let mut faults = Faults::default();
        assert!(faults.add(window));
        assert_eq!(faults.strike("POST", "/v1/customers", 99), None);
        assert_eq!(faults.strike("GET", "/v1/customers", 150), None);
        assert_eq!(faults.strike("POST", "/v1/customers", 150), Some(CUT));
        assert_eq!(faults.strike("POST", "/v1/customers", 199), Some(CUT));
        assert_eq!(faults.strike("POST", "/v1/customers", 200), None);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn the_rules_are_bounded_and_read_from_json() {
        let rule: FaultRule = serde_json::from_str(
            r#"{"path":"/v1/customers","times":3,"fault":{"kind":"status","status":429,"shouldRetry":true}}"#,
        )
        .unwrap();
        assert_eq!(rule.times, Some(3));
        assert!(!rule.fault.is_accepted());
        assert!(serde_json::from_str::<FaultRule>(r#"{"fault":{"kind":"cut","oops":1}}"#).is_err());
        let mut faults = Faults::default();
        assert!((0..RULES_MAX).all(|_| faults.add(rule.clone())));
        assert!(!faults.add(rule));
    }
}
