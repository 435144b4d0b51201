//! Which rooms have a log, whose members hear nothing that is not in it.

use std::sync::Arc;

use wspulse_core::{EncodedFrame, Escaped, Marks};

use super::TooLarge;
use crate::app::server::Server;
use crate::ground::panics;
use crate::membership::{Kind, Reach};

impl Server {
    /// Whether a room has a log, as the application says.
    pub(crate) fn is_logged(&self, room: &str) -> bool {
        let Some(rule) = &self.options().rooms.logged else { return false };
        panics::catch(|| rule(room)).unwrap_or_else(|panic| {
            let room = Escaped::new(room);
            tracing::error!(room = room.as_str(), %panic, "logged_rooms panicked");
            false
        })
    }

    /// Whether a broadcast to the members everywhere would have to be in a log. What is volatile
    /// promises nothing.
    #[inline]
    pub(super) fn is_for_its_log(
        &self,
        kind: Kind,
        name: &str,
        reach: Reach,
        marks: Option<&Marks>,
    ) -> bool {
        self.attachment().is_some()
            && kind == Kind::Room
            && reach == Reach::Cluster
            && !marks.is_some_and(|marks| marks.is_volatile)
            && self.is_logged(name)
    }

    /// The first of these rooms that has a log.
    pub(crate) fn logged_among<'a>(
        &self,
        mut rooms: impl Iterator<Item = &'a Arc<str>>,
    ) -> Option<&'a Arc<str>> {
        self.options().rooms.logged.as_ref()?;
        rooms.find(|room| self.is_logged(room))
    }

    /// As [`named`](Self::named), of a frame for a room.
    pub(crate) fn named_of_room(
        &self,
        marks: Option<Box<Marks>>,
        name: impl FnOnce() -> Arc<str>,
    ) -> Option<Box<Marks>> {
        self.named(marks, Kind::Room, name)
    }

    /// As [`check_size`](Self::check_size).
    pub(crate) fn check_size_to_say(&self, frame: &EncodedFrame) -> Result<(), TooLarge> {
        self.check_size(frame)
    }
}
