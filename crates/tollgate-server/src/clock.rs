//! The one clock. Owns: where the present comes from. Must not know: who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_domain::Timestamp;
use tollgate_sandbox::server::SandboxClock;

/// Tells the time. Cheap to clone; everything in one process shares one.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set, for tests.
    Fixed(Arc<AtomicI64>),
    /// The clock of the sandbox, so that both live at the same time.
    Sandbox(SandboxClock),
}

impl Clock {
    /// A clock that stands at an instant.
    pub fn fixed(at: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.millis())))
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "this is the one place that reads the clock"
                )]
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Fixed(millis) => Timestamp::from_millis(millis.load(Ordering::Relaxed)),
            Self::Sandbox(clock) => clock.now(),
        }
    }

    /// Waits until the clock is moved; the machine's never is.
    pub async fn moved(&self) {
        match self {
            Self::System | Self::Fixed(_) => std::future::pending().await,
            Self::Sandbox(clock) => {
                if clock.moves().changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Sets a fixed clock; the others stay as they are.
    pub fn set(&self, at: Timestamp) {
        if let Self::Fixed(millis) = self {
            millis.store(at.millis(), Ordering::Relaxed);
        }
    }
}
