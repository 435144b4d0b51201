//! What one codec cannot express of who is in a room costs nobody else what the others can be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use serde_json::value::RawValue;
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage, MessagePackCodec};
use wspulse::{
    Connection, Frame, MessageKind, PayloadFormat, PresenceError, RoomOptions, Server,
    ServerBuilder,
};

use crate::support::codecs::{MSGPACK, Member};
use crate::support::house::open_house;
use crate::support::logs::Logs;
use crate::support::speaker::{JSON, configured};

/// Legal as JSON text, and no text in MessagePack, nor in Rust.
const HALF_A_CHARACTER: &str = r#"{"name":"\ud800"}"#;

/// What a picky codec does not express: metadata that say `odd`.
const ODD: &[u8] = br#""odd""#;

fn telling(builder: ServerBuilder) -> ServerBuilder {
    configured(builder).room_options(|_| RoomOptions::new().tell_presence())
}

fn raw(json: &str) -> Box<RawValue> {
    serde_json::from_str(json).unwrap()
}

fn conn(server: &Server, id: &str) -> Connection {
    server.connection(id).unwrap()
}

/// MessagePack that cannot express everything while it is picky.
struct Picky(Arc<AtomicBool>);

impl Codec for Picky {
    fn name(&self) -> Option<&str> {
        MessagePackCodec.name()
    }

    fn payload_format(&self) -> PayloadFormat {
        MessagePackCodec.payload_format()
    }

    fn kind(&self, frame: &Frame) -> MessageKind {
        MessagePackCodec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let is_odd = frame.payload().windows(ODD.len()).any(|it| it == ODD);
        if is_odd && self.0.load(Ordering::Relaxed) {
            return Err(EncodeError::new("odd"));
        }
        MessagePackCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        MessagePackCodec.decode(message)
    }
}

/// A server whose second codec is picky once it is told to be.
fn picky() -> (Server, Arc<AtomicBool>) {
    let is_picky = Arc::new(AtomicBool::new(false));
    let builder = telling(open_house()).also_codec(Picky(is_picky.clone()));
    (builder.build().unwrap(), is_picky)
}

#[tokio::test(start_paused = true)]
async fn metadata_that_a_codec_cannot_express_are_refused_and_change_nothing() {
    let (server, is_picky) = picky();
    is_picky.store(true, Ordering::Relaxed);
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    ann.heard().await;
    let own = conn(&server, "ann");
    own.set_presence("lobby", "even").unwrap();
    let refused = own.set_presence("lobby", "odd").unwrap_err();
    assert!(matches!(refused, PresenceError::Encode { .. }), "{refused}");
    assert_eq!(ann.heard().await.1["changes"][0]["meta"], "even");
}

#[tokio::test(start_paused = true)]
async fn metadata_that_are_no_text_are_refused_and_take_presence_from_nobody() {
    let server = telling(open_house()).also_codec(MessagePackCodec).build().unwrap();
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    bob.heard().await;
    let (mut eve, _) = Member::join(&server, JSON, "eve").await;
    eve.heard().await;
    bob.heard().await;
    let refused = conn(&server, "eve").set_presence("lobby", &raw(HALF_A_CHARACTER));
    conn(&server, "bob").set_presence("lobby", "typing").unwrap();
    for member in [&mut bob, &mut eve] {
        assert_eq!(
            member.heard().await.1["changes"],
            json!([
                {"connection": "bob", "state": "here", "meta": "typing"}
            ])
        );
    }
    assert!(matches!(refused, Err(PresenceError::Encode { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn metadata_that_are_no_text_are_refused_where_all_read_json() {
    let server = telling(open_house()).build().unwrap();
    let (_ann, _) = Member::join(&server, JSON, "ann").await;
    for metadata in [HALF_A_CHARACTER, "[1e999]"] {
        let refused = conn(&server, "ann").set_presence("lobby", &raw(metadata));
        assert!(matches!(refused, Err(PresenceError::Encode { .. })), "{metadata}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_fails_when_a_room_is_told_costs_no_more_than_what_it_cannot_express() {
    let (server, is_picky) = picky();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    ann.heard().await;
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    bob.heard().await;
    ann.heard().await;
    conn(&server, "ann").set_presence("lobby", "odd").unwrap();
    conn(&server, "bob").set_presence("lobby", "even").unwrap();
    is_picky.store(true, Ordering::Relaxed);
    let logs = Logs::capture();
    let anns = json!({"connection": "ann", "state": "here", "meta": "odd"});
    let bobs = json!({"connection": "bob", "state": "here", "meta": "even"});
    assert_eq!(ann.heard().await.1["changes"], json!([anns, bobs]));
    let without = json!({"connection": "ann", "state": "here"});
    assert_eq!(bob.heard().await.1["changes"], json!([without, bobs]));
    logs.one("ERROR", "a codec cannot express");
    // Nor is a snapshot lost.
    let (mut kim, _) = Member::join(&server, MSGPACK, "kim").await;
    let kims = json!({"connection": "kim", "state": "here"});
    assert_eq!(kim.heard().await.1["people"], json!([without, bobs, kims]));
}
