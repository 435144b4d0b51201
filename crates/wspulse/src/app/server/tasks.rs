//! The tasks of a server: those that a close waits for, and among them the farewells.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use wspulse_core::{CloseFrame, Disconnect, OVERTAKEN, duplicate};

use super::Server;
use crate::ground::budget::poll_unbudgeted;
use crate::ground::sync;
use crate::membership::shared::ConnectionShared;
use crate::wire::transport::{Upgrade, turn_away};

impl Server {
    /// Tells a client whose transport was displaced by a newer one. If it speaks `wspulse.1`, it may
    /// be that very client, whose handshakes have overtaken one another: it may come back.
    pub(crate) fn turn_away(&self, connection: &ConnectionShared, upgrade: Upgrade) {
        let close = if upgrade.comes_back.is_some() && connection.mailbox.overtake(0) {
            OVERTAKEN
        } else {
            duplicate(self.options().returns.duplicate_close)
        };
        self.say_no(connection, upgrade, close);
    }

    /// Tells a client whose token is one that the session's client has left behind: that one has gone
    /// on since, and its session is not to suffer.
    pub(crate) fn turn_away_outdated(&self, connection: &ConnectionShared, upgrade: Upgrade) {
        self.say_no(connection, upgrade, Disconnect::FramesLost.close_frame());
    }

    /// Closes a transport that this connection is not to have.
    pub(crate) fn say_no(
        &self,
        connection: &ConnectionShared,
        mut upgrade: Upgrade,
        close: CloseFrame,
    ) {
        upgrade.asked = None;
        let decoder = self.options().decoder();
        self.part(connection, turn_away(upgrade, close, decoder, self.end_deadline()));
    }

    /// As [`say_no`](Self::say_no), where there is no connection of this id.
    pub(crate) fn say_no_to(&self, id: &Arc<str>, mut upgrade: Upgrade, close: CloseFrame) {
        upgrade.asked = None;
        let (decoder, peer_addr) = (self.options().decoder(), upgrade.peer_addr);
        self.part_from(id, peer_addr, turn_away(upgrade, close, decoder, self.end_deadline()));
    }

    /// Spawns what is still to be said on a transport; [`close`](Self::close) waits for it, until
    /// its drain deadline. A client that does not hang up on too many is cut off from the oldest.
    pub(crate) fn part(
        &self,
        connection: &ConnectionShared,
        farewell: impl Future<Output = ()> + Send + 'static,
    ) {
        let ConnectionShared { id, mailbox, .. } = connection;
        self.part_from(id, mailbox.peer_addr(), farewell);
    }

    fn part_from(
        &self,
        id: &Arc<str>,
        peer_addr: Option<SocketAddr>,
        farewell: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut place = self.inner.registry.farewells().take_place(id, peer_addr);
        // Boxed, or each future around it would be twice as large: it holds what it was given and what
        // it polls. Farewells may be many, where a network has failed and all clients come back.
        let farewell = self.inner.drain_deadline.bound(Box::pin(farewell));
        self.spawn(async move {
            let mut farewell = pin!(farewell);
            // What is said comes first, if both are there.
            poll_fn(|cx| match farewell.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                // A peer that never stops sending spends the budget of every poll.
                Poll::Pending => {
                    poll_unbudgeted(cx, |cx| Pin::new(&mut place.cut).poll(cx)).map(|_| ())
                }
            })
            .await;
        });
    }

    /// A task of the closing server has noticed that it stood still.
    pub(crate) fn handle_stop(&self, missed: Duration) {
        self.inner.drain_deadline.handle_stop(missed);
    }

    /// Spawns a task that [`close`](Self::close) waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        sync::spawn(self.inner.tasks.track_future(task));
    }

    /// Until it closes.
    pub(crate) async fn closing(&self) {
        self.inner.drain_deadline.known().await;
    }

    /// As [`spawn`](Self::spawn), for a task that others rely on. A worker keeps the task that it
    /// has woken last to itself, and should the one that runs go on to hold it, no other takes it.
    pub(crate) fn spawn_stealable(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(task);
        self.spawn(async {});
    }

    /// As [`spawn`](Self::spawn), on this runtime: at once dropped if it has ended.
    pub(crate) fn spawn_on(
        &self,
        runtime: &Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        runtime.spawn(self.inner.tasks.track_future(task));
    }

    pub(crate) fn forget_task(&self, connection: &ConnectionShared) {
        self.inner.registry.forget_task(connection);
        connection.mailbox.end_taps();
        // Alone, it has no sessions of others.
        if self.attachment().is_some() {
            self.forget_tokens(connection);
            self.overlaps().take_listening(connection);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn another_worker_takes_a_task_whose_spawner_goes_on_to_hold_its_thread() {
        const FOREVER: Duration = Duration::from_secs(30);
        let server = Server::builder_without_connect().build().unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let is_released = runtime.block_on(async {
            let spawner = tokio::spawn(async move {
                let (release, released) = mpsc::channel();
                server.spawn_stealable(async move { release.send(()).unwrap() });
                released.recv_timeout(FOREVER).is_ok()
            });
            spawner.await.unwrap()
        });
        assert!(is_released);
    }
}
