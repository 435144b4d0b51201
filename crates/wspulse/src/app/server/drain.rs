//! How a server takes its leave: of all clients at once, or, drained, of one after the other, so
//! that whoever takes them over is not overrun.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wspulse_core::Disconnect;

use super::Server;
use crate::ground::reentrancy::InCallback;
use crate::ground::sync;
use crate::ground::yielding::Yielding;
use crate::membership::registry::Refused;
use crate::membership::shared::{ConnectionShared, ConnectionState};
use crate::observe::metrics::DrainStarted;

/// How often connections are closed: too seldom to cost anything, and often enough for no tick to be
/// a burst, as 10,000 over 30 s are 2 in each. With 17, every 50 ms, one round trip in a hundred of
/// all others waited for them.
const TICK: Duration = Duration::from_millis(5);

/// A tick that is so late is not made up for.
const LATE_MAX: Duration = Duration::from_millis(50);

/// After so many in one tick, others have their turn.
const CLOSED_AT_ONCE_MAX: usize = 32;

impl Server {
    /// Closes the server: takes no more clients (they get 503), ends every connection with close
    /// code 1001, and waits until what was accepted is written, the clients have answered and all
    /// callbacks have returned. What is not done within the
    /// [drain timeout](crate::ServerBuilder::drain_timeout) is given up. When it returns, no task of this
    /// server is left. Every caller waits for the same end.
    ///
    /// Each `on_disconnect` may take one drain timeout from its start, whatever was given up before
    /// it. So closing takes at most two drain timeouts; where connections of one id wait for each
    /// other's `on_disconnect`, one more for each of them but the first. They are five at the most,
    /// so it is never more than six. Time in which the process was stopped comes on top.
    ///
    /// Called inside one of this server's own callbacks it only starts closing: the callback that
    /// it would wait for is its caller.
    ///
    /// # Cancel safety
    ///
    /// Once polled, closing goes on without the future; another call waits for it.
    pub async fn close(&self) {
        if !self.hasten_drain() {
            self.start_close();
        }
        if InCallback::of(self.address()) {
            return;
        }
        self.inner.tasks.wait().await;
    }

    /// Hands the clients over before the process ends, as for a deploy: takes no more clients (they
    /// get 503 with `Retry-After`), closes those that are connected one after the other, evenly over
    /// the window, and then [closes](Self::close). It returns when that has, and before the window is
    /// over if nobody is left.
    ///
    /// Each client gets what was accepted for it, then close code 1012 and, as the reason,
    /// `retry=<ms>`: how long to wait before it comes back, which is another time for each
    /// ([`drain_retry`](crate::ServerBuilder::drain_retry)). Its connection ends with
    /// [`Disconnect::Drained`](crate::Disconnect::Drained). What was received from it is still handed
    /// to `on_message`.
    ///
    /// Suspended sessions cannot be resumed any more, as that takes a handshake; they end with the
    /// server, unless their window is over before.
    ///
    /// In a cluster, sessions of clients that speak `wspulse.1` go on at other servers: one whose client
    /// is sent away waits here until that comes to another one, and at the end of the window all that are
    /// left are handed over, those that were suspended before as well. They end here with
    /// [`Disconnect::Moved`](crate::Disconnect::Moved). Handing over takes no longer than it must, and up to a
    /// minute, in which nothing is broadcast any more, and a [`close`](Self::close) meanwhile waits for it. See
    /// [`cluster`](crate::cluster).
    ///
    /// Only the first call's window counts; every caller waits for the same end. A
    /// [`close`](Self::close) meanwhile ends the rest at once. A server that stood still goes on
    /// where it was, so no more are closed in a second than without. Called inside one of this
    /// server's own callbacks it only starts, as `close` does.
    ///
    /// ```no_run
    /// # async fn stop(server: wspulse::Server) {
    /// // A health endpoint answers 503 from now on: `server.is_draining()`.
    /// server.drain(std::time::Duration::from_secs(30)).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Once polled, draining goes on without the future; another call waits for it. If the runtime
    /// ends on which it was polled first, the server closes at once.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if it is the first call. The runtime needs its timers.
    pub async fn drain(&self, window: Duration) {
        assert!(sync::has_runtime(), "wspulse: Server::drain needs a tokio runtime");
        {
            // A closing server must wait for the task that is yet to be spawned.
            let _pending = self.inner.tasks.token();
            if let Some(connected) = self.inner.registry.begin_drain() {
                let started = DrainStarted { connections: connected.len(), window };
                self.metrics().record(|hooks| hooks.drain_started(&started));
                self.spawn(Drain::new(self.clone(), connected, window).run());
            }
        }
        if InCallback::of(self.address()) {
            return;
        }
        self.inner.tasks.wait().await;
    }

    /// If a server of a cluster is drained, has that come to its end: it closes then, and sessions are
    /// handed over first. Tells whether it is.
    fn hasten_drain(&self) -> bool {
        let attachment = self.attachment().filter(|_| self.inner.registry.is_drained());
        attachment.map(|it| it.hastened().cancel()).is_some()
    }

    /// Whether any client is taken.
    pub(crate) fn check_phase(&self) -> Result<(), Refused> {
        self.inner.registry.check_phase()
    }

    /// Ends every connection; its task is then on its way to its end.
    fn start_close(&self) {
        let deadline = Instant::now() + self.options().drain_timeout;
        if self.inner.registry.close(deadline, &self.inner.meter) {
            self.inner.drain_deadline.set(deadline);
            self.folding().close();
            if let Some(attachment) = self.attachment() {
                attachment.node().closing().cancel();
            }
            self.deliver_lifecycle();
            self.inner.tasks.close();
        }
    }

    /// Whether it takes no more clients, since it is drained or closed: for a health endpoint by
    /// which a load balancer decides where clients go.
    pub fn is_draining(&self) -> bool {
        self.inner.registry.refuses()
    }
}

struct Drain {
    server: Server,
    /// Those that were connected when it began, in the order of their tasks: a seed replays.
    connected: VecDeque<Arc<ConnectionShared>>,
    pace: Pace,
    started_at: Instant,
    retries: Retries,
}

impl Drain {
    fn new(server: Server, connected: VecDeque<Arc<ConnectionShared>>, window: Duration) -> Self {
        let retries = Retries::new(server.options().drain_retry);
        let pace = Pace::new(connected.len(), window);
        Self { server, connected, pace, started_at: Instant::now(), retries }
    }

    async fn run(mut self) {
        let mut yielding = Yielding::default();
        let connections = self.connected.len();
        for tick in 0..self.pace.ticks {
            if self.wait_for(tick).await || self.server.connection_count() == 0 {
                break;
            }
            self.close_down_to(connections - self.pace.due(tick), &mut yielding).await;
        }
        let mut is_over = self.is_hastened();
        if !is_over && self.server.connection_count() > 0 {
            is_over = self.wait_for(self.pace.ticks).await;
        }
        // Those that were on their way back to their sessions when it began.
        self.connected = self.server.inner.registry.connected();
        if is_over {
            // The close that is to come ends the others.
            self.connected.retain(|it| self.server.outlives(it));
        }
        self.close_down_to(0, &mut yielding).await;
        // Boxed, as most servers that are drained have no cluster.
        Box::pin(self.server.hand_over()).await;
    }

    fn is_hastened(&self) -> bool {
        self.server.attachment().is_some_and(|it| it.hastened().is_cancelled())
    }

    /// Until the server is closed, or is to be.
    async fn closing(&self) {
        match self.server.attachment() {
            Some(attachment) => {
                let closing = self.server.closing();
                let _ = attachment.hastened().run_until_cancelled(closing).await;
            }
            None => self.server.closing().await,
        }
    }

    /// Closes as many as it takes for no more than these to be left.
    async fn close_down_to(&mut self, left: usize, yielding: &mut Yielding) {
        for closed in 1_usize.. {
            if self.connected.len() <= left {
                break;
            }
            self.close_next();
            if closed.is_multiple_of(CLOSED_AT_ONCE_MAX) {
                yielding.give_way(Instant::now() + TICK / 5).await;
            }
        }
    }

    fn close_next(&mut self) {
        let Some(connection) = self.connected.pop_front() else { return };
        // A suspended one has nobody to tell.
        if connection.mailbox.state() == ConnectionState::Connected {
            let drained = Disconnect::Drained { retry: self.retries.next() };
            if self.server.outlives(&connection) {
                connection.mailbox.send_away(drained.close_frame());
            } else {
                self.server.end(&connection, drained);
            }
        }
    }

    /// Waits until a tick is due, and tells whether the server has been closed meanwhile, or is to be.
    async fn wait_for(&mut self, tick: u64) -> bool {
        let due_at = Pace::at(self.started_at, tick);
        let is_closed = {
            let mut closing = pin!(self.closing());
            let mut due = pin!(sleep_until(due_at));
            poll_fn(|cx| match closing.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending if Instant::now() >= due_at => Poll::Ready(false),
                Poll::Pending => due.as_mut().poll(cx).map(|()| false),
            })
            .await
        };
        let late = due_at.elapsed();
        if late > LATE_MAX {
            // What was missed is not made up for, which would be a burst.
            self.started_at += late;
        }
        is_closed
    }
}

impl Drop for Drain {
    /// It is over, or its runtime is: whoever waits for it on another one waits for the close.
    fn drop(&mut self) {
        self.server.start_close();
    }
}

/// Which tick closes how many.
struct Pace {
    connections: usize,
    ticks: u64,
}

impl Pace {
    fn new(connections: usize, window: Duration) -> Self {
        let ticks = window.as_nanos().div_ceil(TICK.as_nanos()).max(1);
        Self { connections, ticks: u64::try_from(ticks).unwrap_or(u64::MAX) }
    }

    /// How many are closed once this tick is over: each in the middle of its own share.
    fn due(&self, tick: u64) -> usize {
        let (ticks, connections) = (u128::from(self.ticks), self.connections as u128);
        let passed = u128::from(tick) + 1;
        let due = (connections * passed + ticks / 2) / ticks;
        usize::try_from(due).map_or(self.connections, |due| due.min(self.connections))
    }

    fn at(started_at: Instant, tick: u64) -> Instant {
        let time = TICK.saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX));
        wspulse_core::clock::after(started_at.into_std(), time).into()
    }
}

/// How long each client is asked to wait: from a time to twice that. Whatever the number of clients,
/// they are spread evenly, and the same in every run, as multiples of the golden ratio are.
struct Retries {
    least: Duration,
    next: u64,
}

impl Retries {
    const fn new(least: Duration) -> Self {
        Self { least, next: 0 }
    }

    fn next(&mut self) -> Duration {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        self.next = self.next.wrapping_add(GOLDEN_RATIO);
        let part = u32::try_from(self.next >> 32).unwrap_or(u32::MAX);
        self.least + self.least.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn every_connection_is_due_by_the_last_tick_and_none_twice() {
        for connections in [0, 1, 3, 599, 600, 601, 10_000] {
            for seconds in [0, 1, 30, 3_600] {
                let pace = Pace::new(connections, Duration::from_secs(seconds));
                let dues: Vec<_> = (0..pace.ticks).map(|tick| pace.due(tick)).collect();
                assert!(dues.is_sorted());
                assert_eq!(dues.last(), Some(&connections));
            }
        }
    }

    #[test]
    fn no_second_has_more_than_its_share() {
        for connections in [300, 1_000, 10_000] {
            let pace = Pace::new(connections, Duration::from_secs(30));
            let by_second = |second: u64| if second == 0 { 0 } else { pace.due(second * 200 - 1) };
            let mean = connections.div_ceil(30);
            for second in 0..30 {
                let closed = by_second(second + 1) - by_second(second);
                assert!(closed <= mean + mean / 5, "{closed} of {connections}");
            }
        }
    }

    #[test]
    fn a_window_without_end_is_no_overflow() {
        let pace = Pace::new(usize::MAX, Duration::MAX);
        assert!(pace.due(0) <= pace.due(u64::MAX - 1));
        assert!(Pace::at(Instant::now(), u64::MAX) > Instant::now());
    }

    #[test]
    fn retries_are_spread_evenly_and_replay() {
        let least = Duration::from_secs(1);
        let draw = || {
            let mut retries = Retries::new(least);
            (0..1_000).map(|_| retries.next()).collect::<Vec<_>>()
        };
        let retries = draw();
        assert_eq!(retries, draw());
        assert!(retries.iter().all(|retry| (least..=2 * least).contains(retry)));
        for tenth in 0..10 {
            let from = least + tenth * least / 10;
            let within = retries.iter().filter(|at| (from..from + least / 10).contains(at)).count();
            assert!((95..=105).contains(&within), "{within}");
        }
    }
}
