//! Faults of a configuration. Owns: where a value came from and how a mistake is told. Must not
//! know: which settings exist.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file: `tollgate.toml`, a catalog, the price map in either.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1; `None` when the file as a whole is meant.
        line: Option<usize>,
    },
    /// A variable in the environment.
    Variable(String),
    /// A variable in a `.env` file.
    DotEnv {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The variable.
        name: String,
    },
    /// A file that a variable names.
    SecretFile {
        /// The variable, `…_FILE`.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Whether the variable is one of the process; else it is in `.env`.
        by_process: bool,
    },
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "{name}"),
            Self::DotEnv { path, line, name } => write!(f, "{}:{line} ({name})", path.display()),
            Self::SecretFile { variable, path, .. } => write!(f, "{variable} ({})", path.display()),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl Origin {
    /// Whether the process was started with it: what is written in its folder does not change that.
    pub const fn is_of_process(&self) -> bool {
        matches!(self, Self::Variable(_) | Self::SecretFile { by_process: true, .. })
    }
}

/// What is wrong with a value and how to mend it; without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong. Holds no secret.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl Trouble {
    /// Says what is wrong and how to mend it.
    pub fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where the value came from.
    pub origin: Origin,
    /// The setting, such as `stripe.mode`; empty when it belongs to none.
    pub setting: String,
    /// What is wrong and how to mend it.
    pub trouble: Trouble,
    /// Anchor in `docs/configuration.md`.
    pub anchor: String,
}

impl Fault {
    /// A mistake in a setting.
    pub fn new(origin: Origin, setting: &str, trouble: Trouble) -> Self {
        let anchor = match setting.split_once('.') {
            Some((section, _)) => section,
            None if setting.is_empty() => "where-values-come-from",
            None => setting,
        };
        Self { origin, setting: setting.to_owned(), trouble, anchor: anchor.to_owned() }
    }

    /// Where to read on.
    pub fn read_on(&self) -> String {
        format!("docs/configuration.md#{}", self.anchor)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble { what, mend } = &self.trouble;
        write!(f, "{}: {what}\n  mend: {mend}\n  read: {}", self.origin, self.read_on())
    }
}

/// Every mistake found, in the order of discovery. Never empty when returned as an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, noun) = (self.0.len(), if self.0.len() == 1 { "fault" } else { "faults" });
        write!(f, "the configuration has {count} {noun}")?;
        for (number, fault) in (1..).zip(&self.0) {
            write!(f, "\n\n{number}. {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The candidate most like a text, when one is like enough to be meant.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (text.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
