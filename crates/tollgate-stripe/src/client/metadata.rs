//! What our own objects at Stripe say of themselves. Owns: the names we write into metadata. Must
//! not know: the names other applications use (see the crate's `owner`), of which these are some.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_domain::ids::{AccountId, MemberId};

use crate::client::request::Form;

/// The account something belongs to.
pub(super) const ACCOUNT: &str = "account_id";
/// The member it belongs to.
pub(super) const MEMBER: &str = "member_id";
/// What is sold.
pub(super) const KIND: &str = "type";
/// The plan meant.
pub(super) const PLAN: &str = "plan";
/// Our row it was made for, by which it is found again.
pub(super) const ROW: &str = "tollgate_row";

/// Whose something is and what for, written onto what is made at Stripe.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The member inside it.
    pub member: Option<&'a MemberId>,
    /// Our row it is made for.
    pub row: &'a str,
}

impl Mark<'_> {
    pub(super) fn write(self, form: Form, prefix: &str) -> Form {
        form.with(format!("{prefix}[{ACCOUNT}]"), self.account.as_str())
            .with_some(&format!("{prefix}[{MEMBER}]"), self.member.map(MemberId::as_str))
            .with(format!("{prefix}[{ROW}]"), self.row)
    }
}

/// An object with its id and metadata, whatever else it is.
#[derive(Debug, Deserialize)]
pub(super) struct Marked {
    pub(super) id: String,
    #[serde(default)]
    pub(super) metadata: Option<BTreeMap<String, String>>,
}

impl Marked {
    /// Whether it was made for a row of ours.
    pub(super) fn is_for(&self, row: &str) -> bool {
        self.metadata.as_ref().is_some_and(|all| all.get(ROW).is_some_and(|found| found == row))
    }
}
