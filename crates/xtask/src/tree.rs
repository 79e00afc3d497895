//! The files of the repository, read once and handed to every check.
//!
//! Owns what counts as part of the repository. Must not know any rule.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Directories that hold no sources of ours.
const SKIPPED: [&str; 5] = ["target", ".git", ".tollgate", "node_modules", "__pycache__"];

/// Every file of the repository.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

/// One file; `text` is `None` for what is not UTF-8 (a trained dictionary, an image).
pub(crate) struct File {
    /// Relative to the root, with `/` on every system.
    pub(crate) path: String,
    pub(crate) text: Option<String>,
}

/// The root of the workspace. Cargo names the crate's folder when it runs us; the one we were built in
/// may be of another checkout that shares the build folder.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

impl Tree {
    /// Reads the tree below `root`, sorted by path so that findings come in a fixed order.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        let mut pending = vec![root.to_path_buf()];
        while let Some(folder) = pending.pop() {
            let entries =
                folder.read_dir().with_context(|| format!("reading {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if path.is_symlink() || SKIPPED.contains(&name) {
                    continue;
                }
                if path.is_dir() {
                    pending.push(path);
                } else {
                    files.push(File::read(root, &path)?);
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// The file at `path`, if it exists and is text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)?.text.as_deref()
    }

    /// Whether a file or a folder of that path exists.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }

    /// Text files whose name ends in one of the extensions.
    pub(crate) fn texts<'a>(
        &'a self,
        extensions: &'a [&'a str],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files.iter().filter_map(move |file| {
            let extension = file.path.rsplit_once('.').map_or("", |(_, extension)| extension);
            let text = file.text.as_deref()?;
            extensions.contains(&extension).then_some((file.path.as_str(), text))
        })
    }
}

impl File {
    fn read(root: &Path, path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let relative = path.strip_prefix(root).unwrap_or(path);
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        Ok(Self { path: parts.join("/"), text: String::from_utf8(bytes).ok() })
    }
}
