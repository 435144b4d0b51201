//! What a server answers to an offer, and what it sends then, played by the test.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use wspulse_client::{Cause, ClientBuilder, Compression, Event, Frame, Messages, Sessions};
use wspulse_core::deflate::{Level, WindowBits, compress, inflate};

use crate::support::stage::{Stage, connect, next};

const AGREED: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";

const TEXT: u8 = 0x81;
const COMPRESSED_TEXT: u8 = 0xc1;
const CLOSE: u8 = 0x88;

/// A plain client that offers compression.
fn offering(builder: ClientBuilder) -> ClientBuilder {
    builder.sessions(Sessions::Never).compression(Compression::new().min_bytes(100))
}

/// The server's end of a WebSocket that takes compressed messages.
struct Peer(DuplexStream);

impl Peer {
    async fn agree(stage: &mut Stage) -> Self {
        Self(stage.request().await.accept_with("", AGREED).await)
    }

    async fn say(&mut self, first: u8, payload: &[u8]) {
        let len = u16::try_from(payload.len()).expect("no longer one here").to_be_bytes();
        self.0.write_all(&[&[first, 126], &len[..], payload].concat()).await.unwrap();
    }

    /// The next frame of the client's: its first byte, and its payload.
    async fn hear(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let len = match self.0.read_u8().await.unwrap() - 0x80 {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            len => usize::from(len),
        };
        let mask = self.0.read_u32().await.unwrap().to_be_bytes();
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).await.unwrap();
        for (byte, key) in payload.iter_mut().zip(mask.into_iter().cycle()) {
            *byte ^= key;
        }
        (first, payload)
    }

    async fn close_code(&mut self) -> u16 {
        let (first, payload) = self.hear().await;
        assert_eq!(first, CLOSE);
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

fn small(text: &[u8]) -> Vec<u8> {
    compress(text, WindowBits::MAX, Level::default()).expect("it repeats")
}

fn text(number: u32) -> String {
    serde_json::json!({ "event": "n", "payload": vec![number; 500] }).to_string()
}

async fn disconnected(messages: &mut Messages) -> Cause {
    loop {
        let event = messages.next().await.expect("an event before the end");
        if let Event::Disconnected { cause, .. } = event {
            return cause;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_offer_declines_context_takeover_of_both() {
    let (_client, _messages, mut stage) = connect(offering);
    let request = stage.request().await;
    let offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(request.header("sec-websocket-extensions"), Some(offer));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_not_offered_fails_the_attempt() {
    for (answer, text) in [
        ("permessage-deflate", "has not answered `server_no_context_takeover`"),
        ("permessage-deflate; client_no_context_takeover", "`server_no_context_takeover`"),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=15", "client_max"),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=16", "server_max"),
        ("x-webkit-deflate-frame", "which was not offered"),
        ("permessage-deflate; =", "no list of extensions"),
        ("", "no list of extensions"),
    ] {
        let (_client, mut messages, mut stage) = connect(offering);
        let headers = format!("Sec-WebSocket-Extensions: {answer}\r\n");
        let _peer = stage.request().await.accept_with("", &headers).await;
        let Some(Event::Reconnecting { cause, .. }) = messages.next().await else {
            panic!("it is connected by {answer}");
        };
        assert!(matches!(cause, Cause::Unreachable(_)), "{cause:?}");
        assert!(cause.to_string().contains(text), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_no_offer_fails_the_attempt() {
    let (_client, mut messages, mut stage) = connect(|builder| builder);
    let _peer = stage.request().await.accept_with("", AGREED).await;
    let Some(Event::Reconnecting { cause, .. }) = messages.next().await else {
        panic!("it is connected");
    };
    assert!(cause.to_string().contains("not offered"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn from_which_size_on_messages_are_compressed_is_the_applications_choice() {
    let (client, _messages, mut stage) = connect(offering);
    let mut peer = Peer::agree(&mut stage).await;
    let payload = |bytes: usize| format!("\"{}\"", "a".repeat(bytes));
    // `{"payload":""}` has 14 bytes more.
    for (bytes, is_compressed) in [(85, false), (86, true)] {
        let frame = Frame::default().with_payload(payload(bytes));
        client.post(frame).unwrap();
        let (first, heard) = peer.hear().await;
        let expected = format!("{{\"payload\":{}}}", payload(bytes)).into_bytes();
        if is_compressed {
            let mut inflated = Vec::new();
            inflate(&heard, 1_000, &mut inflated).unwrap();
            assert_eq!((first, inflated), (COMPRESSED_TEXT, expected));
        } else {
            assert_eq!((first, heard), (TEXT, expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_compressed_in_fragments_with_pings_between_is_heard_whole() {
    let (_client, mut messages, mut stage) = connect(offering);
    let mut peer = Peer::agree(&mut stage).await;
    for number in 0..3 {
        let compressed = small(text(number).as_bytes());
        let (first, rest) = compressed.split_at(10);
        peer.say(0x41, first).await;
        peer.say(0x89, b"between").await;
        peer.say(0x00, b"").await;
        peer.say(0x80, rest).await;
        peer.say(TEXT, b"{\"event\":\"plain\"}").await;
        assert_eq!(peer.hear().await, (0x8a, b"between".to_vec()));
    }
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    for number in 0..3 {
        let Event::Message(frame) = next(&mut messages).await else { panic!("no message") };
        assert_eq!(frame.to_json::<Vec<u32>>().unwrap(), vec![number; 500]);
        let Event::Message(frame) = next(&mut messages).await else { panic!("no message") };
        assert_eq!(frame.event(), "plain");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_grows_beyond_the_limit_ends_the_connection_with_1009() {
    for bytes in [10_001, 9_000_000] {
        let (_client, mut messages, mut stage) =
            connect(|builder| offering(builder).max_message_size(10_000));
        let mut peer = Peer::agree(&mut stage).await;
        peer.say(COMPRESSED_TEXT, &small(&vec![b' '; bytes])).await;
        assert_eq!(peer.close_code().await, 1009);
        let cause = disconnected(&mut messages).await;
        assert!(matches!(cause, Cause::MessageTooLong), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_deflater_writes_ends_the_connection_with_1007() {
    let (_client, mut messages, mut stage) = connect(offering);
    let mut peer = Peer::agree(&mut stage).await;
    peer.say(COMPRESSED_TEXT, &[0x07; 8]).await;
    assert_eq!(peer.close_code().await, 1007);
    let cause = disconnected(&mut messages).await;
    assert!(cause.to_string().contains("cannot be inflated"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_compressed_message_without_an_agreement_ends_the_connection_with_1002() {
    let (_client, mut messages, mut stage) = connect(offering);
    let mut peer = Peer(stage.request().await.accept_with("", "").await);
    peer.say(COMPRESSED_TEXT, &small(text(1).as_bytes())).await;
    assert_eq!(peer.close_code().await, 1002);
    let cause = disconnected(&mut messages).await;
    assert!(cause.to_string().contains("reserved bits"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_masked_frame_of_a_servers_ends_the_connection_with_1002() {
    let (_client, mut messages, mut stage) = connect(offering);
    let mut peer = Peer::agree(&mut stage).await;
    peer.0.write_all(&[TEXT, 0x80, 1, 2, 3, 4]).await.unwrap();
    assert_eq!(peer.close_code().await, 1002);
    let cause = disconnected(&mut messages).await;
    assert!(cause.to_string().contains("masked"), "{cause}");
}
