//! What a callback or the connect function does this time.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::crowd::any_room;
use super::plan::Plan;

#[derive(Debug)]
pub(crate) struct Mood {
    /// What is done first.
    pub(crate) act: Act,
    pub(crate) manner: Manner,
}

/// How a callback returns, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    AtOnce,
    After(Duration),
    Never,
    Panicking,
}

/// A call back into the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Nothing,
    Send,
    /// To the connection with this id.
    SendTo(usize),
    Broadcast,
    /// To all but the connection itself.
    BroadcastToOthers,
    /// Asks the connection's own client, and waits so long.
    Ask(Duration),
    Join(usize),
    Leave(usize),
    Renew(Duration),
    /// Has it told once more who is in this room.
    ResendPresence(usize),
    CloseItself,
    Kick(usize),
    List,
    CloseServer,
}

impl Mood {
    pub(crate) fn draw(plan: &Plan, rng: &mut SmallRng) -> Self {
        Self { act: Act::draw(plan, rng), manner: Manner::draw(plan, rng) }
    }
}

impl Manner {
    pub(crate) fn draw(plan: &Plan, rng: &mut SmallRng) -> Self {
        let time = if rng.random_bool(0.1) { 2_000 } else { rng.random_range(0..60) };
        let dice = rng.random_range(0..1_000);
        let (hangs, panics) = (plan.hangs, plan.hangs + plan.panics);
        if dice < hangs {
            Self::Never
        } else if dice < panics {
            Self::Panicking
        } else if dice < panics + plan.slow_callbacks {
            Self::After(Duration::from_millis(time))
        } else {
            Self::AtOnce
        }
    }
}

impl Act {
    fn draw(plan: &Plan, rng: &mut SmallRng) -> Self {
        let other = rng.random_range(0..plan.ids);
        let room = any_room(plan, rng);
        match rng.random_range(0..1_000) {
            0..300 => Self::Send,
            300..350 => Self::SendTo(other),
            350..360 => Self::Broadcast,
            360..370 => Self::BroadcastToOthers,
            370..375 => Self::CloseItself,
            375..380 => Self::Kick(other),
            380..390 => Self::List,
            450..490 => Self::Ask(Duration::from_millis(other as u64 * 40)),
            400..430 => Self::Join(room),
            430..450 => Self::Leave(room),
            490..500 => Self::ResendPresence(room),
            500..530 if plan.expires => {
                Self::Renew(Duration::from_millis(rng.random_range(1..5_000)))
            }
            390..400 if plan.is_closed_by_callback => Self::CloseServer,
            _ => Self::Nothing,
        }
    }
}
