//! When sessions begin and cease to wait for their clients is told, and how many of them wait.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::time::sleep;
use wspulse::metrics::{ConnectionClosed, SessionResumed, SessionSuspended};
use wspulse::testing::TestClient;
use wspulse::{Admission, DuplicatePolicy, MetricsCollector, Server};

const WINDOW: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl MetricsCollector for Told {
    fn session_suspended(&self, event: &SessionSuspended<'_>) {
        let &SessionSuspended { room, id, .. } = event;
        self.0.lock().push(format!("suspended {room} {id}"));
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        let &SessionResumed { room, id, .. } = event;
        self.0.lock().push(format!("resumed {room} {id}"));
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { room, id, reason, .. } = event;
        self.0.lock().push(format!("closed {room} {id} {}", reason.as_str()));
    }
}

fn server(window: Duration, duplicates: DuplicatePolicy) -> (Server, Told) {
    let told = Told::default();
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .resume_window(window)
        .duplicates(duplicates)
        .metrics(told.clone())
        .check_origin(|_| true);
    (builder.build().expect("valid options"), told)
}

async fn join(server: &Server) -> TestClient<DuplexStream> {
    TestClient::connect(server, "/").await.expect("101")
}

#[tokio::test(start_paused = true)]
async fn a_suspension_is_told_before_the_resume_or_the_end_that_follows() {
    let (server, told) = server(WINDOW, DuplicatePolicy::Replace);
    for _ in 0..2 {
        drop(join(&server).await);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(server.suspended_count(), 1);
    }
    sleep(WINDOW).await;
    assert_eq!(server.suspended_count(), 0);
    let suspended = "suspended lobby ann";
    let expected = [suspended, "resumed lobby ann", suspended, "closed lobby ann grace_expired"];
    assert_eq!(*told.0.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_moves_to_a_newer_transport_was_not_suspended() {
    let (server, told) = server(WINDOW, DuplicatePolicy::Resume);
    let _old = join(&server).await;
    sleep(Duration::from_secs(1)).await;
    let _new = join(&server).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((server.suspended_count(), server.connection_count()), (0, 1));
    assert_eq!(*told.0.lock(), ["resumed lobby ann"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_resume_window_nothing_is_suspended() {
    let (server, told) = server(Duration::ZERO, DuplicatePolicy::Replace);
    drop(join(&server).await);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.suspended_count(), 0);
    assert_eq!(*told.0.lock(), ["closed lobby ann normal"]);
}
