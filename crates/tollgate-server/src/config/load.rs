//! Loading. Owns: from files, environment and flags to a checked [`Config`], with every fault at
//! once. Must not know: the command line, the database.

use std::path::{Path, PathBuf};

use super::Config;
use super::assemble::Values;
use super::catalog_source;
use super::environment::Environment;
use super::fault::{Fault, Faults, Origin, Trouble};
use super::layers::{self, Layers};
use super::reader::Reader;
use super::replaced_names;
use super::secret_files;
use super::settings;
use super::value::Raw;

/// Where a configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The working directory: `tollgate.toml` and `.env` are looked for here.
    pub directory: PathBuf,
    /// Variables of the process.
    pub environment: Environment,
    /// Flags of the command line.
    pub flags: Flags,
}

/// What flags of the command line set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`; must exist.
    pub config: Option<PathBuf>,
    /// `--listen ADDRESS`.
    pub listen: Option<String>,
    /// `--catalog FILE-or-name`.
    pub catalog: Option<String>,
}

/// A configuration without faults.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed and most likely not wanted.
    pub warnings: Vec<Fault>,
    /// Every setting with its value as text (secrets masked) and its origin.
    pub shown: Vec<Shown>,
    /// The environment, `.env` included, for the few commands that need a variable of their own.
    pub environment: Environment,
}

/// A setting as `config show` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its key.
    pub key: &'static str,
    /// Its value, secrets masked; `None` when it is not set.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// Whether this version does anything with it.
    pub used: bool,
}

/// Loads and checks a configuration.
pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let environment = with_dotenv(sources, &mut faults, &mut warnings);
    let environment =
        secret_files::read(environment, &sources.directory, &mut faults, &mut warnings);
    let mut layers = Layers::default();
    read_file(sources, &mut layers, &mut faults);
    layers.read_environment(&environment, &mut faults);
    read_flags(&sources.flags, &mut layers);

    let mut reader = Reader { layers: &layers, faults, shown: Vec::new() };
    let values = Values::read(&mut reader);
    let Reader { mut faults, mut shown, .. } = reader;
    shown.sort_by_key(|one| settings::SETTINGS.iter().position(|setting| setting.key == one.key));
    let catalog = catalog_source::load(&values.catalog_wishes(sources), &mut faults);
    values.check_together(&layers, catalog.as_ref(), &mut faults);
    warnings.extend(shown.iter().filter_map(unused));
    warnings.extend(values.warnings(&layers));
    warnings.extend(replaced_names::warnings(&environment));
    warnings.extend(layers::misspelt(&environment));
    match (catalog, faults.is_empty()) {
        (Some(catalog), true) => {
            Ok(Loaded { config: values.into_config(catalog), warnings, shown, environment })
        }
        _ => Err(Faults(faults)),
    }
}

fn with_dotenv(
    sources: &Sources,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Environment {
    let path = sources.directory.join(".env");
    let origin = || Origin::File { path: PathBuf::from(".env"), line: None };
    let environment = sources.environment.clone();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(mode) = open_to_others(&path) {
                let what = format!("the file is readable by others (mode {mode:03o})");
                let trouble = Trouble::new(what, "chmod 600 .env");
                warnings.push(Fault::new(origin(), "", trouble));
            }
            environment.with_dotenv(Path::new(".env"), &text, faults)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => environment,
        Err(error) => {
            let trouble = Trouble::new(format!("cannot be read: {error}"), "check its permissions");
            faults.push(Fault::new(origin(), "", trouble));
            environment
        }
    }
}

/// The permissions of a file that its group or others may read; `None` when only its owner may.
pub fn open_to_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

fn read_file(sources: &Sources, layers: &mut Layers, faults: &mut Vec<Fault>) {
    let (name, demanded) = match &sources.flags.config {
        Some(path) => (path.clone(), true),
        None => (PathBuf::from("tollgate.toml"), false),
    };
    match std::fs::read_to_string(sources.directory.join(&name)) {
        Ok(text) => layers.read_file(&name, &text, faults),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !demanded => {}
        Err(error) => {
            let origin = Origin::File { path: name, line: None };
            let trouble = Trouble::new(
                format!("cannot be read: {error}"),
                "check the path given with --config; `tollgate init` writes a file to begin with",
            );
            faults.push(Fault::new(origin, "", trouble));
        }
    }
}

fn read_flags(flags: &Flags, layers: &mut Layers) {
    let given = [
        ("server.listen", "--listen", &flags.listen),
        ("catalog.source", "--catalog", &flags.catalog),
    ];
    for (key, flag, text) in given {
        if let (Some(setting), Some(text)) = (settings::find(key), text) {
            layers.set(setting, Raw::Text(text.clone()), Origin::Flag(flag));
        }
    }
}

fn unused(shown: &Shown) -> Option<Fault> {
    let set = !shown.used && shown.origin != Origin::Default;
    set.then(|| {
        let trouble = Trouble::new(
            format!("{} is set, but not used by this version", shown.key),
            "leave it out; nothing in this version acts on it",
        );
        Fault::new(shown.origin.clone(), shown.key, trouble)
    })
}
