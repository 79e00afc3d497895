//! The dated snapshot of RustSec's advisories that the repository holds: facts only, one line each.
//!
//! Owns the form of `advisories.tsv` and when a version is concerned. Must not know where advisories come
//! from or who is told.

use std::fmt::Write as _;

use anyhow::{Context as _, bail, ensure};
use jiff::civil::Date;
use semver::{Version, VersionReq};

/// The columns behind the head.
const COLUMNS: &str = "# id\tcrate\tdate\tkind\tpatched\tunaffected";
/// Between the version requirements of one column; they have commas themselves.
const BETWEEN: &str = "; ";

/// Everything that was known on one day.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) as_of: Date,
    /// The commit of the database it was made from.
    pub(crate) commit: String,
    /// By crate, then by id.
    pub(crate) advisories: Vec<Advisory>,
}

/// What one advisory says, without its prose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Advisory {
    pub(crate) package: String,
    pub(crate) id: String,
    pub(crate) date: String,
    /// `vulnerability`, or what else it tells: `unsound`, `unmaintained`, `notice`.
    pub(crate) kind: String,
    pub(crate) patched: Vec<String>,
    pub(crate) unaffected: Vec<String>,
}

impl Advisory {
    /// Whether that version of its crate has the fault.
    ///
    /// A pre-release is taken for affected unless a requirement names its own release, which errs to the
    /// side of telling.
    ///
    /// # Errors
    /// When a requirement of the snapshot cannot be read.
    pub(crate) fn concerns(&self, version: &Version) -> anyhow::Result<bool> {
        for requirement in self.patched.iter().chain(&self.unaffected) {
            let read = VersionReq::parse(requirement);
            let read = read.with_context(|| format!("{}: `{requirement}`", self.id))?;
            if read.matches(version) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Snapshot {
    /// How many days ago it was made.
    pub(crate) fn age_days(&self, today: Date) -> i32 {
        (today - self.as_of).get_days()
    }

    /// The text of the file.
    pub(crate) fn write(&self) -> String {
        let mut text = String::from(
            "# What RustSec's advisory database tells of crates: facts, no prose. Renewed by\n\
             # `cargo run -p xtask -- advisories import CHECKOUT`; docs/security/supply-chain.md says how.\n",
        );
        let _ = writeln!(text, "as of\t{}", self.as_of);
        let _ = writeln!(text, "commit\t{}", self.commit);
        let _ = writeln!(text, "{COLUMNS}");
        for one in &self.advisories {
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}\t{}\t{}",
                one.id,
                one.package,
                one.date,
                one.kind,
                one.patched.join(BETWEEN),
                one.unaffected.join(BETWEEN)
            );
        }
        text
    }

    /// Reads the text of the file, and every requirement in it.
    ///
    /// # Errors
    /// Naming the line, when it is not of this form.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let mut lines = (1_usize..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#'));
        let mut head = |name: &str| {
            let (_, line) = lines.next().with_context(|| format!("no line `{name}`"))?;
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('\t'));
            value.with_context(|| format!("`{line}` is not the line `{name}`"))
        };
        let as_of = head("as of")?.parse().context("the day of the snapshot")?;
        let commit = head("commit")?.to_owned();
        let advisories = lines
            .map(|(number, line)| advisory(line).with_context(|| format!("line {number}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(advisories.is_sorted(), "the lines are not in order: by crate, then by id");
        Ok(Self { as_of, commit, advisories })
    }
}

fn advisory(line: &str) -> anyhow::Result<Advisory> {
    let columns: Vec<_> = line.split('\t').collect();
    let [id, package, date, kind, patched, unaffected] = columns.as_slice() else {
        bail!("{} columns where six belong", columns.len());
    };
    let requirements = |column: &str| -> anyhow::Result<Vec<String>> {
        let texts = column.split(BETWEEN).filter(|text| !text.is_empty());
        texts
            .map(|text| {
                VersionReq::parse(text).with_context(|| format!("`{text}`"))?;
                Ok(text.to_owned())
            })
            .collect()
    };
    Ok(Advisory {
        package: (*package).to_owned(),
        id: (*id).to_owned(),
        date: (*date).to_owned(),
        kind: (*kind).to_owned(),
        patched: requirements(patched)?,
        unaffected: requirements(unaffected)?,
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn time() -> Advisory {
        Advisory {
            package: "time".to_owned(),
            id: "RUSTSEC-2020-0071".to_owned(),
            date: "2020-11-18".to_owned(),
            kind: "vulnerability".to_owned(),
            patched: vec![">= 0.2.23".to_owned()],
            unaffected: vec!["=0.2.0".to_owned(), "< 0.1.0, > 0.0.1".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let snapshot = Snapshot {
            as_of: date(2026, 8, 21),
            commit: "abc".to_owned(),
            advisories: vec![time()],
        };
        let text = snapshot.write();
        assert_eq!(Snapshot::read(&text).unwrap(), snapshot);
        assert_eq!(snapshot.age_days(date(2026, 11, 29)), 100);
    }

    #[test]
    fn versions_are_concerned_unless_patched_or_never_affected() {
        let concerned = |text: &str| time().concerns(&Version::parse(text).unwrap()).unwrap();
        assert!(concerned("0.2.22"));
        assert!(concerned("0.1.45"));
        assert!(concerned("0.2.22-alpha.1"), "a pre-release is told of");
        assert!(!concerned("0.2.23") && !concerned("0.3.0"), "patched");
        assert!(!concerned("0.2.0") && !concerned("0.0.5"), "never affected");
    }

    #[test]
    fn a_file_of_another_form_is_refused_with_its_line() {
        let fault = |text: &str| format!("{:#}", Snapshot::read(text).unwrap_err());
        assert!(fault("").contains("no line `as of`"));
        assert!(fault("as of\tsoon\ncommit\tx\n").contains("the day"));
        let head = "as of\t2026-08-21\ncommit\tx\n";
        assert!(fault(&format!("{head}RUSTSEC-1\ttime\n")).contains("line 3: 2 columns"));
        let bad = format!("{head}RUSTSEC-1\ttime\t2020-01-01\tvulnerability\tnewest\t\n");
        assert!(fault(&bad).contains("line 3: `newest`"));
        let line = |package: &str| format!("R\t{package}\t2020-01-01\tnotice\t\t\n");
        assert!(fault(&format!("{head}{}{}", line("b"), line("a"))).contains("not in order"));
    }
}
