//! A drained server hands its clients over, one after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep, timeout};
use wspulse::http::header::RETRY_AFTER;
use wspulse::metrics::DrainStarted;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{ConnectionState, Disconnect, Frame, MetricsCollector, Server, ServerBuilder};

use crate::support::clients::Client;
use crate::support::clock::settle;
use crate::support::house::open_house;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(30);

/// A server, and what it is told of ends.
struct Stage {
    server: Server,
    ends: mpsc::UnboundedReceiver<(Disconnect, Instant)>,
    begun_at: Instant,
}

impl Stage {
    fn new(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (tell, ends) = mpsc::unbounded_channel();
        let builder = open_house()
            .on_disconnect(move |_, end| drop(tell.send((end, Instant::now()))))
            // Not before anything here is over.
            .heartbeat(Duration::from_mins(4), Duration::from_mins(9));
        let server = options(builder).build().expect("valid options");
        Self { server, ends, begun_at: Instant::now() }
    }

    async fn dial(&self, id: &str) -> Client {
        TestClient::connect(&self.server, &format!("/ws?id={id}")).await.expect("admitted")
    }

    /// Clients that hang up once they are told to close, so that nobody waits for them.
    async fn crowd(&self, clients: usize) -> Vec<JoinHandle<(u16, String)>> {
        let mut crowd = Vec::new();
        for number in 0..clients {
            let mut client = self.dial(&format!("c{number}")).await;
            crowd.push(tokio::spawn(async move { close_of(&mut client).await }));
        }
        settle().await;
        crowd
    }

    fn drain(&mut self, window: Duration) -> JoinHandle<()> {
        self.begun_at = Instant::now();
        let server = self.server.clone();
        tokio::spawn(async move { server.drain(window).await })
    }

    /// How long after the drain began each connection has ended so far, in order.
    fn ended_after(&mut self) -> Vec<Duration> {
        std::iter::from_fn(|| self.ends.try_recv().ok()).map(|(_, at)| at - self.begun_at).collect()
    }
}

/// Code and reason of the close frame that a client gets.
async fn close_of(client: &mut Client) -> (u16, String) {
    let frame = client.closed().await.expect("a close").expect("with a code");
    (frame.code().as_u16(), frame.reason().to_owned())
}

#[tokio::test(start_paused = true)]
async fn who_comes_to_a_draining_server_is_told_to_come_back_later() {
    let mut stage = Stage::new(|builder| builder);
    let _ann = stage.dial("ann").await;
    assert!(!stage.server.is_draining());
    drop(stage.drain(WINDOW));
    settle().await;
    assert!(stage.server.is_draining());
    let answer = TestClient::connect(&stage.server, "/ws?id=bob").await;
    let refused = answer.expect_err("refused");
    assert_eq!(refused.status().as_u16(), 503);
    assert_eq!(refused.0.headers()[RETRY_AFTER], "2");
}

#[tokio::test(start_paused = true)]
async fn those_that_are_there_talk_on_until_it_is_their_turn() {
    let mut stage =
        Stage::new(|builder| builder.on_message(|conn, frame| drop(conn.room().broadcast(frame))));
    let mut ann = stage.dial("ann").await;
    drop(stage.drain(WINDOW));
    settle().await;
    ann.send(&Frame::new("still")).await.unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "still");
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_evenly_over_the_window() {
    let mut stage = Stage::new(|builder| builder);
    let crowd = stage.crowd(600).await;
    let drained = stage.drain(WINDOW);
    drained.await.unwrap();
    assert!(stage.begun_at.elapsed() <= WINDOW + SECOND, "{:?}", stage.begun_at.elapsed());
    let ended_after = stage.ended_after();
    assert_eq!(ended_after.len(), 600);
    for second in 0..30 {
        let within = ended_after.iter().filter(|after| after.as_secs() == second).count();
        assert!((16..=24).contains(&within), "{within} in second {second}");
    }
    let mut retries = BTreeSet::new();
    for client in crowd {
        let (code, reason) = client.await.unwrap();
        assert_eq!(code, 1012);
        let retry: u64 = reason.strip_prefix("retry=").unwrap().parse().unwrap();
        assert!((1_000..=2_000).contains(&retry), "{retry}");
        retries.insert(retry);
    }
    assert!(retries.len() > 400, "{} different ones", retries.len());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_is_written_before_the_close_frame() {
    let mut stage = Stage::new(|builder| builder);
    let mut ann = stage.dial("ann").await;
    let conn = stage.server.connection("ann").unwrap();
    (0..9).for_each(|_| conn.send(Frame::new("last")).unwrap());
    drop(stage.drain(Duration::ZERO));
    for _ in 0..9 {
        assert_eq!(ann.frame().await.unwrap().event(), "last");
    }
    assert_eq!(close_of(&mut ann).await.0, 1012);
    let (end, _) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Drained { retry } if retry >= SECOND), "{end}");
}

#[tokio::test(start_paused = true)]
async fn suspended_sessions_wait_for_the_end_and_cannot_be_resumed() {
    let mut stage = Stage::new(|builder| builder.resume_window(2 * WINDOW));
    drop(stage.dial("ann").await);
    settle().await;
    let drained = stage.drain(WINDOW);
    sleep(29 * SECOND).await;
    let ann = stage.server.connection("ann").unwrap();
    assert_eq!(ann.state(), ConnectionState::Suspended);
    let answer = TestClient::connect(&stage.server, "/ws?id=ann").await;
    assert_eq!(answer.expect_err("refused").status().as_u16(), 503);
    drained.await.unwrap();
    let (end, ended_at) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::ServerClosed), "{end}");
    assert!(ended_at - stage.begun_at >= WINDOW);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_clients_is_drained_at_once() {
    let mut stage = Stage::new(|builder| builder);
    stage.drain(WINDOW).await.unwrap();
    assert!(stage.begun_at.elapsed() < SECOND);
    let crowd = Stage::new(|builder| builder);
    let mut stage = crowd;
    let mut clients = stage.crowd(3).await;
    let drained = stage.drain(WINDOW);
    clients.iter().for_each(JoinHandle::abort);
    clients.clear();
    drained.await.unwrap();
    assert!(stage.begun_at.elapsed() < SECOND, "they have left by themselves");
}

#[tokio::test(start_paused = true)]
async fn a_close_in_the_middle_ends_the_rest_at_once() {
    let mut stage = Stage::new(|builder| builder);
    let crowd = stage.crowd(10).await;
    let drained = stage.drain(WINDOW);
    sleep(WINDOW / 2).await;
    stage.server.close().await;
    drained.await.unwrap();
    assert!(stage.begun_at.elapsed() < WINDOW / 2 + SECOND);
    let mut codes = Vec::new();
    for client in crowd {
        codes.push(client.await.unwrap().0);
    }
    codes.sort_unstable();
    assert_eq!(codes, [1001, 1001, 1001, 1001, 1001, 1012, 1012, 1012, 1012, 1012]);
}

#[tokio::test(start_paused = true)]
async fn whoever_drains_as_well_waits_for_the_same_end() {
    let mut stage = Stage::new(|builder| builder);
    let _crowd = stage.crowd(10).await;
    let first = stage.drain(WINDOW);
    settle().await;
    let begun_at = stage.begun_at;
    let second = stage.drain(SECOND);
    sleep(WINDOW / 2).await;
    assert!(!second.is_finished(), "its window does not count");
    first.await.unwrap();
    second.await.unwrap();
    assert!(begun_at.elapsed() >= 28 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_future_is_dropped_goes_on() {
    let mut stage = Stage::new(|builder| builder);
    let crowd = stage.crowd(2).await;
    let dropped = timeout(SECOND, stage.server.drain(WINDOW)).await;
    assert!(dropped.is_err());
    for client in crowd {
        assert_eq!(client.await.unwrap().0, 1012);
    }
    stage.server.drain(WINDOW).await;
    assert_eq!(stage.ended_after().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_drains_its_server_only_starts_it() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let stage = Stage::new(|builder| {
        builder.on_message(move |conn, _| {
            let tell = tell.clone();
            async move {
                conn.server().drain(SECOND).await;
                tell.send(conn.state()).unwrap();
            }
        })
    });
    let mut ann = stage.dial("ann").await;
    ann.send(&Frame::new("drain")).await.unwrap();
    assert_eq!(told.recv().await, Some(ConnectionState::Connected));
    assert_eq!(close_of(&mut ann).await.0, 1012);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stood_still_does_not_make_up_for_it() {
    let mut stage = Stage::new(|builder| builder);
    let _crowd = stage.crowd(300).await;
    let _drained = stage.drain(WINDOW);
    sleep(10 * SECOND).await;
    let before = stage.ended_after().len();
    advance(10 * SECOND).await;
    sleep(SECOND).await;
    let after = stage.ended_after().len();
    assert!((90..=110).contains(&before) && after <= 12, "{before} and {after}");
}

#[tokio::test(start_paused = true)]
async fn what_was_received_before_is_handed_on() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut stage = Stage::new(|builder| {
        builder.on_message(move |_, frame| {
            let tell = tell.clone();
            async move {
                sleep(SECOND).await;
                tell.send(frame.event().to_owned()).unwrap();
            }
        })
    });
    let mut ann = stage.dial("ann").await;
    for event in ["first", "second"] {
        ann.send(&Frame::new(event)).await.unwrap();
    }
    settle().await;
    drop(stage.drain(Duration::ZERO));
    assert_eq!(told.recv().await.as_deref(), Some("first"));
    assert_eq!(told.recv().await.as_deref(), Some("second"));
}

struct TellsOfDrains(mpsc::UnboundedSender<(usize, Duration)>);

impl MetricsCollector for TellsOfDrains {
    fn drain_started(&self, started: &DrainStarted) {
        self.0.send((started.connections, started.window)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_counted_once_with_who_is_connected() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut stage =
        Stage::new(|builder| builder.resume_window(2 * WINDOW).metrics(TellsOfDrains(tell)));
    let _crowd = stage.crowd(2).await;
    drop(stage.dial("ann").await);
    settle().await;
    drop(stage.drain(WINDOW));
    settle().await;
    drop(stage.drain(WINDOW));
    settle().await;
    assert_eq!(told.try_recv(), Ok((2, WINDOW)));
    assert!(told.try_recv().is_err());
}

#[test]
fn a_retry_of_no_time_or_more_than_half_a_minute_is_refused() {
    let build = |retry| Server::builder_without_connect().drain_retry(retry).build();
    let (least, most) = (Duration::from_millis(1), WINDOW);
    assert!(build(least).is_ok() && build(most).is_ok());
    for beyond in [Duration::ZERO, most + SECOND] {
        let error = build(beyond).expect_err("out of bounds").to_string();
        assert!(error.starts_with("wspulse: drain_retry: must be at least 1 ms"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_on_the_way_back_when_it_began_is_told_when_to_come_back() {
    let mut stage = Stage::new(|builder| builder.resume_window(5 * WINDOW));
    drop(stage.dial("ann").await);
    settle().await;
    let ann = stage.server.connection("ann").expect("it waits for its client");
    assert_eq!(ann.state(), ConnectionState::Suspended);
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).expect("a good request");
    let accepted = handshake.connect().await.expect("admitted");
    let drained = stage.drain(WINDOW);
    settle().await;
    let (ours, theirs) = tokio::io::duplex(1024);
    accepted.attach(theirs, &[]);
    let (code, reason) = close_of(&mut Client::new(ours)).await;
    assert_eq!(code, 1012);
    assert!(reason.starts_with("retry="), "{reason}");
    drained.await.unwrap();
}

#[test]
fn if_the_runtime_of_a_drain_ends_the_rest_is_closed_at_once() {
    let runtime = || Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (lasting, ending) = (runtime(), runtime());
    let server = open_house().build().unwrap();
    let mut ann = lasting.block_on(TestClient::connect(&server, "/ws?id=ann")).expect("admitted");
    ending.block_on(async {
        let drained = server.clone();
        tokio::spawn(async move { drained.drain(WINDOW).await });
        settle().await;
    });
    drop(ending);
    lasting.block_on(async {
        let told = timeout(SECOND, close_of(&mut ann)).await.expect("it is told at once");
        assert_eq!(told.0, 1001);
        timeout(WINDOW, server.drain(WINDOW)).await.expect("the server has closed");
    });
}
