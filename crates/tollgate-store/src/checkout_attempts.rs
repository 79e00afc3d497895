//! Purchases that have begun. Owns: that at most one of a kind is pending for an account or member,
//! and the session of each. Must not know: what is bought, how a session is made.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, MemberId, SessionId};

use crate::customer_claims::Claimant;
use crate::db::Db;
use crate::error::StoreError;
use crate::statement::{Row, statements};

/// How a purchase that has begun stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStatus {
    /// Its session can be, or is being, paid.
    Open,
    /// Its session was completed.
    Complete,
    /// Its session ran out, or could never be made.
    Expired,
    /// Another purchase took its place.
    Replaced,
}

impl AttemptStatus {
    /// Name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Complete, Self::Expired, Self::Replaced]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A session of Stripe's, as far as a pending purchase needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptSession {
    /// Stripe's id.
    pub id: SessionId,
    /// Where the customer pays.
    pub url: String,
    /// From when on nobody can.
    pub expires_at: Timestamp,
}

/// A purchase that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Our id, `ca_…`.
    pub id: String,
    /// The account.
    pub account: AccountId,
    /// Who buys inside the account.
    pub member: Option<MemberId>,
    /// Hash of what the purchase consists of.
    pub fingerprint: String,
    /// How it stands.
    pub status: AttemptStatus,
    /// Its session; `None`: not made yet, or not known to be.
    pub session: Option<AttemptSession>,
    /// When it began.
    pub created_at: Timestamp,
}

statements! {
    BEGIN = "INSERT INTO checkout_attempts \
            (account_id, attempt_id, member_id, kind, fingerprint, status, created_at) \
        VALUES ($1, $2, $3, $4, $5, 'open', $6) ON CONFLICT DO NOTHING";

    FIND_OPEN = "SELECT account_id, attempt_id, member_id, fingerprint, status, session_id, url, \
            expires_at, created_at \
        FROM checkout_attempts \
        WHERE account_id = $1 AND member_id = $2 AND kind = $3 AND status = 'open'";

    FIND_BY_SESSION = "SELECT account_id, attempt_id, member_id, fingerprint, status, session_id, \
            url, expires_at, created_at \
        FROM checkout_attempts WHERE session_id = $1";

    SETTLE = "UPDATE checkout_attempts SET session_id = $3, url = $4, expires_at = $5 \
        WHERE account_id = $1 AND attempt_id = $2 AND session_id IS NULL";

    SEND = "UPDATE checkout_attempts SET sent_at = COALESCE(sent_at, $3) \
        WHERE account_id = $1 AND attempt_id = $2 AND status = 'open'";

    CLOSE_UNSENT = "UPDATE checkout_attempts SET status = 'replaced', closed_at = $3 \
        WHERE account_id = $1 AND attempt_id = $2 AND status = 'open' AND sent_at IS NULL";

    CLOSE = "UPDATE checkout_attempts SET status = $3, closed_at = $4 \
        WHERE account_id = $1 AND attempt_id = $2 AND status = 'open'";
}

const TABLE: &str = "checkout_attempts";

/// What a purchase is, for [`begin`].
#[derive(Debug, Clone, Copy)]
pub struct NewAttempt<'a> {
    /// Our id of it.
    pub id: &'a str,
    /// Who buys.
    pub who: Claimant<'a>,
    /// `plan`, `badge` or `boost`.
    pub kind: &'a str,
    /// Hash of what it consists of.
    pub fingerprint: &'a str,
}

/// The pending purchase of this kind: begun now, or the one that was pending already, whatever its
/// fingerprint. `None` when one was closed at this very moment; ask again.
pub async fn begin(
    db: &Db,
    new: &NewAttempt<'_>,
    now: Timestamp,
) -> Result<Option<Attempt>, StoreError> {
    let member = new.who.member.map_or("", MemberId::as_str);
    let call = BEGIN.on(db.writer()).text(new.who.account.as_str()).text(new.id).text(member);
    call.text(new.kind).text(new.fingerprint).bigint(now.millis()).execute().await?;
    let call = FIND_OPEN.on(db).text(new.who.account.as_str()).text(member).text(new.kind);
    call.fetch_one().await?.as_ref().map(read_row).transpose()
}

/// The purchase a session belongs to.
pub async fn find_by_session(db: &Db, session: &SessionId) -> Result<Option<Attempt>, StoreError> {
    let row = FIND_BY_SESSION.on(db).text(session.as_str()).fetch_one().await?;
    row.as_ref().map(read_row).transpose()
}

fn read_row(row: &Row) -> Result<Attempt, StoreError> {
    let mut cells = row.cells();
    let account = cells.key(TABLE)?;
    let id = cells.text()?.to_owned();
    let member = cells.text()?;
    let member = if member.is_empty() { None } else { MemberId::parse(member).ok() };
    let fingerprint = cells.text()?.to_owned();
    let status = AttemptStatus::parse(cells.text()?).ok_or_else(|| StoreError::Corrupt {
        table: TABLE,
        reason: "its status is none of ours".to_owned(),
        row: id.clone(),
    })?;
    let session: Option<SessionId> = cells.opt_key(TABLE)?;
    let url = cells.opt_prose()?.map(std::borrow::Cow::into_owned);
    let expires_at = cells.opt_instant()?;
    let session = session.zip(url.zip(expires_at)).map(|(id, (url, expires_at))| AttemptSession {
        id,
        url,
        expires_at,
    });
    let created_at = cells.instant()?;
    Ok(Attempt { id, account, member, fingerprint, status, session, created_at })
}

/// Notes the session of a purchase; the first one to say so wins.
pub async fn settle(
    db: &Db,
    attempt: &Attempt,
    session: &AttemptSession,
) -> Result<bool, StoreError> {
    let call = SETTLE.on(db.writer()).text(attempt.account.as_str()).text(&attempt.id);
    let call = call.text(session.id.as_str()).prose(&session.url);
    Ok(call.bigint(session.expires_at.millis()).execute().await? == 1)
}

/// Notes that the session of a purchase is about to be asked for. Whether it may be: another purchase
/// can have taken its place, and then nobody would end that session.
pub async fn send(db: &Db, attempt: &Attempt, now: Timestamp) -> Result<bool, StoreError> {
    let call = SEND.on(db.writer()).text(attempt.account.as_str()).text(&attempt.id);
    Ok(call.bigint(now.millis()).execute().await? == 1)
}

/// Ends a pending purchase whose session nobody has asked for, and nobody will. Whether this call did.
pub async fn close_unsent(db: &Db, attempt: &Attempt, now: Timestamp) -> Result<bool, StoreError> {
    let call = CLOSE_UNSENT.on(db.writer()).text(attempt.account.as_str()).text(&attempt.id);
    Ok(call.bigint(now.millis()).execute().await? == 1)
}

/// Ends a pending purchase. Whether this call did.
pub async fn close(
    db: &Db,
    attempt: &Attempt,
    status: AttemptStatus,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let call = CLOSE.on(db.writer()).text(attempt.account.as_str()).text(&attempt.id);
    Ok(call.text(status.as_str()).bigint(now.millis()).execute().await? == 1)
}
