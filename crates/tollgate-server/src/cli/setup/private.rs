//! `.env` on its way to disk. Owns: reading it, and replacing it whole, for its owner only. Must not
//! know: its format (`config::dotenv`), what is in it.

use std::path::PathBuf;

use anyhow::Context as _;

use super::super::context::Context;
use super::super::dev_state::write_private;
use crate::config::Environment;
use crate::config::dotenv::with_variables;

/// The file with variables to be set in it.
pub(super) struct DotEnv {
    path: PathBuf,
    text: String,
    environment: Environment,
    changed: bool,
}

impl DotEnv {
    pub(super) fn open(context: &Context) -> anyhow::Result<Self> {
        let path = context.path(".env");
        // A link stays a link: what it leads to is replaced.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context(".env cannot be read"),
        };
        let environment = context.load()?.environment;
        Ok(Self { path, text, environment, changed: false })
    }

    /// Sets a variable, for the next [`Self::save`].
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let text = with_variables(&self.text, &[(name, value)]);
        self.changed |= text != self.text;
        self.text = text;
    }

    /// A variable's text as it is in force.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether the environment of the process sets a variable, so that the file's line is not read.
    pub(super) fn is_shadowed(&self, name: &str) -> bool {
        self.environment.find(name).is_some_and(|(_, origin)| origin.is_of_process())
    }

    /// Writes the file, when anything was set: readable by its owner only, whole or not at all.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        if self.changed {
            write_private(&self.path, &self.text)?;
            self.changed = false;
        }
        Ok(())
    }
}
