//! An application ends a connection with a code and a reason of its own, agrees with a client that
//! takes its leave, and learns how many members a broadcast has reached.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use wspulse::testing::TestClient;
use wspulse::{
    Admission, CloseCode, CloseFrame, Disconnect, Frame, KickError, Rejection, Server,
    ServerBuilder, TransportLost,
};

type Ends = mpsc::UnboundedReceiver<Disconnect>;

fn server(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Ends) {
    let (sender, ends) = mpsc::unbounded_channel();
    let builder = Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").id(id))
    })
    .on_disconnect(move |_, end| drop(sender.send(end)))
    .check_origin(|_| true);
    (configure(builder).build().expect("valid options"), ends)
}

async fn join(server: &Server, id: &str) -> TestClient<DuplexStream> {
    TestClient::connect(server, &format!("/?id={id}")).await.expect("101")
}

fn code(number: u16) -> CloseCode {
    CloseCode::new(number).expect("a valid one")
}

#[tokio::test(start_paused = true)]
async fn a_close_with_a_code_and_a_reason_tells_both_to_the_client_and_to_on_disconnect() {
    let (server, mut ends) = server(|builder| builder);
    let mut ann = join(&server, "ann").await;
    let connection = server.connection("ann").expect("connected");
    connection.send(Frame::new("before")).expect("connected");
    connection.close_with(code(4001), "signed in elsewhere");
    assert_eq!(ann.frame().await.expect("connected").event(), "before");
    let frame = CloseFrame::new(code(4001), "signed in elsewhere");
    assert_eq!(ann.closed().await.expect("a close frame"), Some(frame.clone()));
    let end = ends.recv().await.expect("an end");
    assert!(matches!(&end, Disconnect::ClosedWith(told) if *told == frame), "{end}");
    assert!(end.is_normal());
    assert_eq!(end.to_string(), "closed by the application with 4001 (signed in elsewhere)");
    assert_eq!(end.reason().as_str(), "normal");
}

#[tokio::test(start_paused = true)]
async fn a_kick_with_a_code_and_a_reason_tells_both_to_the_client_and_to_on_disconnect() {
    let (server, mut ends) = server(|builder| builder);
    let mut ann = join(&server, "ann").await;
    server.kick_with("ann", code(4002), "spam").expect("connected");
    let frame = CloseFrame::new(code(4002), "spam");
    assert_eq!(ann.closed().await.expect("a close frame"), Some(frame.clone()));
    let end = ends.recv().await.expect("an end");
    assert!(matches!(&end, Disconnect::Kicked(told) if *told == frame), "{end}");
    assert_eq!(end.to_string(), "kicked with 4002 (spam)");
    assert_eq!(end.reason().as_str(), "kick");
    let again = server.kick_with("ann", code(4002), "spam");
    assert!(matches!(again, Err(KickError::NotFound { id }) if id == "ann"));
}

/// What the page on callbacks shows: an application whose clients leave on purpose.
#[tokio::test(start_paused = true)]
async fn an_application_that_agrees_with_a_clients_close_is_told_of_that_close_at_the_end() {
    let (server, mut ends) = server(|builder| {
        builder.resume_window(Duration::from_mins(1)).on_transport_drop(|conn, cause| {
            if cause.is_normal() {
                conn.close();
            }
        })
    });
    for told in [Some(CloseFrame::new(code(1001), "")), None] {
        let mut ann = join(&server, "ann").await;
        ann.close(told.as_ref()).await.expect("connected");
        let end = ends.recv().await.expect("an end");
        let Disconnect::TransportLost(TransportLost::PeerClosed(frame)) = &end else {
            panic!("{end}")
        };
        assert_eq!(*frame, told);
        assert!(end.is_normal());
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_agrees_with_a_code_of_its_own_is_told_of_the_clients_close_too() {
    let (server, mut ends) = server(|builder| {
        builder.resume_window(Duration::from_mins(1)).on_transport_drop(|conn, cause| {
            if cause.is_normal() {
                conn.close_with(code(4001), "left");
            }
        })
    });
    let mut ann = join(&server, "ann").await;
    ann.close(None).await.expect("connected");
    let end = ends.recv().await.expect("an end");
    assert!(
        matches!(end, Disconnect::TransportLost(TransportLost::PeerClosed(None))),
        "told: {end}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_tells_how_many_members_it_has_reached() {
    let (server, _ends) = server(|builder| builder.max_queued_bytes(1000));
    assert_eq!(server.broadcast("lobby", Frame::new("nobody")).expect("open").reached, 0);
    let mut clients = Vec::new();
    for id in ["ann", "bob", "cal"] {
        clients.push(join(&server, id).await);
    }
    assert_eq!(server.broadcast("lobby", Frame::new("all")).expect("open").reached, 3);
    let ann = server.connection("ann").expect("connected");
    let reached = ann.room().broadcast_except(&ann, Frame::new("others"));
    assert_eq!(reached.expect("open").reached, 2);
    for client in &mut clients {
        client.frame().await.expect("connected");
    }
    // 600 bytes each: there is room for one of three, and nothing older to drop for the others.
    let long = Frame::new("long").with_payload(format!("\"{}\"", "x".repeat(600)));
    assert_eq!(server.broadcast("lobby", long).expect("open").reached, 1);
}
