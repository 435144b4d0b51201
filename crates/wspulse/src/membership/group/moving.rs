//! A group beside those of its name on other servers: what is said to them, and members whose sessions come
//! from there, or leave for one.

use std::sync::Arc;

use wspulse_core::cluster::Position;

use super::Group;
use crate::cluster::speaker::Uplink;
use crate::membership::addressing::{Leaving, Reach};
use crate::membership::memberships::NotJoined;
use crate::membership::shared::ConnectionShared;
use crate::membership::waves::RunningWaves;

impl Group {
    /// Adds a member that was one on another server, so that it gets no history, and tells how far this
    /// server has spoken to the group by then.
    pub(crate) fn join_noting(
        self: &Arc<Self>,
        connection: &Arc<ConnectionShared>,
    ) -> Result<(Option<RunningWaves>, Option<Position>), NotJoined> {
        let mut inner = self.inner.lock();
        let waves = self.take_in(&mut inner, connection, None)?;
        Ok((waves, self.uplink.as_ref().and_then(Uplink::position)))
    }

    /// As [`leave`](Self::leave), and tells how far this server has spoken to the group by then.
    pub(crate) fn leave_noting(
        self: &Arc<Self>,
        connection: &ConnectionShared,
    ) -> (bool, Option<Position>) {
        let mut inner = self.inner.lock();
        let position = self.uplink.as_ref().and_then(Uplink::position);
        (self.take_out(&mut inner, connection, Leaving::Server), position)
    }

    /// The way to the members on other servers, if there is one and it is wanted.
    #[inline]
    pub(in crate::membership) fn uplink(&self, reach: Reach) -> Option<&Uplink> {
        match reach {
            Reach::Cluster => self.uplink.as_ref(),
            Reach::Here => None,
        }
    }

    /// It begins: what is said to its members elsewhere is listened to.
    pub(in crate::membership) fn begin(&self) {
        if let Some(uplink) = &self.uplink {
            uplink.begin(self.kind.space(), &self.name);
        }
    }

    /// It has nobody left.
    pub(in crate::membership) fn end(&self) {
        if let Some(uplink) = &self.uplink {
            uplink.end(&self.name);
        }
    }
}
