//! A callback that holds its thread makes those wait who are on it, and nobody else: whoever is on
//! another thread is read, and hears what rooms are told.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wspulse::testing::TestClient;
use wspulse::{Admission, Connection, Frame, Server};

type Client = TestClient<DuplexStream>;

/// Nothing here takes so long, unless it waits for the thread that is held.
const FOREVER: Duration = Duration::from_secs(5);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lets a callback hold its thread until it is told to go on.
#[derive(Clone)]
struct Hold {
    is_held: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
}

/// The other end of a [`Hold`].
struct Holder {
    is_held: Receiver<()>,
    go_on: Sender<()>,
}

fn hold() -> (Hold, Holder) {
    let (tell, is_held) = mpsc::channel();
    let (release, go_on) = mpsc::channel();
    let go_on = Arc::new(Mutex::new(go_on));
    (Hold { is_held: tell, go_on }, Holder { is_held, go_on: release })
}

impl Hold {
    fn hold_this_thread(&self) {
        self.is_held.send(()).unwrap();
        let _ = self.go_on.lock().unwrap().recv_timeout(10 * FOREVER);
    }
}

impl Holder {
    fn wait(&self) {
        self.is_held.recv_timeout(FOREVER).unwrap();
    }

    fn release(&self) {
        self.go_on.send(()).unwrap();
    }
}

/// Echoes, but for "hold".
fn server(hold: Hold) -> Server {
    Server::builder_sync(|request| {
        Ok(Admission::room("lobby").id(request.query("id").unwrap_or("?".into())))
    })
    .on_message(move |conn, frame| match frame.event() {
        "hold" => hold.hold_this_thread(),
        _ => drop(conn.send(frame)),
    })
    .build()
    .unwrap()
}

/// A thread with a runtime of its own, which runs as long as this lives.
struct OtherThread {
    thread: Option<thread::JoinHandle<()>>,
    done: Option<oneshot::Sender<()>>,
}

impl OtherThread {
    /// Connects so many clients on it.
    fn with_clients(server: &Server, clients: usize) -> (Self, Vec<Client>) {
        let (given, taken) = mpsc::channel();
        let (done, is_done) = oneshot::channel::<()>();
        let server = server.clone();
        let thread = thread::spawn(move || {
            runtime().block_on(async move {
                let mut connected = Vec::new();
                for number in 0..clients {
                    let mut client = TestClient::connect(&server, &format!("/?id=there-{number}"))
                        .await
                        .unwrap();
                    // Its task has had its first turn.
                    echo(&mut client).await;
                    connected.push(client);
                }
                given.send(connected).unwrap();
                let _ = is_done.await;
            });
        });
        let clients = taken.recv().unwrap();
        (Self { thread: Some(thread), done: Some(done) }, clients)
    }
}

impl Drop for OtherThread {
    fn drop(&mut self) {
        drop(self.done.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn echo(client: &mut Client) {
    client.send(&Frame::new("echo")).await.unwrap();
    let echoed = timeout(FOREVER, client.frame()).await;
    assert_eq!(echoed.expect("a held thread keeps an echo").unwrap().event(), "echo");
}

#[test]
fn connections_of_another_runtime_are_read_while_a_thread_is_held() {
    let (hold, holder) = hold();
    let server = server(hold);
    let (_there, mut clients) = OtherThread::with_clients(&server, 2);
    let [ann, bob] = &mut clients[..] else { unreachable!() };
    runtime().block_on(async {
        let mut eve = TestClient::connect(&server, "/?id=eve").await.unwrap();
        // While the thread is held for the first time, both wake their tasks from this one: they
        // wait in the queue that all may put tasks into when it is held for the second time.
        ann.send(&Frame::new("hold")).await.unwrap();
        holder.wait();
        bob.send(&Frame::new("hold")).await.unwrap();
        ann.send(&Frame::new("echo")).await.unwrap();
        holder.release();
        holder.wait();
        for _ in 0..5 {
            echo(&mut eve).await;
        }
        holder.release();
    });
}

/// Tells whether a member on a thread of its own hears of a broadcast while the others' thread is
/// held.
fn is_heard_beside_a_held_thread(members_there: usize) -> bool {
    let (hold, holder) = hold();
    let server = server(hold);
    let (_there, mut clients) = OtherThread::with_clients(&server, members_there);
    runtime().block_on(async {
        let mut eve = TestClient::connect(&server, "/?id=eve").await.unwrap();
        echo(&mut eve).await;
        clients[0].send(&Frame::new("hold")).await.unwrap();
        holder.wait();
        server.broadcast("lobby", Frame::new("news")).unwrap();
        let is_heard = timeout(FOREVER, eve.frame()).await.is_ok();
        holder.release();
        is_heard
    })
}

#[test]
fn a_broadcast_to_a_small_room_does_not_wait_for_a_thread_that_is_held() {
    assert!(is_heard_beside_a_held_thread(10));
}

#[test]
fn a_broadcast_to_a_large_room_does_not_wait_for_a_thread_that_is_held() {
    assert!(is_heard_beside_a_held_thread(40));
}

/// In a room of so many on four workers: tells whether a member has what a callback broadcasts
/// before it holds its thread.
fn is_heard_before_the_callback_returns(members: usize) -> bool {
    let (hold, holder) = hold();
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let server = Server::builder_sync(|request| {
        Ok(Admission::room("lobby").id(request.query("id").unwrap_or("?".into())))
    })
    .on_message(move |conn: Connection, frame: Frame| {
        if frame.event() == "echo" {
            conn.send(frame).unwrap();
        } else {
            conn.room().broadcast(frame).unwrap();
            hold.hold_this_thread();
        }
    })
    .build()
    .unwrap();
    runtime.block_on(async {
        let mut listeners = Vec::new();
        for number in 1..members {
            let target = format!("/?id=listener-{number}");
            let mut client = TestClient::connect(&server, &target).await.unwrap();
            echo(&mut client).await;
            listeners.push(client);
        }
        // It has not read before: it does not wait for a turn, which would have others run.
        let mut speaker = TestClient::connect(&server, "/?id=speaker").await.unwrap();
        speaker.send(&Frame::new("news")).await.unwrap();
        holder.wait();
        let hears = listeners
            .into_iter()
            .map(|mut client| tokio::spawn(async move { client.frame().await.map(|_| client) }));
        let is_heard = timeout(FOREVER, select_all(hears)).await.is_ok();
        holder.release();
        is_heard
    })
}

#[test]
fn what_a_callback_broadcasts_to_a_small_room_is_heard_before_it_returns() {
    assert!(is_heard_before_the_callback_returns(30));
}

#[test]
fn what_a_callback_broadcasts_to_a_large_room_is_heard_before_it_returns() {
    assert!(is_heard_before_the_callback_returns(60));
}
