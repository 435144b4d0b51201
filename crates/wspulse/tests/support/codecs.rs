//! A server that has two codecs and counts what they encode, and clients of either.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use wspulse::codec::{
    Codec, DecodeError, EncodeError, InboundMessage, JsonCodec, MessagePackCodec,
};
use wspulse::testing::Received;
use wspulse::{Frame, MessageKind, PayloadFormat, Server, ServerBuilder};
use wspulse_core::protocol::{Hello, ResumeOffer};

use super::clients::Client;
use super::speaker::{JSON, Speaker, configured};

pub(crate) const MSGPACK: &str = "wspulse.1+msgpack";

/// How many frames each codec has encoded.
#[derive(Clone, Default)]
pub(crate) struct Encoded {
    json: Arc<AtomicUsize>,
    msgpack: Arc<AtomicUsize>,
}

impl Encoded {
    /// JSON, and MessagePack beside it.
    pub(crate) fn server(&self, builder: ServerBuilder) -> ServerBuilder {
        configured(builder)
            .codec(Counting { codec: JsonCodec, encoded: self.json.clone() })
            .also_codec(Counting { codec: MessagePackCodec, encoded: self.msgpack.clone() })
    }

    /// How many since the last time: in JSON, in MessagePack.
    pub(crate) fn take(&self) -> (usize, usize) {
        (self.json.swap(0, Ordering::Relaxed), self.msgpack.swap(0, Ordering::Relaxed))
    }
}

/// A codec that counts what it encodes.
struct Counting<C> {
    codec: C,
    encoded: Arc<AtomicUsize>,
}

impl<C: Codec> Codec for Counting<C> {
    fn name(&self) -> Option<&str> {
        self.codec.name()
    }

    fn payload_format(&self) -> PayloadFormat {
        self.codec.payload_format()
    }

    fn kind(&self, frame: &Frame) -> MessageKind {
        self.codec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encoded.fetch_add(1, Ordering::Relaxed);
        self.codec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        self.codec.decode(message)
    }
}

/// A client of `wspulse.1` and the codec that it reads.
pub(crate) struct Member {
    pub(crate) speaker: Speaker,
    kind: MessageKind,
}

impl Member {
    /// Begins a session in the room `lobby`, or tries to.
    pub(crate) async fn join(server: &Server, offer: &str, id: &str) -> (Self, Hello) {
        let target = format!("/ws?id={id}&room=lobby");
        Self::come(server, &target, &[offer]).await
    }

    /// Comes with the token and the count of a session.
    pub(crate) async fn come_back(
        server: &Server,
        offer: &str,
        target: &str,
        hello: &Hello,
        count: u64,
    ) -> (Self, Hello) {
        let resume = ResumeOffer { token: hello.token.clone(), count }.to_string();
        Self::come(server, target, &[offer, &resume]).await
    }

    pub(crate) async fn come(server: &Server, target: &str, offers: &[&str]) -> (Self, Hello) {
        let mut speaker = Speaker::dial(server, target, offers).await;
        let hello = speaker.hello().await;
        let kind = match offers[0] {
            JSON => MessageKind::Text,
            MSGPACK => MessageKind::Binary,
            other => panic!("{other}"),
        };
        (Self { speaker, kind }, hello)
    }

    /// On a transport whose handshake is done.
    pub(crate) fn of(client: Client, kind: MessageKind) -> Self {
        Self { speaker: Speaker { client }, kind }
    }

    /// On a transport whose handshake is done, behind its hello.
    pub(crate) async fn greeted(client: Client, kind: MessageKind) -> Self {
        let mut member = Self::of(client, kind);
        member.speaker.hello().await;
        member
    }

    pub(crate) async fn say(&mut self, frame: &Frame) {
        let mut message = Vec::new();
        self.codec().encode(frame, &mut message).unwrap();
        self.speaker.client.write_message(self.kind, &message).await.unwrap();
    }

    fn codec(&self) -> &'static dyn Codec {
        match self.kind {
            MessageKind::Text => &JsonCodec,
            MessageKind::Binary => &MessagePackCodec,
        }
    }

    /// The next frame, which must be in this member's codec; questions pass.
    pub(crate) async fn hear(&mut self) -> Frame {
        loop {
            match self.speaker.client.receive().await.unwrap() {
                Received::Message(MessageKind::Text, text) if text.starts_with(b"[") => {}
                Received::Message(kind, message) => {
                    assert_eq!(kind, self.kind);
                    return self.codec().decode(InboundMessage::owned(kind, message)).unwrap();
                }
                Received::Ping(payload) => self.speaker.client.pong(&payload).await.unwrap(),
                other => panic!("a frame was due, {other:?} came"),
            }
        }
    }

    /// The event and the payload of the next frame.
    pub(crate) async fn heard(&mut self) -> (String, Value) {
        let frame = self.hear().await;
        (frame.event().to_owned(), frame.to_json().unwrap())
    }
}
