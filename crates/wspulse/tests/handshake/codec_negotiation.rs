//! Which codec a session has: who asks for it, how long it stays, and what a server may offer.

use wspulse::codec::{
    Codec, DecodeError, EncodeError, InboundMessage, JsonCodec, MessagePackCodec,
};
use wspulse::{
    Admission, CloseCode, Connection, ConnectionState, Delivery, Disconnect, Frame, MessageKind,
    Server, ServerBuilder,
};
use wspulse_core::protocol::SessionKind;

use crate::support::bounds::{assert_refused, assert_valid};
use crate::support::clock::settle;
use crate::support::codecs::{MSGPACK, Member};
use crate::support::house::open_house;
use crate::support::http::head_with;
use crate::support::speaker::{Heard, JSON, Speaker, configured, disconnected, dropped, event};
use crate::support::stage::Stage;

const ANN: &str = "/ws?id=ann&room=lobby";

fn two_codecs(builder: ServerBuilder) -> ServerBuilder {
    configured(builder).also_codec(MessagePackCodec)
}

fn stage() -> Stage {
    Stage::new(two_codecs)
}

fn codec_of(connection: &Connection) -> &str {
    connection.codec().name().unwrap()
}

/// The subprotocol that is chosen of these.
async fn negotiated(offered: &str) -> Option<String> {
    let server = two_codecs(open_house()).build().unwrap();
    let handshake = server.handshake(head_with(&[("sec-websocket-protocol", offered)])).unwrap();
    let accepted = handshake.connect().await.unwrap();
    let chosen = accepted.response().headers().get("sec-websocket-protocol")?;
    Some(chosen.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_clients_first_offer_that_the_server_has_is_chosen() {
    for (offered, chosen) in [
        ("wspulse.1+json", JSON),
        ("wspulse.1+msgpack", MSGPACK),
        ("wspulse.1+json, wspulse.1+msgpack", JSON),
        ("wspulse.1+msgpack, wspulse.1+json", MSGPACK),
        ("wspulse.1+cbor, wspulse.plain, wspulse.1+msgpack, wspulse.1+json", MSGPACK),
        ("wspulse.1+cbor, wspulse.plain", "wspulse.plain"),
    ] {
        assert_eq!(negotiated(offered).await.as_deref(), Some(chosen), "{offered}");
    }
    assert_eq!(negotiated("wspulse.1+cbor, wspulse.1+").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_tells_its_codec() {
    let server = two_codecs(open_house()).build().unwrap();
    let (_ann, _) = Member::join(&server, JSON, "ann").await;
    let (_bob, _) = Member::join(&server, MSGPACK, "bob").await;
    let _carl = Speaker::dial(&server, "/ws?id=carl", &["wspulse.plain"]).await;
    let codecs =
        ["ann", "bob", "carl"].map(|id| codec_of(&server.connection(id).unwrap()).to_owned());
    assert_eq!(codecs, ["json", "msgpack", "json"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_the_applications_own_subprotocol_has_the_default_codec() {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann").protocol("chat")));
    let server = two_codecs(server).build().unwrap();
    let _ann = Speaker::dial(&server, ANN, &[MSGPACK, "chat"]).await;
    assert_eq!(codec_of(&server.connection("ann").unwrap()), "json");
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_its_codec_and_what_waits_in_it() {
    let mut stage = stage();
    let (mut ann, hello) = Member::join(&stage.server, MSGPACK, "ann").await;
    let connection = stage.connected().await;
    connection.send(event("a")).unwrap();
    connection.send(event("b")).unwrap();
    assert_eq!(ann.hear().await.event(), "a");
    settle().await;
    drop(ann);
    dropped(&mut stage).await;
    stage.server.broadcast("lobby", event("c")).unwrap();
    let (mut ann, resumed) = Member::come_back(&stage.server, MSGPACK, ANN, &hello, 1).await;
    assert_eq!((resumed.session, resumed.replay), (SessionKind::Resumed, 2));
    connection.send(event("d")).unwrap();
    for name in ["b", "c", "d"] {
        assert_eq!(ann.hear().await.event(), name);
    }
    assert_eq!(codec_of(&connection), "msgpack");
}

/// A session in MessagePack whose client has spoken, and is gone.
async fn left_behind(stage: &mut Stage) -> (wspulse_core::protocol::Hello, Connection) {
    let (mut ann, hello) = Member::join(&stage.server, MSGPACK, "ann").await;
    let connection = stage.connected().await;
    ann.say(&event("hi")).await;
    settle().await;
    drop(ann);
    dropped(stage).await;
    connection.send(event("missed")).unwrap();
    (hello, connection)
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_with_another_codec_begins_a_new_session() {
    let mut stage = stage();
    let (hello, old) = left_behind(&mut stage).await;
    let (mut ann, begun) = Member::come_back(&stage.server, JSON, ANN, &hello, 0).await;
    assert_eq!((begun.session, begun.received, begun.replay), (SessionKind::New, 0, 0));
    let disconnect = disconnected(&mut stage).await;
    assert!(matches!(disconnect, Disconnect::Duplicate), "{disconnect:?}");
    assert_eq!(old.state(), ConnectionState::Closed);
    let new = stage.server.connection("ann").unwrap();
    assert_eq!(codec_of(&new), "json");
    new.send(event("a")).unwrap();
    assert_eq!(ann.hear().await.event(), "a", "what was missed is in no codec of his");
}

#[tokio::test(start_paused = true)]
async fn a_session_without_an_id_of_the_applications_waits_on_for_its_own_codec() {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")));
    let server = two_codecs(server).build().unwrap();
    let (ann, hello) = Member::come(&server, "/ws", &[MSGPACK]).await;
    drop(ann);
    settle().await;
    let (_other, begun) = Member::come_back(&server, JSON, "/ws", &hello, 0).await;
    assert_eq!(begun.session, SessionKind::New);
    assert_ne!(begun.id, hello.id);
    assert_eq!(server.connection(&hello.id).unwrap().state(), ConnectionState::Suspended);
    let (_ann, resumed) = Member::come_back(&server, MSGPACK, "/ws", &hello, 0).await;
    assert_eq!((resumed.session, resumed.id), (SessionKind::Resumed, hello.id));
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_first_hello_was_lost_is_not_for_a_client_of_another_codec() {
    let mut stage = stage();
    drop(Speaker::dial(&stage.server, ANN, &[MSGPACK]).await);
    let first = stage.connected().await;
    first.send(event("welcome")).unwrap();
    dropped(&mut stage).await;
    let (_ann, hello) = Member::join(&stage.server, JSON, "ann").await;
    assert_eq!((hello.session, hello.replay), (SessionKind::New, 0));
    assert_eq!(first.state(), ConnectionState::Closed);
    assert_eq!(codec_of(&stage.server.connection("ann").unwrap()), "json");
}

#[tokio::test(start_paused = true)]
async fn a_worthless_token_is_worthless_in_every_codec() {
    let mut stage = stage();
    let (hello, connection) = left_behind(&mut stage).await;
    let (mut ann, _) = Member::come_back(&stage.server, MSGPACK, ANN, &hello, 0).await;
    ann.speaker.ask().await;
    settle().await;
    let mut late = Speaker::come_back(&stage.server, ANN, &hello.token, 0).await;
    let Heard::Closed(Some(close)) = late.hear().await else { panic!("it goes on") };
    assert_eq!(close.code(), CloseCode::FRAMES_LOST);
    assert_eq!(connection.state(), ConnectionState::Connected);
}

/// A codec by the name that it has, if any.
struct Named(Option<&'static str>);

impl Codec for Named {
    fn name(&self) -> Option<&str> {
        self.0
    }

    fn kind(&self, frame: &Frame) -> MessageKind {
        JsonCodec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        JsonCodec.decode(message)
    }
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h-8"];

/// A server with JSON and so many codecs.
fn with_codecs(builder: ServerBuilder, count: usize) -> ServerBuilder {
    let names = NAMES.into_iter().take(count);
    names.fold(configured(builder), |builder, name| builder.also_codec(Named(Some(name))))
}

#[test]
fn a_server_has_up_to_8_codecs() {
    assert_valid(|builder| with_codecs(builder, 7));
    let rule = "there may be at most 8 codecs, the default one counted";
    assert_refused(|builder| with_codecs(builder, 8), "also_codec", "9", rule);
}

#[tokio::test(start_paused = true)]
async fn each_of_8_codecs_can_be_asked_for() {
    let server = with_codecs(open_house(), 7).build().unwrap();
    for name in &NAMES[..7] {
        let target = format!("/ws?id={name}");
        let offer = format!("wspulse.1+{name}");
        let _client = Speaker::dial(&server, &target, &[&*offer]).await;
        assert_eq!(codec_of(&server.connection(name).unwrap()), *name);
    }
}

#[test]
fn two_codecs_of_one_name_are_refused() {
    let rule = "no two codecs may have one name";
    assert_refused(
        |builder| configured(builder).also_codec(JsonCodec),
        "also_codec",
        "\"json\"",
        rule,
    );
    assert_refused(
        |builder| two_codecs(builder).also_codec(MessagePackCodec),
        "also_codec",
        "\"msgpack\"",
        rule,
    );
    assert_valid(|builder| two_codecs(builder).codec(Named(None)));
    assert_valid(|builder| configured(builder).also_codec(JsonCodec).codec(MessagePackCodec));
}

#[test]
fn a_further_codec_that_cannot_be_asked_for_is_refused() {
    let rule = "clients ask for it by a name of letters, digits and -";
    for (name, value) in [(None, "None"), (Some(""), "Some(\"\")"), (Some("a,b"), "Some(\"a,b\")")]
    {
        assert_refused(
            |builder| configured(builder).also_codec(Named(name)),
            "also_codec",
            value,
            rule,
        );
    }
    let rule = "only clients of wspulse.1 can ask for it, which takes Delivery::ExactlyOnce";
    assert_refused(
        |builder| two_codecs(builder).delivery(Delivery::AtLeastOnce),
        "also_codec",
        "AtLeastOnce",
        rule,
    );
}
