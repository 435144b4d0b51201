//! Work for a room never waits for a runtime that nobody drives, though a call was made inside of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use wspulse::{PresenceState, RoomOptions, Server};

use crate::support::clients::named;
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::taker::Taker;

/// As many as a room can have without waves.
const MEMBERS: usize = 32;

/// After so long all that is new has been told, and nothing looks for more.
const TOLD: Duration = Duration::from_secs(1);

fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// A task that waits for the idle runtime would keep the server from its end.
async fn closes(server: &Server) {
    timeout(Duration::from_mins(1), server.close()).await.expect("no task waits in vain");
}

#[test]
fn a_room_that_grows_large_inside_of_such_a_runtime_is_served() {
    let (driven, idle) = (paused_runtime(), paused_runtime());
    let server = open_house().build().unwrap();
    let taker = Taker::default();
    driven.block_on(async {
        for id in 0..=MEMBERS {
            taker.join(&server, "home", &id.to_string()).await;
        }
        settle().await;
    });
    {
        let _inside = idle.enter();
        for id in 0..=MEMBERS {
            server.connection(&id.to_string()).unwrap().join("large").unwrap();
        }
    }
    driven.block_on(async {
        server.broadcast("large", named(1)).unwrap();
        settle().await;
        assert_eq!(taker.writes(), MEMBERS + 1);
        closes(&server).await;
    });
}

#[test]
fn who_leaves_a_room_inside_of_such_a_runtime_is_told_to_be_gone() {
    let (driven, idle) = (paused_runtime(), paused_runtime());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let server = open_house()
        .room_options(|_| RoomOptions::new().presence())
        .on_presence(move |_, changes| {
            tell.lock().unwrap().extend(changes.people.iter().map(|person| person.state));
        })
        .build()
        .unwrap();
    let taker = Taker::default();
    driven.block_on(async {
        taker.join(&server, "lobby", "ann").await;
        sleep(TOLD).await;
    });
    {
        let _inside = idle.enter();
        assert!(server.connection("ann").unwrap().leave("lobby"));
    }
    driven.block_on(async {
        sleep(TOLD).await;
        assert_eq!(*told.lock().unwrap(), [PresenceState::Here, PresenceState::Gone]);
        closes(&server).await;
    });
}
