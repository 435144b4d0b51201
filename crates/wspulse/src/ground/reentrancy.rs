//! Callbacks that call back into their own server.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::ground::sync::thread_local;

thread_local! {
    /// The server and the connection whose callback this thread is running; addresses, only
    /// compared.
    static RUNNING: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// While it lives, this thread runs a callback of a server.
pub(crate) struct InCallback {
    outer: (usize, usize),
    /// It must be dropped on the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

impl InCallback {
    pub(crate) fn enter(server_address: usize, connection_address: usize) -> Self {
        let running = (server_address, connection_address);
        Self { outer: replace(running), _not_send: PhantomData }
    }

    /// A callback that is of the server, and of none of its connections.
    pub(crate) fn enter_server(server_address: usize) -> Self {
        Self::enter(server_address, 0)
    }

    /// Whether this thread runs a callback of that server right now.
    pub(crate) fn of(server_address: usize) -> bool {
        RUNNING.with(Cell::get).0 == server_address
    }

    /// Whether this thread runs a callback of that connection right now.
    pub(crate) fn of_connection(connection_address: usize) -> bool {
        RUNNING.with(Cell::get).1 == connection_address
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        replace(self.outer);
    }
}

fn replace(now: (usize, usize)) -> (usize, usize) {
    RUNNING.with(|running| running.replace(now))
}
