//! Another server asks for a session while it is sent to, ended, asked for once more, or its client comes
//! back: it is at one place, whole, and told once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::thread;
use wspulse_core::cluster::{NodeId, NotGiven, SessionReply};
use wspulse_core::protocol::{ResumeOffer, SessionKind};

use super::hooks::Hooks;
use super::stage::{Client, close, connection, explore, frame, join, join_exchanging, server};
use crate::app::handoff::Wanted;
use crate::cluster::speaker::{NameSpace, target_of};
use crate::cluster::{
    Engine, EngineError, EngineFuture, EngineStatus, RequestFailed, Sink, Topic, TopicFilter,
    Unavailable,
};
use crate::membership::Kind;
use crate::{Delivery, Server, ServerBuilder};

/// Never begins, so that its server is alone: others are played by calling what they would have called.
#[derive(Debug)]
struct Nobody;

impl Engine for Nobody {
    fn start(&self, _: NodeId, sink: Arc<dyn Sink>) -> EngineFuture<'_, Result<(), EngineError>> {
        sink.status(EngineStatus::Disconnected);
        Box::pin(async { Err(EngineError::new("there is nobody", None)) })
    }

    fn publish(&self, _: Topic, _: Bytes) -> Result<(), Unavailable> {
        Err(Unavailable)
    }

    fn subscribe(&self, _: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }

    fn unsubscribe(&self, _: TopicFilter) {}

    fn request(
        &self,
        _: NodeId,
        _: Bytes,
        _: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>> {
        Box::pin(async { Err(RequestFailed::Unavailable(Unavailable)) })
    }

    fn message_bytes_max(&self) -> usize {
        1024 * 1024
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A server with Ann, whose session may go, and the token that she has.
fn ann(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Client, String) {
    let server = server(|builder| {
        let builder = builder.cluster(Nobody).delivery(Delivery::ExactlyOnce);
        options(builder.resume_window(Duration::from_mins(1)))
    });
    let client = join_exchanging(&server, "ann", None, usize::MAX).expect("the server is open");
    let hello = client.wait_for_hello().expect("she is let in");
    (server, client, hello.token)
}

/// A thread on which another server asks for Ann's session.
fn ask(server: &Server, token: &str) -> thread::JoinHandle<Result<u64, NotGiven>> {
    let (server, token) = (server.clone(), token.to_owned());
    thread::spawn(move || {
        let wanted =
            Wanted { token: &token, id: Some("ann"), room: "room", user: None, codec: "json" };
        block_on(server.give(&wanted))
    })
}

/// The frames that go with a session, in order; it is at no server then.
fn frames_of(server: &Server, ticket: u64) -> Vec<String> {
    let (session, _) = server.shelf().take(ticket).expect("it is kept");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let event = |text: String| text.split('"').nth(3).expect("an event").to_owned();
    session.queue.frames.iter().map(|frame| event(text(frame.payload()))).collect()
}

#[test]
fn all_that_was_accepted_goes_with_a_session() {
    explore(|| {
        let (server, _client, token) = ann(|builder| builder);
        let connection = connection(&server, "ann");
        let asking = ask(&server, &token);
        let mut accepted = Vec::new();
        for event in ["a", "b", "c"] {
            if connection.send(frame(event)).is_ok() {
                accepted.push(event);
            }
        }
        // She acknowledges nothing.
        let ticket = asking.join().expect("no panic").expect("nothing is in the way");
        assert_eq!(frames_of(&server, ticket), accepted);
        close(&server);
    });
}

#[test]
fn a_session_that_is_ended_while_it_is_asked_for_is_told_once() {
    explore(|| {
        let hooks = Hooks::default();
        let (server, _client, token) = ann(|builder| builder.metrics(hooks.clone()));
        let asking = ask(&server, &token);
        let was_kicked = server.kick("ann").is_ok();
        let given = asking.join().expect("no panic");
        close(&server);
        let told = hooks.told();
        let ends: Vec<_> = told.iter().filter(|it| it.starts_with("ann closed")).collect();
        match given {
            Ok(_) if !was_kicked => assert_eq!(ends, ["ann closed: moved"]),
            Err(_) if was_kicked => assert_eq!(ends, ["ann closed: kick"]),
            Ok(_) | Err(_) => panic!("kicked: {was_kicked}, given: {given:?}, {told:?}"),
        }
    });
}

#[test]
fn of_two_servers_that_ask_at_once_one_gets_it() {
    explore(|| {
        let (server, _client, token) = ann(|builder| builder);
        let asking = [ask(&server, &token), ask(&server, &token)];
        let nodes = [NodeId::new([1; 16]), NodeId::new([2; 16])];
        let claiming = asking.into_iter().zip(nodes).map(|(asking, node)| {
            let server = server.clone();
            thread::spawn(move || match asking.join().expect("no panic") {
                Ok(ticket) => server.shelf().commit(ticket, node) == SessionReply::Committed,
                // It was on its way to the other one.
                Err(NotGiven::Busy | NotGiven::Elsewhere(_)) => false,
                Err(why) => panic!("{why:?}"),
            })
        });
        let claiming: Vec<_> = claiming.collect();
        let got = claiming.into_iter().map(|it| it.join().expect("no panic"));
        assert_eq!(got.filter(|got| *got).count(), 1);
        close(&server);
    });
}

#[test]
fn a_session_whose_client_comes_back_meanwhile_is_at_one_place() {
    explore(|| {
        let (server, client, token) = ann(|builder| builder);
        let asking = ask(&server, &token);
        client.hang_up();
        let offer = ResumeOffer { count: 0, token };
        let returned = join_exchanging(&server, "ann", Some(offer), usize::MAX);
        match asking.join().expect("no panic") {
            Ok(ticket) => {
                assert_eq!(frames_of(&server, ticket), [""; 0]);
                // If she was back before, she is sent away, and will find it where it is.
                let Ok(returned) = returned else { return close(&server) };
                if returned.wait_for_hello().is_some_and(|it| it.session == SessionKind::Resumed) {
                    returned.wait_for_end();
                }
            }
            // She is back, or about to be: whoever asks again will be told.
            Err(NotGiven::Busy) => {
                let returned = returned.expect("nobody else has it");
                let hello = returned.wait_for_hello().expect("she is let in");
                assert_eq!(hello.session, SessionKind::Resumed);
            }
            Err(why) => panic!("{why:?}"),
        }
        close(&server);
    });
}

/// Ann's session, which comes from another server, joins a room in which this one may have somebody who
/// leaves, while it speaks to that in this way. What it says is before the place that is noted for her, so
/// that it is fetched, or is told to her.
fn arrives(with_bob: bool, say: fn(&Server)) {
    let (server, client, _) = ann(|builder| builder);
    let bob = with_bob.then(|| {
        drop(join(&server, "hall", "bob").expect("the server is open"));
        connection(&server, "bob")
    });
    let speaking = {
        let server = server.clone();
        thread::spawn(move || say(&server))
    };
    let leaving = bob.map(|bob| thread::spawn(move || bob.leave("hall")));
    let noted = server.join_moved(connection(&server, "ann").shared(), Kind::Room, "hall");
    speaking.join().expect("no panic");
    if let Some(leaving) = leaving {
        leaving.join().expect("no panic");
    }
    let hall = target_of(NameSpace::Rooms, "hall");
    let said = server.speaker().and_then(|it| it.position(hall)).map_or(0, |it| it.number);
    assert_eq!(said, 1);
    let is_noted = noted.is_some_and(|it| it.number == 1);
    let told = usize::from(!is_noted);
    assert_eq!(client.wait_for_frames(told).len(), told);
    close(&server);
}

#[test]
fn what_is_said_to_a_room_is_noted_for_who_arrives_there_or_told() {
    explore(|| arrives(false, |server| drop(server.broadcast("hall", frame("a")))));
    explore(|| arrives(true, |server| drop(server.broadcast("hall", frame("a")))));
}

#[test]
fn so_it_is_where_it_is_said_to_several() {
    explore(|| arrives(false, |server| drop(server.to(["yard", "hall"]).broadcast(frame("a")))));
    explore(|| arrives(true, |server| drop(server.to(["yard", "hall"]).broadcast(frame("a")))));
}
