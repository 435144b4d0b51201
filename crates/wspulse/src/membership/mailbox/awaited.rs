//! What is awaited that the client must say: for its sake reading goes on although messages wait.

use super::acknowledge::Rare;
use super::requests::Unanswered;
use super::{Attention, Inner, Mailbox};
use crate::ground::reentrancy::InCallback;
use crate::membership::shared::ConnectionShared;

/// Who waits for something that a client must say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A callback of the connection: nothing behind it is handled before it returns.
    OwnCallback,
    /// Anybody else, whom nothing of the connection's waits for.
    Other,
}

impl Waiter {
    /// Who runs on this thread right now.
    pub(crate) fn here(connection: &ConnectionShared) -> Self {
        if InCallback::of_connection(connection.address()) {
            Self::OwnCallback
        } else {
            Self::Other
        }
    }
}

impl Mailbox {
    /// A frame was refused. Under a promise of delivery room is made by the client alone, so a
    /// callback that was refused one may wait for that.
    #[cold]
    pub(crate) fn await_room(&self, waiter: Waiter) {
        let mut inner = self.inner.lock();
        match waiter {
            Waiter::OwnCallback if inner.queue.keeps() => {
                inner.rare.get_or_insert_default().awaits_room = true;
            }
            Waiter::OwnCallback | Waiter::Other => {}
        }
    }

    // What follows is for the connection's task alone.

    /// The running callback has returned: it waits for no room.
    pub(crate) fn forget_room_awaited(&self) {
        self.inner.lock().change_promise(|promise| promise.awaits_room = false);
    }

    /// Too much waits in front of what is awaited: whoever waits hears of it.
    #[cold]
    pub(crate) fn overload(&self) {
        let mut requests = None;
        self.inner.lock().change_promise(|promise| {
            promise.awaits_room = false;
            promise.receipts.overload();
            requests = Some(std::mem::take(&mut promise.requests));
        });
        if let Some(requests) = requests {
            requests.fail(Unanswered::Overloaded);
        }
    }
}

impl Inner {
    /// Whether something is awaited that the client must say.
    #[inline]
    pub(super) fn awaits(&self) -> bool {
        self.rare.as_ref().is_some_and(|promise| {
            promise.awaits_room || !promise.requests.are_none() || promise.receipts.are_awaited()
        })
    }

    /// Something is awaited from now on: its task may have to read on. It may be that of a callback,
    /// which is awake.
    pub(super) fn wake_for_awaited(&mut self) {
        match &mut self.attention {
            Attention::Mail | Attention::MailAndFrames => self.wake(),
            Attention::Awake => {}
            Attention::Lent { was_missed } => *was_missed = true,
        }
    }

    /// Changes what is kept in the box, and forgets that if nothing is left.
    pub(super) fn change_promise(&mut self, change: impl FnOnce(&mut Rare)) {
        if let Some(promise) = &mut self.rare {
            change(promise);
            self.rare.take_if(|promise| promise.is_empty());
        }
    }
}
