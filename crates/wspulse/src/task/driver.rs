//! The task that owns a connection from its first transport to its end.
//!
//! It does what the session says and decides nothing itself: it moves bytes between the transport,
//! the decoder and the outbound queue, polls the callback that runs, and keeps one timer.

mod acknowledge;
mod announce;
mod arrivals;
mod awaited;
mod callback;
mod exchange;
mod leaving;
mod orphan;
mod pace;
mod read;
mod suspension;
mod timer;
pub(crate) mod watch;
mod write;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep};
use wspulse_core::session::{Action, MovedExchange, Predecessor, Session};
use wspulse_core::{Disconnect, Dismissal, SessionEvent, TransportLost};

use crate::ground::running_time::heard;
use crate::membership::mailbox::{Collected, End, Found, Mail};
use crate::membership::ping_groups::PingPlace;
use crate::membership::presence::Noted;
use crate::membership::shared::{ConnectionShared, ConnectionState};
use crate::membership::turn_writes::TurnWrites;
use crate::observe::metrics::{Limit, MessagesDiscarded, PongTimeout, SessionResumed};
use crate::observe::spans;
use crate::settings::options::Options;
use crate::wire::transport::{Farewell, Transport, Upgrade};
use arrivals::{Arrivals, Arrived};
use callback::RunningCallback;
use write::Written;

/// How many rounds of reading, callbacks and writing one poll makes before it lets other tasks run.
/// A round reads once, so a flooding peer is served in turns of at most this many reads.
const ROUNDS_MAX: usize = 4;

/// A future, polled by hand instead of `select!`, since its size is what an idle connection costs.
pub(crate) struct Driver {
    connection: Arc<ConnectionShared>,
    session: Session,
    /// It lies in the mailbox while the task sleeps and has nothing to write.
    transport: Option<Box<Transport>>,
    arrivals: Arrivals,
    callback: Option<Box<RunningCallback>>,
    /// Made when something is due before the next Ping, and kept until it has fired.
    timer: Option<Pin<Box<Sleep>>>,
    /// Where it is pinged together with others.
    ping_place: Option<PingPlace>,
    /// While the server closes: when callbacks are given up.
    callback_deadline: Option<Instant>,
}

impl Driver {
    /// With what was counted of what its client has sent, if the session comes from another server.
    pub(crate) fn new(
        connection: Arc<ConnectionShared>,
        upgrade: Upgrade,
        predecessor: Predecessor,
        moved: Option<MovedExchange>,
    ) -> Self {
        let config = Arc::clone(connection.server.session_config());
        let mut session = Session::new(config, predecessor, now());
        match (moved, connection.mailbox.proof()) {
            (Some(moved), Some(_)) => session.begin_moved(moved),
            (Some(_), None) => session.begin_moved_plain(),
            (None, Some(_)) => session.begin_exchange(),
            (None, None) => {}
        }
        Self {
            connection,
            session,
            transport: None,
            arrivals: Arrivals::begin(upgrade),
            callback: None,
            timer: None,
            ping_place: None,
            callback_deadline: None,
        }
    }

    /// Does what the session wants done, until it wants nothing more.
    fn settle(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Call(event) => self.start_callback(event),
            Action::Ping => self.queue_ping(now()),
            Action::Answer(count) => {
                if let Some(transport) = self.transport.as_mut().filter(|it| it.facts.is_greeted())
                {
                    transport.lane.queue_ack(count);
                }
            }
            Action::Presume { number, is_news } => self.presume(number, is_news),
            Action::Overloaded => self.connection.mailbox.overload(),
            Action::PongTimeout => {
                let ConnectionShared { server, id, .. } = &*self.connection;
                let room = self.connection.room();
                let timeout = PongTimeout { room, id };
                server.metrics().record(|hooks| hooks.pong_timeout(&timeout));
            }
            Action::MessageTimeout => self.connection.report_limit(Limit::MessageTimeout),
            Action::Dismiss(dismissal, deadline) => self.dismiss(dismissal, deadline.into()),
            Action::AbandonUpgrade => {
                self.arrivals.take_upgrade();
                self.tell_if_suspended();
            }
            Action::End(disconnect) => self.end(disconnect),
            Action::DiscardBacklog => {
                self.connection.discard_backlog();
            }
            Action::Discarded(messages) => {
                let ConnectionShared { server, id, .. } = &*self.connection;
                let room = self.connection.room();
                let discarded = MessagesDiscarded { room, id, messages };
                server.metrics().record(|hooks| hooks.messages_discarded(&discarded));
            }
        }
    }

    /// Parts with the current transport.
    fn dismiss(&mut self, dismissal: Dismissal, deadline: Instant) {
        let remainder = self.connection.rewind();
        let Some(transport) = self.transport.take() else {
            return;
        };
        let remainder = remainder.map(|begun| begun.in_form(transport.form));
        self.tell_if_suspended();
        if dismissal != Dismissal::Abort {
            let farewell = Farewell { transport: *transport, remainder, dismissal, deadline };
            self.connection.server.part(&self.connection, farewell.say());
        }
    }

    /// Takes what others have left in the mailbox. Commands come before data and timers. Tells
    /// whether frames wait; `None` while its transport is lent.
    fn drive_mailbox(&mut self) -> Option<bool> {
        let Collected { mail, has_frames, awaits, awaits_receipt, transport, written, pings } =
            self.connection.mailbox.collect()?;
        if transport.is_some() {
            self.transport = transport;
        }
        // What was written behind a Ping is not what it asked for.
        self.hear_of_pings(pings);
        if let Some(written) = written {
            self.hear_of_written(written);
        }
        self.session.set_urgent(awaits_receipt);
        self.drive_awaited(awaits);
        if let Some(mail) = mail {
            self.obey(*mail);
        }
        Some(has_frames)
    }

    fn obey(&mut self, mail: Mail) {
        let Mail {
            upgrade,
            rooms,
            end,
            predecessor_finished,
            callback_deadline,
            expires_at,
            is_cut,
            moving,
            write_error,
        } = mail;
        if let Some(error) = write_error {
            self.session.handle_write_failed(Arc::new(error), now());
            self.settle();
        }
        if is_cut {
            self.lose(TransportLost::Cut);
        }
        if let Some(expires_at) = expires_at {
            self.session.handle_expiry(expires_at.into_std());
        }
        if predecessor_finished {
            self.session.handle_predecessor_finished();
        }
        if let Some(upgrade) = upgrade {
            self.session.handle_upgrade_started(now());
            if let Some(displaced) = self.arrivals.replace_upgrade(upgrade) {
                self.turn_away(displaced);
            }
        }
        self.hear_of_rooms(rooms);
        if let Some(moving) = moving {
            self.hear_of_moving(*moving);
        }
        if let Some(End { disconnect, deadline }) = end {
            if matches!(disconnect, Disconnect::Moved) {
                self.hand_over();
            }
            spans::record_end(&disconnect);
            self.note_end(&disconnect);
            // Whoever has ended it may not be done with that, and `on_disconnect` finds it in none.
            self.connection.server.leave_all(&self.connection);
            let Options { write_wait, drain_timeout, .. } = self.connection.server.options();
            let deadline = heard(deadline, *write_wait.max(drain_timeout));
            self.session.handle_end(disconnect, deadline.into_std());
            self.connection.ended.notify_waiters();
            self.connection.mailbox.close_requests();
        }
        // After the end, which may have come earlier and with a later deadline.
        if let Some(deadline) = callback_deadline {
            let deadline = heard(deadline, self.connection.server.options().drain_timeout);
            self.callback_deadline = Some(deadline);
            self.session.handle_drain_limited(deadline.into_std());
        }
        self.settle();
    }

    /// Tells whether nothing has come since the task looked, so that it may sleep.
    fn sleep(&mut self, waker: &Waker, is_writable: bool) -> bool {
        let found = Found {
            is_writable,
            awaits: self.session.is_awaiting(),
            written_beside_max: self.session.written_beside_max(),
            pinged_at: self.ping_place.as_ref().and_then(PingPlace::open_to_others),
        };
        self.connection.mailbox.sleep(waker, found, &mut self.transport)
    }

    pub(super) fn hear_of_rooms(&mut self, rooms: Vec<SessionEvent>) {
        for event in rooms {
            self.session.handle_room(event);
        }
    }

    fn turn_away(&self, upgrade: Upgrade) {
        self.connection.server.turn_away(&self.connection, upgrade);
    }

    /// Takes the transport that is on its way, once it is there. Tells whether one has come:
    /// what an old one had taken may have to be written again to it, at once.
    fn drive_upgrade(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(upgrade) = self.arrivals.upgrade_mut() else {
            return false;
        };
        let Poll::Ready(result) = upgrade.stream.as_mut().poll(cx) else {
            return false;
        };
        let (peer_addr, comes_back) = (upgrade.peer_addr, upgrade.comes_back);
        let (begun, agreed, asked) = (upgrade.begun, upgrade.agreed, upgrade.asked.take());
        self.arrivals.take_upgrade();
        let has_come = result.is_ok();
        let is_outdated = |it| self.connection.mailbox.is_outdated(begun, it);
        match result {
            // It may not have been when it was let in.
            Ok(late) if comes_back.is_some_and(is_outdated) => {
                let connection = &*self.connection;
                let late = Upgrade { agreed, ..Upgrade::ready(late) };
                connection.server.turn_away_outdated(connection, late);
                self.session.handle_upgrade_failed(TransportLost::Superseded, now());
                self.tell_if_suspended();
            }
            Ok(upgradable) => {
                let peer_addr = peer_addr.or_else(|| upgradable.peer_addr());
                if self.transport.is_some() {
                    let deadline = now() + self.connection.server.session_config().write_wait;
                    self.dismiss(self.supersession(comes_back), deadline.into());
                }
                let resumes = self.session.is_suspended() || self.session.is_connected();
                let lost = self.resume_at(comes_back.map(|it| it.received), begun);
                let decoder = self.connection.server.options().decoder();
                let home = self.connection.mailbox.home();
                let transport = Transport::new(upgradable, (decoder, agreed), home);
                let bytes_behind_handshake =
                    transport.unread.as_ref().map_or(0, |unread| unread.0.len());
                self.transport = Some(Box::new(transport));
                // It was for the upgrade.
                self.timer = None;
                let missed = self.connection.mailbox.resumed();
                self.session.handle_attached(missed, now());
                if self.session.is_connected() {
                    let restores = self.session.restores_waiting();
                    self.arrivals.note_restore(Arrived { asked, peer_addr }, restores);
                }
                if lost.is_none() {
                    // Who comes back comes back to this session, also if it has ended meanwhile.
                    let is_return = resumes || comes_back.is_some();
                    self.begin_to_ask(is_return.then_some(missed));
                }
                let (before, kind) = self.connection.mailbox.set_connected(peer_addr);
                self.announce_session(kind, missed);
                if resumes {
                    let ConnectionShared { server, id, .. } = &*self.connection;
                    let room = self.connection.room();
                    let was_suspended = before == ConnectionState::Suspended;
                    let event = SessionResumed { room, id, was_suspended };
                    server.metrics().record(|hooks| hooks.session_resumed(&event));
                    self.connection.note_presence(Noted::Resumed);
                }
                if let Some(lost) = lost {
                    // What comes behind a gap is not written: the client would not know of it. So
                    // nothing may be accepted any more when what waits is thrown away.
                    self.connection.end_for_gap(lost);
                    self.connection.discard_backlog();
                }
                self.settle();
                self.meter_read(bytes_behind_handshake, now(), cx);
            }
            Err(error) => {
                let cause = TransportLost::UpgradeFailed(error.into());
                self.session.handle_upgrade_failed(cause, now());
                self.tell_if_suspended();
            }
        }
        self.settle();
        has_come
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let _writes = TurnWrites::begin(this.connection.mailbox.home());
        for round in 1..=ROUNDS_MAX {
            let Some(had_frames) = this.drive_mailbox() else { return Poll::Pending };
            let may_be_frames = this.drive_upgrade(cx) || had_frames;
            let mut progress = this.drive_callback(cx);
            if this.arrivals.are_some() {
                progress |= this.drive_leaving();
            }
            progress |= this.drive_read(cx);
            this.drive_ping();
            // Frames that have come in this round are seen in the next, or before the task sleeps.
            let written = this.drive_write(may_be_frames, cx);
            progress |= matches!(written, Written::Failed | Written::Lost);
            if !progress || round == ROUNDS_MAX {
                progress |= this.drive_timer(cx).is_ready();
            }
            if this.session.is_finished() {
                this.connection.server.forget_task(&this.connection);
                return Poll::Ready(());
            }
            if !progress && this.sleep(cx.waker(), written == Written::All) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection costs, beside its socket: most of a server's memory. A bound goes up
    /// only with a reason.
    #[test]
    fn an_idle_connection_is_no_bigger_than_it_was() {
        // 16 of them for what is asked of a peer that acknowledges.
        assert!(size_of::<Session>() <= 128, "{}", size_of::<Session>());
        // With what the runtime adds, 272 are the most that fit into 384 (it rounds up to 128), and
        // 144 into 256.
        // 32 for the place among those that are pinged together, which spares a timer of 120.
        assert!(size_of::<Driver>() <= 216, "{}", size_of::<Driver>());
        // In a box of its own, so that it can be lent: half of the cost of a delivery beside its
        // system call. With compression and without: 104 are the most that fit into a block of 112.
        assert!(size_of::<Transport>() <= 104, "{}", size_of::<Transport>());
        // 24 of them for what is kept until it is acknowledged, and for who waits for that; 8 for the
        // transport, while it may be lent; 16 for the log that it may follow in a large room; 8 for what
        // others do for its heartbeat. With two counts, 376 are the most that fit into a block of 400.
        assert!(size_of::<ConnectionShared>() <= 376, "{}", size_of::<ConnectionShared>());
    }
}
