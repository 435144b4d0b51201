//! Which rooms have a log, for the node that follows it.

use std::time::Duration;

use crate::app::server::Server;
use crate::cluster::node::{Kept, LoggedRooms};
use crate::membership::{Group, Kind};

/// Those of a server that can be found while it is there.
pub(super) struct Logged<F>(pub(super) F);

impl<F: Fn() -> Option<Server> + Send + Sync> LoggedRooms for Logged<F> {
    fn kept(&self, room: &str) -> Option<Kept> {
        let server = (self.0)()?;
        server.is_logged(room).then(|| {
            let history = server.outfit().options(room).history;
            let none = Kept { frames: 0, age: Duration::ZERO };
            history.map_or(none, |bounds| Kept { frames: bounds.frames, age: bounds.age })
        })
    }

    fn is_occupied(&self, room: &str) -> Option<bool> {
        Some((self.0)()?.group(Kind::Room, room)?.len() > 0)
    }

    fn open(&self, room: &str) {
        if let Some(group) = (self.0)().and_then(|server| server.group(Kind::Room, room)) {
            Group::open_log(&group);
        }
    }
}
