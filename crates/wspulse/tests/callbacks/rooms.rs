//! `on_join` and `on_leave`: in pairs, for each room, in the connection's one order of callbacks.

use std::sync::{Arc, Mutex};

use wspulse::testing::TestClient;
use wspulse::{Admission, Rejection, Server, ServerBuilder};

use crate::support::clients::{Client, numbered};
use crate::support::clock::{WINDOW, settle};

/// What the callbacks were told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// What has come since the last look.
    async fn since(&self) -> Vec<String> {
        settle().await;
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Admits to the hall and, beside it, to the attic.
fn telling(told: &Told) -> ServerBuilder {
    let builder = Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok::<_, Rejection>(Admission::room("hall").also_in(["attic"]).id(&*id))
    });
    let [up, joins, leaves, drops, ends] = [(); 5].map(|()| told.clone());
    builder
        .resume_window(WINDOW)
        .on_connect(move |_| up.note("up"))
        .on_join(move |_, room| joins.note(format!("in {}", room.id())))
        .on_leave(move |_, room| leaves.note(format!("out of {}", room.id())))
        .on_transport_drop(move |_, _| drops.note("dropped"))
        .on_disconnect(move |_, _| ends.note("end"))
}

async fn come(server: &Server) -> Client {
    TestClient::connect(server, "/ws?id=ann").await.expect("admitted")
}

#[tokio::test(start_paused = true)]
async fn rooms_of_the_admission_are_told_of_after_the_opening_and_before_the_end() {
    let told = Told::default();
    let server = telling(&told).build().unwrap();
    let _client = come(&server).await;
    assert_eq!(told.since().await, ["up", "in hall", "in attic"]);
    server.kick("ann").unwrap();
    assert_eq!(told.since().await, ["out of attic", "out of hall", "end"]);
}

#[tokio::test(start_paused = true)]
async fn rooms_that_are_joined_and_left_later_are_told_of_in_order() {
    let told = Told::default();
    let server = telling(&told).build().unwrap();
    let _client = come(&server).await;
    let ann = server.connection("ann").unwrap();
    told.since().await;
    ann.join("cellar").unwrap();
    ann.join("cellar").unwrap();
    assert_eq!(told.since().await, ["in cellar"]);
    ann.leave("hall");
    ann.leave("hall");
    ann.join("yard").unwrap();
    assert_eq!(told.since().await, ["out of hall", "in yard"]);
    ann.close();
    assert!(ann.join("yard").is_err() && !ann.leave("cellar"));
    assert_eq!(told.since().await, ["out of attic", "out of cellar", "out of yard", "end"]);
}

#[tokio::test(start_paused = true)]
async fn the_home_room_is_left_last_although_it_ended_and_began_anew() {
    let told = Told::default();
    let server = telling(&told).build().unwrap();
    let _client = come(&server).await;
    let _bob = TestClient::connect(&server, "/ws?id=bob").await.unwrap();
    let [ann, bob] = ["ann", "bob"].map(|id| server.connection(id).unwrap());
    bob.leave("hall");
    ann.leave("hall");
    bob.join("hall").unwrap();
    for room in ["hall", "cellar"] {
        ann.join(room).unwrap();
    }
    told.since().await;
    ann.close();
    assert_eq!(told.since().await, ["out of attic", "out of cellar", "out of hall", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspension_and_a_return_change_no_room() {
    let told = Told::default();
    let server = telling(&told).build().unwrap();
    drop(come(&server).await);
    settle().await;
    server.connection("ann").unwrap().leave("attic");
    let _back = come(&server).await;
    assert_eq!(told.since().await, ["up", "in hall", "in attic", "dropped", "out of attic"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_joined_and_left_during_a_callback_is_not_told_of() {
    let told = Told::default();
    let (release, released) = tokio::sync::watch::channel(false);
    let slow = told.clone();
    let server = telling(&told)
        .on_message(move |conn, _| {
            let (mut released, slow) = (released.clone(), slow.clone());
            async move {
                for _ in 0..100 {
                    conn.join("cellar").unwrap();
                    conn.leave("cellar");
                    conn.leave("attic");
                    conn.join("attic").unwrap();
                    tokio::task::yield_now().await;
                }
                conn.join("yard").unwrap();
                released.wait_for(|it| *it).await.unwrap();
                slow.note("message");
            }
        })
        .build()
        .unwrap();
    let mut client = come(&server).await;
    told.since().await;
    client.send(&numbered(1)).await.unwrap();
    assert!(told.since().await.is_empty(), "one callback at a time");
    release.send(true).unwrap();
    assert_eq!(told.since().await, ["message", "in yard"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_replaced_leaves_its_rooms_before_the_next_one_comes_up() {
    let told = Told::default();
    let server = telling(&told).build().unwrap();
    let _first = come(&server).await;
    told.since().await;
    let _second = come(&server).await;
    let order = ["out of attic", "out of hall", "end", "up", "in hall", "in attic"];
    assert_eq!(told.since().await, order);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_either_ends_nothing() {
    let told = Told::default();
    let ends = told.clone();
    let builder = telling(&told).on_join(|_, _| panic!("a fault of on_join"));
    let server = builder.on_disconnect(move |_, _| ends.note("end")).build().unwrap();
    let _client = come(&server).await;
    assert_eq!(told.since().await, ["up"]);
    server.connection("ann").unwrap().leave("attic");
    assert_eq!(told.since().await, ["out of attic"]);
}
