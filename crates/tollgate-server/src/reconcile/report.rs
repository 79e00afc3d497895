//! What a run found. Owns: its counts and examples, and their JSON, which is also how they are
//! kept. Must not know: how differences are found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_domain::change::FieldChange;
use tollgate_domain::money::Money;
use tollgate_domain::payment::{AdjustmentKind, SessionMode};
use tollgate_domain::{Drift, Observation, Seen};
use tollgate_stripe::fetched::FetchedKind;

/// Most differences of one class shown one by one, so that many events that never came do not hide
/// what else differs; all are counted.
pub const EXAMPLES_MAX: usize = 50;

/// Counts of a run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReconciliationReport)]
pub struct Report {
    /// Events that Stripe listed.
    pub events: u64,
    /// Objects that were looked at.
    pub objects: u64,
    /// Differences by class: `missed_event`, `out_of_order`, `edited_in_stripe`, `unknown_price`,
    /// `our_error`.
    pub drift: BTreeMap<String, u64>,
    /// Of them repaired.
    pub repaired: u64,
    /// Doubts settled without a difference.
    pub settled: u64,
    /// Objects brought in by an import; of other runs, events and objects that are older than this
    /// database and were never missed.
    pub imported: u64,
    /// Objects nobody here is the owner of.
    pub foreign: u64,
    /// Objects that could not be read.
    pub unreadable: u64,
    /// Objects we know as living that Stripe does not find, without anything else that says they are
    /// over. They are left as they are.
    #[serde(default)]
    pub unproven: u64,
    /// Accounts that lose (or would lose) what they pay for.
    #[serde(default)]
    pub ends: u64,
    /// What an import brought in, and what the accounts have after it.
    #[serde(default)]
    pub sums: Sums,
    /// The first differences of each class, one by one.
    pub examples: Vec<Example>,
}

/// An import in sums; empty for other runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportSums)]
pub struct Sums {
    /// Objects brought in, by kind: `customer`, `subscription`, `checkout.session`, `invoice`,
    /// `refund`, `dispute`.
    pub objects: BTreeMap<String, u64>,
    /// Money of these objects, by currency (`eur`).
    pub money: BTreeMap<String, MovedMoney>,
    /// Accounts by the plan they have once the import is done, those that were there before
    /// included. Empty until then.
    pub accounts_by_plan: BTreeMap<String, u64>,
}

/// Sums of one currency in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportMoney)]
pub struct MovedMoney {
    /// Paid for invoices and in checkouts that made none.
    pub paid_minor: i64,
    /// Paid back.
    pub refunded_minor: i64,
}

/// Money that one object says was paid or paid back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// To us.
    Paid(Money),
    /// By us.
    Refunded(Money),
}

impl Moved {
    /// What an observed object tells of it. A checkout that made an invoice is paid by that.
    pub fn by(told: &Observation) -> Option<Self> {
        match &told.seen {
            Seen::Invoice(seen) if seen.state.amount_paid_minor > 0 => Some(Self::Paid(Money {
                amount_minor: seen.state.amount_paid_minor,
                currency: seen.state.currency,
            })),
            Seen::Session(seen) => {
                let is_invoiced =
                    told.references.iter().any(|object| object.as_str().starts_with("in_"));
                let counts = seen.paid && seen.mode == SessionMode::Payment && !is_invoiced;
                seen.total.filter(|_| counts).map(Self::Paid)
            }
            Seen::Adjustment(seen) => {
                let done = seen.kind == AdjustmentKind::Refund && &*seen.status == "succeeded";
                done.then_some(Self::Refunded(seen.amount))
            }
            Seen::Customer(_)
            | Seen::Subscription(_)
            | Seen::Schedule(_)
            | Seen::Invoice(_)
            | Seen::InvoicePayment(_)
            | Seen::CatalogObject(_)
            | Seen::EntitlementSummary(_) => None,
        }
    }
}

impl Sums {
    /// Adds an object that was brought in.
    pub fn add(&mut self, id: &str, moved: Option<Moved>) {
        let kind = FetchedKind::of_id(id).map_or("other", FetchedKind::object_type);
        let count = self.objects.entry(kind.to_owned()).or_default();
        *count = count.saturating_add(1);
        let Some(moved) = moved else { return };
        let (Moved::Paid(money) | Moved::Refunded(money)) = moved;
        let sums = self.money.entry(money.currency.as_str().to_owned()).or_default();
        let sum = match moved {
            Moved::Paid(_) => &mut sums.paid_minor,
            Moved::Refunded(_) => &mut sums.refunded_minor,
        };
        *sum = sum.saturating_add(money.amount_minor);
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReconciliationDifference)]
pub struct Example {
    /// The object, the event that was missed, or the connected account that lets the key in no more.
    pub object: String,
    /// Whose it is.
    pub account_id: Option<String>,
    /// The class of the difference, `import`, `not_found` (it lives here and nothing says that it is
    /// over), or `account_closed`.
    pub drift: String,
    /// What changes, as `field: before -> after`.
    pub changes: Vec<String>,
    /// Whether it was repaired.
    pub repaired: bool,
}

impl Report {
    /// Counts a difference.
    pub fn found(&mut self, drift: Drift, repaired: bool) {
        let count = self.drift.entry(drift.as_str().to_owned()).or_default();
        *count = count.saturating_add(1);
        self.repaired = self.repaired.saturating_add(u64::from(repaired));
    }

    /// Shows a difference, while there is room.
    pub fn show(&mut self, example: impl FnOnce() -> Example) {
        let example = example();
        let shown = self.examples.iter().filter(|one| one.drift == example.drift).count();
        if shown < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }

    /// All differences.
    pub fn drifted(&self) -> u64 {
        self.drift.values().sum()
    }
}

/// Changes in the form they are shown in.
pub fn shown(changes: &[FieldChange]) -> Vec<String> {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    changes
        .iter()
        .map(|change| format!("{}: {} -> {}", change.field, value(&change.from), value(&change.to)))
        .collect()
}
