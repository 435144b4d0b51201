//! What came from a client before its connection ended, and was not handled by then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use wspulse::testing::Recorder;
use wspulse::{Connection, Frame, Server};

use crate::support::clients::{dial, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

/// The events of the messages that were handled.
type Handled = Arc<Mutex<Vec<String>>>;

/// Ends the connection when message 1 is handled.
fn handle(handled: &Handled, connection: &Connection, frame: &Frame) {
    handled.lock().unwrap().push(frame.event().to_owned());
    if frame.event() == "1" {
        connection.close();
    }
}

async fn send_five(server: &Server) -> impl Sized {
    let mut ann = dial(server, "ann").await;
    for number in 0..5 {
        ann.send(&named(number)).await.unwrap();
    }
    ann
}

#[tokio::test(start_paused = true)]
async fn a_plain_handler_that_ends_its_connection_sees_none_of_what_came_behind() {
    let (handled, recorder) = (Handled::default(), Recorder::default());
    let server = open_house()
        .metrics(recorder.clone())
        .on_message({
            let handled = Arc::clone(&handled);
            move |connection: Connection, frame: Frame| handle(&handled, &connection, &frame)
        })
        .build()
        .unwrap();
    let _ann = send_five(&server).await;
    settle().await;
    assert_eq!(*handled.lock().unwrap(), ["0", "1"]);
    assert_eq!(recorder.only("messages_discarded"), ["messages_discarded lobby ann 1"; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_async_handler_that_ends_its_connection_sees_none_of_what_came_behind() {
    let (handled, recorder) = (Handled::default(), Recorder::default());
    let gate = Arc::new(Semaphore::new(0));
    let server = open_house()
        .metrics(recorder.clone())
        .on_message({
            let (handled, gate) = (Arc::clone(&handled), Arc::clone(&gate));
            move |connection: Connection, frame: Frame| {
                let (handled, gate) = (Arc::clone(&handled), Arc::clone(&gate));
                async move {
                    gate.acquire().await.unwrap().forget();
                    handle(&handled, &connection, &frame);
                }
            }
        })
        .build()
        .unwrap();
    let _ann = send_five(&server).await;
    settle().await;
    gate.add_permits(5);
    settle().await;
    assert_eq!(*handled.lock().unwrap(), ["0", "1"]);
    let discarded: usize = recorder
        .only("messages_discarded")
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(discarded, 3);
}

#[tokio::test(start_paused = true)]
async fn what_came_from_a_client_that_went_by_itself_is_handled_to_the_last() {
    let handled = Handled::default();
    let server = open_house()
        .resume_window(Duration::ZERO)
        .on_message({
            let handled = Arc::clone(&handled);
            move |_: Connection, frame: Frame| {
                let handled = Arc::clone(&handled);
                async move {
                    tokio::task::yield_now().await;
                    handled.lock().unwrap().push(frame.event().to_owned());
                }
            }
        })
        .build()
        .unwrap();
    drop(send_five(&server).await);
    settle().await;
    assert_eq!(*handled.lock().unwrap(), ["0", "1", "2", "3", "4"]);
}
