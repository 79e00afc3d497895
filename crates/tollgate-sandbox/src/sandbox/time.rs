//! Time passing. Owns: doing everything that becomes due, each at its own time and in order. Must
//! not know: what becomes due; each resource says that of itself.

use super::{Sandbox, billing, payment_intents, refunds, sessions};

/// Something a resource waits for.
#[derive(Clone, Copy)]
pub(super) struct Timer {
    /// The next instant something is due, in Unix seconds, and the object it is due for. Instants
    /// that have passed are due at once.
    pub(super) next: fn(&Sandbox) -> Option<(i64, String)>,
    /// Does it. Afterwards the same must not be due any more.
    pub(super) ring: fn(&mut Sandbox, &str),
}

/// Every timer. Of what is due in one second, earlier lines come first.
const TIMERS: &[&[Timer]] =
    &[payment_intents::TIMERS, refunds::TIMERS, sessions::TIMERS, billing::timer::TIMERS];

/// No span of time has more due in it than this; a timer that rings for ever is a bug.
const MOST_RINGS: usize = 1_000_000;

impl Sandbox {
    /// The instant something happens by itself next, in Unix seconds.
    pub fn next_due(&self) -> Option<i64> {
        self.next_timer().map(|(at, _, _)| at)
    }

    fn next_timer(&self) -> Option<(i64, &'static Timer, String)> {
        // Nothing but billing goes by a test clock.
        let alone: &[&[Timer]] = &[billing::timer::TIMERS];
        let timers = if self.moving.is_some() { alone } else { TIMERS };
        let due = timers.iter().copied().flatten().filter_map(|timer| {
            let (at, id) = (timer.next)(self)?;
            Some((at, timer, id))
        });
        due.min_by_key(|(at, _, _)| *at)
    }

    /// Everything that is due until then happens, each at its own time and in order. A time that
    /// has passed changes nothing.
    pub fn advance_to(&mut self, at: i64) {
        for _ in 0..MOST_RINGS {
            let Some((due, timer, id)) = self.next_timer().filter(|(due, _, _)| *due <= at) else {
                break;
            };
            self.world.now = self.world.now.max(due);
            self.world.by_itself();
            (timer.ring)(self, &id);
        }
        self.world.now = self.world.now.max(at);
    }
}
