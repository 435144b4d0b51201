//! An application hears of messages that are no frames, in their place among the others, and may
//! answer them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};
use wspulse::metrics::{CallbackPanicked, MessageUndecodable, MessagesDiscarded};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, CloseCode, Connection, Frame, MessageKind, MetricsCollector, Server, ServerBuilder,
};

fn server(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .max_message_size(1024)
        .check_origin(|_| true);
    configure(builder).build().expect("valid options")
}

async fn join(server: &Server) -> TestClient<DuplexStream> {
    TestClient::connect(server, "/").await.expect("101")
}

async fn say(client: &mut TestClient<DuplexStream>, text: &str) {
    client.write_message(MessageKind::Text, text.as_bytes()).await.expect("connected");
}

fn answer(conn: &Connection, event: &'static str) {
    conn.send(Frame::new(event)).expect("there is room");
}

/// Counts what the application is not told of, and what is no frame.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 3]>);

impl MetricsCollector for Counts {
    fn message_undecodable(&self, _: &MessageUndecodable<'_>) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        self.0[1].fetch_add(event.messages, Ordering::Relaxed);
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        assert_eq!(event.callback.as_str(), "on_undecodable");
        self.0[2].fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn get(&self) -> [usize; 3] {
        [0, 1, 2].map(|index| self.0[index].load(Ordering::Relaxed))
    }
}

#[test]
fn without_a_message_callback_it_would_never_be_called_and_is_refused() {
    let alone = || Server::builder_without_connect().on_undecodable(|_, _| {});
    let refused = alone().build().expect_err("nothing is decoded");
    assert_eq!(refused.option(), "on_undecodable");
    assert_eq!(
        refused.to_string(),
        "wspulse: on_undecodable: must come with on_message or router, without which nothing is \
         decoded, but is alone"
    );
    alone().on_message(|_, _| {}).build().expect("a message callback");
    let router = wspulse::Router::builder().build().expect("no routes");
    alone().router(router).build().expect("a router");
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_frames_are_answered_in_their_place_also_behind_a_slow_callback() {
    for pause in [Duration::ZERO, Duration::from_millis(300)] {
        let server = server(|builder| {
            builder
                .on_message(move |conn: Connection, _| async move {
                    sleep(pause).await;
                    answer(&conn, "frame");
                })
                .on_undecodable(move |conn: Connection, error| async move {
                    sleep(pause).await;
                    assert!(std::error::Error::source(&error).is_some());
                    answer(&conn, "no frame");
                })
        });
        let mut ann = join(&server).await;
        let said = ["{}", "[", "{}", "{}", "nothing", "1", "{}"];
        for text in said {
            say(&mut ann, text).await;
        }
        for text in said {
            let expected = if text == "{}" { "frame" } else { "no frame" };
            assert_eq!(ann.frame().await.expect("connected").event(), expected);
        }
        drop(ann);
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_bad_messages_wait_for_a_slow_callback_is_not_read() {
    let server = server(|builder| {
        builder.on_message(|_, _| {}).on_undecodable(|_, _| sleep(Duration::from_secs(1)))
    });
    let mut ann = TestClient::connect_with_capacity(&server, "/", 64).await.expect("101");
    let started = Instant::now();
    for _ in 0..100 {
        say(&mut ann, "[").await;
    }
    // What waits at most is 32, and what the stream and a read hold.
    assert!(started.elapsed() >= Duration::from_secs(40), "{:?}", started.elapsed());
    server.kick("ann").expect("connected");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_it_ends_the_transport_with_1011_and_is_counted() {
    let counts = Counts::default();
    let server = server(|builder| {
        builder.on_message(|_, _| {}).on_undecodable(|_, _| panic!("boom")).metrics(counts.clone())
    });
    let mut ann = join(&server).await;
    say(&mut ann, "[").await;
    let close = ann.closed().await.expect("a close frame").expect("with a code");
    assert_eq!(close.code(), CloseCode::INTERNAL_ERROR);
    assert_eq!(counts.get(), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn bad_messages_that_wait_at_the_end_count_as_undecodable_and_not_as_discarded_too() {
    let counts = Counts::default();
    let server = server(|builder| {
        builder
            .on_message(|_, _| sleep(Duration::from_secs(1)))
            .on_undecodable(|_, _| panic!("not after the end"))
            .metrics(counts.clone())
    });
    let mut ann = join(&server).await;
    for text in ["{}", "[", "{}", "["] {
        say(&mut ann, text).await;
    }
    sleep(Duration::from_millis(100)).await;
    server.kick("ann").expect("connected");
    ann.closed().await.expect("a close frame");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counts.get(), [2, 1, 0]);
}
