//! An application that lets clients in by itself has their sessions go on at any server as well.

use tokio::io::duplex;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, Frame};
use wspulse_core::protocol::{ResumeOffer, SessionKind};

use super::cluster_of;
use super::support::speaker::{JSON, Speaker};
use super::traveller::{ANN, Traveller, exactly_once};

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_where_its_client_is_admitted_by_hand() {
    let servers = cluster_of(&MemoryNetwork::new(), 2, exactly_once).await;
    let mut ann = Traveller::begin(&servers[0]).await;
    servers[0].send("ann", Frame::new("waits")).unwrap();
    let mut parts = request_parts(ANN);
    let resume = ResumeOffer { token: ann.hello.token.clone(), count: ann.had };
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, format!("{JSON}, {resume}").parse().unwrap());
    let handshake = servers[1].handshake(parts).unwrap();
    let accepted = handshake.admit(Admission::room("lobby").id("ann")).await.unwrap();
    let (near, far) = duplex(1 << 16);
    accepted.attach(far, &[]);
    ann.speaker = Speaker { client: TestClient::new(near) };
    ann.hello = ann.speaker.hello().await;
    assert_eq!(ann.hello.session, SessionKind::Resumed);
    ann.hears(&["waits"]).await;
    assert!(servers[0].connection("ann").is_none());
}
