//! A frame that is sent to another server is written there in the codec of the connection.

use wspulse::cluster::NotSent;
use wspulse::codec::{JsonCodec, MessagePackCodec};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{Frame, PayloadFormat};

use super::asking::{asking, two};
use super::support::codecs::{Encoded, MSGPACK, Member};
use super::support::speaker::JSON;
use super::{come, know_each_other, node, rooms};

#[tokio::test(start_paused = true)]
async fn each_connection_elsewhere_gets_the_frame_in_its_codec() {
    let encoded = Encoded::default();
    let network = MemoryNetwork::new();
    let (servers, _) = two(&network, || encoded.server(rooms())).await;
    let (mut ann, _) = Member::join(&servers[1], MSGPACK, "ann").await;
    let (mut bob, _) = Member::join(&servers[1], JSON, "bob").await;
    let frame = Frame::new("n").json(&[1, 2]).unwrap();
    for id in ["ann", "bob"] {
        asking(&servers[0]).send(id, frame.clone()).await.unwrap();
    }
    for member in [&mut ann, &mut bob] {
        assert_eq!(member.hear().await.to_json::<Vec<u8>>().unwrap(), [1, 2]);
    }
    let counted = encoded.take();
    assert_eq!(counted, (2, 1), "once for each way, and once for the one in MessagePack");
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_a_codec_that_is_not_known_there_is_not_sent() {
    let network = MemoryNetwork::new();
    let (here, _) = node(&network, rooms().codec(MessagePackCodec));
    let (there, _) = node(&network, rooms().codec(JsonCodec));
    let servers = [here, there];
    know_each_other(&servers).await;
    let _ann = come(&servers[1], "room=lobby&id=ann").await;
    let sent = asking(&servers[0]).send("ann", Frame::new("n")).await;
    let there = asking(&servers[1]).id();
    assert!(matches!(&sent, Err(NotSent::NotExpressed { node, .. }) if *node == there), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_this_server_cannot_encode_is_not_sent() {
    let network = MemoryNetwork::new();
    let (servers, _) = two(&network, rooms).await;
    let _ann = come(&servers[1], "room=lobby&id=ann").await;
    let bytes = Frame::new("n").with_payload("x").with_format(PayloadFormat::Bytes);
    let sent = asking(&servers[0]).send("ann", bytes.clone()).await;
    assert!(matches!(&sent, Err(NotSent::Encode { .. })), "{sent:?}");
    assert_eq!(sent.unwrap_err().into_frame(), bytes);
}
