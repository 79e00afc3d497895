//! What a run found. Owns: its counts and examples, and their JSON, which is also how they are
//! kept. Must not know: how differences are found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_domain::Drift;
use tollgate_domain::change::FieldChange;

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
    /// The first differences of each class, one by one.
    pub examples: Vec<Example>,
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
