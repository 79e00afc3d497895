//! Reading a TOML text strictly. Owns: typed access to tables with a place for every fault, and
//! the refusal of keys nobody asked for. Must not know: what the keys mean.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml_edit::{Item, TableLike, Value};

use super::fault::{Faults, did_you_mean};

/// A range of bytes of the text.
pub(super) type Span = Option<Range<usize>>;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// One table of the text. Remembers which keys were asked for: these are the keys it may have.
pub(super) struct Section<'t> {
    faults: &'t RefCell<Faults>,
    /// How messages call it, such as `[[plans]]`.
    name: &'static str,
    table: &'t dyn TableLike,
    /// Where it begins.
    pub(super) span: Span,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Section<'t> {
    pub(super) fn new(
        faults: &'t RefCell<Faults>,
        name: &'static str,
        table: &'t dyn TableLike,
        span: Span,
    ) -> Self {
        Self { faults, name, table, span, asked: RefCell::new(Vec::new()) }
    }

    /// Notes a fault.
    pub(super) fn fault(&self, span: Span, what: impl Into<String>, hint: Option<&str>) {
        self.faults.borrow_mut().add(span, what.into(), hint.map(str::to_owned));
    }

    /// Notes that a key is missing; `example` is a line to add.
    pub(super) fn missing(&self, key: &str, example: &str) {
        let what = format!("{} has no `{key}`", self.name);
        self.fault(self.span.clone(), what, Some(&format!("add a line such as: {example}")));
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the key is written.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.table.key(key).and_then(toml_edit::Key::span).or_else(|| self.span.clone())
    }

    fn item(&self, key: &'static str) -> Option<&'t Item> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn wrong_type(&self, key: &str, item: &Item, wanted: &str) {
        let what = format!("`{key}` of {} must be {wanted}, found {}", self.name, item.type_name());
        self.fault(item.span().or_else(|| self.key_span(key)), what, None);
    }

    /// A text of 1 to `chars_max` characters without control characters.
    pub(super) fn text(&self, key: &'static str, chars_max: usize) -> Option<Placed<&'t str>> {
        let item = self.item(key)?;
        let Some(text) = item.as_str() else {
            self.wrong_type(key, item, "a text");
            return None;
        };
        self.checked_text(key, text, item.span(), chars_max)
    }

    fn checked_text(
        &self,
        key: &str,
        text: &'t str,
        span: Span,
        chars_max: usize,
    ) -> Option<Placed<&'t str>> {
        let length = text.chars().count();
        if length == 0 || length > chars_max || text.chars().any(char::is_control) {
            let what = format!(
                "a text in `{key}` of {} must have 1 to {chars_max} characters and no control characters",
                self.name
            );
            self.fault(span, what, None);
            return None;
        }
        Some(Placed { value: text, span })
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<Placed<i64>> {
        let item = self.item(key)?;
        let Some(number) = item.as_integer() else {
            self.wrong_type(key, item, "a whole number");
            return None;
        };
        if !range.contains(&number) {
            let what = format!(
                "`{key}` of {} must be between {} and {}, found {number}",
                self.name,
                range.start(),
                range.end()
            );
            self.fault(item.span(), what, None);
            return None;
        }
        Some(Placed { value: number, span: item.span() })
    }

    /// A whole number from 0 to `max`.
    pub(super) fn number(&self, key: &'static str, max: u32) -> Option<u32> {
        let number = self.integer(key, 0..=i64::from(max))?;
        u32::try_from(number.value).ok()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        let item = self.item(key)?;
        let value = item.as_bool();
        if value.is_none() {
            self.wrong_type(key, item, "true or false");
        }
        value
    }

    /// A list of texts; absent is empty.
    pub(super) fn texts(&self, key: &'static str, chars_max: usize) -> Vec<Placed<&'t str>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let Some(list) = item.as_array() else {
            self.wrong_type(key, item, "a list of texts");
            return Vec::new();
        };
        let one = |value: &'t Value| {
            if let Some(text) = value.as_str() {
                return self.checked_text(key, text, value.span(), chars_max);
            }
            let what = format!("`{key}` of {} must hold texts only", self.name);
            self.fault(value.span(), what, None);
            None
        };
        list.iter().filter_map(one).collect()
    }

    /// A table within this one.
    pub(super) fn section(&self, key: &'static str, name: &'static str) -> Option<Section<'t>> {
        let item = self.item(key)?;
        let Some(table) = item.as_table_like() else {
            self.wrong_type(key, item, "a table");
            return None;
        };
        let span = item.span().or_else(|| self.key_span(key));
        Some(Section::new(self.faults, name, table, span))
    }

    /// A list of tables, in either of TOML's ways; absent is empty.
    pub(super) fn sections(&self, key: &'static str, name: &'static str) -> Vec<Section<'t>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        if let Some(tables) = item.as_array_of_tables() {
            let one =
                |table: &'t toml_edit::Table| Section::new(self.faults, name, table, table.span());
            return tables.iter().map(one).collect();
        }
        let Some(list) = item.as_array() else {
            self.wrong_type(key, item, "a list of tables");
            return Vec::new();
        };
        let one = |value: &'t Value| {
            if let Some(table) = value.as_inline_table() {
                return Some(Section::new(self.faults, name, table, value.span()));
            }
            let what = format!("`{key}` of {} must hold tables only", self.name);
            self.fault(value.span(), what, None);
            None
        };
        list.iter().filter_map(one).collect()
    }

    /// Every key with its place and value: for tables whose keys are chosen by their author.
    pub(super) fn entries(&self) -> Vec<(Placed<&'t str>, &'t Item)> {
        self.table
            .iter()
            .map(|(key, item)| (Placed { value: key, span: self.key_span(key) }, item))
            .collect()
    }

    /// A table that is the value of one of [`Self::entries`].
    pub(super) fn entry_section(
        &self,
        key: &Placed<&'t str>,
        item: &'t Item,
        name: &'static str,
    ) -> Option<Section<'t>> {
        let Some(table) = item.as_table_like() else {
            self.wrong_type(key.value, item, "a table");
            return None;
        };
        Some(Section::new(self.faults, name, table, key.span.clone()))
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter() {
            if !asked.contains(&key) {
                let what = format!("{} knows no key `{}`", self.name, shortened(key));
                let hint = did_you_mean(key, asked.iter().copied());
                self.fault(self.key_span(key), what, hint.as_deref());
            }
        }
    }
}

/// A text of the author's, cut so that a message stays a message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}
