//! What a server remembers of transports that were lost and connections that ended.

use wspulse::{Departure, DepartureKind, Disconnect, Server, TransportLost};

use crate::support::clients::dial;
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;

fn ids(server: &Server) -> Vec<String> {
    server.departures().iter().map(|departure| departure.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_unless_it_is_asked_for() {
    let server = open_house().build().unwrap();
    let _ann = dial(&server, "ann").await;
    server.kick("ann").unwrap();
    settle().await;
    assert!(server.departures().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_transport_and_the_end_after_it_are_two_departures() {
    let server = open_house().resume_window(WINDOW).build().unwrap();
    server.remember_departures(10);
    drop(dial(&server, "ann").await);
    settle().await;
    tokio::time::sleep(WINDOW).await;
    settle().await;
    let [Departure { id, room, age, kind: ended, .. }, Departure { kind: suspended, .. }] =
        &*server.departures()
    else {
        panic!("{:?}", server.departures())
    };
    assert_eq!((&**id, &**room), ("ann", "lobby"));
    assert!(*age >= WINDOW, "{age:?}");
    let is_expiry =
        matches!(ended, DepartureKind::Ended(Disconnect::GraceExpired(TransportLost::EndOfStream)));
    assert!(is_expiry, "{ended:?}");
    assert!(matches!(suspended, DepartureKind::Suspended(TransportLost::EndOfStream)));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_departures_make_room_for_new_ones() {
    let server = open_house().build().unwrap();
    server.remember_departures(2);
    for id in ["ann", "bob", "eve"] {
        let _client = dial(&server, id).await;
        server.kick(id).unwrap();
        settle().await;
    }
    assert_eq!(ids(&server), ["eve", "bob"]);
    server.remember_departures(1);
    assert_eq!(ids(&server), ["eve"]);
    server.remember_departures(0);
    assert!(ids(&server).is_empty());
}
