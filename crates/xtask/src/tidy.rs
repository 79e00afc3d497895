//! Tidy: the rules of CONTRIBUTING.md that a program can check, run as a command and as tests.
//!
//! Owns the list of checks and the shape of a finding. A check is a pure function from the tree to
//! findings; add one by writing `tidy/<rule>.rs` and naming it in [`check`]. Must not read files itself.

mod defaults;
mod errors;
mod headers;
mod links;
mod manifests;
mod migrations;
mod places;
pub(crate) mod ratchet;
mod sizes;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use crate::tidy::ratchet::Mode;
use crate::tree::Tree;

/// One thing to mend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// 1-based; 0 when the finding is about the whole file.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Runs every check.
pub(crate) fn check(tree: &Tree, mode: Mode) -> anyhow::Result<Vec<Finding>> {
    let mut findings = headers::check(tree);
    findings.extend(words::check(tree));
    findings.extend(defaults::check(tree));
    findings.extend(errors::check(tree));
    findings.extend(places::check(tree));
    findings.extend(links::check(tree));
    findings.extend(manifests::check(tree));
    findings.extend(migrations::check(tree));
    findings.extend(ratchet::check(tree, mode)?);
    Ok(findings)
}
