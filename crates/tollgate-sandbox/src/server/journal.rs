//! The sandbox's memory between runs. Owns: the file that holds everything that was done to the
//! account, and reading it back. Must not know: what a deed does.
//!
//! The account is a pure function of what was done to it and when, so doing it all again gives the
//! same account to the byte. Reading is not kept, for it changes nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::deed::Deed;

/// One deed and when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The sandbox's time, in Unix milliseconds.
    pub(crate) at: i64,
    /// How far ahead of the machine that was, in milliseconds.
    pub(crate) ahead: i64,
    /// Requests answered before it.
    pub(crate) requests: u64,
    /// What was done.
    pub(crate) deed: Deed,
}

/// How far ahead of the machine's clock the sandbox that keeps this journal is, in milliseconds; 0
/// where there is none. Reads a file that is being written to.
pub fn ahead_of_machine_ms(path: &Path) -> io::Result<i64> {
    #[derive(Deserialize)]
    struct Ahead {
        ahead: i64,
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    let last = whole.lines().next_back().unwrap_or_default();
    Ok(serde_json::from_str::<Ahead>(last).map_or(0, |last| last.ahead))
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the file, made where it is missing, and reads what it holds. A last line that was cut
    /// off by a crash is dropped; what it tells was never answered.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        // It holds what customers were called.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut entries = Vec::new();
        let mut whole = 0_u64;
        let mut reader = BufReader::new(&file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            if !line.ends_with('\n') {
                break;
            }
            let entry = serde_json::from_str(&line).map_err(|error| {
                let place = entries.len().saturating_add(1);
                let why = format!("{}, line {place}: {error}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?;
            entries.push(entry);
            whole = whole.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
            line.clear();
        }
        file.set_len(whole)?;
        file.flush()?;
        Ok((Self { file }, entries))
    }

    /// Writes a deed down.
    pub(crate) fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}
