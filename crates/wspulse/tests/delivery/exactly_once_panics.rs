//! What a client sends again after a callback of its session has panicked, and what of that is new.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use wspulse::metrics::{MessagesDiscarded, ReplyUnmatched};
use wspulse::{
    Admission, Connection, Frame, MetricsCollector, Rejection, RequestError, Server, ServerBuilder,
};
use wspulse_core::protocol::Hello;

use crate::support::clock::settle;
use crate::support::speaker::{ANN, Heard, Speaker, configured, frame};

/// The events of the messages that were handled.
type Handled = Arc<Mutex<Vec<String>>>;

/// A second after a `panic` has come, its callback does.
fn panicking() -> (ServerBuilder, Handled) {
    let handled = Handled::default();
    let server = Server::builder_sync(|_| Ok::<_, Rejection>(Admission::room("lobby").id("ann")));
    let builder = configured(server).on_message({
        let handled = handled.clone();
        move |_: Connection, frame: Frame| {
            handled.lock().unwrap().push(frame.event().to_owned());
            async move {
                sleep(Duration::from_secs(1)).await;
                assert_ne!(frame.event(), "panic");
            }
        }
    });
    (builder, handled)
}

fn ask(server: &Server, id: &'static str) -> JoinHandle<Result<Frame, RequestError>> {
    let asked = server.connection("ann").unwrap().request(Frame::new("q").with_id(id));
    tokio::spawn(asked.within(Duration::from_mins(1)))
}

async fn reply(ann: &mut Speaker, id: &str, payload: u32) {
    ann.write(&format!(r#"{{"id":"{id}","event":"reply","payload":{payload}}}"#)).await;
}

/// The next frame, past the questions.
async fn asked(ann: &mut Speaker) {
    let mut heard = ann.hear().await;
    while heard == Heard::Ask {
        heard = ann.hear().await;
    }
    assert_eq!(heard, frame("q"));
}

/// Ann has replied behind a message whose callback panics, and comes back.
async fn back_after_a_panic(server: &Server) -> (Speaker, Hello) {
    let (mut ann, hello) = Speaker::begin(server, ANN).await;
    let waiting = ask(server, "mine");
    asked(&mut ann).await;
    ann.say("panic").await;
    reply(&mut ann, "mine", 1).await;
    assert_eq!(waiting.await.unwrap().unwrap().payload(), "1");
    sleep(Duration::from_secs(5)).await;
    Speaker::resume(server, ANN, &hello.token, 1).await
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_taken_is_no_message_when_it_comes_again() {
    let (builder, handled) = panicking();
    let server = builder.build().unwrap();
    let (mut ann, hello) = back_after_a_panic(&server).await;
    assert_eq!(hello.received, 1);
    reply(&mut ann, "mine", 1).await;
    ann.say("after").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(*handled.lock().unwrap(), ["panic", "after"]);
    ann.ask().await;
    assert_eq!(ann.hear().await, Heard::Ack(3));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_taken_is_none_to_another_question_when_it_comes_again() {
    let server = panicking().0.build().unwrap();
    let (mut ann, _) = back_after_a_panic(&server).await;
    let waiting = ask(&server, "mine");
    asked(&mut ann).await;
    reply(&mut ann, "mine", 1).await;
    reply(&mut ann, "mine", 2).await;
    assert_eq!(waiting.await.unwrap().unwrap().payload(), "2");
}

/// Counts the replies that nobody waits for, and the messages thrown away.
#[derive(Clone, Default)]
struct Counting {
    unmatched: Arc<AtomicUsize>,
    discarded: Arc<AtomicUsize>,
}

impl MetricsCollector for Counting {
    fn reply_unmatched(&self, _: &ReplyUnmatched<'_>) {
        self.unmatched.fetch_add(1, Ordering::Relaxed);
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        self.discarded.fetch_add(event.messages, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_waits_for_is_counted_once_although_it_comes_again() {
    let counting = Counting::default();
    let server = panicking().0.metrics(counting.clone()).build().unwrap();
    let (mut ann, hello) = Speaker::begin(&server, ANN).await;
    let _waiting = ask(&server, "mine");
    asked(&mut ann).await;
    ann.say("panic").await;
    reply(&mut ann, "~srv.none", 1).await;
    sleep(Duration::from_secs(5)).await;
    let (mut ann, _) = Speaker::resume(&server, ANN, &hello.token, 1).await;
    reply(&mut ann, "~srv.none", 1).await;
    settle().await;
    assert_eq!(counting.unmatched.load(Ordering::Relaxed), 1);
    assert_eq!(counting.discarded.load(Ordering::Relaxed), 1, "when it comes again");
}

#[tokio::test(start_paused = true)]
async fn a_message_in_front_of_one_that_is_no_frame_is_to_be_sent_again_after_a_panic() {
    let (builder, handled) = panicking();
    let server = builder.build().unwrap();
    let (mut ann, hello) = Speaker::begin(&server, ANN).await;
    ann.say("panic").await;
    ann.say("behind").await;
    ann.write("no frame").await;
    sleep(Duration::from_secs(5)).await;
    let (mut ann, hello) = Speaker::resume(&server, ANN, &hello.token, 0).await;
    assert_eq!(hello.received, 1);
    ann.say("behind").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(*handled.lock().unwrap(), ["panic", "behind"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_in_front_of_one_that_is_no_frame_is_not_told_as_handled() {
    let server = panicking().0.build().unwrap();
    let (mut ann, _) = Speaker::begin(&server, ANN).await;
    ann.say("slow").await;
    ann.write("no frame").await;
    ann.ask().await;
    assert_eq!(ann.hear().await, Heard::Ack(0));
    assert_eq!(ann.hear().await, Heard::Ack(2));
}
