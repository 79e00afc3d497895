//! Webhook signatures. Owns: signing secrets, checking and making the `Stripe-Signature` header.
//! Must not know: HTTP, what the body says, what time it is.
//!
//! The header is `t=<unix seconds>,v1=<hex>[,v1=<hex>…][,v0=<hex>]`. A `v1` is the HMAC-SHA256 of
//! `<t>.<body bytes>` under the *whole* secret text, `whsec_` included. While a secret is being
//! rotated Stripe sends one `v1` per live secret, so any of them may match any of ours. `v0` is a
//! decoy of test mode and counts for nothing.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tollgate_domain::Timestamp;

/// How far the time of signing may lie from now, on either side; Stripe's libraries use the same.
pub const TOLERANCE: Duration = Duration::from_mins(5);
/// Longest header looked at, in bytes; a genuine one with sixteen signatures has some 1100.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Most `v1` signatures tried; those after it are not looked at.
pub const SIGNATURES_MAX: usize = 16;

/// Digits of the longest `t`: enough for thirty thousand years, too few to overflow anything.
const TIMESTAMP_DIGITS_MAX: usize = 12;
const MAC_BYTES: usize = 32;

/// A secret Stripe signs webhooks with (`whsec_…`), of one endpoint.
#[derive(Clone)]
pub struct SigningSecret {
    /// Keyed once, cloned per message. The text itself is not kept.
    keyed: Hmac<Sha256>,
    label: Box<str>,
    not_after: Option<Timestamp>,
    inner_whitespace: bool,
}

/// Why a text is no signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing but white space: anybody could sign with it.
    #[error("a webhook signing secret must not be blank; Stripe's begin with whsec_")]
    Blank,
}

impl SigningSecret {
    /// Takes a secret as configured. White space around it (a trailing newline is the classic) is
    /// cut off; a blank one is refused. `label` names it in logs and metrics.
    pub fn parse(text: &str, label: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretError::Blank);
        }
        let keyed =
            Hmac::<Sha256>::new_from_slice(text.as_bytes()).map_err(|_| SecretError::Blank)?;
        Ok(Self {
            keyed,
            label: label.into(),
            not_after: None,
            inner_whitespace: text.chars().any(char::is_whitespace),
        })
    }

    /// The same secret, not accepted any more after this instant (for rotation).
    pub fn until(mut self, not_after: Timestamp) -> Self {
        self.not_after = Some(not_after);
        self
    }

    /// The name given to it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The last instant at which it is accepted; `None` without end.
    pub const fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// Whether there is white space inside the text: it is taken as it is, but it is most likely
    /// two secrets or a copying mistake, which start-up should say.
    pub const fn has_inner_whitespace(&self) -> bool {
        self.inner_whitespace
    }

    fn accepted_at(&self, now: Timestamp) -> bool {
        self.not_after.is_none_or(|end| now <= end)
    }

    fn mac(&self, signed_at: u64, body: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(signed_at.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningSecret {
    /// Shows everything but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret")
            .field("label", &self.label)
            .field("not_after", &self.not_after)
            .field("secret", &"redacted")
            .finish_non_exhaustive()
    }
}

/// A signature that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When this delivery was signed; Stripe signs each attempt anew.
    pub signed_at: Timestamp,
    /// Which of the secrets it was signed with.
    pub secret_index: usize,
}

/// Why a signature does not hold. [`Self::reason`] is for metrics; nothing of it belongs in a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureError {
    /// There is no secret to check with, or none is accepted any more.
    #[error("no signing secret is configured that is still accepted")]
    NoSecret,
    /// No header, or an empty one.
    #[error("the Stripe-Signature header is missing or empty")]
    MissingHeader,
    /// The header is longer than [`HEADER_BYTES_MAX`].
    #[error("the Stripe-Signature header is longer than {HEADER_BYTES_MAX} bytes")]
    TooLong,
    /// No `t`, more than one, or one that is not 1 to 12 digits.
    #[error("the Stripe-Signature header needs exactly one t of 1 to 12 digits")]
    Malformed,
    /// No `v1` of 64 hexadecimal digits.
    #[error("the Stripe-Signature header has no v1 of 64 hexadecimal digits")]
    NoV1,
    /// No `v1` belongs to this body and any of the secrets.
    #[error("no signature belongs to this body and a configured secret")]
    Mismatch,
    /// Rightly signed, but too long ago.
    #[error("signed too long ago")]
    TooOld,
    /// Rightly signed, but with a time too far ahead.
    #[error("signed in the future")]
    InFuture,
}

impl SignatureError {
    /// A stable label for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::MissingHeader => "missing_header",
            Self::TooLong => "header_too_long",
            Self::Malformed => "malformed",
            Self::NoV1 => "no_v1",
            Self::Mismatch => "mismatch",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
        }
    }
}

/// Checks a delivery: the raw header value (empty when there is none) against the exact bytes of
/// the body, with every secret that is still accepted at `now`.
///
/// The comparison takes the same time wherever the bytes differ, and the time of signing is looked
/// at only when the signature holds. A time exactly `tolerance` away (whole seconds) passes.
pub fn verify(
    header: &[u8],
    body: &[u8],
    secrets: &[SigningSecret],
    now: Timestamp,
    tolerance: Duration,
) -> Result<Verified, SignatureError> {
    let header = Header::parse(header)?;
    let mut accepted =
        secrets.iter().enumerate().filter(|(_, secret)| secret.accepted_at(now)).peekable();
    if accepted.peek().is_none() {
        return Err(SignatureError::NoSecret);
    }
    let secret_index = accepted
        .find(|(_, secret)| header.carries(&secret.mac(header.signed_at, body)))
        .map(|(index, _)| index)
        .ok_or(SignatureError::Mismatch)?;
    let signed_at = i64::try_from(header.signed_at).unwrap_or(i64::MAX);
    check_time(signed_at, now.unix_seconds(), tolerance)?;
    Ok(Verified { signed_at: Timestamp::from_unix_seconds(signed_at), secret_index })
}

/// Checks what can be said of a header before its body is here: that it is one, within its limits.
pub fn check_form(header: &[u8]) -> Result<(), SignatureError> {
    Header::parse(header).map(|_| ())
}

fn check_time(signed_at: i64, now: i64, tolerance: Duration) -> Result<(), SignatureError> {
    if signed_at.abs_diff(now) <= tolerance.as_secs() {
        Ok(())
    } else if signed_at < now {
        Err(SignatureError::TooOld)
    } else {
        Err(SignatureError::InFuture)
    }
}

/// Makes the header Stripe would send with this body at this time.
pub fn sign(secret: &SigningSecret, body: &[u8], at: Timestamp) -> String {
    let signed_at = u64::try_from(at.unix_seconds()).unwrap_or(0);
    format!("t={signed_at},v1={}", hex::encode(secret.mac(signed_at, body)))
}

/// The header, read.
struct Header {
    /// The number, not its text: Stripe's libraries sign the number too, so `t=007` is 7.
    signed_at: u64,
    signatures: [[u8; MAC_BYTES]; SIGNATURES_MAX],
    count: usize,
}

impl Header {
    fn parse(header: &[u8]) -> Result<Self, SignatureError> {
        if header.is_empty() {
            return Err(SignatureError::MissingHeader);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::TooLong);
        }
        let mut signed_at = None;
        let mut signatures = [[0; MAC_BYTES]; SIGNATURES_MAX];
        let mut count = 0;
        for part in header.split(|byte| *byte == b',') {
            if let Some(digits) = part.strip_prefix(b"t=") {
                let time = parse_time(digits).ok_or(SignatureError::Malformed)?;
                if signed_at.replace(time).is_some() {
                    return Err(SignatureError::Malformed);
                }
            } else if let Some(text) = part.strip_prefix(b"v1=")
                && let Some(place) = signatures.get_mut(count)
                && hex::decode_to_slice(text, place).is_ok()
            {
                count += 1;
            }
        }
        let signed_at = signed_at.ok_or(SignatureError::Malformed)?;
        if count == 0 {
            return Err(SignatureError::NoV1);
        }
        Ok(Self { signed_at, signatures, count })
    }

    fn carries(&self, mac: &[u8; MAC_BYTES]) -> bool {
        self.signatures
            .iter()
            .take(self.count)
            .fold(false, |found, one| found | bool::from(one.ct_eq(mac)))
    }
}

fn parse_time(digits: &[u8]) -> Option<u64> {
    if digits.is_empty()
        || digits.len() > TIMESTAMP_DIGITS_MAX
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
