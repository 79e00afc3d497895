//! Calls to Stripe that create or change something. Owns: the row that is written before a call
//! leaves, from which its idempotency key is made, so that a process that died finds both again.
//! Must not know: what is called, when a call is repeated.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::{Row, statements};
use crate::wire;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeRequest {
    /// For whom.
    pub account: AccountId,
    /// What it is for: the id of a claim or an attempt, or an object with what is done to it.
    pub subject: String,
    /// Raised when a new idempotency key is due.
    pub generation: u64,
    /// Its parameters as they are sent; empty once it is settled.
    pub form: String,
    /// When it was first sent under this generation; `None`: not yet.
    pub first_sent_at: Option<Timestamp>,
    /// When it was last sent.
    pub last_sent_at: Option<Timestamp>,
    /// What it made or changed; `None`: not known (yet).
    pub object: Option<String>,
}

statements! {
    INSERT = "INSERT INTO stripe_requests (account_id, subject, generation, form) \
        VALUES ($1, $2, 0, $3) ON CONFLICT (account_id, subject) DO NOTHING";

    FIND = "SELECT account_id, subject, generation, form, first_sent_at, last_sent_at, object_id \
        FROM stripe_requests WHERE account_id = $1 AND subject = $2";

    MARK_SENT = "UPDATE stripe_requests \
        SET first_sent_at = COALESCE(first_sent_at, $4), last_sent_at = $4 \
        WHERE account_id = $1 AND subject = $2 AND generation = $3 AND object_id IS NULL";

    SETTLE = "UPDATE stripe_requests SET object_id = $4, settled_at = $5, form = '' \
        WHERE account_id = $1 AND subject = $2 AND generation = $3 AND object_id IS NULL";

    RENEW = "UPDATE stripe_requests \
        SET generation = generation + 1, form = $4, first_sent_at = NULL, last_sent_at = NULL, \
            object_id = NULL, settled_at = NULL \
        WHERE account_id = $1 AND subject = $2 AND generation = $3";
}

const TABLE: &str = "stripe_requests";

/// The call for a subject: noted now with these parameters, or as it was noted before.
pub async fn note(
    db: &Db,
    account: &AccountId,
    subject: &str,
    form: &str,
) -> Result<StripeRequest, StoreError> {
    let call = INSERT.on(db.writer()).text(account.as_str()).text(subject).prose(form);
    call.execute().await?;
    let found = find(db, account, subject).await?;
    found.ok_or_else(|| StoreError::Corrupt {
        table: TABLE,
        reason: "a row that was just written is not there".to_owned(),
        row: subject.to_owned(),
    })
}

/// The call for a subject, if there was one.
pub async fn find(
    db: &Db,
    account: &AccountId,
    subject: &str,
) -> Result<Option<StripeRequest>, StoreError> {
    let row = FIND.on(db).text(account.as_str()).text(subject).fetch_one().await?;
    row.as_ref().map(read_row).transpose()
}

fn read_row(row: &Row) -> Result<StripeRequest, StoreError> {
    let mut cells = row.cells();
    Ok(StripeRequest {
        account: cells.key(TABLE)?,
        subject: cells.text()?.to_owned(),
        generation: wire::uncount(cells.bigint()?),
        form: cells.prose()?.into_owned(),
        first_sent_at: cells.opt_instant()?,
        last_sent_at: cells.opt_instant()?,
        object: cells.opt_text()?.map(str::to_owned),
    })
}

/// Notes that the call leaves now. Whether it may: another process can have settled it or begun a
/// new generation in the meantime.
pub async fn mark_sent(
    db: &Db,
    request: &StripeRequest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let call = MARK_SENT.on(db.writer()).text(request.account.as_str()).text(&request.subject);
    let call = call.bigint(wire::count(request.generation)).bigint(now.millis());
    Ok(call.execute().await? == 1)
}

/// Notes what the call made or changed; the first one to say so wins. Whether this was the first.
pub async fn settle(
    db: &Db,
    request: &StripeRequest,
    object: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let call = SETTLE.on(db.writer()).text(request.account.as_str()).text(&request.subject);
    let call = call.bigint(wire::count(request.generation)).text(object).bigint(now.millis());
    Ok(call.execute().await? == 1)
}

/// Begins a new generation, with parameters of its own. Whether this call did; `false`: another
/// process was first.
pub async fn renew(db: &Db, request: &StripeRequest, form: &str) -> Result<bool, StoreError> {
    let call = RENEW.on(db.writer()).text(request.account.as_str()).text(&request.subject);
    let call = call.bigint(wire::count(request.generation)).prose(form);
    Ok(call.execute().await? == 1)
}
