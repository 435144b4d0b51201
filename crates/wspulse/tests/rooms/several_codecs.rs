//! One room, members of several codecs: what each of them hears, and what that costs.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use serde_json::{Value, json};
use wspulse::codec::{
    Codec, DecodeError, EncodeError, InboundMessage, JsonCodec, MessagePackCodec,
};
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{Recorder, TestClient, request_parts};
use wspulse::{
    Admission, BroadcastError, Connection, Frame, MessageKind, PayloadFormat, SendError, Server,
    ServerBuilder,
};

use crate::support::clock::settle;
use crate::support::codecs::{Encoded, MSGPACK, Member};
use crate::support::house::open_house;
use crate::support::speaker::{Heard, JSON, configured, dropped};
use crate::support::stage::Stage;
use crate::support::taker::Taker;

fn two_codecs(builder: ServerBuilder) -> ServerBuilder {
    configured(builder).also_codec(MessagePackCodec)
}

fn stage() -> Stage {
    Stage::new(two_codecs)
}

fn frame(number: usize) -> Frame {
    Frame::new("n").json(&number).unwrap()
}

fn number(number: usize) -> (String, Value) {
    ("n".to_owned(), json!(number))
}

/// No form in JSON.
fn not_a_number() -> Frame {
    Frame::new("nan").msgpack(&f64::NAN).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_one_says_all_hear_in_their_own_codecs_and_in_one_order() {
    let server = two_codecs(open_house())
        .on_message(|conn: Connection, frame: Frame| {
            conn.room().broadcast(frame).unwrap();
        })
        .build()
        .unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    for round in 0..20 {
        ann.say(&Frame::new("ann").json(&json!({"z": round, "a": [1.5, "x"]})).unwrap()).await;
        bob.say(&Frame::new("bob").msgpack(&(round, "x")).unwrap()).await;
    }
    let (mut anns, mut bobs) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        anns.push(ann.heard().await);
        bobs.push(bob.heard().await);
    }
    assert_eq!(anns, bobs);
    for round in 0..20 {
        assert!(anns.contains(&("ann".to_owned(), json!({"z": round, "a": [1.5, "x"]}))));
        assert!(anns.contains(&("bob".to_owned(), json!([round, "x"]))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broadcasts_of_many_threads_have_one_order_in_all_codecs() {
    const EACH: usize = 100;
    let server = two_codecs(open_house()).send_buffer_size(4096).build().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    for thread in 0..4 {
        let server = server.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                assert_eq!(server.broadcast("lobby", frame(thread * EACH + n)).unwrap().reached, 2);
                tokio::task::yield_now().await;
            }
        });
    }
    let (mut anns, mut bobs) = (Vec::new(), Vec::new());
    for _ in 0..4 * EACH {
        anns.push(ann.heard().await);
        bobs.push(bob.heard().await);
        // What is not acknowledged is bounded.
        ann.speaker.ack(anns.len() as u64).await;
        bob.speaker.ack(bobs.len() as u64).await;
    }
    assert_eq!(anns, bobs);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_is_encoded_once_for_each_codec_that_is_there() {
    let encoded = Encoded::default();
    let mut stage = Stage::new(|builder| encoded.server(builder));
    let broadcast = |server: &Server| {
        server.broadcast("lobby", frame(1)).unwrap();
        encoded.take()
    };
    let (_ann, _) = Member::join(&stage.server, JSON, "ann").await;
    let (_amy, _) = Member::join(&stage.server, JSON, "amy").await;
    assert_eq!(broadcast(&stage.server), (1, 0));
    let (_bob, _) = Member::join(&stage.server, MSGPACK, "bob").await;
    let (ben, _) = Member::join(&stage.server, MSGPACK, "ben").await;
    assert_eq!(broadcast(&stage.server), (1, 1));
    let plain = TestClient::connect(&stage.server, "/ws?id=carl&room=lobby").await.unwrap();
    assert_eq!(broadcast(&stage.server), (1, 1));
    drop((ben, plain));
    dropped(&mut stage).await;
    dropped(&mut stage).await;
    assert_eq!(broadcast(&stage.server), (1, 1), "who is suspended is a member");
    stage.server.kick("ann").unwrap();
    stage.server.kick("amy").unwrap();
    stage.server.kick("carl").unwrap();
    assert_eq!(broadcast(&stage.server), (0, 1));
    stage.server.kick("bob").unwrap();
    stage.server.kick("ben").unwrap();
    assert_eq!(broadcast(&stage.server), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_codec_whose_last_member_has_left_encodes_nothing_more() {
    let encoded = Encoded::default();
    let server = encoded.server(open_house()).build().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    let (_bob, _) = Member::join(&server, MSGPACK, "bob").await;
    server.kick("bob").unwrap();
    assert_eq!(server.broadcast("lobby", frame(1)).unwrap().reached, 1);
    assert_eq!(encoded.take(), (1, 0));
    assert_eq!(ann.heard().await, number(1));
}

#[tokio::test(start_paused = true)]
async fn the_codec_of_one_who_is_left_out_encodes_nothing_for_that() {
    let encoded = Encoded::default();
    let server = encoded.server(open_house()).build().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    let connection = server.connection("bob").unwrap();
    assert_eq!(server.broadcast_except("lobby", &connection, frame(1)).unwrap().reached, 1);
    assert_eq!(encoded.take(), (1, 0));
    let (_eve, _) = Member::come(&server, "/ws?id=eve&room=attic", &[MSGPACK]).await;
    let elsewhere = server.connection("eve").unwrap();
    assert_eq!(server.broadcast_except("lobby", &elsewhere, frame(2)).unwrap().reached, 2);
    assert_eq!(encoded.take(), (1, 1));
    assert_eq!((ann.heard().await, ann.heard().await), (number(1), number(2)));
    assert_eq!(bob.heard().await, number(2));
}

#[tokio::test(start_paused = true)]
async fn a_direct_send_is_encoded_in_the_codec_of_its_connection_alone() {
    let encoded = Encoded::default();
    let server = encoded.server(open_house()).build().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    server.send("ann", frame(1)).unwrap();
    assert_eq!(encoded.take(), (1, 0));
    server.send("bob", frame(2)).unwrap();
    assert_eq!(encoded.take(), (0, 1));
    assert_eq!(ann.heard().await, number(1));
    assert_eq!(bob.heard().await, number(2));
}

#[tokio::test(start_paused = true)]
async fn bytes_of_which_nobody_has_said_what_they_are_are_in_the_default_codecs_format() {
    let stage = stage();
    let (mut bob, _) = Member::join(&stage.server, MSGPACK, "bob").await;
    // As MessagePack it would be 55.
    stage.server.broadcast("lobby", Frame::new("n").with_payload("7")).unwrap();
    stage.server.send("bob", Frame::new("n").with_payload("7")).unwrap();
    assert_eq!(bob.heard().await, number(7));
    assert_eq!(bob.heard().await, number(7));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_one_codec_of_the_room_cannot_express_reaches_nobody() {
    let stage = stage();
    let (mut ann, _) = Member::join(&stage.server, JSON, "ann").await;
    let (mut bob, _) = Member::join(&stage.server, MSGPACK, "bob").await;
    let too_large = || Frame::new("large").with_payload("1e400");
    for (unfit, name) in [(not_a_number(), "json"), (too_large(), "msgpack")] {
        let refused = stage.server.broadcast("lobby", unfit.clone()).unwrap_err();
        let BroadcastError::Encode { codec, .. } = &refused else { panic!("{refused}") };
        assert_eq!(codec.as_deref(), Some(name));
        let text = refused.to_string();
        assert!(text.starts_with(&format!("wspulse: codec {name:?}: frame with event ")), "{text}");
        assert_eq!(refused.into_frame(), unfit);
    }
    ann.speaker.hears_nothing().await;
    bob.speaker.hears_nothing().await;
    for id in ["ann", "bob"] {
        assert_eq!(stage.server.connection(id).unwrap().outbound_stats().accepted, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_of_one_codec_takes_what_the_others_cannot_express() {
    let stage = stage();
    let (mut bob, _) = Member::join(&stage.server, MSGPACK, "bob").await;
    assert_eq!(stage.server.broadcast("lobby", not_a_number()).unwrap().reached, 1);
    assert!(bob.hear().await.to_msgpack::<f64>().unwrap().is_nan());
    let _plain = TestClient::connect(&stage.server, "/ws?id=carl&room=lobby").await.unwrap();
    assert!(stage.server.broadcast("lobby", not_a_number()).is_err());
    let refused = stage.server.send("carl", not_a_number()).unwrap_err();
    assert!(matches!(refused, SendError::Encode { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_room_without_members_takes_what_no_codec_can_express() {
    let stage = stage();
    assert_eq!(
        stage.server.broadcast("nowhere", Frame::new("n").with_payload("{")).unwrap().reached,
        0
    );
}

/// A JSON codec, during whose first encoding something else happens.
struct Meanwhile(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Codec for Meanwhile {
    fn name(&self) -> Option<&str> {
        Some("json")
    }

    fn payload_format(&self) -> PayloadFormat {
        PayloadFormat::Json
    }

    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Some(happen) = self.0.lock().unwrap().take() {
            happen();
        }
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        JsonCodec.decode(message)
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_while_a_broadcast_is_encoded_hears_it_in_a_codec_of_his_own() {
    let late = Arc::new(Mutex::new(None));
    let server = Arc::new(Mutex::new(None::<Server>));
    let meanwhile = {
        let (late, server) = (late.clone(), server.clone());
        move || {
            let server = server.lock().unwrap().clone().unwrap();
            let mut parts = request_parts("/ws");
            parts.headers.insert("sec-websocket-protocol", MSGPACK.parse().unwrap());
            let admission = Admission::room("lobby").id("bob");
            let accepted = server.handshake(parts).unwrap().admit(admission);
            let accepted = accepted.now_or_never().expect("alone, it waits for nobody").unwrap();
            let (near, far) = tokio::io::duplex(1 << 16);
            accepted.attach(far, &[]);
            *late.lock().unwrap() = Some(TestClient::new(near));
        }
    };
    let codec = Meanwhile(Mutex::new(Some(Box::new(meanwhile))));
    *server.lock().unwrap() = Some(two_codecs(open_house()).codec(codec).build().unwrap());
    let server = server.lock().unwrap().clone().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    assert_eq!(server.broadcast("lobby", frame(1)).unwrap().reached, 2);
    assert_eq!(ann.heard().await, number(1));
    let client = late.lock().unwrap().take().unwrap();
    let mut bob = Member::greeted(client, MessageKind::Binary).await;
    assert_eq!(bob.heard().await, number(1));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_is_told_with_all_its_encodings_and_members() {
    let recorder = Recorder::default();
    let server = two_codecs(open_house()).metrics(recorder.clone()).build().unwrap();
    let (_ann, _) = Member::join(&server, JSON, "ann").await;
    let (_amy, _) = Member::join(&server, JSON, "amy").await;
    let (_bob, _) = Member::join(&server, MSGPACK, "bob").await;
    server.broadcast("lobby", Frame::new("n")).unwrap();
    let (json, msgpack) = (r#"{"event":"n"}"#.len(), b"\x81\xa5event\xa1n".len());
    let told = format!("message_broadcast lobby {} 3", json + msgpack);
    assert_eq!(recorder.only("message_broadcast"), [told]);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_beside_frames_is_the_same_in_every_codec() {
    let mut stage = stage();
    let (mut bob, _) = Member::join(&stage.server, MSGPACK, "bob").await;
    let connection = stage.connected().await;
    bob.say(&Frame::new("hi").msgpack(&1).unwrap()).await;
    bob.speaker.ask().await;
    assert_eq!(bob.speaker.hear().await, Heard::Ack(1));
    connection.send(frame(1)).unwrap();
    assert_eq!(bob.heard().await, number(1));
    assert_eq!(bob.speaker.hear().await, Heard::Ask);
    bob.speaker.ack(1).await;
    settle().await;
    assert_eq!(connection.outbound_stats().acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_none_in_the_codec_of_its_connection_is_undecodable() {
    let server = two_codecs(open_house())
        .on_message(|_: Connection, _: Frame| {})
        .on_undecodable(|conn, _| conn.send(Frame::new("what?")).unwrap())
        .build()
        .unwrap();
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    bob.speaker.write(r#"{"event":"n"}"#).await;
    assert_eq!(bob.hear().await.event(), "what?");
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_has_the_default_codec_and_its_announcement_in_it() {
    let server = configured(open_house())
        .announce_sessions(true)
        .codec(MessagePackCodec)
        .also_codec(JsonCodec)
        .build()
        .unwrap();
    let client = TestClient::connect(&server, "/ws?id=ann&room=lobby").await.unwrap();
    let mut ann = Member::of(client, MessageKind::Binary);
    let announced = ("session".to_owned(), json!({"session": "new", "replay": 0}));
    assert_eq!(ann.heard().await, announced);
    let (mut bob, _) = Member::join(&server, JSON, "bob").await;
    server.broadcast("lobby", frame(1)).unwrap();
    assert_eq!((ann.heard().await, bob.heard().await), (number(1), number(1)));
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_joined_for_the_members_of_each_codec_although_they_take_turns() {
    const MEMBERS: usize = 16;
    const FRAMES: usize = 16;
    let server = two_codecs(open_house()).build().unwrap();
    let taker = Taker::default();
    for member in 0..MEMBERS {
        let mut parts = request_parts(&format!("/ws?room=room&id={member}"));
        let codec = [JSON, MSGPACK][member % 2];
        parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, codec.parse().unwrap());
        server.handshake(parts).unwrap().connect().await.unwrap().attach(taker.clone(), &[]);
    }
    settle().await;
    let before = taker.slices();
    for n in 0..FRAMES {
        server.broadcast("room", frame(n)).unwrap();
    }
    settle().await;
    // The first of each codec writes them one by one.
    assert_eq!(taker.slices() - before, 2 * FRAMES + (MEMBERS - 2));
}
