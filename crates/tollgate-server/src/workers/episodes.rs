//! Tells in the log that something has ended. Owns: how often it is looked at. Must not know: what.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
use crate::supervisor::TaskKind;

/// Pace of looking.
const PACE: Duration = Duration::from_secs(10);

/// Works until `stop`.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        app.supervisor.turn(TaskKind::Log);
        app.end_quiet_episodes();
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}
