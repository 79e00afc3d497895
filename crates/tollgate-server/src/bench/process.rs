//! Other processes as the kernel sees them. Owns: reading `/proc`. Must not know: what the
//! processes do. Where there is no `/proc`, or a process is on another machine, there is no answer.

use std::path::PathBuf;
use std::time::Duration;

/// The kernel counts processor time for `/proc` in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// In use now.
    pub(super) now_kib: u64,
    /// Most ever in use.
    pub(super) peak_kib: u64,
}

/// A line of `/proc/<pid>/stat`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// Of children that have ended and were waited for.
    ended_ticks: u64,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own_ticks: number(11)?.saturating_add(number(12)?),
        ended_ticks: number(13)?.saturating_add(number(14)?),
    })
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

const fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND))
}

/// Processor time a process has used, user and system.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    stat(pid).map(|stat| time(stat.own_ticks))
}

/// The first process of the PostgreSQL cluster that a backend belongs to; `None` when no process
/// of that number is a PostgreSQL here (the server is on another machine).
pub(super) fn cluster_of(backend: u32) -> Option<u32> {
    let name = std::fs::read_to_string(format!("/proc/{backend}/comm")).ok()?;
    if name.trim() != "postgres" {
        return None;
    }
    stat(backend).map(|stat| stat.parent)
}

/// Processor time of a process and of all its children, ended ones included: of a whole
/// PostgreSQL cluster, given its first process.
pub(super) fn cpu_of_family(pid: u32) -> Option<Duration> {
    let first = stat(pid)?;
    let entries = std::fs::read_dir("/proc").ok()?;
    let children = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(stat)
        .filter(|stat| stat.parent == pid)
        .map(|stat| stat.own_ticks);
    let ticks = children.fold(first.own_ticks + first.ended_ticks, u64::saturating_add);
    Some(time(ticks))
}

/// Memory of a process.
pub(super) fn memory(pid: u32) -> Option<Memory> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    let text = std::fs::read_to_string(path).ok()?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    Some(Memory { now_kib: field("VmRSS:")?, peak_kib: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 10 20 0 1 0 100 1 1";
        let expected = Stat { parent: 7, own_ticks: 200, ended_ticks: 30 };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat("42 (a"), None);
        assert_eq!(time(150), Duration::from_millis(1500));
    }
}
