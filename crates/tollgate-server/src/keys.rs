//! API keys as text. Owns: what a key looks like, how it is made, read and compared. Must not know:
//! where keys are kept, who may do what.
//!
//! A key is `tg_<env>_<id>_<secret>`: the id (12 characters) finds the row, the secret (256 bits)
//! proves it. Only the SHA-256 of the secret is kept; a fast hash is enough for 256 random bits.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Characters of a key's id.
pub const ID_CHARS: usize = 12;
/// Characters of a key's secret: 256 bits in lower-case hex.
pub const SECRET_CHARS: usize = 64;
/// 32 symbols without those that look alike, so an id is five bits a character and easy to read out.
const ID_ALPHABET: [char; 32] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u', 'v',
    'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9', '0',
];

/// Which kind of deployment a key was made for; part of its text, so that a mix-up is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyEnvironment {
    /// Stripe's live mode.
    Live,
    /// Stripe's test mode, or no mode set.
    Test,
    /// `tollgate dev`.
    Dev,
}

impl KeyEnvironment {
    /// The part of the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Dev => "dev",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "live" => Some(Self::Live),
            "test" => Some(Self::Test),
            "dev" => Some(Self::Dev),
            _ => None,
        }
    }
}

/// SHA-256 of a key's secret. Compared in constant time only.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret's text.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// A stored hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A stored hash of any length; `None` when it is not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether two hashes are the same, in time that does not depend on where they differ.
    pub fn verify(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A new key: what the caller gets once and what is kept.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The id, for lists and logs.
    pub id: String,
    /// The whole text, shown once.
    pub text: Secret,
    /// What is kept of the secret.
    pub secret_hash: SecretHash,
}

/// A key's text taken apart.
#[derive(Debug, Clone)]
pub struct ParsedKey<'a> {
    /// What it was made for.
    pub environment: KeyEnvironment,
    /// Its id.
    pub id: &'a str,
    /// The hash of its secret, to be compared with the kept one.
    pub secret_hash: SecretHash,
}

/// Makes a new key from the operating system's randomness.
pub fn generate(environment: KeyEnvironment) -> Result<NewKey, rand::rngs::SysError> {
    let (id_bytes, secret_bytes) = (random_bytes::<ID_CHARS>()?, random_bytes::<32>()?);
    let id: String =
        id_bytes.iter().filter_map(|byte| ID_ALPHABET.get(usize::from(byte % 32))).collect();
    let secret = hex::encode(secret_bytes);
    let text = Secret::new(format!("tg_{}_{id}_{secret}", environment.as_str()));
    Ok(NewKey { id, text, secret_hash: SecretHash::of(&secret) })
}

/// Takes a key's text apart. `None`: it is not shaped like a key, so nobody needs to be asked.
pub fn parse(text: &str) -> Option<ParsedKey<'_>> {
    let (environment, rest) = text.strip_prefix("tg_")?.split_once('_')?;
    let (id, secret) = rest.split_once('_')?;
    let shaped = id.len() == ID_CHARS
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && secret.len() == SECRET_CHARS
        && secret.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
    let environment = KeyEnvironment::parse(environment)?;
    shaped.then(|| ParsedKey { environment, id, secret_hash: SecretHash::of(secret) })
}

/// Random bytes from the operating system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], rand::rngs::SysError> {
    use rand::TryRng as _;
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_and_verifies() {
        let key = generate(KeyEnvironment::Test).unwrap();
        let parsed = parse(key.text.expose()).unwrap();
        assert_eq!((parsed.id, parsed.environment), (key.id.as_str(), KeyEnvironment::Test));
        assert!(parsed.secret_hash.verify(&key.secret_hash));
        let stored = SecretHash::from_slice(key.secret_hash.as_bytes()).unwrap();
        assert!(stored.verify(&parsed.secret_hash));
    }

    #[test]
    fn two_keys_share_nothing() {
        let (a, b) =
            (generate(KeyEnvironment::Dev).unwrap(), generate(KeyEnvironment::Dev).unwrap());
        assert_ne!(a.id, b.id);
        assert!(!a.secret_hash.verify(&b.secret_hash));
    }

    #[test]
    fn what_is_not_shaped_like_a_key_is_none() {
        let good = generate(KeyEnvironment::Live).unwrap();
        let text = good.text.expose();
        let mutations = [
            String::new(),
            "tg".into(),
            text.replacen("tg_", "sk_", 1),
            text.replacen("_live_", "_prod_", 1),
            text.to_uppercase(),
            format!("{text}_more"),
            format!("{text}0"),
            text.chars().take(text.len() - 1).collect(),
            text.replacen("tg_live_", "tg_live_x", 1),
        ];
        for bad in mutations {
            assert!(parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_hash_of_another_length_is_refused_and_never_printed() {
        assert!(SecretHash::from_slice(&[0; 31]).is_none());
        assert_eq!(format!("{:?}", SecretHash::from_bytes([7; 32])), "SecretHash(…)");
    }
}
