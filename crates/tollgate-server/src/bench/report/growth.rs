//! How the cost of work grows. Owns: its shape as JSON and as text. Must not know: how it was measured.

use std::fmt;

use serde::Serialize;

use super::{heading, row};
use crate::bench::figures::{Figure, ratio};

/// The same work with more and more behind it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrowthReport {
    /// Size by size.
    pub sizes: Vec<GrowthSize>,
}

/// One size.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrowthSize {
    /// Accounts in the database before it was measured.
    pub accounts: u64,
    /// Events in its inbox before.
    pub inbox_rows: u64,
    /// New events of new accounts, as many as go through.
    pub intake: Figure,
    /// Every feature of accounts from all over the database, which are not in memory.
    pub first_checks: Figure,
    /// The same again and again.
    pub checks: Figure,
}

impl fmt::Display for GrowthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(f, "growth")?;
        for size in &self.sizes {
            let GrowthSize { accounts, inbox_rows, intake, first_checks, checks } = size;
            writeln!(f, "  {accounts} accounts, {inbox_rows} events in the inbox")?;
            row(f, "  new events", intake)?;
            row(f, "  checks, first time", first_checks)?;
            row(f, "  checks", checks)?;
        }
        let Some((first, more)) = self.sizes.split_first() else { return Ok(()) };
        for size in more {
            let grown = |of: fn(&GrowthSize) -> &Figure| {
                let (before, after) = (of(first), of(size));
                let rate = ratio(before.per_second, after.per_second);
                let cpu = before.cpu_us().zip(after.cpu_us()).map(|(a, b)| ratio(b, a));
                let cpu = cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.2}"));
                format!("{rate:.2} in time, {cpu} in processor time")
            };
            let GrowthSize { accounts, inbox_rows, .. } = size;
            writeln!(
                f,
                "  with {accounts} accounts and {inbox_rows} events, times the cost of the first size:"
            )?;
            writeln!(f, "    new events {}", grown(|size| &size.intake))?;
            writeln!(f, "    checks, first time {}", grown(|size| &size.first_checks))?;
            writeln!(f, "    checks {}", grown(|size| &size.checks))?;
        }
        Ok(())
    }
}
