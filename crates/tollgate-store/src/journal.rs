//! The journal of each account: append-only, numbered without gaps, in a hash chain. It is the audit log
//! and the feed of billing events in one. Owns: rows, the chain and its check. Must not know: what is
//! worth an entry, what an envelope holds.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use tollgate_domain::Timestamp;
use tollgate_domain::change::{Actor, JournalEntry};
use tollgate_domain::ids::{AccountId, EventId};

use crate::accounts::AccountHead;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::statement::{Row, Rows, statements};
use crate::{prose, wire};

mod verify;

pub use verify::{Verdict, verify, verify_all};

/// SHA-256 of a row of the journal and of the hash before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What stands before an account's first entry.
    pub const START: Self = Self([0; 32]);

    pub(crate) fn read(bytes: &[u8], table: &'static str) -> Result<Self, StoreError> {
        bytes.try_into().map(Self).map_err(|_| StoreError::Corrupt {
            table,
            reason: format!("a hash has {} bytes instead of 32", bytes.len()),
            row: String::new(),
        })
    }
}

const TABLE: &str = "journal_entries";

/// What the column `actor` begins with for a person.
const PERSON: &str = "person:";

/// Rows read at once by [`verify()`].
const VERIFY_PAGE_ROWS: i64 = 1_000;

/// One entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Whose chain.
    pub account: AccountId,
    /// Place in the chain, from 1, without gaps.
    pub sequence: u64,
    /// What happened, such as `subscription.updated`.
    pub kind: Cow<'static, str>,
    /// The object it is about.
    pub subject: String,
    /// Who caused it; a Stripe event is kept in the column `event_id`.
    pub actor: Actor,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we wrote it.
    pub recorded_at: Timestamp,
    /// The account's revision that it made or was made with.
    pub revision: u64,
    /// Named values.
    pub details: Vec<(Cow<'static, str>, String)>,
    /// What consumers are told by it.
    pub billing: Option<Billing>,
    /// [`chain`] of the row before and this one.
    pub hash: ChainHash,
}

/// What an entry tells consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billing {
    /// Type of the billing event, such as `subscription.canceled`.
    pub kind: Cow<'static, str>,
    /// The state of the account as the entry left it, as the envelope needs it; opaque here.
    pub state: String,
}

impl JournalRow {
    /// Gives an entry its place after the head's newest one and moves the head there. `state` is
    /// that of its billing event, where it has one.
    pub fn next(
        head: &mut AccountHead,
        entry: &JournalEntry,
        state: Option<String>,
        recorded_at: Timestamp,
    ) -> Self {
        let details = entry.details.iter();
        let mut row = Self {
            account: head.account.clone(),
            sequence: head.sequence + 1,
            kind: Cow::Borrowed(entry.kind),
            subject: entry.subject.clone(),
            actor: entry.actor.clone(),
            occurred_at: entry.occurred_at,
            recorded_at,
            revision: head.revision,
            details: details.map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect(),
            billing: entry.billing.as_ref().map(|told| Billing {
                kind: Cow::Borrowed(told.kind.as_str()),
                state: state.unwrap_or_default(),
            }),
            hash: ChainHash::START,
        };
        row.hash = chain(head.journal_hash, &row);
        head.sequence = row.sequence;
        head.journal_hash = row.hash;
        row
    }

    /// The Stripe event that caused it.
    pub const fn event(&self) -> Option<&EventId> {
        match &self.actor {
            Actor::Stripe(event) => Some(event),
            Actor::Person(_) | Actor::System => None,
        }
    }
}

/// The hash of a row (its own `hash` is not read) after the one before it: SHA-256 over the hash
/// before, then each field with its length in front (numbers as eight bytes, big end first), so
/// that no two rows have the same encoding.
pub fn chain(before: ChainHash, row: &JournalRow) -> ChainHash {
    let mut hash = Sha256::new();
    hash.update(b"tollgate journal 2");
    hash.update(before.0);
    put_text(&mut hash, row.account.as_str());
    hash.update(row.sequence.to_be_bytes());
    put_text(&mut hash, &row.kind);
    put_text(&mut hash, &row.subject);
    put_text(&mut hash, &actor_text(&row.actor));
    put_text(&mut hash, row.event().map_or("", EventId::as_str));
    hash.update(row.occurred_at.millis().to_be_bytes());
    hash.update(row.recorded_at.millis().to_be_bytes());
    hash.update(row.revision.to_be_bytes());
    let billing = row.billing.as_ref();
    put_text(&mut hash, billing.map_or("", |told| &told.kind));
    put_text(&mut hash, billing.map_or("", |told| &told.state));
    put_len(&mut hash, row.details.len());
    for (name, value) in &row.details {
        put_text(&mut hash, name);
        put_text(&mut hash, value);
    }
    ChainHash(hash.finalize().into())
}

fn put_len(hash: &mut Sha256, len: usize) {
    hash.update(wire::count(len as u64).to_be_bytes());
}

fn put_text(hash: &mut Sha256, text: &str) {
    put_len(hash, text.len());
    hash.update(text.as_bytes());
}

statements! {
    APPEND = "WITH {rows:account_id text, sequence bigint, kind text, subject text, actor text, \
            event_id text, occurred_at bigint, recorded_at bigint, revision bigint, details text, \
            billing text, state text, hash bytea} \
        INSERT INTO journal_entries (account_id, sequence, kind, subject, actor, event_id, \
            occurred_at, recorded_at, revision, details, billing, state, hash) \
        SELECT account_id, sequence, kind, subject, actor, event_id, occurred_at, recorded_at, \
            revision, details, billing, state, hash FROM r";

    /// Newest first, before the place (`$6`, `$7`, `$8`).
    LIST = "SELECT account_id, sequence, kind, subject, actor, event_id, occurred_at, \
            recorded_at, revision, details, billing, state, hash \
        FROM journal_entries \
        WHERE recorded_at >= $1 AND recorded_at < $2 \
            AND (CAST($3 AS TEXT) IS NULL OR kind = $3) \
            AND (CAST($4 AS TEXT) IS NULL OR actor = $4) \
            AND (CAST($5 AS TEXT) IS NULL OR subject = $5) \
            AND recorded_at <= $6 AND (recorded_at < $6 OR account_id < $7 \
                OR (account_id = $7 AND sequence < $8)) \
        ORDER BY recorded_at DESC, account_id DESC, sequence DESC LIMIT $9";

    /// The same of one account (`$10`), where its sequence alone is the order.
    LIST_ACCOUNT = "SELECT account_id, sequence, kind, subject, actor, event_id, occurred_at, \
            recorded_at, revision, details, billing, state, hash \
        FROM journal_entries \
        WHERE account_id = $1 AND sequence < $2 AND recorded_at >= $3 AND recorded_at < $4 \
            AND (CAST($5 AS TEXT) IS NULL OR kind = $5) \
            AND (CAST($6 AS TEXT) IS NULL OR actor = $6) \
            AND (CAST($7 AS TEXT) IS NULL OR subject = $7) \
        ORDER BY sequence DESC LIMIT $8";

    AFTER = "SELECT account_id, sequence, kind, subject, actor, event_id, occurred_at, \
            recorded_at, revision, details, billing, state, hash \
        FROM journal_entries WHERE account_id = $1 AND sequence > $2 \
        ORDER BY sequence LIMIT $3";

    /// Entries of all accounts up to one, in their order, after a place.
    WALK = "SELECT account_id, sequence, kind, subject, actor, event_id, occurred_at, \
            recorded_at, revision, details, billing, state, hash \
        FROM journal_entries WHERE (account_id, sequence) > ($1, $2) AND account_id <= $3 \
        ORDER BY account_id, sequence LIMIT $4";

    ANCHORS = "SELECT account_id, sequence, hash FROM journal_anchors \
        WHERE account_id > $1 AND account_id <= $2";

    ANCHOR = "SELECT sequence, hash FROM journal_anchors WHERE account_id = $1";
}

/// Appends rows, in one statement for all.
pub async fn append(tx: &mut Tx, rows: &[JournalRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sorted = with_details(rows)?;
    APPEND.on(tx).rows(self::rows(&sorted)).execute().await.map(|_| ())
}

/// Entries with their details as they are kept, by account and number.
pub(crate) fn with_details(
    entries: &[JournalRow],
) -> Result<Vec<(&JournalRow, String)>, StoreError> {
    let mut sorted = Vec::with_capacity(entries.len());
    for row in entries {
        sorted.push((row, wire::to_json(&Details(&row.details))?));
    }
    sorted
        .sort_unstable_by(|(a, _), (b, _)| (&a.account, a.sequence).cmp(&(&b.account, b.sequence)));
    Ok(sorted)
}

pub(crate) fn rows<'r>(
    entries: &'r [(&'r JournalRow, String)],
) -> Rows<'r, (&'r JournalRow, String)> {
    Rows::of(entries)
        .text(|(row, _)| row.account.as_str())
        .bigint(|(row, _)| wire::count(row.sequence))
        .prose(|(row, _)| &row.kind)
        .prose(|(row, _)| &row.subject)
        .made_text(|(row, _)| column(actor_text(&row.actor)))
        .opt_text(|(row, _)| row.event().map(EventId::as_str))
        .bigint(|(row, _)| row.occurred_at.millis())
        .bigint(|(row, _)| row.recorded_at.millis())
        .bigint(|(row, _)| wire::count(row.revision))
        .text(|(_, details)| details)
        .opt_prose(|(row, _)| row.billing.as_ref().map(|told| told.kind.as_ref()))
        .opt_prose(|(row, _)| row.billing.as_ref().map(|told| told.state.as_str()))
        .bytes(|(row, _)| &row.hash.0)
}

/// Which rows to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// By this actor, as [`actor_text`] writes it.
    pub actor: Option<String>,
    /// About this object.
    pub subject: Option<String>,
    /// Recorded at or after.
    pub since: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
}

/// An actor as the journal's column has it: `stripe`, `system` or `person:<name>`.
pub fn actor_text(actor: &Actor) -> Cow<'static, str> {
    match actor {
        Actor::Stripe(_) => Cow::Borrowed("stripe"),
        Actor::System => Cow::Borrowed("system"),
        Actor::Person(name) => Cow::Owned(format!("{PERSON}{name}")),
    }
}

/// [`prose::to_column`] for a text that may be owned.
fn column(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => prose::to_column(text),
        Cow::Owned(text) => Cow::Owned(prose::to_column(&text).into_owned()),
    }
}

/// Named values as a JSON object, in their order.
struct Details<'a>(&'a [(Cow<'static, str>, String)]);

impl serde::Serialize for Details<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Back from [`Details`], order and repetitions kept.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct DetailCells {
    #[serde(deserialize_with = "read_details")]
    all: Vec<(Cow<'static, str>, String)>,
}

fn read_details<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Vec<(Cow<'static, str>, String)>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<(Cow<'static, str>, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                all.push((Cow::Owned(name), value));
            }
            Ok(all)
        }
    }
    from.deserialize_map(Visitor)
}

/// Newest rows first; `cursor` is the one a page ended with. Returns the rows and the next cursor.
/// A cursor that was not made here starts at the newest row.
pub async fn list(
    db: &Db,
    filter: &JournalFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<JournalRow>, Option<String>), StoreError> {
    let since = filter.since.unwrap_or(Timestamp::MIN).millis();
    let until = filter.until.map_or(i64::MAX, Timestamp::millis);
    let place = cursor.and_then(Place::parse).unwrap_or(Place::END);
    let call = if let Some(account) = &filter.account {
        LIST_ACCOUNT
            .on(db)
            .text(account.as_str())
            .bigint(place.sequence)
            .bigint(since)
            .bigint(until)
    } else {
        LIST.on(db).bigint(since).bigint(until)
    };
    let call = call
        .opt_prose(filter.kind.as_deref())
        .opt_prose(filter.actor.as_deref())
        .opt_prose(filter.subject.as_deref());
    let call = if filter.account.is_some() {
        call
    } else {
        call.bigint(place.recorded_at).text(place.account).bigint(place.sequence)
    };
    let found = call.bigint(i64::from(limit)).fetch().await?;
    let rows = found.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
    let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = rows
        .last()
        .filter(|_| full)
        .map(|row| format!("{}/{}/{}", row.recorded_at.millis(), row.sequence, row.account));
    Ok((rows, next))
}

/// Where a page ended.
struct Place<'a> {
    recorded_at: i64,
    account: &'a str,
    sequence: i64,
}

impl<'a> Place<'a> {
    /// Before the first page; no id begins with this character.
    const END: Self = Self { recorded_at: i64::MAX, account: "~", sequence: i64::MAX };

    fn parse(cursor: &'a str) -> Option<Self> {
        let mut parts = cursor.splitn(3, '/');
        Some(Self {
            recorded_at: parts.next()?.parse().ok()?,
            sequence: parts.next()?.parse().ok()?,
            account: AccountId::parse(parts.next()?)
                .is_ok()
                .then(|| cursor.rsplit('/').next())??,
        })
    }
}

fn read_row(row: &Row) -> Result<JournalRow, StoreError> {
    let mut cells = row.cells();
    let account: AccountId = cells.key(TABLE)?;
    let sequence = wire::uncount(cells.bigint()?);
    let kind = cells.prose()?.into_owned();
    let subject = cells.prose()?.into_owned();
    let actor = cells.prose()?;
    let event: Option<EventId> = cells.opt_key(TABLE)?;
    let bad = |reason: String| StoreError::Corrupt {
        table: TABLE,
        reason,
        row: format!("{account} {sequence}"),
    };
    let actor = match (actor.as_ref(), event) {
        ("stripe", Some(event)) => Actor::Stripe(event),
        ("system", None) => Actor::System,
        (text, None) if text.starts_with(PERSON) => {
            Actor::Person(text.get(PERSON.len()..).unwrap_or_default().to_owned())
        }
        (text, _) => return Err(bad(format!("no actor is called {text:?}"))),
    };
    let (occurred_at, recorded_at) = (cells.instant()?, cells.instant()?);
    let revision = wire::uncount(cells.bigint()?);
    let details: DetailCells =
        serde_json::from_str(cells.text()?).map_err(|error| bad(error.to_string()))?;
    let (kind_told, state) = (cells.opt_prose()?, cells.opt_prose()?);
    let billing = kind_told.zip(state).map(|(kind, state)| Billing {
        kind: Cow::Owned(kind.into_owned()),
        state: state.into_owned(),
    });
    let hash = ChainHash::read(cells.bytes()?, TABLE)?;
    Ok(JournalRow {
        kind: Cow::Owned(kind),
        details: details.all,
        account,
        sequence,
        subject,
        actor,
        occurred_at,
        recorded_at,
        revision,
        billing,
        hash,
    })
}

/// An account's entries after a number, in order, at most `limit`.
pub async fn after(
    db: &Db,
    account: &AccountId,
    sequence: u64,
    limit: u32,
) -> Result<Vec<JournalRow>, StoreError> {
    let call = AFTER.on(db).text(account.as_str()).bigint(wire::count(sequence));
    call.bigint(i64::from(limit)).fetch().await?.iter().map(read_row).collect()
}
