//! What a session reads while a callback awaits what its own client must say.

use wspulse_core::session::{Action, SessionConfig};
use wspulse_core::websocket::{Flow, Progress};
use wspulse_core::{Frame, TransportLost};

use crate::rig::{MOMENT, PONG, Rig, config, just_before};

impl Rig {
    /// Connected, a callback runs, and as many messages wait as may: three.
    fn full() -> Self {
        Self::full_with(config())
    }

    fn full_with(config: SessionConfig) -> Self {
        let mut rig = Self::connected_with(config);
        for _ in 0..4 {
            rig.take(Frame::new("a"));
        }
        assert!(!rig.session.wants_inbound());
        rig
    }

    fn take(&mut self, frame: Frame) -> Flow {
        let flow = self.session.handle_frame(frame);
        self.act();
        flow
    }

    fn await_client(&mut self) {
        self.session.handle_awaited(self.now);
        self.act();
    }

    fn is_overloaded(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Overloaded))
    }
}

#[test]
fn reading_goes_on_while_something_is_awaited() {
    let mut rig = Rig::full();
    rig.await_client();
    assert!(rig.session.wants_inbound());
    assert_eq!(rig.take(Frame::new("a")), Flow::Continue);
    rig.session.handle_awaited_over();
    assert!(!rig.session.wants_inbound(), "four wait");
}

#[test]
fn reading_goes_on_up_to_so_many_messages_and_no_further() {
    let mut rig = Rig::full();
    rig.await_client();
    for _ in 4..8 {
        assert_eq!(rig.take(Frame::new("a")), Flow::Continue);
        assert!(!rig.is_overloaded());
    }
    assert_eq!(rig.take(Frame::new("a")), Flow::Pause);
    assert!(rig.is_overloaded());
    assert!(!rig.session.is_awaiting());
    assert!(!rig.session.wants_inbound());
}

#[test]
fn reading_goes_on_up_to_so_many_bytes_and_no_further() {
    let mut rig = Rig::full();
    rig.await_client();
    assert_eq!(rig.take(Frame::default().with_payload(vec![b'1'; 99])), Flow::Continue);
    assert_eq!(rig.take(Frame::default().with_payload("1")), Flow::Pause);
    assert!(rig.is_overloaded());
}

#[test]
fn what_waits_beyond_the_usual_counts_for_the_next_that_is_awaited() {
    let mut rig = Rig::full();
    rig.await_client();
    rig.take(Frame::default().with_payload(vec![b'1'; 60]));
    rig.session.handle_awaited_over();
    rig.await_client();
    assert_eq!(rig.take(Frame::default().with_payload(vec![b'1'; 60])), Flow::Pause);
    assert!(rig.is_overloaded());
    rig.await_client();
    assert!(!rig.session.is_awaiting(), "nothing can be heard");
}

#[test]
fn once_what_waited_is_handled_there_is_the_whole_room_again() {
    let mut rig = Rig::full();
    rig.await_client();
    rig.take(Frame::default().with_payload(vec![b'1'; 100]));
    assert!(rig.is_overloaded());
    rig.actions.clear();
    for _ in 0..2 {
        rig.finish();
    }
    rig.take(Frame::new("a"));
    rig.await_client();
    assert_eq!(rig.take(Frame::default().with_payload(vec![b'1'; 99])), Flow::Continue);
    assert!(!rig.is_overloaded());
}

#[test]
fn a_peer_that_is_read_again_has_its_whole_time() {
    let mut rig = Rig::full();
    rig.pass(2 * PONG);
    rig.actions.clear();
    rig.await_client();
    rig.pass(just_before(PONG));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended(), "it is read, and says nothing");
}

#[test]
fn a_message_that_is_read_in_part_has_its_whole_time_once_reading_goes_on() {
    let timeout = 3 * MOMENT;
    let mut rig = Rig::full_with(SessionConfig { message_timeout: timeout, ..config() });
    rig.await_client();
    rig.take(Frame::new("a"));
    rig.progress(Progress::Begun);
    rig.session.handle_awaited_over();
    assert!(!rig.session.wants_inbound(), "four wait");
    rig.pass(2 * timeout);
    rig.finish();
    rig.finish();
    assert!(rig.session.wants_inbound());
    rig.pass(just_before(timeout));
    assert!(rig.session.is_connected());
    rig.pass(MOMENT);
    assert!(rig.session.is_suspended(), "it is read, and its rest does not come");
}

#[test]
fn what_is_awaited_is_awaited_of_the_next_transport_as_well() {
    let mut rig = Rig::full();
    rig.await_client();
    rig.lose(TransportLost::EndOfStream);
    rig.attach();
    assert_eq!(rig.take(Frame::new("a")), Flow::Continue);
}

#[test]
fn what_the_next_transport_cannot_bring_is_not_awaited_of_it() {
    let mut rig = Rig::full();
    rig.await_client();
    for _ in 4..9 {
        rig.take(Frame::new("a"));
    }
    rig.lose(TransportLost::EndOfStream);
    rig.actions.clear();
    rig.await_client();
    assert!(rig.session.is_awaiting(), "nothing is in front of it but what the callbacks get");
    rig.attach();
    assert!(!rig.session.wants_inbound());
    assert!(rig.is_overloaded());
    assert!(!rig.session.is_awaiting());
}

#[test]
fn an_answer_behind_messages_of_a_client_that_counts_is_not_handled_before_them() {
    let mut rig = Rig::opening(config());
    rig.session.begin_exchange();
    rig.attach();
    rig.finish();
    for _ in 0..2 {
        rig.session.count_received();
        rig.take(Frame::new("a"));
    }
    rig.session.count_received();
    assert_eq!(rig.session.handle_taken(), Flow::Continue);
    assert_eq!((rig.session.received(), rig.session.handled()), (3, 0));
    rig.finish();
    assert_eq!(rig.session.handled(), 1);
    rig.finish();
    assert_eq!(rig.session.handled(), 3);
}

#[test]
fn an_answer_with_nothing_before_it_is_handled_at_once() {
    let mut rig = Rig::opening(config());
    rig.session.begin_exchange();
    rig.attach();
    rig.finish();
    rig.session.count_received();
    assert_eq!(rig.session.handle_taken(), Flow::Continue);
    assert_eq!((rig.session.received(), rig.session.handled()), (1, 1));
}
