//! What a client sends again after a callback of its session has panicked, and what of that is new.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::{Admission, Connection, Frame, Rejection, Server, ServerBuilder};

use crate::support::speaker::{ANN, Heard, Speaker, configured};

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
