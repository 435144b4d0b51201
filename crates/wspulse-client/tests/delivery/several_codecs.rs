//! Clients of different codecs in one room of the real server, over sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use wspulse::codec::{CborCodec, MessagePackCodec, ProtobufCodec};
use wspulse::{Admission, BroadcastError, Connection, Delivery, Server};
use wspulse_client::{Client, ClientBuilder, Event, Frame, Messages, Proxy, SessionStart};

/// A room whose members hear what each of them says.
async fn listen() -> SocketAddr {
    serve(|conn: Connection, frame| {
        conn.room().broadcast(frame).unwrap();
    })
    .await
}

/// A room, and what is done with what its members say.
async fn serve(on_message: impl Fn(Connection, Frame) + Send + Sync + 'static) -> SocketAddr {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .on_message(on_message)
        .also_codec(MessagePackCodec)
        .also_codec(CborCodec)
        .also_codec(ProtobufCodec)
        .delivery(Delivery::ExactlyOnce)
        .resume_window(Duration::from_mins(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { wspulse::serve(listener, server).await });
    address
}

async fn join(builder: ClientBuilder) -> (Client, Messages) {
    let (client, messages) = builder.proxy(Proxy::None).connect().unwrap();
    assert_eq!(client.connected().await.unwrap(), SessionStart::New);
    (client, messages)
}

async fn next(messages: &mut Messages) -> Frame {
    loop {
        match messages.next().await {
            Some(Event::Message(frame)) => return frame,
            Some(_) => {}
            None => panic!("the client has ended"),
        }
    }
}

#[tokio::test]
async fn what_one_says_the_other_hears_in_its_own_codec_and_in_the_same_order() {
    let address = listen().await;
    let url = format!("ws://{address}/");
    let (ann, mut anns) = join(Client::builder(&*url)).await;
    let (bob, mut bobs) = join(Client::builder(&*url).codec(MessagePackCodec)).await;
    let said = |name: &str, number: usize| json!({"from": name, "list": [number, 1.5, null]});
    for number in 0..50 {
        ann.post(Frame::new("say").json(&said("ann", number)).unwrap()).unwrap();
        bob.post(Frame::new("say").msgpack(&said("bob", number)).unwrap()).unwrap();
    }
    let (mut anns_order, mut bobs_order) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        anns_order.push(next(&mut anns).await.to_json::<Value>().unwrap());
        bobs_order.push(next(&mut bobs).await.to_msgpack::<Value>().unwrap());
    }
    assert_eq!(anns_order, bobs_order);
    let heard: BTreeSet<String> = anns_order.iter().map(Value::to_string).collect();
    let both = ["ann", "bob"].into_iter();
    let all = both.flat_map(|name| (0..50).map(move |number| said(name, number).to_string()));
    assert_eq!(heard, all.collect());
    ann.close().await;
    bob.close().await;
}

#[tokio::test]
async fn clients_of_all_codecs_hear_the_same_values_in_the_same_order() {
    const EACH: usize = 25;
    let url = format!("ws://{}/", listen().await);
    let mut clients = vec![
        join(Client::builder(&*url)).await,
        join(Client::builder(&*url).codec(MessagePackCodec)).await,
        join(Client::builder(&*url).codec(CborCodec)).await,
        join(Client::builder(&*url).codec(ProtobufCodec)).await,
    ];
    let said = |by: usize, number: usize| json!({"by": by, "list": [number, 1.5, null, "é"]});
    for number in 0..EACH {
        for (by, (client, _)) in clients.iter().enumerate() {
            let (frame, value) = (Frame::new("say"), said(by, number));
            let frame = match by {
                1 => frame.msgpack(&value),
                2 => frame.cbor(&value),
                _ => frame.json(&value),
            };
            client.post(frame.unwrap()).unwrap();
        }
    }
    let mut orders = Vec::new();
    for (_, messages) in &mut clients {
        let mut order = Vec::new();
        for _ in 0..4 * EACH {
            order.push(next(messages).await.to_json::<Value>().unwrap());
        }
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    let heard: BTreeSet<String> = orders[0].iter().map(Value::to_string).collect();
    let all = (0..4).flat_map(|by| (0..EACH).map(move |number| said(by, number).to_string()));
    assert_eq!(heard, all.collect());
    for (client, _) in clients {
        client.close().await;
    }
}

#[tokio::test]
async fn bytes_of_the_applications_own_reach_all_who_have_binary_data() {
    let url = format!("ws://{}/", listen().await);
    let (ann, mut anns) = join(Client::builder(&*url).codec(ProtobufCodec)).await;
    let (bob, mut bobs) = join(Client::builder(&*url).codec(MessagePackCodec)).await;
    let (eve, mut eves) = join(Client::builder(&*url).codec(CborCodec)).await;
    ann.post(Frame::new("say").with_payload(&b"\0\xff"[..])).unwrap();
    assert_eq!(next(&mut anns).await.payload(), &b"\0\xff"[..]);
    assert_eq!(next(&mut bobs).await.payload(), &b"\xc4\x02\0\xff"[..]);
    assert_eq!(next(&mut eves).await.payload(), &b"\x42\0\xff"[..]);
    eve.post(Frame::new("say").with_payload(&b"\x42\0\xff"[..])).unwrap();
    assert_eq!(next(&mut anns).await.payload(), &b"\0\xff"[..]);
    for client in [ann, bob, eve] {
        client.close().await;
    }
}

#[tokio::test]
async fn bytes_of_the_applications_own_are_refused_to_a_room_where_one_has_json() {
    let (told, mut refused) = tokio::sync::mpsc::channel(1);
    let url = format!(
        "ws://{}/",
        serve(move |conn: Connection, frame| {
            told.try_send(conn.room().broadcast(frame)).unwrap();
        })
        .await
    );
    let (ann, _anns) = join(Client::builder(&*url).codec(ProtobufCodec)).await;
    let (bob, _bobs) = join(Client::builder(&*url)).await;
    ann.post(Frame::new("say").with_payload(&b"\0\xff"[..])).unwrap();
    let refused = refused.recv().await.unwrap();
    let Err(BroadcastError::Encode { source, .. }) = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("it is binary data"), "{source}");
    for client in [ann, bob] {
        client.close().await;
    }
}
