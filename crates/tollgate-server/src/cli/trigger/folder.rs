//! Events from a folder. Owns: finding the files and telling events from other JSON. Must not know:
//! how they are sent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tollgate_stripe::Parsed;

use super::send::Letter;
use crate::cli::output::{FAINT, NOTICE, print_note, styled};

/// Folders inside folders are followed to this depth.
const DEPTH_MAX: usize = 16;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The events, by path.
    pub(super) letters: Vec<Letter>,
    /// Files that hold none, and why.
    pub(super) skipped: Vec<(String, String)>,
}

/// Reads every `.json` file under a folder. A file may hold one event or an array of events; its
/// bytes are sent as they are, but for the id where fresh ones are wanted; those are made from the
/// file's name, so that sending the folder again sends the same events.
pub(super) fn read(folder: &Path, fresh_ids: bool) -> anyhow::Result<Read> {
    let mut paths = Vec::new();
    collect(folder, DEPTH_MAX, &mut paths)
        .with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    paths.sort();
    let mut read = Read::default();
    for path in paths {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => take_file(&mut read, &name, &bytes),
            Err(error) => read.skipped.push((name, error.to_string())),
        }
    }
    if fresh_ids {
        for letter in &mut read.letters {
            letter.body = with_own_id(letter).unwrap_or_else(|| letter.body.clone());
        }
    }
    if read.letters.is_empty() {
        anyhow::bail!("no event is found in any .json file under {}", folder.display());
    }
    Ok(read)
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            collect(&path, depth.saturating_sub(1), paths)?;
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
            && path.is_file()
        {
            paths.push(path);
        }
    }
    Ok(())
}

fn take_file(read: &mut Read, name: &str, bytes: &[u8]) {
    if let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(bytes) {
        for (place, element) in elements.into_iter().enumerate() {
            take_one(read, format!("{name}[{place}]"), element.get().as_bytes());
        }
    } else {
        take_one(read, name.to_owned(), bytes);
    }
}

fn take_one(read: &mut Read, name: String, bytes: &[u8]) {
    let kind = match tollgate_stripe::event::parse(bytes) {
        Parsed::Event(event) => event.event_type.into_owned(),
        Parsed::Thin(event) => event.event_type.into_owned(),
        Parsed::NotAnEvent { why } => {
            read.skipped.push((name, why.to_owned()));
            return;
        }
    };
    read.letters.push(Letter { name, kind, body: Bytes::copy_from_slice(bytes) });
}

/// The body with an id made from the letter's name.
fn with_own_id(letter: &Letter) -> Option<Bytes> {
    let mut event: serde_json::Value = serde_json::from_slice(&letter.body).ok()?;
    let hash = hex::encode(Sha256::digest(letter.name.as_bytes()));
    let id = format!("evt_{}", hash.get(..24)?);
    event.as_object_mut()?.insert("id".to_owned(), id.into());
    serde_json::to_vec(&event).ok().map(Bytes::from)
}

/// Says which files are not sent.
pub(super) fn tell_skipped(read: &Read) {
    for (name, why) in &read.skipped {
        print_note(format_args!("{} {name} {}", styled(NOTICE, "not sent:"), styled(FAINT, why)));
    }
}
