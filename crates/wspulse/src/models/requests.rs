//! A request waits while its reply comes, its client goes, comes back and is sent away: it has one
//! outcome, and leaves nothing behind.

use std::time::Duration;

use shuttle::thread;

use super::stage::{Client, close, connection, explore, frame, join, server};
use crate::{Connection, Disconnect, RequestError};

const TIME: Duration = Duration::from_secs(30);

type Answer = Result<String, RequestError>;

/// A thread that asks; the id of its request is known.
fn ask(connection: &Connection, id: &'static str) -> thread::JoinHandle<Answer> {
    let connection = connection.clone();
    thread::spawn(move || {
        let asking = connection.request(frame("ask").with_id(id)).within(TIME);
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
