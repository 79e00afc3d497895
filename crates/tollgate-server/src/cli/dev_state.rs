//! What `tollgate dev` leaves for other commands. Owns: `.tollgate/dev.json` and how private files are
//! written. Must not know: what the commands do with it.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tollgate_domain::Catalog;
use tollgate_stripe::client::ApiBase;

use super::context::make_private_folder;
use crate::config::{Secret, StripeConfig};

/// The database of `tollgate dev`; also the default one, so that every command finds it.
pub(super) const DATABASE_URL: &str = "sqlite:.tollgate/tollgate.db";
/// The state's file.
pub(super) const FILE: &str = ".tollgate/dev.json";

/// Held while `tollgate dev` runs.
pub(super) const LOCK: &str = ".tollgate/dev.lock";

/// Everything that was done to the sandbox of `tollgate dev`.
pub(super) const JOURNAL: &str = ".tollgate/sandbox.journal";

/// What the sandbox derives its webhook secrets from: random, once for each directory, so that nobody
/// else on the machine can sign events for it.
pub(super) const SECRETS: &str = ".tollgate/sandbox.secrets";

/// The key the sandbox is called with; any test key opens it.
const SECRET_KEY: &str = "sk_test_tollgate_dev_sandbox";

/// The state of `tollgate dev`, readable by its owner only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DevState {
    /// Where the server listens (or last listened), such as `http://127.0.0.1:8080`.
    pub(super) url: String,
    /// Where its sandbox listens (or last listened).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sandbox_url: Option<String>,
    /// Its database.
    pub(super) database_url: String,
    /// The secret events are signed with.
    pub(super) webhook_secret: String,
    /// An API key for `curl`.
    pub(super) key: String,
    /// The catalog it was told to use on the command line.
    pub(super) catalog: Option<String>,
}

impl DevState {
    /// The state left in a directory; `None` where `tollgate dev` never ran.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Option<Self>> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("{FILE} is damaged; `tollgate dev --reset` makes it anew"))
    }

    /// Leaves the state in a directory.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        write_private(&directory.join(FILE), &format!("{}\n", serde_json::to_string_pretty(self)?))
    }
}

/// A catalog with the prices the sandbox sells, so that its events mean something.
pub(super) fn with_sandbox_prices(catalog: Catalog) -> anyhow::Result<Catalog> {
    let prices = tollgate_sandbox::sandbox_price_map(&catalog);
    Ok(catalog.with_prices(&prices)?)
}

/// The sandbox of `tollgate dev` as the Stripe account of a configuration.
pub(super) fn stripe_of_dev(sandbox_url: &str) -> anyhow::Result<StripeConfig> {
    Ok(StripeConfig {
        secret_key: Some(Secret::new(SECRET_KEY)),
        api_base: ApiBase::parse(sandbox_url)?,
        ..StripeConfig::default()
    })
}

/// Writes a file only its owner may read, over the one that is there, whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    if let Some(parent) = path.parent() {
        make_private_folder(parent).with_context(failed)?;
    }
    let partial = path.with_extension("partial");
    // A file left by an interrupted run may have other permissions.
    std::fs::remove_file(&partial).ok();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&partial).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    std::fs::rename(&partial, path).with_context(failed)
}
