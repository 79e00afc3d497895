//! Who gets a Stripe customer. Owns: one row per account and member, written before the customer
//! is made, so that however many ask at once there is one claim and one customer. Must not know:
//! how a customer is made.

use tollgate_domain::Timestamp;
use tollgate_domain::ids::{AccountId, CustomerId, MemberId};

use crate::db::Db;
use crate::error::StoreError;
use crate::statement::statements;

/// The claim of an account, or of one of its members, to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerClaim {
    /// Our id of it, `cl_…`.
    pub id: String,
    /// The customer; `None`: not made yet, or not known to be.
    pub customer: Option<CustomerId>,
    /// When it was first asked for.
    pub created_at: Timestamp,
}

statements! {
    INSERT = "INSERT INTO customer_claims (account_id, member_id, claim_id, created_at) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (account_id, member_id) DO NOTHING";

    FIND = "SELECT claim_id, customer_id, created_at FROM customer_claims \
        WHERE account_id = $1 AND member_id = $2";

    SETTLE = "UPDATE customer_claims SET customer_id = $4 \
        WHERE account_id = $1 AND member_id = $2 AND claim_id = $3 AND customer_id IS NULL";

    REPLACE = "UPDATE customer_claims SET claim_id = $4, customer_id = NULL, created_at = $5 \
        WHERE account_id = $1 AND member_id = $2 AND claim_id = $3";
}

const TABLE: &str = "customer_claims";

/// Whose claim.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The member; `None` for the account itself.
    pub member: Option<&'a MemberId>,
}

impl<'a> Claimant<'a> {
    fn member(self) -> &'a str {
        self.member.map_or("", MemberId::as_str)
    }
}

/// The claim of somebody: made now under this id, or as it was made before.
pub async fn claim(
    db: &Db,
    who: Claimant<'_>,
    id: &str,
    now: Timestamp,
) -> Result<CustomerClaim, StoreError> {
    let call = INSERT.on(db.writer()).text(who.account.as_str()).text(who.member());
    call.text(id).bigint(now.millis()).execute().await?;
    let found = find(db, who).await?;
    found.ok_or_else(|| StoreError::Corrupt {
        table: TABLE,
        reason: "a row that was just written is not there".to_owned(),
        row: id.to_owned(),
    })
}

/// The claim of somebody, if there is one.
pub async fn find(db: &Db, who: Claimant<'_>) -> Result<Option<CustomerClaim>, StoreError> {
    let call = FIND.on(db).text(who.account.as_str()).text(who.member());
    let Some(row) = call.fetch_one().await? else { return Ok(None) };
    let mut cells = row.cells();
    Ok(Some(CustomerClaim {
        id: cells.text()?.to_owned(),
        customer: cells.opt_key(TABLE)?,
        created_at: cells.instant()?,
    }))
}

/// Notes the customer of a claim; the first one to say so wins.
pub async fn settle(
    db: &Db,
    who: Claimant<'_>,
    id: &str,
    customer: &CustomerId,
) -> Result<bool, StoreError> {
    let call = SETTLE.on(db.writer()).text(who.account.as_str()).text(who.member());
    Ok(call.text(id).text(customer.as_str()).execute().await? == 1)
}

/// Begins a new claim in the place of one whose customer is gone from Stripe. Whether this call
/// did; `false`: another process was first.
pub async fn replace(
    db: &Db,
    who: Claimant<'_>,
    (gone, id): (&str, &str),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let call = REPLACE.on(db.writer()).text(who.account.as_str()).text(who.member());
    Ok(call.text(gone).text(id).bigint(now.millis()).execute().await? == 1)
}
