//! The layers of a configuration. Owns: reading `tollgate.toml`, finding our variables, and which
//! layer wins. Must not know: what a value means.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::environment::Environment;
use super::fault::{Fault, Origin, Trouble, nearest};
use super::secret_files;
use super::settings::{self, Kind, SECTIONS, SETTINGS, Setting, VARIABLE_PREFIX};
use super::value::Raw;

/// The winning raw value of each setting that somebody set, by key.
#[derive(Debug, Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Raw, Origin)>,
}

impl Layers {
    /// Takes a value over whatever was there.
    pub(super) fn set(&mut self, setting: &'static Setting, raw: Raw, origin: Origin) {
        self.values.insert(setting.key, (raw, origin));
    }

    /// The value of a setting, its default when nobody set it.
    pub(super) fn get(&self, setting: &Setting) -> (Raw, Origin) {
        let default = || (Raw::Text(setting.default.to_owned()), Origin::Default);
        self.values.get(setting.key).cloned().unwrap_or_else(default)
    }

    /// Adds the settings of a `tollgate.toml`.
    pub(super) fn read_file(&mut self, path: &Path, text: &str, faults: &mut Vec<Fault>) {
        let file = File { path, text };
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map(|span| span.start);
                let trouble = Trouble::new(
                    format!("the file is no TOML: {}", error.message()),
                    "see https://toml.io for the format",
                );
                faults.push(Fault::new(file.origin(line), "", trouble));
                return;
            }
        };
        for (section, item) in document.iter() {
            let offset = item_offset(document.as_table(), section, item);
            let origin = file.origin(offset);
            match item.as_table_like() {
                Some(table) if SECTIONS.iter().any(|(name, _)| *name == section) => {
                    self.read_section(&file, section, table, faults);
                }
                _ => faults.push(Fault::new(origin, "", unknown_section(section))),
            }
        }
    }

    fn read_section(
        &mut self,
        file: &File<'_>,
        section: &str,
        table: &dyn TableLike,
        faults: &mut Vec<Fault>,
    ) {
        for (name, item) in table.iter() {
            let origin = file.origin(item_offset(table, name, item));
            let key = format!("{section}.{name}");
            match (settings::find(&key), raw(item)) {
                (Some(setting), Some(_)) if setting.process_only => {
                    faults.push(Fault::new(origin, setting.key, only_by_the_process(setting)));
                }
                (Some(setting), Some(raw)) => self.set(setting, raw, origin),
                (Some(setting), None) => faults.push(Fault::new(
                    origin,
                    setting.key,
                    Trouble::new(format!("{key} holds nothing that can be read"), "give a value"),
                )),
                (None, _) => faults.push(Fault::new(origin, &key, unknown_key(section, name))),
            }
        }
    }

    /// Adds what the environment says: the origin systems' names, over them our own variables; both
    /// of the process over both of `.env`.
    pub(super) fn read_environment(&mut self, environment: &Environment, faults: &mut Vec<Fault>) {
        for setting in SETTINGS {
            let variable = setting.variable();
            let mut candidates: Vec<Candidate<'_>> = setting
                .names
                .iter()
                .copied()
                .chain(std::iter::once(variable.as_str()))
                .filter_map(|name| Candidate::find(environment, setting, name))
                .collect();
            if let Some(fault) = contradiction(setting, &candidates) {
                faults.push(fault);
            }
            candidates.sort_by_key(Candidate::precedence);
            let by_file = |one: &&Candidate<'_>| matches!(one.origin, Origin::DotEnv { .. });
            if let Some(refused) = candidates.iter().find(by_file).filter(|_| setting.process_only)
            {
                let trouble = only_by_the_process(setting);
                faults.push(Fault::new(refused.origin.clone(), setting.key, trouble));
            } else if let Some(winner) = candidates.pop() {
                self.set(setting, Raw::Text(winner.text.to_owned()), winner.origin.clone());
            }
        }
        for (name, _, origin) in environment.with_prefix(VARIABLE_PREFIX) {
            let is_of = |setting: &&Setting, name: &str| setting.variable() == name;
            let whole = SETTINGS.iter().find(|setting| is_of(setting, name));
            let file = name.strip_suffix(secret_files::SUFFIX);
            let by_file = file.and_then(|name| SETTINGS.iter().find(|one| is_of(one, name)));
            match (whole, by_file) {
                (Some(_), _) => {}
                (None, Some(setting)) if setting.takes_file() => {}
                (None, Some(setting)) => {
                    let trouble = no_secret(setting, name);
                    faults.push(Fault::new(origin.clone(), setting.key, trouble));
                }
                (None, None) => {
                    faults.push(Fault::new(origin.clone(), "", unknown_variable(name)));
                }
            }
        }
    }
}

struct Candidate<'a> {
    name: &'a str,
    text: &'a str,
    origin: &'a Origin,
    own: bool,
}

impl<'a> Candidate<'a> {
    /// A variable that is set. A blank one counts as not set unless it is a secret, where it is
    /// more likely a mistake than a wish.
    fn find(environment: &'a Environment, setting: &Setting, name: &'a str) -> Option<Self> {
        let (text, origin) = environment.find(name)?;
        let counts = setting.is_secret() || !text.trim().is_empty();
        counts.then_some(Self { name, text, origin, own: name.starts_with(VARIABLE_PREFIX) })
    }

    fn precedence(&self) -> (bool, bool) {
        (self.origin.is_of_process(), self.own)
    }
}

/// Two names of the same setting that say different things, with nothing to choose by.
fn contradiction(setting: &Setting, candidates: &[Candidate<'_>]) -> Option<Fault> {
    let mut foreign = candidates.iter().filter(|candidate| !candidate.own);
    let first = foreign.next()?;
    let meaning = |text: &str| match (setting.kind, text.trim()) {
        (Kind::Flag, "1") => "true".to_owned(),
        (Kind::Flag, "0") => "false".to_owned(),
        (_, other) => other.to_owned(),
    };
    let other = foreign.find(|other| meaning(other.text) != meaning(first.text))?;
    let trouble = Trouble::new(
        format!("{} and {} mean the same setting and say different things", first.name, other.name),
        format!("keep one of them, or set {}", setting.variable()),
    );
    Some(Fault::new(first.origin.clone(), setting.key, trouble))
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn origin(&self, offset: Option<usize>) -> Origin {
        let line_of = |offset: usize| {
            let before = self.text.get(..offset).unwrap_or(self.text);
            before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
        };
        Origin::File { path: self.path.to_path_buf(), line: offset.map(line_of) }
    }
}

fn item_offset(table: &dyn TableLike, name: &str, item: &Item) -> Option<usize> {
    let key = table.key(name).and_then(toml_edit::Key::span);
    key.or_else(|| item.span()).map(|span| span.start)
}

fn raw(item: &Item) -> Option<Raw> {
    match item {
        Item::None => None,
        Item::Value(value) => raw_value(value),
        Item::Table(table) => raw_table(table),
        Item::ArrayOfTables(tables) => {
            tables.iter().map(|table| raw_table(table)).collect::<Option<_>>().map(Raw::List)
        }
    }
}

fn raw_table(table: &dyn TableLike) -> Option<Raw> {
    let entry = |(name, item): (&str, &Item)| Some((name.to_owned(), raw(item)?));
    table.iter().map(entry).collect::<Option<_>>().map(Raw::Table)
}

fn raw_value(value: &toml_edit::Value) -> Option<Raw> {
    use toml_edit::Value;
    Some(match value {
        Value::String(text) => Raw::Text(text.value().clone()),
        Value::Integer(number) => Raw::Text(number.value().to_string()),
        Value::Float(number) => Raw::Text(number.value().to_string()),
        Value::Boolean(flag) => Raw::Text(flag.value().to_string()),
        Value::Datetime(instant) => Raw::Text(instant.value().to_string()),
        Value::Array(items) => Raw::List(items.iter().map(raw_value).collect::<Option<_>>()?),
        Value::InlineTable(table) => raw_table(table)?,
    })
}

fn only_by_the_process(setting: &Setting) -> Trouble {
    Trouble::new(
        format!("{} cannot be set by a file", setting.key),
        format!(
            "take it out; where it is meant, set {} in the environment of the process",
            setting.variable()
        ),
    )
}

fn no_secret(setting: &Setting, name: &str) -> Trouble {
    Trouble::new(
        format!("{name}: only secrets and addresses of databases are read from files of their own"),
        format!("set {}", setting.variable()),
    )
}

fn unknown_section(name: &str) -> Trouble {
    let sections = SECTIONS.iter().map(|(section, _)| *section);
    let mend = match nearest(name, sections.clone()) {
        Some(meant) => format!("did you mean [{meant}]?"),
        None => format!("the sections are {}", sections.collect::<Vec<_>>().join(", ")),
    };
    Trouble::new(format!("there is no section [{name}]"), mend)
}

fn unknown_key(section: &str, name: &str) -> Trouble {
    let key = format!("{section}.{name}");
    let names = || {
        SETTINGS
            .iter()
            .filter(|setting| setting.section() == section)
            .filter_map(|setting| setting.key.split_once('.').map(|(_, name)| name))
    };
    let elsewhere = SETTINGS.iter().map(|setting| setting.key);
    let mend = match nearest(name, names()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => match nearest(&key, elsewhere) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("[{section}] knows {}", names().collect::<Vec<_>>().join(", ")),
        },
    };
    Trouble::new(format!("there is no setting {key}"), mend)
}

/// Variables that would be settings with two underscores for one. No faults: others may mean something
/// by them, such as where to find a Tollgate.
pub(super) fn misspelt(environment: &Environment) -> Vec<Fault> {
    let set = environment.with_prefix("TOLLGATE_");
    let ours = set.filter(|(name, text, _)| !name.starts_with(VARIABLE_PREFIX) && !text.is_empty());
    let told = ours.filter_map(|(name, _, origin)| {
        let plain = name.replace("__", "_");
        let meant = SETTINGS.iter().map(Setting::variable).find(|variable| {
            let alike = variable.replace("__", "_");
            plain == alike || plain.strip_suffix("_FILE") == Some(alike.as_str())
        })?;
        let what = format!("no setting is called {name}, and it is not looked at");
        let mend = format!("{meant}? Sections are set off by two underscores");
        Some(Fault::new(origin.clone(), "", Trouble::new(what, mend)))
    });
    told.collect()
}

fn unknown_variable(name: &str) -> Trouble {
    let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let mend = match nearest(name, variables.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "`tollgate docs config` lists every variable".to_owned(),
    };
    Trouble::new(format!("no setting is called {name}"), mend)
}
