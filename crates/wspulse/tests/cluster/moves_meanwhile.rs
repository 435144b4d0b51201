//! Sessions that come to a server while that speaks to their room, in which it had nobody before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use wspulse::codec::{
    Codec, DecodeError, EncodeError, InboundMessage, JsonCodec, MessagePackCodec,
};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{Frame, MessageKind, PayloadFormat, Server, ServerBuilder};

use super::traveller::{Traveller, exactly_once};
use super::{come, know_each_other, node};

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(20);

/// JSON that stops in the middle of the frame `held`, once.
struct Holding {
    reached: Arc<Notify>,
    go_on: Mutex<mpsc::Receiver<()>>,
    has_held: AtomicBool,
}

/// By which a test hears that it has stopped, and lets it go on.
struct Held {
    reached: Arc<Notify>,
    go_on: mpsc::Sender<()>,
}

impl Holding {
    fn new() -> (Self, Held) {
        let reached = Arc::new(Notify::new());
        let (go_on, may_go_on) = mpsc::channel();
        let holding = Self {
            reached: Arc::clone(&reached),
            go_on: Mutex::new(may_go_on),
            has_held: AtomicBool::new(false),
        };
        (holding, Held { reached, go_on })
    }
}

impl Codec for Holding {
    fn name(&self) -> Option<&str> {
        JsonCodec.name()
    }

    fn payload_format(&self) -> PayloadFormat {
        JsonCodec.payload_format()
    }

    fn kind(&self, frame: &Frame) -> MessageKind {
        JsonCodec.kind(frame)
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if frame.event() == "held" && !self.has_held.swap(true, Ordering::Relaxed) {
            self.reached.notify_one();
            self.go_on.lock().unwrap().recv_timeout(WITHIN).expect("it is let go on");
        }
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        JsonCodec.decode(message)
    }
}

/// A client comes from the first server to the second one while that says `held` in this way, and what
/// it says then. Both are heard. Before, somebody else was in the room there, if `is_left` says so.
async fn comes_while(is_left: bool, finish: fn(ServerBuilder) -> ServerBuilder, say: fn(&Server)) {
    let network = MemoryNetwork::new();
    let (holding, held) = Holding::new();
    let builder = |codec: Option<Holding>| match codec {
        Some(codec) => finish(exactly_once().codec(codec)),
        None => finish(exactly_once()),
    };
    let servers = [node(&network, builder(None)).0, node(&network, builder(Some(holding))).0];
    know_each_other(&servers).await;
    let there = &servers[1];
    let mut ann = Traveller::begin(&servers[0]).await;
    if is_left {
        drop(come(there, "room=lobby&id=bob").await);
    }
    let speaking = tokio::task::spawn_blocking({
        let there = there.clone();
        move || say(&there)
    });
    timeout(WITHIN, held.reached.notified()).await.expect("it is on its way");
    if is_left {
        there.kick("bob").unwrap();
    }
    let room = there.room("lobby");
    timeout(WITHIN, async {
        while !room.connections().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("nobody is there");
    ann.comes_to(there).await;
    held.go_on.send(()).unwrap();
    speaking.await.unwrap();
    there.broadcast("lobby", Frame::new("then")).unwrap();
    timeout(WITHIN, ann.hears(&["held", "then"])).await.expect("both frames");
}

fn in_json(builder: ServerBuilder) -> ServerBuilder {
    builder
}

fn in_two_codecs(builder: ServerBuilder) -> ServerBuilder {
    builder.also_codec(MessagePackCodec)
}

fn to_the_room(server: &Server) {
    server.broadcast("lobby", Frame::new("held")).unwrap();
}

fn to_an_audience(server: &Server) {
    server.to(["lobby", "hall"]).broadcast(Frame::new("held")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_a_server_speaks_to_its_empty_room_hears_that() {
    comes_while(false, in_json, to_the_room).await;
    comes_while(false, in_two_codecs, to_the_room).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_whoever_comes_while_it_speaks_to_several_rooms() {
    comes_while(false, in_json, to_an_audience).await;
    comes_while(false, in_two_codecs, to_an_audience).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_whoever_comes_once_the_last_member_has_left_meanwhile() {
    for finish in [in_json, in_two_codecs] {
        comes_while(true, finish, to_the_room).await;
        comes_while(true, finish, to_an_audience).await;
    }
}
