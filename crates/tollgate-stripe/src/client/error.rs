//! What can go wrong with a call. Owns: telling refusals, overload and unknown outcomes apart, and
//! the stable code of each. Must not know: when a call is repeated, how an error is shown.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

use crate::client::secret::{KeyMode, mask_foreign};

/// Stripe's own account of why it did not do something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stripe's `type`, such as `invalid_request_error` or `card_error`.
    pub kind: Option<String>,
    /// Stripe's `code`, such as `resource_missing`.
    pub code: Option<String>,
    /// Why a bank said no.
    pub decline_code: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// Stripe's sentence for developers, without anything that looks like a key. May name what was
    /// sent, so it is for operators and not for logs.
    pub message: Option<String>,
    /// The id support asks for.
    pub request_id: Option<String>,
    /// Which limit was hit (429).
    pub limit: Option<String>,
    /// What `Stripe-Should-Retry` said.
    pub should_retry: Option<bool>,
}

#[derive(Deserialize)]
struct Body {
    error: Detail,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
    message: Option<String>,
}

/// Codes and parameters are short words; anything else is not taken over into labels and logs.
fn word(text: Option<String>) -> Option<String> {
    text.filter(|text| {
        text.len() <= 100
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-[].".contains(&b))
    })
}

impl Refusal {
    /// Reads the body of a reply that is no success; a body that is no error of Stripe's leaves
    /// the fields empty (a proxy in between may have answered).
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        let Ok(Body { error }) = serde_json::from_slice(body) else {
            return Self { status, ..Self::default() };
        };
        Self {
            status,
            kind: word(error.kind),
            code: word(error.code),
            decline_code: word(error.decline_code),
            param: word(error.param),
            message: error.message.as_deref().map(mask_foreign),
            ..Self::default()
        }
    }

    /// The object asked for, or one named in the request, does not exist (any more).
    pub fn is_missing(&self) -> bool {
        self.status == 404 || self.code.as_deref() == Some("resource_missing")
    }

    /// What was named exists in the other of Stripe's two worlds.
    pub fn is_wrong_mode(&self) -> bool {
        self.message.as_deref().is_some_and(|text| text.contains("a similar object exists in"))
    }

    /// The key may not do this: a restricted key without the permission.
    pub fn is_forbidden(&self) -> bool {
        self.status == 403
    }

    /// The key has no access to the connected account the call names: it never had, or it was
    /// revoked.
    pub fn is_account_closed_to_key(&self) -> bool {
        self.status == 403 && self.code.as_deref() == Some("account_invalid")
    }

    /// The account (`acct_…`) the refusal names: Stripe says so to a restricted key that lacks a
    /// permission, and lets no such key read its account.
    pub fn account(&self) -> Option<&str> {
        let message = self.message.as_deref()?;
        let begin = message.find("acct_")?;
        let rest = message.get(begin..)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let id = rest.get(..end.unwrap_or(rest.len()))?;
        (id.len() > "acct_".len()).then_some(id)
    }

    /// The same idempotency key came with other parameters before.
    pub fn is_key_reuse(&self) -> bool {
        self.kind.as_deref() == Some("idempotency_error") && self.status == 400
    }
}

/// Why no reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No connection could be made: nothing was sent.
    Connect,
    /// The connection broke after the request had been, or may have been, sent.
    Cut,
    /// No complete reply within the time allowed.
    Timeout,
}

/// In which way a key does not fit the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyMismatch {
    /// The key is of another Stripe account.
    #[error(
        "the API key belongs to the Stripe account {found}, the database to {known}; set the key \
         of {known}"
    )]
    Account {
        /// The key's account.
        found: String,
        /// The account the data came from.
        known: String,
    },
    /// The key is of the other of Stripe's two worlds.
    #[error(
        "the API key opens Stripe's {} mode, the database belongs to {} mode; set a {} key",
        .found.as_str(), .known.as_str(), .known.as_str()
    )]
    Mode {
        /// The key's mode.
        found: KeyMode,
        /// The mode the data came from.
        known: KeyMode,
    },
    /// Nothing the data speaks of exists in the account the key opens.
    #[error(
        "the Stripe account the API key opens knows nothing of what the database knows ({}); set \
         the key of the account the data came from",
        .asked.join(", ")
    )]
    Unproven {
        /// The objects that were asked for.
        asked: Vec<String>,
    },
}

impl KeyMismatch {
    /// A stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Account { .. } => "stripe_wrong_account",
            Self::Mode { .. } => "stripe_wrong_mode",
            Self::Unproven { .. } => "stripe_account_unproven",
        }
    }
}

/// Why a call has no result.
///
/// What matters most about each is [`StripeError::may_have_happened`]: a change that may have
/// happened is repeated with the same idempotency key and never with a new one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// Stripe says no, for good: nothing was done and the same request will fail again.
    #[error("Stripe refused: {}", describe(.refusal))]
    Refused {
        /// Why.
        refusal: Box<Refusal>,
    },
    /// Stripe is busy with the object or with us (409, 429) and patience ran out.
    #[error("Stripe is busy: {}", describe(.refusal))]
    Busy {
        /// What it said last.
        refusal: Box<Refusal>,
        /// An earlier try of this call may have been carried out.
        may_have_happened: bool,
    },
    /// Stripe failed (5xx) and patience ran out, or it asked not to be tried again.
    #[error("Stripe failed: {}", describe(.refusal))]
    Failed {
        /// What it said last.
        refusal: Box<Refusal>,
    },
    /// No reply came.
    #[error("Stripe could not be reached: {detail}")]
    Unreachable {
        /// In which way.
        how: Unreachable,
        /// The cause, for operators; names no URL, key or parameter.
        detail: String,
        /// A try of this call may have been carried out.
        may_have_happened: bool,
    },
    /// Not sent: our own rate limit or the breaker held it back for longer than the caller waits.
    #[error("calls to Stripe are held back for {} ms", .retry_after.as_millis())]
    Held {
        /// When it is worth trying again.
        retry_after: Duration,
        /// An earlier try of this call may have been carried out.
        may_have_happened: bool,
    },
    /// Not sent: the key does not open the Stripe account the data belongs to.
    #[error("{why}")]
    WrongKey {
        /// In which way.
        why: KeyMismatch,
    },
    /// Not sent: whether the key opens the right Stripe account could not be found out.
    #[error("whether the key opens the right Stripe account cannot be told: {detail}")]
    Unchecked {
        /// The cause, for operators.
        detail: String,
    },
    /// A success that cannot be read.
    #[error("Stripe's reply is garbled: {what}")]
    Garbled {
        /// What about it.
        what: &'static str,
        /// The id support asks for.
        request_id: Option<String>,
    },
}

impl StripeError {
    /// Whether the change asked for may have been made. `false` for reads means only that nothing
    /// was learnt.
    pub const fn may_have_happened(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::WrongKey { .. } | Self::Unchecked { .. } => false,
            Self::Busy { may_have_happened, .. }
            | Self::Unreachable { may_have_happened, .. }
            | Self::Held { may_have_happened, .. } => *may_have_happened,
            Self::Failed { .. } | Self::Garbled { .. } => true,
        }
    }

    /// Whether the same call may succeed later.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Garbled { .. } | Self::WrongKey { .. } => false,
            Self::Busy { .. }
            | Self::Failed { .. }
            | Self::Unreachable { .. }
            | Self::Unchecked { .. }
            | Self::Held { .. } => true,
        }
    }

    /// Stripe's account of it, where Stripe gave one.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal } | Self::Busy { refusal, .. } | Self::Failed { refusal } => {
                Some(refusal)
            }
            Self::Unreachable { .. }
            | Self::Held { .. }
            | Self::WrongKey { .. }
            | Self::Unchecked { .. }
            | Self::Garbled { .. } => None,
        }
    }

    /// The object asked for does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { refusal } if refusal.is_missing())
    }

    /// The object asked for exists in the other of Stripe's two worlds.
    pub fn is_wrong_mode(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_wrong_mode)
    }

    /// A stable word: Stripe's own code or type where it gave one, else one of ours.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { refusal } | Self::Busy { refusal, .. } | Self::Failed { refusal } => {
                refusal.code.as_deref().or(refusal.kind.as_deref()).unwrap_or("stripe_error")
            }
            Self::Unreachable { how: Unreachable::Timeout, .. } => "stripe_timeout",
            Self::Unreachable { .. } => "stripe_unreachable",
            Self::Held { .. } => "stripe_held",
            Self::WrongKey { why } => why.code(),
            Self::Unchecked { .. } => "stripe_account_unchecked",
            Self::Garbled { .. } => "stripe_reply_garbled",
        }
    }

    /// The id support asks for.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Garbled { request_id, .. } => request_id.as_deref(),
            Self::Refused { .. }
            | Self::Busy { .. }
            | Self::Failed { .. }
            | Self::Unreachable { .. }
            | Self::WrongKey { .. }
            | Self::Unchecked { .. }
            | Self::Held { .. } => self.refusal().and_then(|refusal| refusal.request_id.as_deref()),
        }
    }
}

/// Words only, nothing that was sent.
fn describe(refusal: &Refusal) -> String {
    let mut text = format!("status {}", refusal.status);
    for (name, value) in [
        ("type", &refusal.kind),
        ("code", &refusal.code),
        ("decline code", &refusal.decline_code),
        ("parameter", &refusal.param),
        ("limit", &refusal.limit),
        ("request", &refusal.request_id),
    ] {
        if let Some(value) = value {
            let _ = write!(text, ", {name} {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_and_shown_without_what_was_sent() {
        let body = br#"{"error":{"type":"invalid_request_error","code":"resource_missing",
            "param":"items[0][price]","message":"No such price: 'ann@example.com' sk_test_abc"}}"#;
        let refusal = Refusal::read(404, body);
        assert!(refusal.is_missing());
        assert_eq!(refusal.message.as_deref(), Some("No such price: 'ann@example.com' sk_***"));
        let error = StripeError::Refused { refusal: Box::new(refusal) };
        assert_eq!(error.code(), "resource_missing");
        assert_eq!(
            error.to_string(),
            "Stripe refused: status 404, type invalid_request_error, code resource_missing, \
             parameter items[0][price]"
        );
    }

    #[test]
    fn a_refusal_for_want_of_a_permission_names_the_account() {
        let body = br#"{"error":{"type":"invalid_request_error","message":"The provided key 'rk_test_***abc' does not have the required permissions for this endpoint on account 'acct_1PJb'. Having the 'rak_x' permission would help."}}"#;
        let refusal = Refusal::read(403, body);
        assert!(refusal.is_forbidden());
        assert_eq!(refusal.account(), Some("acct_1PJb"));
        assert_eq!(Refusal { message: Some("acct_".into()), ..refusal }.account(), None);
    }

    #[test]
    fn a_body_that_is_not_stripes_leaves_the_status() {
        let refusal = Refusal::read(502, b"<html>Bad gateway</html>");
        assert_eq!(refusal, Refusal { status: 502, ..Refusal::default() });
        let odd = br#"{"error":{"type":"a b","code":"\n"}}"#;
        assert_eq!(Refusal::read(400, odd).code, None);
    }
}
