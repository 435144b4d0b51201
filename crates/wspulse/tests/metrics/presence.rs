//! What is counted of who is in a room: who was told, and of how many.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::Recorder;
use wspulse::{RoomOptions, Server, ServerBuilder};

use crate::support::clients::dial;
use crate::support::house::open_house;

/// Longer than changes are gathered.
const FOLDED: Duration = Duration::from_millis(60);

fn recorded(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Recorder) {
    let recorder = Recorder::default();
    (options(open_house()).metrics(recorder.clone()).build().unwrap(), recorder)
}

#[tokio::test(start_paused = true)]
async fn what_is_gathered_is_told_once_with_how_many_it_is_about_and_for() {
    let (server, recorder) =
        recorded(|builder| builder.room_options(|_| RoomOptions::new().tell_presence()));
    let _ann = dial(&server, "ann").await;
    let _bob = dial(&server, "bob").await;
    sleep(FOLDED).await;
    let _cat = dial(&server, "cat").await;
    sleep(FOLDED).await;
    server.kick("bob").unwrap();
    sleep(FOLDED).await;
    assert_eq!(
        recorder.only("presence_told"),
        [
            "presence_told lobby, 2 changed, 2 of 2 new",
            "presence_told lobby, 1 changed, 1 of 3 new",
            "presence_told lobby, 1 changed, 0 of 2 new",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_was_asked_for_is_no_change() {
    let (server, recorder) =
        recorded(|builder| builder.room_options(|_| RoomOptions::new().tell_presence()));
    let _ann = dial(&server, "ann").await;
    sleep(FOLDED).await;
    server.connection("ann").unwrap().resend_presence("lobby").unwrap();
    sleep(FOLDED).await;
    let told = recorder.only("presence_told");
    assert_eq!(told.last().unwrap(), "presence_told lobby, 0 changed, 1 of 1 new");
}

#[tokio::test(start_paused = true)]
async fn where_only_the_application_hears_of_it_no_member_is_told() {
    let (server, recorder) =
        recorded(|builder| builder.room_options(|_| RoomOptions::new().presence()));
    let _ann = dial(&server, "ann").await;
    sleep(FOLDED).await;
    assert_eq!(recorder.only("presence_told"), ["presence_told lobby, 1 changed, 0 of 0 new"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_on_presence_is_counted() {
    let (server, recorder) = recorded(|builder| {
        builder
            .room_options(|_| RoomOptions::new().presence())
            .on_presence(|_, _| panic!("of the test"))
    });
    let _ann = dial(&server, "ann").await;
    sleep(FOLDED).await;
    assert_eq!(recorder.only("callback_panicked"), ["callback_panicked lobby  on_presence"]);
}
