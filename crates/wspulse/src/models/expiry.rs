//! A permission runs out while it is renewed and while its client comes back: one of them wins.

use std::time::Duration;

use shuttle::thread;

use super::stage::{Received, admit, advance, close, connection, explore, frame, server};
use crate::ConnectionState;
use crate::settings::connect::Admission;

/// Shorter than a heartbeat's interval, and than the window.
const LIFE: Duration = Duration::from_secs(4);
/// It does not run out.
const LONG: Duration = Duration::from_mins(5);
const WINDOW: Duration = Duration::from_mins(1);

fn ann(life: Duration) -> Admission {
    Admission::room("room").id("ann").expires_in(life)
}

#[test]
fn of_a_renewal_and_an_expiry_one_wins() {
    explore(|| {
        let server = server(|builder| builder);
        let client = admit(&server, ann(LIFE)).expect("the server is open");
        let connection = connection(&server, "ann");
        let expiry = thread::spawn(|| advance(LIFE));
        let is_renewed = connection.renew_in(LONG).is_ok();
        expiry.join().expect("no panic");
        assert_eq!(is_renewed, connection.state() != ConnectionState::Closed);
        if is_renewed {
            connection.send(frame("a1")).expect("it goes on");
            client.wait_for_frames(1);
            close(&server);
            let told = client.wait_for_end();
            assert_eq!(told, [Received::Frame("a1".to_owned()), Received::Close(1001)]);
        } else {
            close(&server);
            assert_eq!(client.wait_for_end(), [Received::Close(4401)]);
        }
    });
}

#[test]
fn a_return_at_the_time_of_an_expiry_is_a_resumption_or_a_new_connection() {
    explore(|| {
        let server = server(|builder| builder.resume_window(WINDOW));
        let first = admit(&server, ann(LIFE)).expect("the server is open");
        let old = connection(&server, "ann");
        first.hang_up();
        first.wait_for_end();
        let expiry = thread::spawn(|| advance(LIFE));
        let renewal = {
            let old = old.clone();
            thread::spawn(move || old.renew_in(LONG).is_ok())
        };
        let second = admit(&server, ann(LONG)).expect("the server is open");
        expiry.join().expect("no panic");
        let is_renewed = renewal.join().expect("no panic");
        assert_eq!(is_renewed, old.state() != ConnectionState::Closed);
        // Whatever came first, who has returned is there and is heard.
        let now = connection(&server, "ann");
        assert_eq!(now == old, is_renewed);
        now.send(frame("a1")).expect("there is room");
        assert_eq!(second.wait_for_frames(1), ["a1"]);
        close(&server);
        let told = second.wait_for_end();
        assert_eq!(told, [Received::Frame("a1".to_owned()), Received::Close(1001)]);
    });
}
