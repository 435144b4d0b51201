//! What the attacks share: the server's program, and asides for clients that break the rules.

#![allow(dead_code, reason = "every file of tests uses a part of it")]

use std::io;

use bytes::Bytes;
use wspulse::Frame;
use wspulse::testing::{Received, masked};
use wspulse_faults::clients::{Peer, close_code, hung_up, join, number, within};
use wspulse_faults::{Attacked, Siege};

/// The first byte of an unfragmented text message, and of others (RFC 6455 §5.2).
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const TEXT_WITHOUT_FIN: u8 = 0x01;
pub(crate) const CONTINUATION_WITHOUT_FIN: u8 = 0x00;
pub(crate) const LAST_CONTINUATION: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wspulse-faults");

/// A siege of a server with these arguments.
pub(crate) fn siege(arguments: &[&str]) -> Siege {
    Siege::lay(PROGRAM, arguments)
}

/// A server with these arguments that is left in peace.
pub(crate) fn server(arguments: &[&str]) -> Attacked {
    Attacked::start(PROGRAM, arguments)
}

pub(crate) fn program() -> &'static str {
    PROGRAM
}

/// An attacker who has got in.
pub(crate) async fn attacker(siege: &Siege, id: &str) -> Peer {
    join(siege.address(), "attackers", id).await.expect("it is let in like anybody")
}

/// Writes bytes and asserts with which code the server closes, and that it hangs up after.
pub(crate) async fn assert_closed_with(siege: &Siege, id: &str, bytes: &[u8], codes: &[u16]) {
    let mut peer = attacker(siege, id).await;
    // The server may have had enough before it has all.
    let _ = within(peer.write_raw(bytes)).await;
    let code = close_code(&mut peer).await;
    let code = code.unwrap_or_else(|error| panic!("{id}: {error} instead of a close frame"));
    assert!(code.is_some_and(|code| codes.contains(&code)), "{id}: {code:?}, not {codes:?}");
    drop(peer.into_stream());
}

/// Sends a frame to be echoed and waits for it.
pub(crate) async fn echoes(peer: &mut Peer, text: &str) {
    let frame = Frame::new("echo").json(&text).expect("text is JSON");
    within(peer.send(&frame)).await.expect("the server reads");
    assert_eq!(within(peer.frame()).await.expect("an echo"), frame);
}

/// Reads numbered frames and asserts that they are these, each once and in order.
pub(crate) async fn assert_numbers(peer: &mut Peer, numbers: std::ops::Range<u64>) {
    for expected in numbers {
        let frame = within(peer.frame()).await;
        let frame = frame.unwrap_or_else(|error| panic!("{error} instead of frame {expected}"));
        assert_eq!(number(&frame), expected);
    }
}

/// Sends a Close and waits until the server has answered and hung up.
pub(crate) async fn leave(mut peer: Peer) {
    peer.close(None).await.expect("the server reads");
    hung_up(&mut peer).await;
}

/// The next message's bytes.
pub(crate) async fn message(peer: &mut Peer) -> io::Result<Bytes> {
    loop {
        match within(peer.receive()).await? {
            Received::Message(_, payload) => return Ok(payload),
            Received::Ping(payload) => peer.pong(&payload).await?,
            Received::Pong(_) => {}
            other @ (Received::Close(_) | Received::End) => {
                return Err(io::Error::other(format!("{other:?} instead of a message")));
            }
        }
    }
}

/// A frame of the JSON codec as a client sends it, in one text message.
pub(crate) fn text_frame(event: &str, payload: &str) -> Bytes {
    masked(TEXT, format!(r#"{{"event":"{event}","payload":{payload}}}"#).as_bytes())
}
