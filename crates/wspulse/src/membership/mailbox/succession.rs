//! Connections with one id, one after the other: callbacks of the next wait for those of the last.

use std::sync::Arc;

use wspulse_core::session::Predecessor;

use super::Mailbox;
use crate::membership::shared::ConnectionShared;

/// Who waits for this connection's last callback.
pub(super) enum Succession {
    Nobody,
    Successor(Arc<ConnectionShared>),
    CallbacksOver,
}

impl Mailbox {
    /// Lets `successor` know once this connection's last callback has returned.
    pub(crate) fn succeed(&self, successor: &Arc<ConnectionShared>) -> Predecessor {
        let mut inner = self.inner.lock();
        match inner.succession {
            Succession::CallbacksOver => Predecessor::None,
            Succession::Nobody | Succession::Successor(_) => {
                inner.succession = Succession::Successor(Arc::clone(successor));
                Predecessor::Running
            }
        }
    }

    /// The last callback has returned: lets a successor's begin.
    pub(crate) fn finish_callbacks(&self) {
        let before =
            std::mem::replace(&mut self.inner.lock().succession, Succession::CallbacksOver);
        if let Succession::Successor(successor) = before {
            successor.mailbox.inner.lock().post(|mail| mail.predecessor_finished = true);
        }
    }
}
