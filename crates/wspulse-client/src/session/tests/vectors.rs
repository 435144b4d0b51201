//! The state machine in lockstep with the conversations of `docs/protocol/vectors.json`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{Frame, MessageKind};

use super::*;

struct Conversation {
    session: Session<String>,
    now: Instant,
    seen: VecDeque<Effect<String>>,
}

impl Conversation {
    fn new() -> Self {
        let config = SessionConfig {
            sessions: Sessions::Prefer,
            codec: Some("json".to_owned()),
            connect_timeout: Duration::from_secs(10),
            silence: Some(Duration::from_secs(20)),
            probe_timeout: Duration::from_secs(5),
            outbox_messages_max: 1024,
            outbox_bytes_max: 1 << 20,
            is_final_answer: Arc::new(|_| false),
        };
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), None, 1);
        let now = Instant::now();
        Self { session: Session::new(config, backoff, now), now, seen: VecDeque::new() }
    }

    fn take_effects(&mut self) {
        while let Some(effect) = self.session.poll_effect() {
            let is_unread = matches!(
                &effect,
                Effect::Tell(Event::Disconnected { .. } | Event::Reconnecting { .. })
                    | Effect::Settle { waiter: None, .. }
            );
            // The application hears of it in another way.
            let is_undecodable =
                matches!(&effect, Effect::Deliver(message) if decode(message).is_none());
            if !is_unread && !is_undecodable {
                self.seen.push_back(effect);
            }
        }
    }

    fn play(&mut self, step: &Value) {
        if let Some(thing) = step.get("expect").and_then(Value::as_str) {
            self.take_effects();
            return self.expect(thing, step);
        }
        if step.get("do").is_some() {
            self.session.handle_timeout(self.now);
        } else if let Some(what) = step.get("transport") {
            let text = |name: &str| step.get(name).and_then(Value::as_str);
            if what == "open" {
                let chosen = text("protocol").filter(|protocol| !protocol.is_empty());
                self.session.handle_open(self.now, chosen);
            } else {
                let code = u16::try_from(step["code"].as_u64().unwrap()).unwrap();
                let reason = text("reason").unwrap_or_default().to_owned();
                let cause = match code {
                    1006 => Cause::Dropped,
                    _ => Cause::Closed { code, reason },
                };
                self.session.handle_transport_lost(self.now, cause);
            }
        } else if let Some(text) = step.get("receive") {
            let bytes = Bytes::from(text.as_str().unwrap().to_owned());
            self.session.handle_message(self.now, Message { kind: MessageKind::Text, bytes });
        } else if let Some(frame) = step.get("send") {
            let frame = frame_of(frame);
            let mut bytes = Vec::new();
            JsonCodec.encode(&frame, &mut bytes).unwrap();
            let message = Message { kind: MessageKind::Text, bytes: bytes.into() };
            let waiter = step.get("as").map(|name| name.as_str().unwrap().to_owned());
            self.session.handle_send(frame, message, waiter).unwrap();
        } else if step.get("pass").is_some_and(|time| time == "retry") {
            self.now = self.session.poll_timeout().unwrap();
            self.session.handle_timeout(self.now);
        } else {
            panic!("an unknown step");
        }
    }

    fn expect(&mut self, thing: &str, step: &Value) {
        match thing {
            "write" => {
                let written = self.session.poll_transmit(self.now).expect("nothing is written");
                assert_eq!(json_of(&written), step["json"]);
                return;
            }
            "nothing" => {
                assert_eq!(self.session.poll_transmit(self.now), None);
                return;
            }
            _ => {}
        }
        let effect = self.seen.pop_front().expect("nothing happens");
        match (thing, effect) {
            ("connect", Effect::Open { protocols }) => {
                assert_eq!(Value::from(protocols), step["protocols"]);
            }
            ("close", Effect::Close { code, .. }) => {
                assert_eq!(code.as_u16(), step["code"]);
            }
            ("settled", Effect::Settle { waiter, outcome, .. }) => {
                assert_eq!(waiter.unwrap(), step["as"]);
                let outcome = match outcome {
                    Outcome::Handled => "handled",
                    Outcome::Lost => "lost",
                    Outcome::Closed | Outcome::TooLong { .. } => panic!("{outcome:?}"),
                };
                assert_eq!(outcome, step["outcome"]);
            }
            ("message", Effect::Deliver(message)) => {
                assert_eq!(decode(&message).unwrap(), frame_of(&step["frame"]));
            }
            ("session", Effect::Tell(Event::Session { session, replay, .. })) => {
                assert_eq!(session.as_str(), step["session"]);
                assert_eq!(replay, step["replay"]);
            }
            (
                "ended",
                Effect::Tell(Event::Ended { cause: EndCause::ClosedByServer { code, reason } }),
            ) => {
                assert_eq!(code, step["code"]);
                assert_eq!(reason, step["reason"]);
            }
            (_, effect) => panic!("instead: {effect:?}"),
        }
    }
}

fn decode(message: &Message) -> Option<Frame> {
    JsonCodec.decode(InboundMessage::lent(message.kind, &message.bytes)).ok()
}

fn frame_of(json: &Value) -> Frame {
    let bytes = Bytes::from(json.to_string());
    decode(&Message { kind: MessageKind::Text, bytes }).expect("the vector's frame is one")
}

fn json_of(written: &Outgoing) -> Value {
    match written {
        Outgoing::Data(message) => serde_json::from_slice(&message.bytes).unwrap(),
        Outgoing::Control(text) => serde_json::from_str(text).unwrap(),
        Outgoing::Ping => panic!("a Ping, where a message was expected"),
    }
}

#[test]
fn every_conversation_of_the_vectors() {
    let vectors = include_str!("../../../../../docs/protocol/vectors.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let conversations = vectors["client"].as_array().unwrap();
    assert!(conversations.len() >= 20, "the vectors are there");
    for conversation in conversations {
        let mut client = Conversation::new();
        for (index, step) in conversation["steps"].as_array().unwrap().iter().enumerate() {
            println!("{} / {index}: {step}", conversation["name"]);
            client.play(step);
        }
        client.take_effects();
        assert!(
            client.seen.is_empty(),
            "{}: more happens: {:?}",
            conversation["name"],
            client.seen
        );
    }
}
