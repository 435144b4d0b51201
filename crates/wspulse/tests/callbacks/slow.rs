//! A slow callback delays the callbacks of its own connection, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::{Received, TestClient};
use wspulse::{Connection, ConnectionState, Disconnect, Server, ServerBuilder, TransportLost};

use crate::support::clients::{Client, dial, hears_nothing, number, numbered, numbers};
use crate::support::clock::{assert_passed, assert_ping_passed, settle};
use crate::support::house::open_house;
use crate::support::stage::Told;

const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(30);

/// A server whose message callback for the id `slow` takes a permit to return; it tells of a
/// message when it begins.
struct Slow {
    server: Server,
    gate: Arc<Semaphore>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Slow {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (tell, told) = mpsc::unbounded_channel();
        let disconnect = tell.clone();
        let builder = open_house()
            .on_message({
                let gate = Arc::clone(&gate);
                move |connection: Connection, frame| {
                    let slow = connection.id() == "slow";
                    tell.send(Told::Message(connection, frame)).unwrap();
                    let gate = Arc::clone(&gate);
                    async move {
                        if slow {
                            gate.acquire().await.unwrap().forget();
                        }
                    }
                }
            })
            .on_disconnect(move |connection, end| {
                disconnect.send(Told::Disconnect(connection, end)).unwrap();
            });
        Self { server: options(builder).build().unwrap(), gate, told }
    }

    async fn message(&mut self) -> usize {
        let told = self.told.recv().await.unwrap();
        let Told::Message(_, frame) = told else { panic!("a message was due, {told:?} came") };
        number(&frame)
    }

    /// A client whose first message is being handled.
    async fn busy(&mut self) -> (Client, Connection) {
        let mut client = dial(&self.server, "slow").await;
        client.send(&numbered(0)).await.unwrap();
        assert_eq!(self.message().await, 0);
        (client, self.server.connection("slow").unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn writes_go_on() {
    let mut slow = Slow::new();
    let (mut client, connection) = slow.busy().await;
    let before = Instant::now();
    connection.send(numbered(1)).unwrap();
    slow.server.broadcast("lobby", numbered(2)).unwrap();
    assert_eq!(numbers(&mut client, 2).await, [1, 2]);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn pongs_and_heartbeats_go_on() {
    let mut slow = Slow::new();
    let (mut client, _) = slow.busy().await;
    let before = Instant::now();
    client.ping(b"x").await.unwrap();
    assert_eq!(client.receive().await.unwrap(), Received::Pong(b"x"[..].into()));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(client.receive().await.unwrap(), Received::Ping(Bytes::new()));
    assert_ping_passed(before, PING);
}

#[tokio::test(start_paused = true)]
async fn other_connections_go_on() {
    let mut slow = Slow::new();
    let (_client, _) = slow.busy().await;
    let before = Instant::now();
    let mut ann = dial(&slow.server, "ann").await;
    for expected in 1..50 {
        ann.send(&numbered(expected)).await.unwrap();
        assert_eq!(slow.message().await, expected);
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_slow_connect_holds_up_nobody_else() {
    let gate = Arc::new(Semaphore::new(0));
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .on_connect({
            let gate = Arc::clone(&gate);
            move |connection| {
                let (gate, tell) = (Arc::clone(&gate), tell.clone());
                async move {
                    if connection.id() == "slow" {
                        gate.acquire().await.unwrap().forget();
                    }
                    tell.send(connection.id().to_owned()).unwrap();
                }
            }
        })
        .build()
        .unwrap();
    let _slow = dial(&server, "slow").await;
    settle().await;
    let _ann = dial(&server, "ann").await;
    assert_eq!(told.recv().await.unwrap(), "ann");
    gate.add_permits(1);
    assert_eq!(told.recv().await.unwrap(), "slow");
}

#[tokio::test(start_paused = true)]
async fn a_kick_is_carried_out_while_the_handler_runs() {
    let mut slow = Slow::new();
    let (mut client, connection) = slow.busy().await;
    slow.server.kick("slow").unwrap();
    assert_eq!(client.closed().await.unwrap().unwrap().reason(), "kicked");
    assert_eq!(connection.state(), ConnectionState::Closed);
    slow.gate.add_permits(1);
    let end = slow.told.recv().await.unwrap();
    assert!(matches!(end, Told::Disconnect(_, Disconnect::Kicked(_))));
}

#[tokio::test(start_paused = true)]
async fn a_handler_longer_than_the_pong_timeout_keeps_a_peer_that_answers() {
    let mut slow = Slow::new();
    let (mut client, connection) = slow.busy().await;
    let before = Instant::now();
    while before.elapsed() < 5 * PONG {
        assert_eq!(client.receive().await.unwrap(), Received::Ping(Bytes::new()));
        client.pong(b"").await.unwrap();
    }
    assert_eq!(connection.state(), ConnectionState::Connected);
    slow.gate.add_permits(2);
    client.send(&numbered(1)).await.unwrap();
    assert_eq!(slow.message().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_longer_than_the_pong_timeout_keeps_a_peer_that_sends() {
    let mut slow = Slow::new();
    let (mut client, connection) = slow.busy().await;
    for number in 1..=20 {
        sleep(PONG / 2).await;
        client.send(&numbered(number)).await.unwrap();
    }
    assert_eq!(connection.state(), ConnectionState::Connected);
    slow.gate.add_permits(21);
    for expected in 1..=20 {
        assert_eq!(slow.message().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_does_not_keep_a_peer_that_is_silent() {
    let mut slow = Slow::new();
    let (mut client, connection) = slow.busy().await;
    let before = Instant::now();
    assert_eq!(client.closed().await.unwrap().unwrap().reason(), "pong timeout");
    assert_passed(before, PONG);
    assert_eq!(connection.state(), ConnectionState::Closed);
    slow.gate.add_permits(1);
    let end = slow.told.recv().await.unwrap();
    let Told::Disconnect(_, Disconnect::TransportLost(TransportLost::PongTimeout)) = end else {
        panic!("{end:?} came")
    };
}

/// Sends numbered frames from 1 until the server takes no more; tells how many went whole.
async fn flood(client: &mut TestClient<tokio::io::DuplexStream>, count: usize) -> usize {
    for number in 1..=count {
        if timeout(Duration::from_secs(1), client.send(&numbered(number))).await.is_err() {
            return number - 1;
        }
    }
    count
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_pushed_back_while_the_handler_is_slow() {
    let mut slow = Slow::with(|builder| builder.upgrader_buffer_size(1024, 1024));
    let target = "/ws?id=slow";
    let narrow = TestClient::connect_with_capacity(&slow.server, target, 1024).await;
    let mut client = narrow.unwrap();
    let taken = flood(&mut client, 10_000).await;
    // What waits for the handler, one read, and the stream itself; a frame is at least 28 bytes.
    assert!(taken <= 33 + 2 * 1024 / 28, "{taken} frames were taken");
    assert!(taken >= 32, "{taken} frames were taken");
    assert_eq!(slow.message().await, 1);
}

#[tokio::test(start_paused = true)]
async fn everything_pushed_back_arrives_in_order_afterwards() {
    let mut slow = Slow::with(|builder| builder.upgrader_buffer_size(1024, 1024));
    let target = "/ws?id=slow";
    let narrow = TestClient::connect_with_capacity(&slow.server, target, 1024).await;
    let mut client = narrow.unwrap();
    let flooding = tokio::spawn(async move {
        for number in 0..2000 {
            client.send(&numbered(number)).await.unwrap();
        }
        client
    });
    settle().await;
    assert!(!flooding.is_finished());
    for expected in 0..2000 {
        assert_eq!(slow.message().await, expected);
        slow.gate.add_permits(1);
    }
    let mut client = flooding.await.unwrap();
    hears_nothing(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_pushed_back_is_not_given_up_meanwhile() {
    let mut slow = Slow::new();
    let (mut client, connection) = slow.busy().await;
    flood(&mut client, 200).await;
    sleep(5 * PONG).await;
    assert_eq!(connection.state(), ConnectionState::Connected);
    slow.gate.add_permits(201);
    let freed_at = Instant::now();
    for expected in 1..=200 {
        assert_eq!(slow.message().await, expected);
    }
    // From now on it is heard, and has its whole time again.
    let end = slow.told.recv().await.unwrap();
    assert!(matches!(
        end,
        Told::Disconnect(_, Disconnect::TransportLost(TransportLost::PongTimeout))
    ));
    assert_passed(freed_at, PONG);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_pushed_back_has_its_whole_time_again() {
    let mut slow = Slow::new();
    let (mut client, _) = slow.busy().await;
    // As many as may wait: reading has stopped, and there is nothing left to read.
    flood(&mut client, 32).await;
    sleep(5 * PONG).await;
    let freed_at = Instant::now();
    slow.gate.add_permits(33);
    for expected in 1..=32 {
        assert_eq!(slow.message().await, expected);
    }
    let end = slow.told.recv().await.unwrap();
    assert!(matches!(
        end,
        Told::Disconnect(_, Disconnect::TransportLost(TransportLost::PongTimeout))
    ));
    assert_passed(freed_at, PONG);
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_flood_is_heard_after_it() {
    let mut slow = Slow::new();
    let (mut client, _) = slow.busy().await;
    flood(&mut client, 200).await;
    client.close(None).await.unwrap();
    slow.gate.add_permits(201);
    for expected in 1..=200 {
        assert_eq!(slow.message().await, expected);
    }
    let end = slow.told.recv().await.unwrap();
    assert!(matches!(
        end,
        Told::Disconnect(_, Disconnect::TransportLost(TransportLost::PeerClosed(None)))
    ));
}
