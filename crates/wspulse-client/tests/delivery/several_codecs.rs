//! Clients of different codecs in one room of the real server, over sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use wspulse::codec::MessagePackCodec;
use wspulse::{Admission, Delivery, Server};
use wspulse_client::{Client, ClientBuilder, Event, Frame, Messages, Proxy, SessionStart};

/// A room whose members hear what each of them says.
async fn listen() -> SocketAddr {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .on_message(|conn, frame| {
            conn.room().broadcast(frame).unwrap();
        })
        .also_codec(MessagePackCodec)
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
