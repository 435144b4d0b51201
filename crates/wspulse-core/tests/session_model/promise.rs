//! What is promised of the frames of a life.

use std::time::Duration;

use wspulse_core::outbound::{OverflowPolicy, Window};
use wspulse_core::session::AskConfig;

use crate::env::Env;
use crate::ledger::Capacity;
use crate::socket::Takes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    AtMost,
    AtLeast,
    Exactly,
}

impl Promise {
    pub(crate) fn any(env: &mut Env) -> Self {
        env.pick(&[Self::AtMost, Self::AtLeast, Self::Exactly])
    }

    /// What may be on its way, if that is kept.
    pub(crate) fn window(self, env: &mut Env) -> Option<Window> {
        match self {
            Self::AtMost => None,
            Self::AtLeast | Self::Exactly => Some(Window {
                frames: 1 + env.up_to(15),
                bytes: env.pick(&[1, 40, 200, 1024 * 1024]),
            }),
        }
    }

    pub(crate) fn ask(self, env: &mut Env) -> Option<AskConfig> {
        match self {
            Self::AtMost => None,
            Self::AtLeast | Self::Exactly => Some(AskConfig {
                frames: 1 + env.up_to(9),
                bytes: env.pick(&[20, 100, 1024 * 1024]),
                time: env.millis(1, 1_500),
            }),
        }
    }

    /// What may wait. With a promise a full queue is the end, sooner or later.
    pub(crate) fn capacity(self, env: &mut Env) -> Capacity {
        match self {
            Self::AtMost => {
                Capacity { frames: 1 + env.up_to(7), bytes: env.pick(&[1, 25, 150, 1024 * 1024]) }
            }
            Self::AtLeast | Self::Exactly => Capacity {
                frames: 1 + env.up_to(23),
                bytes: env.pick(&[25, 300, 1024 * 1024, 1024 * 1024]),
            },
        }
    }

    /// How many frames, and one, a producer has at most at once.
    pub(crate) const fn burst_max(self) -> usize {
        match self {
            Self::AtMost => 3,
            Self::AtLeast | Self::Exactly => 1,
        }
    }

    /// How likely, in percent, sessions may wait: without, a promise ends with the first transport.
    pub(crate) const fn chance_of_places(self) -> u32 {
        match self {
            Self::AtMost => 80,
            Self::AtLeast | Self::Exactly => 97,
        }
    }

    /// A promise needs a session that waits for its client.
    pub(crate) fn resume_window(self, env: &mut Env) -> Duration {
        let windows = [
            Duration::ZERO,
            Duration::from_millis(1),
            Duration::from_millis(400),
            Duration::from_secs(3),
            Duration::from_hours(24),
        ];
        match self {
            Self::AtMost => env.pick(&windows),
            Self::AtLeast | Self::Exactly => {
                if env.chance(20) {
                    env.pick(&windows[2..])
                } else {
                    windows[4]
                }
            }
        }
    }

    /// How long nothing happens, at most.
    pub(crate) fn longest_pause(self, env: &mut Env) -> u64 {
        match self {
            Self::AtMost => env.pick(&[10, 300, 4_000]),
            Self::AtLeast | Self::Exactly => env.pick(&[10, 10, 300, 300, 4_000]),
        }
    }

    /// How many milliseconds a callback takes, at most. While it runs, acknowledgements wait.
    pub(crate) fn longest_callback(self, env: &mut Env) -> u64 {
        match self {
            Self::AtMost => env.pick(&[20, 200, 200, 8_000]),
            Self::AtLeast | Self::Exactly => env.pick(&[0, 0, 5, 20, 200, 200, 200, 8_000]),
        }
    }

    /// How much a socket takes.
    pub(crate) fn takes(self, env: &mut Env) -> Takes {
        let choices =
            [Takes::Everything, Takes::Everything, Takes::AnyPart, Takes::AnyPart, Takes::Nothing];
        let is_wide = self != Self::AtMost && env.chance(60);
        if is_wide { Takes::Everything } else { env.pick(&choices) }
    }

    /// What a full queue makes of a direct send.
    pub(crate) const fn send_policy(self, is_suspended: bool) -> OverflowPolicy {
        match self {
            Self::AtMost if is_suspended => OverflowPolicy::DropOldest,
            Self::AtMost | Self::AtLeast | Self::Exactly => OverflowPolicy::RejectNewest,
        }
    }

    /// And of a broadcast.
    pub(crate) const fn broadcast_policy(self) -> OverflowPolicy {
        match self {
            Self::AtMost => OverflowPolicy::DropOldest,
            Self::AtLeast | Self::Exactly => OverflowPolicy::RejectBeyondWaiting,
        }
    }
}
