//! What cannot be seen from outside: timers that are heard late, and what the outbox counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wspulse_core::{Frame, MessageKind};

use super::*;

const SILENCE: Duration = Duration::from_secs(20);
const PROBE: Duration = Duration::from_secs(5);

struct Live {
    session: Session<&'static str>,
    now: Instant,
}

impl Live {
    fn new() -> Self {
        let config = SessionConfig {
            sessions: Sessions::Prefer,
            codec: Some("json".to_owned()),
            connect_timeout: Duration::from_secs(10),
            silence: Some(SILENCE),
            probe_timeout: PROBE,
            outbox_messages_max: 1024,
            outbox_bytes_max: 1 << 20,
            is_final_answer: Arc::new(|_| false),
        };
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), None, 1);
        let now = Instant::now();
        let mut live = Self { session: Session::new(config, backoff, now), now };
        live.connect("new", 0, 0);
        live
    }

    fn connect(&mut self, session: &str, received: u64, handled: u64) {
        self.now = self.session.poll_timeout().unwrap();
        self.session.handle_timeout(self.now);
        self.session.handle_open(self.now, Some("wspulse.1+json"));
        self.hear(&format!(
            "[\"hello\",{{\"session\":\"{session}\",\"id\":\"\",\"token\":\"t\",\"received\":{received},\
             \"handled\":{handled},\"replay\":0,\"silence\":0,\"window\":0,\"message_max\":100}}]"
        ));
    }

    fn hear(&mut self, text: &str) {
        let bytes = text.to_owned().into();
        self.session.handle_message(self.now, Message { kind: MessageKind::Text, bytes });
    }

    fn send(&mut self, name: &'static str) {
        let message = Message { kind: MessageKind::Text, bytes: name.into() };
        self.session.handle_send(Frame::new(name), message, Some(name)).unwrap();
    }

    fn post(&mut self, name: &'static str) {
        let message = Message { kind: MessageKind::Text, bytes: name.into() };
        self.session.handle_send(Frame::new(name), message, None).unwrap();
    }

    /// What is written now: the texts, and `ping`.
    fn written(&mut self) -> Vec<String> {
        let text = |outgoing| match outgoing {
            Outgoing::Data(message) => String::from_utf8(message.bytes.to_vec()).unwrap(),
            Outgoing::Control(text) => text,
            Outgoing::Ping => "ping".to_owned(),
        };
        std::iter::from_fn(|| self.session.poll_transmit(self.now)).map(text).collect()
    }

    /// What became of frames meanwhile.
    fn settled(&mut self) -> Vec<(String, Outcome)> {
        let effects = std::iter::from_fn(|| self.session.poll_effect());
        let settled = effects.filter_map(|effect| {
            let Effect::Settle { frame, outcome, .. } = effect else { return None };
            Some((frame.event().to_owned(), outcome))
        });
        settled.collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
    }

    fn is_connected(&self) -> bool {
        matches!(self.session.state, State::Live(_))
    }
}

#[test]
fn silence_is_asked_about_and_then_judged() {
    let mut live = Live::new();
    live.pass(SILENCE);
    assert_eq!(live.written(), ["[\"ask\"]"]);
    live.pass(PROBE / 2);
    assert!(live.is_connected());
    live.pass(PROBE / 2);
    assert!(!live.is_connected());
}

#[test]
fn any_sign_of_life_is_an_answer() {
    let mut live = Live::new();
    live.pass(SILENCE);
    live.session.handle_heard(live.now);
    live.pass(PROBE);
    assert!(live.is_connected());
}

#[test]
fn a_client_that_was_stopped_asks_before_it_judges() {
    let mut live = Live::new();
    live.pass(SILENCE);
    assert_eq!(live.written(), ["[\"ask\"]"]);
    live.pass(Duration::from_hours(8));
    assert!(live.is_connected(), "the answer may lie in the socket");
    assert_eq!(live.written(), ["ping"], "a question is on its way already");
    live.pass(PROBE);
    assert!(!live.is_connected());
}

#[test]
fn a_question_comes_after_64_messages_or_a_second() {
    let mut live = Live::new();
    for _ in 0..100 {
        live.post("m");
    }
    let written = live.written();
    assert_eq!(written.iter().position(|text| text == "[\"ask\"]"), Some(64));
    assert_eq!(written.len(), 101);
    live.hear("[\"ack\",64]");
    assert!(live.written().is_empty(), "36 are not worth a question yet");
    live.pass(Duration::from_secs(1));
    assert_eq!(live.written(), ["[\"ask\"]"]);
}

#[test]
fn a_question_waits_for_the_second_answer_to_the_one_before() {
    let mut live = Live::new();
    live.send("a");
    assert_eq!(live.written(), ["a", "[\"ask\"]"]);
    live.hear("[\"ack\",0]");
    live.send("b");
    assert_eq!(live.written(), ["b"]);
    live.hear("[\"ack\",1]");
    assert_eq!(live.written(), ["[\"ask\"]"]);
}

#[test]
fn an_old_acknowledgement_is_old_news() {
    let mut live = Live::new();
    live.send("a");
    live.send("b");
    live.written();
    live.hear("[\"ack\",2]");
    live.hear("[\"ack\",1]");
    assert!(live.is_connected());
    let handled = |name: &str| (name.to_owned(), Outcome::Handled);
    assert_eq!(live.settled(), [handled("a"), handled("b")]);
}

#[test]
fn what_is_known_not_to_have_arrived_is_not_lost_with_its_session() {
    let mut live = Live::new();
    for name in ["a", "b", "c"] {
        live.send(name);
    }
    live.written();
    live.session.handle_transport_lost(live.now, Cause::Dropped);
    live.connect("resumed", 2, 1);
    // Before c is written again the transport is lost, and then the session.
    live.session.handle_transport_lost(live.now, Cause::Dropped);
    live.connect("new", 0, 0);
    let lost = ("b".to_owned(), Outcome::Lost);
    assert_eq!(live.settled(), [("a".to_owned(), Outcome::Handled), lost]);
    assert_eq!(live.written(), ["c", "[\"ask\"]"]);
    live.hear("[\"ack\",1]");
    assert_eq!(live.settled(), [("c".to_owned(), Outcome::Handled)]);
}

#[test]
fn a_hello_that_forgot_what_was_acknowledged_is_a_violation() {
    let mut live = Live::new();
    live.send("a");
    live.written();
    live.hear("[\"ack\",1]");
    live.session.handle_transport_lost(live.now, Cause::Dropped);
    live.connect("resumed", 0, 0);
    assert!(!live.is_connected());
}

#[test]
fn a_second_hello_is_a_violation() {
    let mut live = Live::new();
    live.hear(
        "[\"hello\",{\"session\":\"new\",\"id\":\"\",\"token\":\"t\",\"received\":0,\"handled\":0,\
         \"replay\":0,\"silence\":0,\"window\":0,\"message_max\":100}]",
    );
    assert!(!live.is_connected());
}

#[test]
fn messages_that_were_received_and_not_handled_are_asked_about_after_a_resume() {
    let mut live = Live::new();
    live.post("a");
    live.written();
    live.session.handle_transport_lost(live.now, Cause::Dropped);
    live.connect("resumed", 1, 0);
    assert!(live.written().is_empty(), "nobody waits");
    live.pass(Duration::from_secs(1));
    assert_eq!(live.written(), ["[\"ask\"]"]);
}
