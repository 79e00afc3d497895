//! Advisories: whether a crate of the lock file has a known fault, without a network.
//!
//! Owns the commands around the snapshot, its age, and what is told of it. `cargo deny` asks the same of the
//! live database where that can be reached; `.ci/dependencies` says when. Must not know the forms of the
//! files: `snapshot` and `database` do.

mod database;
mod snapshot;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use semver::Version;
use toml_edit::{DocumentMut, Item};

use self::snapshot::{Advisory, Snapshot};
use crate::lockfile::{self, Locked};

/// Where the snapshot is, below the root.
const SNAPSHOT: &str = "crates/xtask/advisories.tsv";
/// A snapshot that is older is complained of in every run.
const WARN_AFTER_DAYS: i32 = 30;
/// A snapshot that is older says too little to take the place of the live database.
const REFUSE_AFTER_DAYS: i32 = 365;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the lock file with the snapshot; fail when a crate has a known fault
    Check {
        /// The lock file, instead of this workspace's
        #[arg(long)]
        lock: Option<PathBuf>,
    },
    /// Renew the snapshot from a checkout of RustSec's advisory database
    Import {
        /// The folder with `crates/` in it
        checkout: PathBuf,
    },
    /// Write the snapshot as the files of such a checkout, for tools that want one
    Export {
        /// An empty folder
        folder: PathBuf,
    },
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let path = root.join(SNAPSHOT);
    let snapshot = || -> anyhow::Result<Snapshot> {
        let text = std::fs::read_to_string(&path).context(SNAPSHOT)?;
        Snapshot::read(&text).context(SNAPSHOT)
    };
    match &arguments.command {
        Command::Check { lock } => {
            let lock = lock.clone().unwrap_or_else(|| root.join("Cargo.lock"));
            check(&snapshot()?, &lock, &root.join("deny.toml"), today())
        }
        Command::Import { checkout } => {
            let snapshot = database::read(checkout)?;
            std::fs::write(&path, snapshot.write()).context(SNAPSHOT)?;
            println!("{SNAPSHOT}: {}", known(&snapshot, today()));
            Ok(())
        }
        Command::Export { folder } => export(&snapshot()?, folder, today()),
    }
}

#[expect(clippy::disallowed_methods, reason = "how old a snapshot is depends on the real day")]
fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn known(snapshot: &Snapshot, today: Date) -> String {
    let (count, as_of) = (snapshot.advisories.len(), snapshot.as_of);
    format!("{count} advisories as of {as_of} ({} days ago)", snapshot.age_days(today))
}

fn check(snapshot: &Snapshot, lock: &Path, deny: &Path, today: Date) -> anyhow::Result<()> {
    let packages = std::fs::read_to_string(lock).with_context(|| lock.display().to_string())?;
    let packages = lockfile::read(&packages).with_context(|| lock.display().to_string())?;
    let accepted = std::fs::read_to_string(deny).with_context(|| deny.display().to_string())?;
    let accepted = accepted_ids(&accepted).with_context(|| deny.display().to_string())?;
    let faults = faults(snapshot, &packages, &accepted)?;
    for (package, advisory) in &faults {
        eprintln!("{}", describe(package, advisory));
    }
    let (known, age) = (known(snapshot, today), snapshot.age_days(today));
    if !faults.is_empty() {
        bail!("known faults: {} in what the lock file names ({known})", faults.len());
    }
    println!("advisories: none on the {} packages of the lock file, of {known}", packages.len());
    if age > WARN_AFTER_DAYS {
        println!(
            "WARNING: {SNAPSHOT} is {age} days old: what was found since is not known here{RENEWED_BY}"
        );
    }
    Ok(())
}

/// Puts the snapshot in the place of the live database, which one that is too old cannot take.
fn export(snapshot: &Snapshot, folder: &Path, today: Date) -> anyhow::Result<()> {
    let age = snapshot.age_days(today);
    if age > REFUSE_AFTER_DAYS {
        bail!("{SNAPSHOT} is {age} days old, more than {REFUSE_AFTER_DAYS}: renew it{RENEWED_BY}");
    }
    database::write(snapshot, folder)
}

const RENEWED_BY: &str = " (`cargo run -p xtask -- advisories import CHECKOUT`)";

/// The packages of the lock file that have a fault nobody accepted, with it.
fn faults<'a>(
    snapshot: &'a Snapshot,
    packages: &'a [Locked],
    accepted: &[String],
) -> anyhow::Result<Vec<(&'a Locked, &'a Advisory)>> {
    let mut faults = Vec::new();
    // Advisories are about crates of the registry; a crate of the workspace may share its name with one.
    for package in packages.iter().filter(|package| package.source.is_some()) {
        let version = Version::parse(&package.version)
            .with_context(|| format!("{} {}", package.name, package.version))?;
        let start = snapshot.advisories.partition_point(|one| one.package < package.name);
        let on_it = snapshot.advisories.get(start..).unwrap_or_default().iter();
        for advisory in on_it.take_while(|one| one.package == package.name) {
            if !accepted.contains(&advisory.id) && advisory.concerns(&version)? {
                faults.push((package, advisory));
            }
        }
    }
    Ok(faults)
}

fn describe(package: &Locked, advisory: &Advisory) -> String {
    let remedy = match advisory.patched.as_slice() {
        [] => "no version is free of it: replace the crate".to_owned(),
        patched => format!("fixed in {}: `cargo update -p {}`", patched.join(" or "), package.name),
    };
    format!(
        "{} {}: {}, {} of {}; {remedy}. Where it cannot matter, name the id with the reason in deny.toml, \
         [advisories] ignore",
        package.name, package.version, advisory.id, advisory.kind, advisory.date
    )
}

/// The ids in `deny.toml`'s list of what is accepted: texts, or tables with an `id`.
fn accepted_ids(deny: &str) -> anyhow::Result<Vec<String>> {
    let document = DocumentMut::from_str(deny)?;
    let list = document.get("advisories").and_then(|advisories| advisories.get("ignore"));
    let list = list.and_then(Item::as_array).into_iter().flat_map(|list| list.iter());
    let id = |one: &toml_edit::Value| {
        let inside = one.as_inline_table().and_then(|table| table.get("id"));
        inside.unwrap_or(one).as_str().map(str::to_owned)
    };
    Ok(list.filter_map(id).collect())
}

#[cfg(test)]
mod tests;
