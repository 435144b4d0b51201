use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wspulse::{CloseCode, Server};
use wspulse_client::{Client, Event, Frame, Messages};

use super::{accept, room_server};

async fn started() -> (Server, SocketAddr) {
    let server = room_server().expect("the options are valid");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(accept(listener, server.clone()));
    (server, address)
}

/// Asks on a connection of its own, and returns the whole answer.
async fn answer_to(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("{head}\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer, and the end");
    answer
}

async fn next(messages: &mut Messages) -> Event {
    let event = timeout(Duration::from_secs(30), messages.next()).await.expect("something happens");
    event.expect("the client lives")
}

#[tokio::test]
async fn what_one_says_the_other_hears_until_the_server_closes() {
    let (server, address) = started().await;
    let client = |user| Client::builder(format!("ws://{address}/ws?user={user}")).connect();
    let (ann, _) = client("ann").expect("a valid target");
    let (bob, mut heard) = client("bob").expect("a valid target");
    ann.connected().await.expect("it is let in");
    bob.connected().await.expect("it is let in");

    ann.post(Frame::new("say").json("hello").expect("JSON")).expect("room in the outbox");
    let said = loop {
        if let Event::Message(frame) = next(&mut heard).await {
            break frame;
        }
    };
    assert_eq!((said.event(), &**said.payload()), ("said", br#""hello""#.as_slice()));

    server.close().await;
    loop {
        if let Event::Disconnected { cause, .. } = next(&mut heard).await {
            let code = CloseCode::GOING_AWAY.to_string();
            assert!(cause.to_string().contains(&code), "{cause}");
            break;
        }
    }
}

#[tokio::test]
async fn a_page_is_served_beside_and_nothing_else() {
    let (_server, address) = started().await;

    let page = answer_to(address, "GET / HTTP/1.1").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("</script>\n"), "{page}");
    let missing = answer_to(address, "GET /secret HTTP/1.1").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let plain = answer_to(address, "GET /ws?user=ann HTTP/1.1").await;
    assert!(plain.starts_with("HTTP/1.1 426"), "{plain}");
}

#[tokio::test]
async fn one_address_has_a_hundred_connections_at_most() {
    let (server, address) = started().await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let (client, messages) =
            Client::builder(format!("ws://{address}/ws?user=ann")).connect().expect("a target");
        client.connected().await.expect("it is let in");
        clients.push((client, messages));
    }

    let (one_more, _messages) = Client::builder(format!("ws://{address}/ws?user=ann"))
        .attempts_max(1)
        .connect()
        .expect("a valid target");

    assert!(one_more.connected().await.is_err(), "it was let in");
    assert_eq!(server.connection_count(), 100);
}
