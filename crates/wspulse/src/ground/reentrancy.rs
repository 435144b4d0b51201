//! Callbacks that call back into their own server.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::ground::sync::thread_local;

thread_local! {
    /// The server whose callback this thread is running; an address, only compared.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, this thread runs a callback of a server.
pub(crate) struct InCallback {
    outer: usize,
    /// It must be dropped on the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

impl InCallback {
    pub(crate) fn enter(server_address: usize) -> Self {
        Self { outer: replace(server_address), _not_send: PhantomData }
    }

    /// Whether this thread runs a callback of that server right now.
    pub(crate) fn of(server_address: usize) -> bool {
        RUNNING.with(Cell::get) == server_address
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        replace(self.outer);
    }
}

fn replace(server_address: usize) -> usize {
    RUNNING.with(|running| running.replace(server_address))
}
