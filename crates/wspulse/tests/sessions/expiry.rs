//! Permissions that expire: a connection ends with its own unless it is renewed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, advance, sleep};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, ConnectRequest, Connection, ConnectionState, Disconnect, Frame, Rejection,
    RenewError, Server, ServerBuilder,
};

use crate::support::clients::Client;
use crate::support::clock::{WINDOW, settle};

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(20);

/// Lets everybody in under the `id` of the query, for its `seconds`, if there are any.
fn admit(request: &ConnectRequest) -> Admission {
    let id = request.query("id").unwrap_or_default();
    let admission = Admission::room("room").id(&*id);
    match request.query("seconds").map(|seconds| seconds.parse().unwrap()) {
        Some(seconds) => admission.expires_in(Duration::from_secs(seconds)),
        None => admission,
    }
}

/// A server, what it is told of ends, and of connections that are about to expire.
struct Stage {
    server: Server,
    ends: mpsc::UnboundedReceiver<(Disconnect, Instant)>,
    notices: mpsc::UnboundedReceiver<(Connection, Instant)>,
}

impl Stage {
    fn new(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let (tell_end, ends) = mpsc::unbounded_channel();
        let (tell_notice, notices) = mpsc::unbounded_channel();
        let builder = Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)))
            .on_disconnect(move |_, end| drop(tell_end.send((end, Instant::now()))))
            .on_expiring(move |conn| drop(tell_notice.send((conn, Instant::now()))))
            // Not before anything here is over.
            .heartbeat(Duration::from_mins(4), Duration::from_mins(9));
        Self { server: options(builder).build().expect("valid options"), ends, notices }
    }

    async fn dial(&self, query: &str) -> Client {
        TestClient::connect(&self.server, &format!("/ws?{query}")).await.expect("admitted")
    }

    fn ann(&self) -> Connection {
        self.server.connection("ann").expect("it is there")
    }

    async fn refusal(&self, query: &str) -> u16 {
        let answer = TestClient::connect(&self.server, &format!("/ws?{query}")).await;
        answer.expect_err("refused").status().as_u16()
    }
}

/// Code and reason of the close frame that a client gets.
async fn close_of(client: &mut Client) -> (u16, String) {
    let frame = client.closed().await.expect("a close").expect("with a code");
    (frame.code().as_u16(), frame.reason().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_4401_when_its_permission_expires() {
    let mut stage = Stage::new(|builder| builder);
    let begun_at = Instant::now();
    let mut ann = stage.dial("id=ann&seconds=20").await;
    assert_eq!(close_of(&mut ann).await, (4401, "expired".to_owned()));
    let (end, ended_at) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Expired), "{end}");
    let lived = ended_at - begun_at;
    assert!(lived >= LIFE && lived < LIFE + SECOND, "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn it_expires_while_its_handler_is_busy() {
    let gate = Arc::new(Semaphore::new(0));
    let stage = Stage::new(|builder| {
        builder.on_message(move |_, _| {
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        })
    });
    let mut ann = stage.dial("id=ann&seconds=20").await;
    ann.send(&Frame::new("hold")).await.unwrap();
    assert_eq!(close_of(&mut ann).await, (4401, "expired".to_owned()));
    assert_eq!(stage.server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_expires_while_it_is_suspended() {
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW));
    let begun_at = Instant::now();
    drop(stage.dial("id=ann&seconds=20").await);
    settle().await;
    assert_eq!(stage.ann().state(), ConnectionState::Suspended);
    let (end, ended_at) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Expired), "{end}");
    assert!(ended_at - begun_at < LIFE + SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_expiry_is_written_before_the_close_frame() {
    let stage = Stage::new(|builder| builder);
    let mut ann = stage.dial("id=ann&seconds=20").await;
    sleep(19 * SECOND).await;
    stage.ann().send(Frame::new("last")).unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "last");
    assert_eq!(close_of(&mut ann).await, (4401, "expired".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_puts_the_expiry_off() {
    let mut stage = Stage::new(|builder| builder);
    let begun_at = Instant::now();
    let _ann = stage.dial("id=ann&seconds=20").await;
    sleep(19 * SECOND).await;
    stage.ann().renew_in(LIFE).unwrap();
    assert_eq!(stage.ann().expires_in(), Some(LIFE));
    let (_, ended_at) = stage.ends.recv().await.unwrap();
    let lived = ended_at - begun_at;
    assert!(lived >= 39 * SECOND && lived < 2 * LIFE, "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_expired_may_be_given_an_end() {
    let mut stage = Stage::new(|builder| builder);
    let _ann = stage.dial("id=ann").await;
    assert_eq!((stage.ann().expires_at(), stage.ann().expires_in()), (None, None));
    stage.ann().renew(SystemTime::UNIX_EPOCH).unwrap();
    let (end, _) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Expired), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_time_on_the_wall_clock_is_told_as_it_was_given() {
    let stage = Stage::new(|builder| builder);
    let _ann = stage.dial("id=ann").await;
    let until = SystemTime::now() + LIFE;
    stage.ann().renew(until).unwrap();
    let told = stage.ann().expires_at().unwrap();
    let apart = told.duration_since(until).unwrap_or_else(|error| error.duration());
    assert!(apart < SECOND, "{apart:?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_comes_too_late_says_so() {
    let mut stage = Stage::new(|builder| builder);
    let _ann = stage.dial("id=ann&seconds=20").await;
    let ann = stage.ann();
    stage.ends.recv().await.unwrap();
    assert_eq!(ann.renew_in(LIFE), Err(RenewError::Closed { id: "ann".to_owned() }));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stood_still_ends_what_has_expired_meanwhile() {
    let mut stage = Stage::new(|builder| builder);
    let _ann = stage.dial("id=ann&seconds=20").await;
    settle().await;
    advance(3 * LIFE).await;
    let (end, ended_at) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Expired), "{end}");
    assert!(ended_at.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_renews_its_session() {
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW));
    drop(stage.dial("id=ann&seconds=20").await);
    settle().await;
    let old = stage.ann();
    let _ann = stage.dial("id=ann&seconds=50").await;
    sleep(2 * LIFE).await;
    assert_eq!(stage.ann(), old);
    let (end, _) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Expired), "{end}");
}

#[tokio::test(start_paused = true)]
async fn an_admission_that_says_nothing_leaves_the_expiry_as_it_is() {
    let stage = Stage::new(|builder| builder.resume_window(WINDOW));
    drop(stage.dial("id=ann&seconds=20").await);
    settle().await;
    let _ann = stage.dial("id=ann").await;
    assert!(stage.ann().expires_in().is_some_and(|left| left <= LIFE));
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_permission_has_expired_is_answered_401_and_its_session_goes_on() {
    let stage = Stage::new(|builder| builder.resume_window(WINDOW));
    assert_eq!(stage.refusal("id=bob&seconds=0").await, 401);
    drop(stage.dial("id=ann&seconds=20").await);
    settle().await;
    assert_eq!(stage.refusal("id=ann&seconds=0").await, 401);
    assert_eq!(stage.ann().state(), ConnectionState::Suspended);
}

#[tokio::test(start_paused = true)]
async fn the_application_hears_of_an_expiry_as_long_before_as_it_says() {
    let mut stage = Stage::new(|builder| builder.expiry_notice(5 * SECOND));
    let begun_at = Instant::now();
    let _ann = stage.dial("id=ann&seconds=20").await;
    let (conn, told_at) = stage.notices.recv().await.unwrap();
    let waited = told_at - begun_at;
    assert!(waited >= 15 * SECOND && waited < 16 * SECOND, "{waited:?}");
    conn.renew_in(LIFE).unwrap();
    let (_, told_again_at) = stage.notices.recv().await.unwrap();
    assert!(told_again_at - told_at >= 15 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_notice_comes_after_the_connection_has_come_up_although_it_is_due_at_once() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let connected = tell.clone();
    let stage = Stage::new(|builder| {
        builder
            .on_connect(move |_| connected.send("connect").unwrap())
            .on_expiring(move |_| tell.send("expiring").unwrap())
    });
    let _ann = stage.dial("id=ann&seconds=20").await;
    assert_eq!(told.recv().await, Some("connect"));
    assert_eq!(told.recv().await, Some("expiring"));
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_not_given_for_nothing() {
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::clone(&gate);
    let mut stage = Stage::new(|builder| {
        builder.expiry_notice(5 * SECOND).on_message(move |_, _| {
            let gate = Arc::clone(&key);
            async move { gate.acquire().await.unwrap().forget() }
        })
    });
    let mut ann = stage.dial("id=ann&seconds=20").await;
    ann.send(&Frame::new("hold")).await.unwrap();
    sleep(19 * SECOND).await;
    stage.ann().renew_in(LIFE).unwrap();
    gate.add_permits(1);
    settle().await;
    assert!(stage.notices.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_notice_whose_turn_comes_after_a_callback_that_renews_is_not_given() {
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::clone(&gate);
    let mut stage = Stage::new(|builder| {
        builder.expiry_notice(5 * SECOND).on_message(move |conn, _| {
            let gate = Arc::clone(&key);
            async move {
                gate.acquire().await.unwrap().forget();
                conn.renew_in(LIFE).unwrap();
            }
        })
    });
    let mut ann = stage.dial("id=ann&seconds=20").await;
    ann.send(&Frame::new("renew")).await.unwrap();
    sleep(19 * SECOND).await;
    gate.add_permits(1);
    settle().await;
    assert!(stage.notices.try_recv().is_err(), "it was renewed before");
    let renewed_at = Instant::now();
    let (_, told_at) = stage.notices.recv().await.unwrap();
    assert!(told_at - renewed_at >= 14 * SECOND, "of the new end it hears in time");
}

#[tokio::test(start_paused = true)]
async fn a_notice_whose_turn_comes_after_a_callback_that_ends_the_connection_is_not_given() {
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::clone(&gate);
    let mut stage = Stage::new(|builder| {
        builder.expiry_notice(5 * SECOND).on_message(move |conn, _| {
            let gate = Arc::clone(&key);
            async move {
                gate.acquire().await.unwrap().forget();
                conn.close();
            }
        })
    });
    let mut ann = stage.dial("id=ann&seconds=20").await;
    ann.send(&Frame::new("leave")).await.unwrap();
    sleep(19 * SECOND).await;
    gate.add_permits(1);
    let (end, _) = stage.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::Closed), "{end}");
    assert!(stage.notices.try_recv().is_err(), "it had ended before");
}

#[test]
fn a_notice_of_no_time_or_more_than_a_day_is_refused() {
    let build = |notice| Server::builder_without_connect().expiry_notice(notice).build();
    let (least, most) = (Duration::from_millis(1), Duration::from_hours(24));
    assert!(build(least).is_ok() && build(most).is_ok());
    for beyond in [Duration::ZERO, most + SECOND] {
        let error = build(beyond).expect_err("out of bounds").to_string();
        assert!(error.starts_with("wspulse: expiry_notice: must be at least 1 ms"), "{error}");
    }
}
