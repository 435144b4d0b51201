//! What was written is kept while clients acknowledge it, come back and are sent away: nobody waits
//! for ever, nothing is lost between two of them.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::Mutex;
use shuttle::thread;
use wspulse_core::protocol::{Control, ResumeOffer, SessionKind};

use super::stage::{Client, Received, close, connection, explore, frame, join_exchanging, server};
use crate::app::server::Server;
use crate::observe::metrics::{DropReason, FrameDropped, MetricsCollector};
use crate::settings::error::NotAcknowledged;
use crate::{Connection, ConnectionState, Delivery, Disconnect, ServerBuilder};

const WINDOW: Duration = Duration::from_secs(30);

/// One frame may be on its way: the next waits for its acknowledgement.
fn promising(builder: ServerBuilder) -> ServerBuilder {
    builder.resume_window(WINDOW).delivery(Delivery::ExactlyOnce).delivery_window(1, 1024)
}

/// A client that begins a session and is greeted; tells the token that it was given.
fn begin(server: &Server) -> (Client, String) {
    let client = join_exchanging(server, "ann", None, usize::MAX).expect("the server is open");
    let hello = client.wait_for_hello().expect("it is let in");
    (client, hello.token)
}

fn come_back(server: &Server, token: &str, count: u64) -> Client {
    let resumes = ResumeOffer { token: token.to_owned(), count };
    join_exchanging(server, "ann", Some(resumes), usize::MAX).expect("the server is open")
}

/// Threads that send a frame each and wait until all up to it has arrived.
fn send_and_wait(connection: &Connection) -> [thread::JoinHandle<Waited>; 2] {
    ["a1", "b1"].map(|event| {
        let connection = connection.clone();
        thread::spawn(move || {
            let was_sent = connection.send(frame(event)).is_ok();
            (was_sent, shuttle::future::block_on(connection.acknowledged()))
        })
    })
}

/// How many frames a connection had accepted when one was lost.
#[derive(Clone, Default)]
struct AtGap(Arc<Mutex<(Option<Connection>, Option<u64>)>>);

impl AtGap {
    fn watch(&self, connection: &Connection) {
        self.0.lock().expect("no panic before").0 = Some(connection.clone());
    }

    fn accepted(&self) -> Option<u64> {
        let mut watched = self.0.lock().expect("no panic before");
        // Else it would hold the server, which holds it.
        watched.0 = None;
        watched.1
    }
}

impl MetricsCollector for AtGap {
    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { reason, .. } = event;
        if reason == DropReason::NoRoom {
            let (connection, accepted) = &mut *self.0.lock().expect("no panic before");
            let stats = connection.as_ref().map(Connection::outbound_stats);
            *accepted = accepted.or(stats.map(|stats| stats.accepted));
        }
    }
}

type Waited = (bool, Result<(), NotAcknowledged>);

#[test]
fn whoever_waits_for_an_acknowledgement_is_told_when_it_comes() {
    explore(|| {
        let server = server(promising);
        let (client, _) = begin(&server);
        let connection = connection(&server, "ann");
        let waiting = send_and_wait(&connection);
        client.acknowledge_beyond(0);
        for waiting in waiting {
            assert_eq!(waiting.join().expect("no panic"), (true, Ok(())));
        }
        let stats = connection.outbound_stats();
        assert_eq!((stats.acknowledged, stats.unacknowledged, stats.pending), (2, 0, 0));
        close(&server);
    });
}

#[test]
fn whoever_waits_for_an_acknowledgement_is_told_when_the_connection_ends_instead() {
    explore(|| {
        let server = server(promising);
        let (client, _) = begin(&server);
        let connection = connection(&server, "ann");
        let waiting = send_and_wait(&connection);
        client.acknowledge_beyond(0);
        server.kick("ann").expect("it is there");
        let mut arrived = 0;
        for waiting in waiting {
            match waiting.join().expect("no panic") {
                (was_sent, Ok(())) => arrived += u64::from(was_sent),
                (_, Err(error)) => assert_eq!(error, NotAcknowledged::Closed),
            }
        }
        client.wait_for_end();
        close(&server);
        let stats = connection.outbound_stats();
        assert!(stats.acknowledged >= arrived, "{arrived} are told to have arrived: {stats:?}");
        assert_eq!((stats.pending, stats.unacknowledged), (0, 0));
        assert_eq!(stats.accepted, stats.sent + stats.dropped);
    });
}

#[test]
fn nothing_follows_a_broadcast_for_which_there_was_no_room() {
    explore(|| {
        let at_gap = AtGap::default();
        let metrics = at_gap.clone();
        let server = server(|builder| promising(builder).send_buffer_size(1).metrics(metrics));
        let (client, _) = begin(&server);
        let ann = connection(&server, "ann");
        at_gap.watch(&ann);
        let broadcasters = [["a1", "a2"], ["b1", "b2"]].map(|events| {
            let room = server.room("room");
            thread::spawn(move || {
                for event in events {
                    // Nobody is left in the room once the session has ended for a gap.
                    let _ = room.broadcast(frame(event));
                }
            })
        });
        let sender = {
            let ann = ann.clone();
            thread::spawn(move || ann.send(frame("c1")).is_ok())
        };
        client.acknowledge_beyond(0);
        broadcasters.into_iter().for_each(|broadcaster| broadcaster.join().expect("no panic"));
        let was_sent = sender.join().expect("no panic");
        if ann.state() == ConnectionState::Closed {
            assert_eq!(client.wait_for_end().last(), Some(&Received::Close(4410)));
        } else {
            client.wait_for_frames(4 + usize::from(was_sent));
        }
        let frames = client.frames();
        for [first, second] in [["a1", "a2"], ["b1", "b2"]] {
            let place = |event| frames.iter().position(|each| each == event);
            let is_whole = place(second).is_none() || place(first) < place(second);
            assert!(is_whole && (place(second).is_none() || place(first).is_some()), "{frames:?}");
        }
        close(&server);
        let stats = ann.outbound_stats();
        assert_eq!((stats.accepted, stats.pending), (stats.sent + stats.dropped, 0));
        assert_eq!(stats.sent, frames.len() as u64, "what was lost is behind all that arrived");
        if let Some(accepted) = at_gap.accepted() {
            assert_eq!(stats.accepted, accepted, "nothing is accepted behind a gap");
        }
    });
}

#[test]
fn nothing_is_written_to_a_client_that_comes_back_behind_a_gap() {
    explore(|| {
        let server = server(promising);
        let (first, token) = begin(&server);
        let session = connection(&server, "ann");
        first.hang_up();
        let sender = {
            let session = session.clone();
            thread::spawn(move || {
                session.send(frame("a1")).is_ok()
                    && shuttle::future::block_on(session.acknowledged()).is_ok()
            })
        };
        // More than it can have.
        let second = come_back(&server, &token, 5);
        assert_eq!(second.wait_for_end(), [Received::Close(4410)]);
        assert!(!sender.join().expect("no panic"), "nothing has arrived");
        close(&server);
        let stats = session.outbound_stats();
        assert_eq!((stats.accepted, stats.pending), (stats.sent + stats.dropped, 0));
    });
}

#[test]
fn a_client_that_comes_back_while_its_session_ends_gets_it_or_another() {
    explore(|| {
        let server = server(promising);
        let (first, token) = begin(&server);
        let old = connection(&server, "ann");
        old.send(frame("a1")).expect("there is room");
        first.wait_for_frames(1);
        let ending = {
            let (server, old) = (server.clone(), old.clone());
            thread::spawn(move || server.end(old.shared(), Disconnect::Closed))
        };
        let second = come_back(&server, &token, 1);
        assert!(ending.join().expect("no panic"), "nobody else ends it");
        first.wait_for_end();
        match second.wait_for_hello() {
            Some(hello) if hello.session == SessionKind::New => {
                let new = connection(&server, "ann");
                new.send(frame("b1")).expect("there is room");
                assert_eq!(second.wait_for_frames(1), ["b1"]);
            }
            // It got the session, or was on its way to it, and hears of its end.
            _ => {
                let received = second.wait_for_end();
                assert_eq!(received.last(), Some(&Received::Close(1000)), "{received:?}");
                assert_eq!(second.frames(), [""; 0], "it has the one frame");
            }
        }
        close(&server);
        let stats = old.outbound_stats();
        assert_eq!((stats.accepted, stats.sent, stats.pending, stats.unacknowledged), (1, 1, 0, 0));
    });
}

#[test]
fn of_two_returns_with_one_token_one_stays_and_gets_what_was_missed() {
    explore(|| {
        let server = server(promising);
        let (first, token) = begin(&server);
        let session = connection(&server, "ann");
        session.send(frame("a1")).expect("there is room");
        first.wait_for_frames(1);
        first.hang_up();
        let returns = [(); 2].map(|()| {
            let (server, token) = (server.clone(), token.clone());
            thread::spawn(move || come_back(&server, &token, 0))
        });
        let clients = returns.map(|client| client.join().expect("no panic"));
        session.send(frame("a2")).expect("the session goes on");
        let stays = one_that_stays(&clients);
        stays.acknowledge_beyond(0);
        assert_eq!(stays.wait_for_frames(2), ["a1", "a2"]);
        shuttle::future::block_on(session.acknowledged()).expect("it is told");
        close(&server);
    });
}

/// A handshake that was recorded is repeated, while the client shows that it has a newer token.
#[test]
fn an_old_handshake_takes_the_session_or_leaves_it_alone_and_never_ends_it() {
    explore(|| {
        let server = server(promising);
        let (first, old_token) = begin(&server);
        let session = connection(&server, "ann");
        first.hang_up();
        first.wait_for_end();
        let second = come_back(&server, &old_token, 0);
        let newer = second.wait_for_hello().expect("it is let in");
        let repeating = {
            let (server, token) = (server.clone(), old_token.clone());
            thread::spawn(move || come_back(&server, &token, 0))
        };
        second.say(&Control::Ack(0));
        let repeated = repeating.join().expect("no panic");
        session.send(frame("a1")).expect("the session goes on");
        if let Some(Received::Close(code)) = closed(&[second, repeated]) {
            assert!([1001, 4410].contains(&code), "{code}");
        }
        // The client itself may always come back.
        let third = come_back(&server, &newer.token, 0);
        let hello = third.wait_for_hello().expect("its token is good");
        assert_eq!(hello.session, SessionKind::Resumed);
        assert_eq!(third.wait_for_frames(1), ["a1"]);
        assert_ne!(session.state(), ConnectionState::Closed);
        close(&server);
    });
}

/// Waits until one of both is let go, and tells which is not.
fn one_that_stays(clients: &[Client; 2]) -> &Client {
    let [one, another] = clients;
    loop {
        match (one.is_let_go(), another.is_let_go()) {
            (true, false) => return another,
            (false, true) => return one,
            (true, true) => panic!("neither stays"),
            (false, false) => thread::yield_now(),
        }
    }
}

/// How the one was parted with that does not stay.
fn closed(clients: &[Client; 2]) -> Option<Received> {
    let stays = one_that_stays(clients);
    let parted = clients.iter().find(|client| !std::ptr::eq(*client, stays))?;
    parted.wait_for_end().pop()
}
