//! The trainer of the dictionary that raw webhook bodies are squeezed with.
//!
//! Owns what the dictionary is trained on (every story and every single event of the sandbox, in every
//! API version, for several accounts) and how its worth is measured: on the same for an account it was
//! not trained on, on the load of the benchmark, and on any folder of real events. Must not know how
//! bodies are stored.
//!
//! A dictionary that has been released is never trained again: bodies in databases depend on its bytes.
//! A better one gets a new number and a new file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::{BUILTIN_NAMES, Catalog, builtin};
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::load::Load;
use tollgate_sandbox::{ApiVersion, Scenario, ScenarioOptions, single};
use zstd::bulk::Compressor;

/// Room in the compressor's cache and in each process's memory; more bought under one per cent.
const DICTIONARY_BYTES: usize = 16 * 1024;
/// The level the server squeezes with.
const LEVEL: i32 = 1;
/// Accounts trained on; those after them are held out.
const ACCOUNTS_TRAINED: u64 = 3;
/// 2026-11-01T00:00:00Z, where the first story ends. The others end on other days.
const FIRST_END_S: i64 = 1_793_491_200;
const DAY_S: i64 = 86_400;
/// Customers of the load that is measured.
const LOAD_CUSTOMERS: usize = 100;

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The dictionary to write, or with --keep to measure
    #[arg(long, default_value = "crates/tollgate-server/assets/webhook-v1.dict")]
    file: PathBuf,
    /// Train nothing, measure the dictionary that is there
    #[arg(long)]
    keep: bool,
    /// Measure on the JSON files below this folder too
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Trains unless told to keep, and prints what the dictionary is worth.
///
/// # Errors
/// When a story cannot be told, training fails or a file cannot be read or written.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let file = root.join(&arguments.file);
    if !arguments.keep {
        let dictionary = train(&tell(0..ACCOUNTS_TRAINED, &BUILTIN_NAMES)?)?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, &dictionary)
            .with_context(|| format!("writing {}", file.display()))?;
        println!("wrote {} ({} bytes)\n", file.display(), dictionary.len());
    }
    let dictionary = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    println!(
        "{:<34}{:>8}{:>12}{:>10}{:>12}",
        "bytes per event", "events", "plain", "zstd", "dictionary"
    );
    let held_out = tell(ACCOUNTS_TRAINED..ACCOUNTS_TRAINED + 1, &BUILTIN_NAMES)?;
    for version in ApiVersion::ALL {
        let bodies = held_out.iter().filter(|told| told.version == version).map(|told| &told.body);
        print_row(&format!("generated, {}", version.as_str()), &measure(&dictionary, bodies)?);
    }
    print_row("generated", &measure(&dictionary, held_out.iter().map(|told| &told.body))?);
    print_row("load", &measure(&dictionary, tell_load()?.iter())?);
    if let Some(folder) = &arguments.report {
        let bodies = read_folder(folder)?;
        print_row(&folder.display().to_string(), &measure(&dictionary, bodies.iter())?);
    }
    Ok(())
}

/// One generated event.
struct Told {
    version: ApiVersion,
    body: Vec<u8>,
}

/// Every story and single event in every version for these accounts, each with its own times.
fn tell(accounts: Range<u64>, catalogs: &[&str]) -> anyhow::Result<Vec<Told>> {
    let mut all = Vec::new();
    for number in accounts {
        for name in catalogs {
            let catalog = builtin(name).with_context(|| format!("catalog {name}"))?;
            for version in ApiVersion::ALL {
                tell_account(&mut all, &catalog, number, version)?;
            }
        }
    }
    Ok(all)
}

fn tell_account(
    all: &mut Vec<Told>,
    catalog: &Catalog,
    number: u64,
    version: ApiVersion,
) -> anyhow::Result<()> {
    let days = i64::try_from(number).unwrap_or(0) * 37;
    let account = AccountId::parse(&format!("{}-{number}-{version:?}", catalog.name))?;
    let mut options = ScenarioOptions::new(
        account,
        Timestamp::from_unix_seconds(FIRST_END_S + days * DAY_S + 4321),
    );
    options.seed = number;
    options.api_version = version;
    for scenario in Scenario::list() {
        // A catalog without badges tells no story about them; that is not a fault.
        let Ok(happenings) = scenario.happenings(catalog, &options) else { continue };
        all.extend(
            happenings.iter().map(|happening| Told {
                version,
                body: happening.render(version).body.into_bytes(),
            }),
        );
    }
    for kind in single::event_types() {
        if let Ok(event) = single::event(kind, catalog, &options, &[]) {
            all.push(Told { version, body: event.body.into_bytes() });
        }
    }
    Ok(())
}

/// What `tollgate bench` sends.
fn tell_load() -> anyhow::Result<Vec<Vec<u8>>> {
    let catalog = builtin("sietch").context("catalog sietch")?;
    let account = AccountId::parse("load")?;
    let options = ScenarioOptions::new(account, Timestamp::from_unix_seconds(FIRST_END_S));
    let load = Load::new(&catalog, &options, LOAD_CUSTOMERS)?;
    Ok(load.events().map(|event| event.body.into_bytes()).collect())
}

fn train(told: &[Told]) -> anyhow::Result<Vec<u8>> {
    let samples: Vec<&[u8]> = told.iter().map(|told| told.body.as_slice()).collect();
    zstd::dict::from_samples(&samples, DICTIONARY_BYTES).context("training")
}

/// Sizes of the same bodies stored in three ways.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sizes {
    events: usize,
    plain: usize,
    zstd: usize,
    dictionary: usize,
}

fn measure<'a>(
    dictionary: &[u8],
    bodies: impl Iterator<Item = &'a Vec<u8>>,
) -> anyhow::Result<Sizes> {
    let mut without = Compressor::new(LEVEL)?;
    let mut with = Compressor::with_dictionary(LEVEL, dictionary)?;
    let mut sizes = Sizes::default();
    for body in bodies {
        sizes.events += 1;
        sizes.plain += body.len();
        sizes.zstd += without.compress(body)?.len();
        sizes.dictionary += with.compress(body)?.len();
    }
    Ok(sizes)
}

fn print_row(name: &str, sizes: &Sizes) {
    let each = |bytes: usize| bytes.checked_div(sizes.events).unwrap_or(0);
    let percent = |bytes: usize| (bytes * 100).checked_div(sizes.plain).unwrap_or(0);
    println!(
        "{name:<34}{:>8}{:>12}{:>10}{:>12}   {}% / {}%",
        sizes.events,
        each(sizes.plain),
        each(sizes.zstd),
        each(sizes.dictionary),
        percent(sizes.zstd),
        percent(sizes.dictionary),
    );
}

fn read_folder(folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut bodies = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in folder.read_dir().with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                bodies.push(std::fs::read(&path)?);
            }
        }
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_story_is_told_in_every_version_and_no_body_twice() {
        let told = tell(0..1, &["sietch"]).unwrap();
        for version in ApiVersion::ALL {
            assert!(told.iter().any(|told| told.version == version), "{version:?}");
        }
        let mut bodies: Vec<_> = told.iter().map(|told| &told.body).collect();
        let count = bodies.len();
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), count);
        assert!(count > 1_000, "{count}");
    }

    #[test]
    fn the_shipped_dictionary_halves_what_plain_zstd_leaves() {
        let file = crate::tree::root().join("crates/tollgate-server/assets/webhook-v1.dict");
        let held_out = tell(ACCOUNTS_TRAINED..ACCOUNTS_TRAINED + 1, &["saas"]).unwrap();
        let sizes =
            measure(&std::fs::read(file).unwrap(), held_out.iter().map(|told| &told.body)).unwrap();
        assert!(sizes.dictionary * 2 < sizes.zstd, "{sizes:?}");
        assert!(sizes.zstd < sizes.plain, "{sizes:?}");
    }
}
