//! The steps of a run, in order. Owns: their names, and how far a run has come as text. Must not
//! know: what a step does.

use serde::{Deserialize, Serialize};
use tollgate_stripe::fetched::FetchedKind;

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Events that never came.
    Events,
    /// One account's objects, instead of all others' steps.
    Account,
    /// Customers: they name owners, so they come before what hangs on them.
    Customers,
    /// Subscriptions in every status.
    Subscriptions,
    /// Completed checkout sessions.
    Sessions,
    /// Invoices of late.
    Invoices,
    /// Invoices still open, however old.
    OpenInvoices,
    /// Refunds.
    Refunds,
    /// Disputes.
    Disputes,
    /// What is open here and no list showed.
    Known,
}

impl Step {
    /// The steps of a run over everything.
    pub const ALL: [Self; 9] = [
        Self::Events,
        Self::Customers,
        Self::Subscriptions,
        Self::Sessions,
        Self::Invoices,
        Self::OpenInvoices,
        Self::Refunds,
        Self::Disputes,
        Self::Known,
    ];
    /// The steps of an import: what exists, not what happened.
    pub const IMPORT: [Self; 7] = [
        Self::Customers,
        Self::Subscriptions,
        Self::Sessions,
        Self::Invoices,
        Self::Refunds,
        Self::Disputes,
        Self::Known,
    ];
    /// The steps of a run over one account.
    pub const ONE: [Self; 2] = [Self::Events, Self::Account];

    /// What is walked, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Events => "events that never came",
            Self::Account => "the account's objects",
            Self::Customers => "customers",
            Self::Subscriptions => "subscriptions",
            Self::Sessions => "checkout sessions",
            Self::Invoices => "invoices",
            Self::OpenInvoices => "open invoices",
            Self::Refunds => "refunds",
            Self::Disputes => "disputes",
            Self::Known => "what is open here",
        }
    }

    /// What a step's list holds; `None` for steps without one.
    pub(super) const fn kind(self) -> Option<FetchedKind> {
        match self {
            Self::Customers => Some(FetchedKind::Customer),
            Self::Subscriptions => Some(FetchedKind::Subscription),
            Self::Sessions => Some(FetchedKind::Session),
            Self::Invoices | Self::OpenInvoices => Some(FetchedKind::Invoice),
            Self::Refunds => Some(FetchedKind::Refund),
            Self::Disputes => Some(FetchedKind::Dispute),
            Self::Events | Self::Account | Self::Known => None,
        }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The step under way; `None`: none begun.
    pub step: Option<Step>,
    /// The connected Stripe account (`acct_…`) whose list is walked; `None`: our own.
    #[serde(default)]
    pub stripe_account: Option<String>,
    /// Where in it to go on: an object's or account's id.
    pub after: Option<String>,
}
