//! Where the databases of a run live. Owns: making them, and that nothing of them stays. Must not
//! know: what is written into them.

use std::cell::RefCell;
use std::path::Path;

use anyhow::Context as _;
use tollgate_store::scratch::{self, Backend};

use super::{BenchArgs, process};

/// The word for the embedded database.
const SQLITE: &str = "sqlite";

/// A folder of this run's own, and the database server where there is one.
#[derive(Debug)]
pub(super) struct Place {
    folder: tempfile::TempDir,
    server: Option<DatabaseServer>,
    /// Databases made on the server, to be dropped.
    made: RefCell<Vec<String>>,
}

#[derive(Debug)]
struct DatabaseServer {
    url: String,
    backend: Backend,
    /// The cluster's first process, when it runs on this machine and we may see it.
    cluster: Option<u32>,
}

impl Place {
    /// Looks at the place asked for.
    pub(super) async fn make(args: &BenchArgs) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("tollgate-bench-");
        let folder = match &args.folder {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        };
        let server = match args.database.as_str() {
            SQLITE => None,
            url => {
                let cluster = |backend: &Backend| {
                    u32::try_from(backend.process).ok().and_then(process::cluster_of)
                };
                let looked = scratch::backend(url, cluster).await;
                let (backend, cluster) = looked.context("the database server cannot be used")?;
                Some(DatabaseServer { url: url.to_owned(), backend, cluster })
            }
        };
        let folder = folder.context("no folder can be made for the files of this run")?;
        Ok(Self { folder, server, made: RefCell::default() })
    }

    /// A fresh, empty database: its address.
    pub(super) async fn database(&self) -> anyhow::Result<String> {
        let number = self.made.borrow().len();
        let name = format!("tollgate_bench_{}_{number}", std::process::id());
        let url = match &self.server {
            Some(server) => scratch::create(&server.url, &name).await?,
            None => format!("sqlite:{}", self.folder().join(format!("{name}.db")).display()),
        };
        self.made.borrow_mut().push(name);
        Ok(url)
    }

    /// The folder of this run.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The engine and its version.
    pub(super) async fn engine(&self) -> anyhow::Result<String> {
        match &self.server {
            Some(server) => Ok(format!("PostgreSQL {}", server.backend.version)),
            None => Ok(format!("SQLite {}", scratch::sqlite_version().await?)),
        }
    }

    /// The first process of the database's cluster.
    pub(super) fn cluster(&self) -> Option<u32> {
        self.server.as_ref()?.cluster
    }

    /// Removes everything; whatever used it must have ended.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        if let Some(server) = &self.server {
            for name in self.made.take() {
                scratch::remove(&server.url, &name).await.with_context(|| {
                    format!("the database {name} could not be dropped; drop it by hand")
                })?;
            }
        }
        Ok(self.folder.close()?)
    }
}
