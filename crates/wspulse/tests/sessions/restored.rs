//! What `on_transport_restore` is told of the handshake that a client has come back with.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::sync::{Semaphore, mpsc};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{
    Admission, ConnectRequest, Connection, DuplicatePolicy, Frame, PeerAddr, Rejection, Restored,
    Server, ServerBuilder,
};

use crate::support::clients::Client;
use crate::support::clock::{WINDOW, settle};

/// What a client says of itself in each handshake.
struct Card(String);

/// Lets everybody in as `ann`: into the room and with the card of the query.
fn admit(request: &ConnectRequest) -> Admission {
    let word = |name| request.query(name).unwrap_or_default().into_owned();
    let admission = Admission::room(word("room")).id("ann");
    match word("card") {
        card if card.is_empty() => admission,
        card => admission.data(Card(card)),
    }
}

fn builder() -> ServerBuilder {
    Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request))).resume_window(WINDOW)
}

/// A server that tells what it is told of clients that come back.
fn telling(
    options: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Server, mpsc::UnboundedReceiver<(Connection, Restored)>) {
    let (tell, told) = mpsc::unbounded_channel();
    let builder = builder().on_transport_restore(move |conn, restored| {
        tell.send((conn, restored)).unwrap();
    });
    (options(builder).build().unwrap(), told)
}

async fn dial(server: &Server, query: &str) -> Client {
    TestClient::connect(server, &format!("/ws?{query}")).await.expect("admitted")
}

fn card(restored: &Restored) -> &str {
    restored.data::<Card>().map_or("", |card| &card.0)
}

#[tokio::test(start_paused = true)]
async fn a_restore_brings_the_data_of_the_new_admission_and_the_session_keeps_its_own() {
    let (server, mut told) = telling(|builder| builder);
    drop(dial(&server, "room=lobby&card=first").await);
    settle().await;
    let _ann = dial(&server, "room=lobby&card=second").await;
    let (connection, restored) = told.recv().await.unwrap();
    assert_eq!(card(&restored), "second");
    assert!(restored.data::<String>().is_none(), "of another type");
    assert_eq!(connection.data::<Card>().unwrap().0, "first");
}

#[tokio::test(start_paused = true)]
async fn a_restore_without_data_has_none() {
    let (server, mut told) = telling(|builder| builder);
    drop(dial(&server, "room=lobby&card=first").await);
    settle().await;
    let _ann = dial(&server, "room=lobby").await;
    assert_eq!(card(&told.recv().await.unwrap().1), "");
}

#[tokio::test(start_paused = true)]
async fn a_restore_tells_which_room_the_client_has_asked_for() {
    let (server, mut told) = telling(|builder| builder);
    drop(dial(&server, "room=kitchen").await);
    settle().await;
    let _ann = dial(&server, "room=garden").await;
    let (connection, restored) = told.recv().await.unwrap();
    assert_eq!((restored.room(), connection.room_id()), ("garden", "kitchen"));
}

#[tokio::test(start_paused = true)]
async fn a_restore_tells_where_the_client_has_come_from() {
    let (server, mut told) = telling(|builder| builder);
    let mut clients = Vec::new();
    for port in [1, 2] {
        let mut parts = request_parts("/ws?room=lobby");
        let addr: SocketAddr = ([192, 0, 2, 1], port).into();
        parts.extensions.insert(PeerAddr(addr));
        clients = vec![TestClient::connect_with(&server, parts).await.expect("admitted")];
        settle().await;
        clients.clear();
        settle().await;
    }
    drop(clients);
    let (connection, restored) = told.recv().await.unwrap();
    assert_eq!(restored.peer_addr(), Some(([192, 0, 2, 1], 2).into()));
    assert_eq!(connection.peer_addr(), restored.peer_addr());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_session_over_brings_its_data_along() {
    let (server, mut told) = telling(|builder| builder.duplicates(DuplicatePolicy::Resume));
    let _silent = dial(&server, "room=lobby&card=first").await;
    settle().await;
    let _ann = dial(&server, "room=lobby&card=second").await;
    assert_eq!(card(&told.recv().await.unwrap().1), "second");
}

/// A server whose `on_message` waits for a permit, and what it tells of restores.
fn gated() -> (Server, Arc<Semaphore>, mpsc::UnboundedReceiver<(Connection, Restored)>) {
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::clone(&gate);
    let (server, told) = telling(|builder| {
        builder.on_message(move |_, _| {
            let gate = Arc::clone(&key);
            async move { gate.acquire().await.unwrap().forget() }
        })
    });
    (server, gate, told)
}

#[tokio::test(start_paused = true)]
async fn of_restores_that_are_told_as_one_the_newest_counts() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "room=lobby&card=0").await;
    ann.send(&Frame::new("hold")).await.unwrap();
    settle().await;
    for number in 1..=5 {
        drop(ann);
        settle().await;
        ann = dial(&server, &format!("room=lobby&card={number}")).await;
        settle().await;
    }
    gate.add_permits(1);
    assert_eq!(card(&told.recv().await.unwrap().1), "5");
    settle().await;
    assert!(told.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn restores_with_messages_between_them_each_have_their_own_data() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "room=lobby&card=0").await;
    ann.send(&Frame::new("hold")).await.unwrap();
    settle().await;
    for number in 1..=6 {
        drop(ann);
        settle().await;
        ann = dial(&server, &format!("room=lobby&card={number}")).await;
        // Two and two are folded.
        if number % 2 == 0 {
            ann.send(&Frame::new("between")).await.unwrap();
        }
        settle().await;
    }
    gate.add_permits(10);
    for number in ["2", "4", "6"] {
        assert_eq!(card(&told.recv().await.unwrap().1), number);
    }
    settle().await;
    assert!(told.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_folded_restores_have_brought_is_let_go_and_so_is_what_was_told() {
    let alive: Arc<std::sync::Mutex<Vec<Weak<()>>>> = Arc::default();
    let handed_out = Arc::clone(&alive);
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::clone(&gate);
    let server = Server::builder_sync(move |_| {
        let data = Arc::new(());
        handed_out.lock().unwrap().push(Arc::downgrade(&data));
        Ok(Admission::room("lobby").id("ann").data(data))
    })
    .resume_window(WINDOW)
    .on_transport_restore(|_, _| ())
    .on_message(move |_, _| {
        let gate = Arc::clone(&key);
        async move { gate.acquire().await.unwrap().forget() }
    })
    .build()
    .unwrap();
    let living = || alive.lock().unwrap().iter().filter(|data| data.upgrade().is_some()).count();
    let mut ann = dial(&server, "").await;
    ann.send(&Frame::new("hold")).await.unwrap();
    settle().await;
    for _ in 0..100 {
        drop(ann);
        settle().await;
        ann = dial(&server, "").await;
        settle().await;
        assert_eq!(living(), 2, "the session's own, and that of the newest restore");
    }
    gate.add_permits(1);
    settle().await;
    assert_eq!(living(), 1);
}

struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("data exploded");
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_panics_when_it_is_let_go_costs_neither_the_callback_nor_the_session() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder_sync(|request| {
        let admission = Admission::room("lobby").id("ann");
        Ok(if request.query("again").is_some() { admission.data(Explosive) } else { admission })
    })
    .resume_window(WINDOW)
    .on_transport_restore(move |conn, restored| {
        assert!(restored.data::<Explosive>().is_some());
        tell.send(conn).unwrap();
    })
    .build()
    .unwrap();
    drop(dial(&server, "").await);
    settle().await;
    let mut ann = dial(&server, "again").await;
    let connection = told.recv().await.unwrap();
    connection.send(Frame::new("still here")).unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "still here");
    // One whose transport does not come about is let go as well.
    let handshake = server.handshake(request_parts("/ws?again")).unwrap();
    drop(ann);
    settle().await;
    drop(handshake.connect().await.unwrap());
    settle().await;
    let _ann = dial(&server, "again").await;
    assert_eq!(told.recv().await.unwrap(), connection);
}
