//! Subprotocols: what a client offers, what the application chooses, what the 101 says.

use std::time::Duration;

use wspulse::{Admission, ConnectRequest, Delivery, Rejection, Server};

use crate::support::house::open_house;
use crate::support::http::head_with;
use crate::support::logs::Logs;

/// The subprotocol in the answer to a client that offers these, where this one is chosen.
async fn answered(chosen: &'static str, offered: &str) -> Option<String> {
    let admit = move |_| Ok::<_, Rejection>(Admission::room("lobby").protocol(chosen));
    let server = Server::builder_sync(admit).build().unwrap();
    let handshake = server.handshake(head_with(&[("sec-websocket-protocol", offered)])).unwrap();
    let accepted = handshake.connect().await.unwrap();
    let response = accepted.response();
    assert_eq!(response.status(), 101);
    let protocol = response.headers().get("sec-websocket-protocol")?;
    Some(protocol.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_subprotocol_that_the_client_offers_is_in_the_101() {
    for offered in ["chat.v2", "chat.v1, chat.v2", "token.abc ,\tchat.v2,"] {
        assert_eq!(answered("chat.v2", offered).await.as_deref(), Some("chat.v2"), "{offered}");
    }
}

#[tokio::test]
async fn a_subprotocol_that_the_client_does_not_offer_is_not_sent_and_logged() {
    for offered in ["chat.v1", "chat.V2", "chat.v2x", ""] {
        let logs = Logs::capture();
        assert_eq!(answered("chat.v2", offered).await, None, "{offered}");
        assert!(logs.one("DEBUG", "does not offer the subprotocol").contains("chat.v2"));
    }
}

/// The subprotocol in the answer of a server that promises this, whose application chooses none.
async fn negotiated(level: Delivery, offered: &str) -> Option<String> {
    let admit = |_| Ok::<_, Rejection>(Admission::room("lobby"));
    let builder = Server::builder_sync(admit).resume_window(Duration::from_mins(1));
    let server = builder.delivery(level).build().unwrap();
    let handshake = server.handshake(head_with(&[("sec-websocket-protocol", offered)])).unwrap();
    let accepted = handshake.connect().await.unwrap();
    let protocol = accepted.response().headers().get("sec-websocket-protocol")?;
    Some(protocol.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_protocol_of_exactly_once_is_chosen_where_it_is_promised() {
    for offered in ["wspulse.1+json", "token, wspulse.plain, wspulse.1+json"] {
        let chosen = negotiated(Delivery::ExactlyOnce, offered).await;
        assert_eq!(chosen.as_deref(), Some("wspulse.1+json"));
    }
}

#[tokio::test]
async fn a_client_that_offers_it_hears_that_a_server_promises_less() {
    let offered = "wspulse.1+json, wspulse.plain, wspulse.1.resume.YW5u.1.AAAA.7";
    for level in [Delivery::AtMostOnce, Delivery::AtLeastOnce] {
        assert_eq!(negotiated(level, offered).await.as_deref(), Some("wspulse.plain"));
    }
    let other_codec = negotiated(Delivery::ExactlyOnce, "wspulse.1+msgpack, wspulse.plain").await;
    assert_eq!(other_codec.as_deref(), Some("wspulse.plain"));
    assert_eq!(negotiated(Delivery::AtMostOnce, "wspulse.1+json").await, None);
}

#[tokio::test]
async fn the_connect_function_sees_the_offers_of_all_lines() {
    let server = open_house().build().unwrap();
    let mut parts = head_with(&[("sec-websocket-protocol", "chat, token.abc")]);
    parts.headers.append("sec-websocket-protocol", " old".parse().unwrap());
    let handshake = server.handshake(parts).unwrap();
    let offered: Vec<&str> = ConnectRequest::protocols(handshake.request()).collect();
    assert_eq!(offered, ["chat", "token.abc", "old"]);
}
