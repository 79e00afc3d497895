//! How writing fares. Owns: what the last writes came to, and which sessions are not used on.
//! Must not know: what is done about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::StoreError;

/// What the last writes came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteStanding {
    /// When one was last committed.
    pub committed: Option<Instant>,
    /// When one last failed because of the database.
    pub failed: Option<WriteFailure>,
}

/// A write that failed because of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteFailure {
    /// When.
    pub at: Instant,
    /// [`StoreError::reason`].
    pub reason: &'static str,
}

/// The outcome of the writes of one database. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    standing: WriteStanding,
    /// Sessions that were opened before are not used on.
    distrusted: Option<Instant>,
}

impl Writes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn standing(&self) -> WriteStanding {
        self.state().standing
    }

    /// A write was committed.
    pub(crate) fn committed(&self) {
        self.state().standing.committed = Some(Instant::now());
    }

    /// Has every session that is open now be replaced.
    pub(crate) fn distrust_sessions(&self) {
        self.state().distrusted = Some(Instant::now());
    }

    /// Notes what a writing statement or a commit came to; hands it on.
    pub(crate) fn note<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &done
            && error.is_unavailable()
            && !error.is_contention()
        {
            let (at, reason) = (Instant::now(), error.reason());
            let mut state = self.state();
            state.standing.failed = Some(WriteFailure { at, reason });
            if error.is_read_only() {
                state.distrusted = Some(at);
            }
        }
        done
    }

    /// Whether a session that was opened then is not used on.
    pub(crate) fn is_distrusted(&self, opened: Instant) -> bool {
        self.state().distrusted.is_some_and(|since| opened <= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_and_failures_are_told_apart_from_contention() {
        let writes = Writes::default();
        assert_eq!(writes.standing(), WriteStanding::default());
        writes.note(Err::<(), _>(StoreError::Contention(sqlx::Error::PoolTimedOut))).unwrap_err();
        assert_eq!(writes.standing(), WriteStanding::default());
        writes.note(Err::<(), _>(StoreError::Unavailable(sqlx::Error::PoolTimedOut))).unwrap_err();
        writes.committed();
        let standing = writes.standing();
        let failed = standing.failed.unwrap();
        assert_eq!(failed.reason, "no_connection");
        assert!(standing.committed.unwrap() >= failed.at);
    }
}
