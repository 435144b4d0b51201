//! What takes a lock to show, or a moment between two steps: what holds up whom, and who is where.

use std::sync::mpsc;
use std::thread;

use tokio::io::duplex;
use tokio::runtime::{Builder, Runtime};

use wspulse_core::Frame;

use super::*;
use crate::membership::mailbox::End;
use crate::wire::transport::{Upgradable, Upgrade};

fn enter(server: &Server, room: &str, id: &str) {
    let (stream, _) = duplex(64);
    let upgrade = Upgrade::ready(Upgradable::new(stream, &[]));
    server.register(Admission::room(room).id(id), None, upgrade, None, None).expect("let in");
}

#[tokio::test]
async fn a_room_that_is_busy_holds_up_only_who_enters_it() {
    let server = Server::builder_without_connect().build().expect("valid options");
    enter(&server, "busy", "ann");
    enter(&server, "quiet", "ben");
    let members = server.group(Kind::Room, "busy").expect("it has a member");
    let (runtime, entering) = (tokio::runtime::Handle::current(), server.clone());
    let (tell, told) = mpsc::channel();
    let late = members.while_held(|| {
        let late = thread::spawn(move || {
            let _runtime = runtime.enter();
            tell.send(()).expect("somebody listens");
            enter(&entering, "busy", "late");
        });
        told.recv().expect("it has begun");
        // Until it waits for the room.
        while server.connection("late").is_none() {
            thread::yield_now();
        }
        assert!(server.connection("ben").is_some() && server.room("busy").len() == 1);
        enter(&server, "quiet", "eve");
        server.kick("eve").expect("it is there");
        let frame = || Frame::new("here");
        assert!(server.send("ben", frame()).is_ok());
        assert_eq!(server.broadcast("quiet", frame()).expect("it is open").reached, 1);
        late
    });
    late.join().expect("no panic");
    assert_eq!(server.room("busy").len(), 2);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_connection_whose_runtime_ends_is_in_no_room_when_on_disconnect_is_called() {
    let (lasting, ending) = (runtime(), runtime());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hear = move |connection: Connection, _| {
        tell.send(connection.rooms().len()).expect("somebody listens");
    };
    let builder = Server::builder_without_connect().on_disconnect(hear);
    let server = builder.build().expect("valid options");
    lasting.block_on(async { enter(&server, "room", "ben") });
    ending.block_on(async { enter(&server, "room", "ann") });
    let ann = server.connection("ann").expect("it is there");
    // Whoever ends it has done so, and is about to take it out of its rooms.
    let end = End { disconnect: Disconnect::Closed, deadline: Instant::now() };
    assert!(ann.shared().end(end).is_ok());
    drop(ending);
    let rooms = lasting.block_on(async { [told.recv().await, told.recv().await] });
    assert_eq!(rooms, [Some(0), Some(0)]);
    lasting.block_on(server.close());
}
