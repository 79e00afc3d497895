//! Raw bodies made small before they reach the database. Owns: the codec and its dictionary. Must
//! not know: what a body says.
//!
//! A webhook body is the largest part of what an event writes. zstd with a dictionary trained on
//! Stripe-shaped events makes it small enough to stay inside its row, which is what a commit's
//! cost depends on. Every stored body is restored byte for byte, for ever: the dictionary's id is
//! stored with the row and the dictionary itself in the database.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use tollgate_store::inbox::{BodyCodec, StoredBody};
use tollgate_store::{Db, StoreError, dictionaries};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::EncoderDictionary;

/// Id of the dictionary new bodies are squeezed with. A new dictionary gets a new id.
pub const DICTIONARY_ID: i64 = 1;
/// The dictionary itself; `cargo run -p xtask -- train-dictionary` makes it.
static DICTIONARY: &[u8] = include_bytes!("../../assets/webhook-v1.dict");
/// Fast enough for the request's own task; higher levels cost more than they save.
const LEVEL: i32 = 1;
/// Largest body restored, in bytes; larger ones are never stored.
pub const RAW_BYTES_MAX: usize = 16 * 1024 * 1024;

static PREPARED: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(Compressor::with_prepared_dictionary(&PREPARED).ok());
}

/// Squeezes a body. One that does not become smaller is kept as it is.
pub fn squeeze(raw: &[u8]) -> StoredBody<'static> {
    let raw_len = u64::try_from(raw.len()).unwrap_or(u64::MAX);
    let small = COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(raw).ok());
    match small {
        Some(small) if small.len() < raw.len() => StoredBody {
            bytes: Cow::Owned(small),
            codec: BodyCodec::ZstdDictionary(DICTIONARY_ID),
            raw_len,
        },
        _ => StoredBody { bytes: Cow::Owned(raw.to_vec()), codec: BodyCodec::Plain, raw_len },
    }
}

/// Keeps the present dictionary in the database, so that the database alone restores its bodies.
pub async fn keep_dictionary(db: &Db) -> Result<(), StoreError> {
    dictionaries::insert(db, DICTIONARY_ID, DICTIONARY).await.map(|_| ())
}

/// Why a stored body cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Its dictionary is not in the database.
    #[error("the body needs dictionary {0}, which this database does not hold")]
    DictionaryMissing(i64),
    /// It was removed after the days set by `retention.event_bodies_days`.
    #[error("the body was removed after the days set by retention.event_bodies_days")]
    Removed,
    /// The stored bytes are not what was stored.
    #[error("the stored body is damaged: {0}")]
    Damaged(std::io::Error),
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for RestoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Damaged(error)
    }
}

/// Restores a stored body byte for byte.
pub async fn restore(db: &Db, stored: &StoredBody<'_>) -> Result<Vec<u8>, RestoreError> {
    let length = usize::try_from(stored.raw_len).unwrap_or(usize::MAX).min(RAW_BYTES_MAX);
    match stored.codec {
        BodyCodec::Removed => Err(RestoreError::Removed),
        BodyCodec::Plain => Ok(stored.bytes.to_vec()),
        BodyCodec::Zstd => Ok(Decompressor::new()?.decompress(&stored.bytes, length)?),
        BodyCodec::ZstdDictionary(DICTIONARY_ID) => {
            Ok(Decompressor::with_dictionary(DICTIONARY)?.decompress(&stored.bytes, length)?)
        }
        BodyCodec::ZstdDictionary(id) => {
            let dictionary = dictionaries::find(db, id).await?;
            let dictionary = dictionary.ok_or(RestoreError::DictionaryMissing(id))?;
            Ok(Decompressor::with_dictionary(&dictionary)?.decompress(&stored.bytes, length)?)
        }
    }
}
