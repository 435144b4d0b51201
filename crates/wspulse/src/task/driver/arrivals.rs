//! Transports on their way, and what those that have come brought along until it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;

use wspulse_core::Resumed;

use super::leaving::Leaving;
use crate::app::restored::Restored;
use crate::membership::shared::ConnectionShared;
use crate::settings::connect::Asked;
use crate::wire::transport::Upgrade;

/// Boxed, since there is nothing most of the time.
#[derive(Default)]
pub(super) struct Arrivals(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    upgrade: Option<Upgrade>,
    /// One for each restore that waits to be told, in their order.
    restores: VecDeque<Arrived>,
    /// The session goes over to another server.
    leaving: Option<Leaving>,
}

/// With what a client has come back.
#[derive(Default)]
pub(super) struct Arrived {
    pub(super) asked: Option<Asked>,
    pub(super) peer_addr: Option<SocketAddr>,
}

impl Arrivals {
    pub(super) fn begin(upgrade: Upgrade) -> Self {
        Self(Some(Box::new(Inner { upgrade: Some(upgrade), ..Inner::default() })))
    }

    /// Whether there is anything, as there seldom is.
    #[inline]
    pub(super) const fn are_some(&self) -> bool {
        self.0.is_some()
    }

    /// The transport that is on its way.
    pub(super) fn upgrade_mut(&mut self) -> Option<&mut Upgrade> {
        self.0.as_mut()?.upgrade.as_mut()
    }

    pub(super) fn has_upgrade(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.upgrade.is_some())
    }

    /// Another one is on its way: returns the one before.
    pub(super) fn replace_upgrade(&mut self, upgrade: Upgrade) -> Option<Upgrade> {
        self.0.get_or_insert_default().upgrade.replace(upgrade)
    }

    pub(super) fn take_upgrade(&mut self) -> Option<Upgrade> {
        let upgrade = self.0.as_mut()?.upgrade.take();
        self.forget_if_empty();
        upgrade
    }

    /// So many restores wait to be told, and this came with the newest of them. Those that were
    /// folded are forgotten: they were the newest before.
    pub(super) fn note_restore(&mut self, arrived: Arrived, waiting: usize) {
        if let Some(before) = waiting.checked_sub(1) {
            let restores = &mut self.0.get_or_insert_default().restores;
            restores.truncate(before);
            restores.push_back(arrived);
        }
    }

    /// The oldest restore is told.
    pub(super) fn take_restored(
        &mut self,
        missed: Resumed,
        connection: &ConnectionShared,
    ) -> Restored {
        let arrived = self.0.as_mut().and_then(|inner| inner.restores.pop_front());
        self.forget_if_empty();
        let Arrived { asked, peer_addr } = arrived.unwrap_or_default();
        let asked = asked.unwrap_or_else(|| Asked::of(connection));
        Restored::new(missed, asked, peer_addr)
    }

    pub(super) fn leaving(&self) -> Option<&Leaving> {
        self.0.as_ref()?.leaving.as_ref()
    }

    pub(super) fn leaving_mut(&mut self) -> &mut Leaving {
        self.0.get_or_insert_default().leaving.get_or_insert_default()
    }

    pub(super) fn forget_leaving(&mut self) -> Option<Leaving> {
        let leaving = self.0.as_mut()?.leaving.take();
        self.forget_if_empty();
        leaving
    }

    fn forget_if_empty(&mut self) {
        self.0.take_if(|inner| {
            inner.upgrade.is_none() && inner.restores.is_empty() && inner.leaving.is_none()
        });
    }
}
