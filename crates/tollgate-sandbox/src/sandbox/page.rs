//! Lists. Owns: cutting a list into pages, and the filter by time. Must not know: what is listed.

use serde_json::{Value, json};

use super::error::ApiError;
use super::params::Params;
use super::route::Call;
use crate::object::stored::Stored;
use crate::version::ApiVersion;

/// How many are shown when nothing is said, and at most.
const LIMIT: (usize, i64) = (10, 100);

/// One page of objects, which come newest first.
pub(crate) fn objects<T: Stored>(
    call: &Call<'_>,
    objects: &[&T],
    show: impl Fn(&T, ApiVersion) -> Value,
) -> Result<Value, ApiError> {
    page(call, T::NOUN, objects, |object| object.id(), |object| show(object, call.version))
}

/// One page of anything with ids, in the order of the list.
pub(crate) fn page<T>(
    call: &Call<'_>,
    noun: &str,
    all: &[T],
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    page_of(call, noun, all, |_| true, id, show)
}

/// The same of those that are wanted. A cursor is a place among all, so that it need not be one of
/// the wanted itself: an object may change between two pages.
pub(crate) fn page_of<T>(
    call: &Call<'_>,
    noun: &str,
    all: &[T],
    wanted: impl Fn(&T) -> bool,
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    let params = call.params;
    let limit = limit(params)?;
    let place = |name: &str| -> Result<Option<usize>, ApiError> {
        let Some(cursor) = params.text(name) else { return Ok(None) };
        let found = all.iter().position(|one| id(one) == cursor);
        found.map(Some).ok_or_else(|| ApiError::no_such(noun, cursor, name))
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    let one_more = limit.saturating_add(1);
    let mut found: Vec<&T> = match (after, before) {
        (Some(_), Some(_)) => {
            let message = "You can't specify both starting_after and ending_before.";
            return Err(ApiError::invalid(message).param("ending_before"));
        }
        (None, Some(end)) => {
            let newer = all.get(..end).unwrap_or_default().iter().rev();
            newer.filter(|one| wanted(one)).take(one_more).collect()
        }
        (after, None) => {
            let start = after.map_or(0, |after| after.saturating_add(1));
            let older = all.get(start..).unwrap_or_default().iter();
            older.filter(|one| wanted(one)).take(one_more).collect()
        }
    };
    let has_more = found.len() > limit;
    found.truncate(limit);
    if before.is_some() {
        found.reverse();
    }
    let data: Vec<Value> = found.into_iter().map(show).collect();
    Ok(json!({"object": "list", "data": data, "has_more": has_more, "url": call.path}))
}

/// One page of a list of API v2, which says where the next one is.
pub(crate) fn page_v2<T>(
    call: &Call<'_>,
    all: &[T],
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    let limit = limit(call.params)?;
    let start = match call.params.text("page") {
        None => 0,
        Some(after) => {
            let found = all.iter().position(|one| id(one) == after);
            found.ok_or_else(|| ApiError::invalid("Invalid page").param("page"))?.saturating_add(1)
        }
    };
    let rest = all.get(start..).unwrap_or_default();
    let page = rest.get(..limit).unwrap_or(rest);
    let more = page.len() < rest.len();
    let next = page.last().filter(|_| more).map(|last| {
        let mut query = call.params.encoded_without("page");
        query.push_str("&page=");
        query.push_str(id(last));
        format!("{}?{}", call.path, query.trim_start_matches('&'))
    });
    let data: Vec<Value> = page.iter().map(show).collect();
    Ok(json!({"data": data, "next_page_url": next, "previous_page_url": null}))
}

fn limit(params: &Params) -> Result<usize, ApiError> {
    let (usual, most) = LIMIT;
    let Some(limit) = params.integer("limit")? else { return Ok(usual) };
    if limit < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(ApiError::invalid(message).code("parameter_invalid_integer").param("limit"));
    }
    Ok(usize::try_from(limit.min(most)).unwrap_or(usual))
}

/// The notation of a filter by time, for the `accepts` of routes: `created{gt gte lt lte}`.
/// A plain `created=…` is an exact time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    from: i64,
    /// The first second that is out.
    until: i64,
}

impl Span {
    /// The span that `created` asks for; all time where it is not given.
    pub(crate) fn of(params: &Params, name: &str) -> Result<Self, ApiError> {
        let mut span = Self { from: i64::MIN, until: i64::MAX };
        if let Some(exact) = params.integer(name)? {
            return Ok(Self { from: exact, until: exact.saturating_add(1) });
        }
        let Some(bounds) = params.get(name) else { return Ok(span) };
        if let Some(from) = bounds.integer("gte")? {
            span.from = from;
        }
        if let Some(from) = bounds.integer("gt")? {
            span.from = span.from.max(from.saturating_add(1));
        }
        if let Some(last) = bounds.integer("lte")? {
            span.until = last.saturating_add(1);
        }
        if let Some(until) = bounds.integer("lt")? {
            span.until = span.until.min(until);
        }
        Ok(span)
    }

    /// Whether a time is in it.
    pub(crate) fn has(self, at: i64) -> bool {
        (self.from..self.until).contains(&at)
    }
}
