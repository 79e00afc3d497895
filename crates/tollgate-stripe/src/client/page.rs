//! Lists. Owns: Stripe's list object, its elements kept as they came, and walking through pages.
//! Must not know: what the elements are.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::Timestamp;

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::exchange::Fetched;
use crate::client::request::{ApiPath, Form, Operation};

/// Elements on a page, Stripe's most.
pub const PAGE_LIMIT: u8 = 100;

/// One page of a list. Lists are newest first and no snapshots: an object can show up on two pages.
#[derive(Debug, Clone)]
pub struct Page {
    /// The elements as they came.
    pub items: Vec<Box<RawValue>>,
    /// There are more in the direction walked.
    pub has_more: bool,
    /// Stripe's clock when this page was read.
    pub date: Timestamp,
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl Page {
    fn read(fetched: &Fetched) -> Result<Self, StripeError> {
        let Body { data, has_more } = fetched.json()?;
        Ok(Self { items: data, has_more, date: fetched.date })
    }

    /// The id of the first element.
    pub fn first_id(&self) -> Option<String> {
        id_of(self.items.first()?)
    }

    /// The id of the last element, where the next page starts after.
    pub fn last_id(&self) -> Option<String> {
        id_of(self.items.last()?)
    }
}

fn id_of(item: &RawValue) -> Option<String> {
    serde_json::from_str(item.get()).ok().map(|Identified { id }| id)
}

/// Where to go on in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// At the newest.
    Newest,
    /// Towards older ones, after this id.
    After(String),
    /// Towards newer ones, before this id.
    Before(String),
}

impl StripeClient {
    /// Reads one page of a hundred; `filter` are the list's own parameters.
    pub async fn page(
        &self,
        operation: Operation,
        path: &ApiPath,
        filter: &Form,
        cursor: &Cursor,
    ) -> Result<Page, StripeError> {
        let form = filter.clone().with("limit", PAGE_LIMIT.to_string());
        let form = match cursor {
            Cursor::Newest => form,
            Cursor::After(id) => form.with("starting_after", id),
            Cursor::Before(id) => form.with("ending_before", id),
        };
        Page::read(&self.call(operation, path, &form, None).await?)
    }

    /// Reads a whole list, newest first, up to `items_max` elements; the second value says whether
    /// there are more. For lists known to be short.
    pub async fn list(
        &self,
        operation: Operation,
        path: &ApiPath,
        filter: &Form,
        items_max: usize,
    ) -> Result<(Vec<Box<RawValue>>, bool), StripeError> {
        let mut items = Vec::new();
        let mut cursor = Cursor::Newest;
        loop {
            let page = self.page(operation, path, filter, &cursor).await?;
            let last = page.last_id();
            items.extend(page.items);
            match last {
                Some(last) if page.has_more && items.len() < items_max => {
                    cursor = Cursor::After(last);
                }
                _ => {
                    let more = page.has_more || items.len() > items_max;
                    items.truncate(items_max);
                    return Ok((items, more));
                }
            }
        }
    }
}
