//! A request waits while its reply comes, its client goes, comes back and is sent away: it has one
//! outcome, and leaves nothing behind.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use shuttle::thread;

use super::stage::{Client, advance, close, connection, explore, frame, join, server};
use crate::{Connection, Disconnect, RequestError, ServerBuilder};

const TIME: Duration = Duration::from_secs(30);
/// Less than a heartbeat's interval.
const SHORT: Duration = Duration::from_secs(4);

type Answer = Result<String, RequestError>;

/// A thread that asks; the id of its request is known.
fn ask(connection: &Connection, id: &'static str) -> thread::JoinHandle<Answer> {
    ask_within(connection, id, TIME)
}

fn ask_within(
    connection: &Connection,
    id: &'static str,
    time: Duration,
) -> thread::JoinHandle<Answer> {
    let connection = connection.clone();
    thread::spawn(move || {
        let asking = connection.request(frame("ask").with_id(id)).within(time);
        shuttle::future::block_on(asking).map(|reply| reply.id().to_owned())
    })
}

fn reply(client: &Client, id: &str) {
    client.say_text(&format!(r#"{{"id":"{id}","event":"reply"}}"#));
}

#[test]
fn a_reply_races_the_end_and_the_request_has_one_outcome() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        let asking = ask(&connection, "1");
        let ending = {
            let (server, connection) = (server.clone(), connection.clone());
            thread::spawn(move || server.end(connection.shared(), Disconnect::Closed))
        };
        reply(&client, "1");
        match asking.join().expect("no panic") {
            Ok(id) => assert_eq!(id, "1"),
            Err(RequestError::Closed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        ending.join().expect("no panic");
        close(&server);
        assert_eq!(connection.shared().mailbox.requests_waiting(), 0);
    });
}

#[test]
fn requests_are_asked_while_the_task_goes_to_sleep_and_each_has_its_reply() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        let asking = [ask(&connection, "1"), ask(&connection, "2")];
        client.wait_for_frames(2);
        reply(&client, "2");
        reply(&client, "1");
        let answers = asking.map(|asking| asking.join().expect("no panic").expect("a reply"));
        assert_eq!(answers, ["1", "2"]);
        assert_eq!(connection.shared().mailbox.requests_waiting(), 0);
        close(&server);
    });
}

#[test]
fn a_request_waits_on_while_its_client_comes_back() {
    explore(|| {
        let server = server(|builder| builder.resume_window(TIME));
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        client.hang_up();
        client.wait_for_end();
        let asking = ask(&connection, "1");
        let client = join(&server, "room", "ann").expect("the server is open");
        client.wait_for_frames(1);
        reply(&client, "1");
        assert_eq!(asking.join().expect("no panic").expect("a reply"), "1");
        assert_eq!(connection.shared().mailbox.requests_waiting(), 0);
        close(&server);
    });
}

fn one_at_a_time(builder: ServerBuilder) -> ServerBuilder {
    builder.max_requests(1)
}

/// A place is free again: a request has its reply.
fn assert_nothing_waits(connection: &Connection) {
    assert_eq!(connection.shared().mailbox.requests_waiting(), 0);
    let last = ask(connection, "last").join().expect("no panic").expect("there is a place");
    assert_eq!((&*last, connection.shared().mailbox.requests_waiting()), ("last", 0));
}

#[test]
fn of_requests_at_once_no_more_wait_than_may_and_no_place_is_lost() {
    explore(|| {
        let server = server(one_at_a_time);
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        client.answer_all();
        let asking = ["1", "2", "3"].map(|id| (id, ask(&connection, id)));
        assert!(connection.shared().mailbox.requests_waiting() <= 1);
        let mut replied = 0;
        for (id, asking) in asking {
            match asking.join().expect("no panic") {
                Ok(reply) => {
                    assert_eq!(reply, id);
                    replied += 1;
                }
                Err(RequestError::Overloaded { frame, .. }) => assert!(frame.is_some(), "not sent"),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(replied > 0, "the first has the place");
        assert_nothing_waits(&connection);
        assert_eq!(client.frames().len(), replied + 1, "who is refused has sent nothing");
        close(&server);
    });
}

#[test]
fn who_gives_up_a_request_while_its_reply_comes_leaves_its_place_to_another() {
    explore(|| {
        let server = server(one_at_a_time);
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        client.answer_all();
        let gives_up = {
            let connection = connection.clone();
            thread::spawn(move || {
                let mut asking = pin!(connection.request(frame("ask").with_id("1")).within(TIME));
                let first = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx)));
                drop(shuttle::future::block_on(first));
            })
        };
        let other = ask(&connection, "2").join().expect("no panic");
        assert!(matches!(other, Ok(_) | Err(RequestError::Overloaded { .. })), "{other:?}");
        gives_up.join().expect("no panic");
        assert_nothing_waits(&connection);
        close(&server);
    });
}

#[test]
fn requests_that_time_out_while_others_are_asked_leave_their_places() {
    explore(|| {
        let server = server(one_at_a_time);
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        let asking = ["1", "2"].map(|id| ask_within(&connection, id, SHORT));
        let time = thread::spawn(|| advance(SHORT));
        time.join().expect("no panic");
        client.answer_all();
        for asking in asking {
            let outcome = asking.join().expect("no panic");
            let is_one = matches!(
                outcome,
                Ok(_) | Err(RequestError::TimedOut { .. } | RequestError::Overloaded { .. })
            );
            assert!(is_one, "{outcome:?}");
        }
        assert_nothing_waits(&connection);
        close(&server);
    });
}

#[test]
fn a_request_has_one_outcome_while_its_client_comes_back_and_its_session_ends() {
    explore(|| {
        let server = server(|builder| builder.resume_window(TIME));
        let client = join(&server, "room", "ann").expect("the server is open");
        let connection = connection(&server, "ann");
        let asking = ask(&connection, "1");
        client.hang_up();
        let returning = {
            let server = server.clone();
            thread::spawn(move || {
                let client = join(&server, "room", "ann").expect("the server is open");
                client.answer_all();
            })
        };
        server.end(connection.shared(), Disconnect::Closed);
        let outcome = asking.join().expect("no panic");
        assert!(matches!(outcome, Ok(_) | Err(RequestError::Closed { .. })), "{outcome:?}");
        returning.join().expect("no panic");
        assert_eq!(connection.shared().mailbox.requests_waiting(), 0);
        close(&server);
    });
}
