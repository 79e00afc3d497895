//! An account's plan over time. Owns: cutting a stretch of time into spans of one plan and source.
//! Must not know: how a plan is found (`resolve`), how facts looked in the past (`as_of`).

use std::cmp::Ordering;

use super::forecast::{forecast, next_planned};
use super::resolve::resolve;
use super::{Resolution, SourceKind};
use crate::catalog::{Catalog, PlanIndex};
use crate::facts::Facts;
use crate::time::Timestamp;

/// Most spans of a timeline; a longer one is cut, and says where it goes on.
pub const SPANS_MAX: usize = 500;
/// Most instants looked at for one timeline, for accounts with many facts that change nothing.
pub const STEPS_MAX: usize = 2_000;

/// A stretch of time with one plan by one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
    /// The plan.
    pub plan: PlanIndex,
    /// The kind of source that gave it.
    pub source: SourceKind,
    /// The source's id.
    pub source_id: Option<String>,
    /// It was given by grace.
    pub in_grace: bool,
}

/// An account's plan over a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Spans that touch each other; neighbours differ.
    pub spans: Vec<Span>,
    /// Where to go on, when it was too long to be shown whole; the last span ends there.
    pub cut_at: Option<Timestamp>,
}

/// The plans of an account from `from` to `to`: before `now` as they were by what was known at
/// each instant, from `now` on as they will be by what is known and planned now. Empty where `from` is
/// not before `to`; cut after [`SPANS_MAX`] spans or [`STEPS_MAX`] instants.
pub fn timeline(
    facts: &Facts,
    catalog: &Catalog,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Timeline {
    let news = facts.instants_between(from, to.min(now));
    let mut news = news.into_iter().peekable();
    let mut spans: Vec<Span> = Vec::new();
    let mut at = from;
    for _ in 0..STEPS_MAX {
        if at >= to {
            break;
        }
        while news.next_if(|instant| *instant <= at).is_some() {}
        let outcome = match at.cmp(&now) {
            Ordering::Less => resolve(&facts.as_of(at), catalog, at),
            Ordering::Equal => resolve(facts, catalog, at),
            Ordering::Greater => forecast(facts, catalog, at),
        };
        // What is known changes for the last time at `now`; after that by plan.
        let planned = if at < now { Some(now) } else { next_planned(facts, catalog, at) };
        let learned = news.peek().copied().or(planned);
        let next = outcome.valid_until.into_iter().chain(learned).min().map_or(to, |n| n.min(to));
        if !extend(&mut spans, at, next, outcome) {
            break;
        }
        at = next;
    }
    Timeline { spans, cut_at: (at < to).then_some(at) }
}

/// Adds a span or lengthens the last one; returns whether there was room.
fn extend(spans: &mut Vec<Span>, from: Timestamp, to: Timestamp, outcome: Resolution) -> bool {
    if let Some(last) = spans.last_mut() {
        let same = last.plan == outcome.plan
            && last.source == outcome.source
            && last.source_id == outcome.source_id
            && last.in_grace == outcome.in_grace;
        if same {
            last.to = to;
            return true;
        }
    }
    if spans.len() == SPANS_MAX {
        return false;
    }
    spans.push(Span {
        from,
        to,
        plan: outcome.plan,
        source: outcome.source,
        source_id: outcome.source_id,
        in_grace: outcome.in_grace,
    });
    true
}

#[cfg(test)]
mod tests;
