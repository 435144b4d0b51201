//! Requests of the server's to its clients: one reply each, or a reason why there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wspulse::metrics::{ReplyUnmatched, RequestFinished, RequestOutcome};
use wspulse::testing::Recorder;
use wspulse::{Connection, Frame, MetricsCollector, RequestError, RequestLimit};

use crate::support::clients::{Client, dial, numbered};
use crate::support::clock::WINDOW;
use crate::support::house::open_house;
use crate::support::stage::Stage;

const TIME: Duration = Duration::from_secs(10);

type Asking = JoinHandle<Result<Frame, RequestError>>;

fn ask(connection: &Connection, frame: Frame) -> Asking {
    let connection = connection.clone();
    tokio::spawn(async move { connection.request(frame).within(TIME).await })
}

async fn reply(client: &mut Client, request: &Frame, text: &str) {
    let reply = Frame::new("reply").with_id(request.id()).json(text).unwrap();
    client.send(&reply).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reply_comes_to_whom_asked_and_to_nobody_else() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who").with_payload("1"));
    let question = ann.frame().await.unwrap();
    assert_eq!((question.event(), question.payload().as_ref()), ("who", &b"1"[..]));
    reply(&mut ann, &question, "ann").await;
    assert_eq!(asking.await.unwrap().unwrap().to_json::<String>().unwrap(), "ann");
    ann.send(&numbered(7)).await.unwrap();
    assert_eq!(stage.message().await.payload().as_ref(), b"7", "the reply is no message");
}

#[tokio::test(start_paused = true)]
async fn a_server_counts_its_requests_and_takes_no_reply_to_those_of_another() {
    let (mut old, mut new) = (Stage::plain(), Stage::plain());
    let (mut ann, connection) = old.join("ann").await;
    let _asked = ask(&connection, Frame::new("name"));
    let before = ann.frame().await.unwrap();
    // The old server is gone, and what a client had to say to it is said to the new one.
    let (mut ann, connection) = new.join("ann").await;
    let asking = [ask(&connection, Frame::new("age")), ask(&connection, Frame::new("age"))];
    let questions = [ann.frame().await.unwrap(), ann.frame().await.unwrap()];
    let counts = questions.each_ref().map(|question| question.id().rsplit('.').next().unwrap());
    assert_eq!(counts, ["1", "2"]);
    reply(&mut ann, &before, "ann").await;
    for question in &questions {
        reply(&mut ann, question, "42").await;
    }
    for asking in asking {
        assert_eq!(asking.await.unwrap().unwrap().to_json::<String>().unwrap(), "42");
    }
    new.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_requests_in_any_order() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let first = ask(&connection, Frame::new("a").with_id("one"));
    let second = ask(&connection, Frame::new("a").with_id("two"));
    for id in ["two", "one"] {
        reply(&mut ann, &Frame::default().with_id(id), id).await;
    }
    assert_eq!(first.await.unwrap().unwrap().id(), "one");
    assert_eq!(second.await.unwrap().unwrap().id(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_an_error_is_one() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who"));
    let question = ann.frame().await.unwrap();
    ann.send(&Frame::new("error").with_id(question.id()).with_payload("1")).await.unwrap();
    let Err(RequestError::Refused { reply }) = asking.await.unwrap() else { panic!("refused") };
    assert_eq!(reply.payload().as_ref(), b"1");
}

#[tokio::test(start_paused = true)]
async fn without_a_reply_it_times_out() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    let begun_at = Instant::now();
    let answer = ask(&connection, Frame::new("who")).await.unwrap();
    assert!(matches!(answer, Err(RequestError::TimedOut { within: TIME })));
    assert!(begun_at.elapsed() >= TIME && begun_at.elapsed() < TIME + TIME / 100);
}

#[tokio::test(start_paused = true)]
async fn a_request_may_wait_for_as_long_as_its_connection_lives() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let asking = [(); 2].map(|()| {
        let request = connection.request(Frame::new("who"));
        tokio::spawn(request.within(Duration::MAX))
    });
    let question = ann.frame().await.unwrap();
    sleep(Duration::from_secs(20)).await;
    reply(&mut ann, &question, "ann").await;
    sleep(Duration::from_millis(1)).await;
    connection.close();
    let [replied, closed] = asking.map(|asking| async { asking.await.unwrap() });
    assert!(replied.await.is_ok());
    assert!(matches!(closed.await, Err(RequestError::Closed { frame: None })));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_is_told_at_once() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who"));
    sleep(Duration::from_millis(1)).await;
    let begun_at = Instant::now();
    connection.close();
    assert!(matches!(asking.await.unwrap(), Err(RequestError::Closed { frame: None })));
    assert_eq!(begun_at.elapsed(), Duration::ZERO);
    let error = ask(&connection, numbered(5)).await.unwrap().unwrap_err();
    assert_eq!(error.into_frame().unwrap().payload().as_ref(), b"5", "it was not sent");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_went_and_does_not_come_back_has_ended() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    let asking =
        tokio::spawn(async move { connection.request(Frame::new("who")).within(2 * WINDOW).await });
    sleep(Duration::from_millis(1)).await;
    drop(ann);
    let begun_at = Instant::now();
    assert!(matches!(asking.await.unwrap(), Err(RequestError::Closed { frame: None })));
    assert!(begun_at.elapsed() <= WINDOW + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_resumed_session_goes_on_waiting() {
    let mut stage = Stage::resuming();
    let (mut ann, connection) = stage.join("ann").await;
    let asked = ask(&connection, Frame::new("who"));
    let question = ann.frame().await.unwrap();
    drop(ann);
    stage.dropped().await;
    let asking = ask(&connection, Frame::new("what"));
    let (mut ann, _) = stage.rejoin("ann").await;
    let another = ann.frame().await.unwrap();
    assert_eq!(another.event(), "what");
    reply(&mut ann, &question, "ann").await;
    reply(&mut ann, &another, "a client").await;
    assert_eq!(asked.await.unwrap().unwrap().to_json::<String>().unwrap(), "ann");
    assert_eq!(asking.await.unwrap().unwrap().to_json::<String>().unwrap(), "a client");
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let mut stage = Stage::new(|builder| builder.max_requests(2).metrics(metrics));
    let (_ann, connection) = stage.join("ann").await;
    let first = ask(&connection, Frame::new("a"));
    let _second = ask(&connection, Frame::new("b"));
    sleep(Duration::from_millis(1)).await;
    let error = ask(&connection, numbered(3)).await.unwrap().unwrap_err();
    let RequestError::Overloaded { frame: Some(frame), limit } = error else { panic!("{error}") };
    assert_eq!(frame.payload().as_ref(), b"3", "it is given back");
    assert_eq!(limit, RequestLimit::Outstanding { requests_max: 2 });
    assert_eq!(recorder.only("limit_reached"), ["limit_reached max_requests"]);
    first.abort();
    let _ = first.await;
    let answer = ask(&connection, Frame::new("d")).await.unwrap();
    assert!(matches!(answer, Err(RequestError::TimedOut { .. })), "whoever gives up frees a place");
}

#[tokio::test(start_paused = true)]
async fn two_requests_of_one_id_do_not_wait_at_once() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    let _first = ask(&connection, Frame::new("a").with_id("same"));
    sleep(Duration::from_millis(1)).await;
    let error = ask(&connection, numbered(3).with_id("same")).await.unwrap().unwrap_err();
    assert!(matches!(&error, RequestError::DuplicateId { .. }), "{error}");
    assert_eq!(error.into_frame().unwrap().payload().as_ref(), b"3");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_which_there_is_no_room_is_given_back() {
    let mut stage = Stage::new(|builder| builder.send_buffer_size(1));
    let (_ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    let error = connection.request(numbered(2)).within(TIME).await.unwrap_err();
    assert!(matches!(&error, RequestError::NotSent(_)), "{error}");
    assert_eq!(error.into_frame().unwrap().payload().as_ref(), b"2");
}

#[tokio::test(start_paused = true)]
async fn a_reply_nobody_waits_for_is_a_message_if_the_application_has_named_the_request() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let answer = ask(&connection, Frame::new("who").with_id("mine")).await.unwrap();
    assert!(matches!(answer, Err(RequestError::TimedOut { .. })));
    reply(&mut ann, &Frame::default().with_id("mine"), "late").await;
    assert_eq!(stage.message().await.to_json::<String>().unwrap(), "late");
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_another_event_is_a_message_whatever_its_id() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who").with_id("mine"));
    sleep(Duration::from_millis(1)).await;
    ann.send(&Frame::new("said").with_id("mine")).await.unwrap();
    assert_eq!(stage.message().await.event(), "said");
    asking.abort();
}

#[tokio::test(start_paused = true)]
async fn the_events_of_replies_may_be_others() {
    let mut stage = Stage::new(|builder| builder.reply_events("answer", "failure"));
    let (mut ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who").with_id("1"));
    sleep(Duration::from_millis(1)).await;
    reply(&mut ann, &Frame::default().with_id("1"), "a message").await;
    assert_eq!(stage.message().await.event(), "reply");
    ann.send(&Frame::new("failure").with_id("1")).await.unwrap();
    assert!(matches!(asking.await.unwrap(), Err(RequestError::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_callback_for_messages_hears_replies() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let asking = ask(&server.connection("ann").unwrap(), Frame::new("who"));
    let question = ann.frame().await.unwrap();
    reply(&mut ann, &question, "ann").await;
    assert_eq!(asking.await.unwrap().unwrap().to_json::<String>().unwrap(), "ann");
}

#[tokio::test(start_paused = true)]
async fn a_room_is_asked_and_each_member_answers_for_itself() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let (_bob, _) = stage.join("bob").await;
    let (_eve, eve) = stage.join("eve").await;
    let room = connection.room();
    let asking = tokio::spawn(async move { room.request(Frame::new("who")).within(TIME).await });
    let question = ann.frame().await.unwrap();
    reply(&mut ann, &question, "ann").await;
    sleep(Duration::from_millis(1)).await;
    eve.close();
    let mut answers = asking.await.unwrap().unwrap();
    answers.sort_by(|one, other| one.0.id().cmp(other.0.id()));
    let [(_, ann), (_, bob), (_, eve)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(ann.as_ref().unwrap().to_json::<String>().unwrap(), "ann");
    assert!(matches!(bob, Err(RequestError::TimedOut { .. })), "{bob:?}");
    assert!(matches!(eve, Err(RequestError::Closed { frame: None })), "{eve:?}");
}

/// Whose, how, and after which time.
type Finished = (String, RequestOutcome, Duration);

#[derive(Clone, Default)]
struct Told {
    finished: Arc<Mutex<Vec<Finished>>>,
    unmatched: Arc<AtomicUsize>,
}

impl MetricsCollector for Told {
    fn request_finished(&self, finished: &RequestFinished<'_>) {
        let &RequestFinished { room, id, outcome, duration, .. } = finished;
        assert_eq!(room, "lobby");
        self.finished.lock().push((id.to_owned(), outcome, duration));
    }

    fn reply_unmatched(&self, unmatched: &ReplyUnmatched<'_>) {
        assert_eq!((unmatched.room, unmatched.id), ("lobby", "ann"));
        self.unmatched.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_that_was_sent_is_counted_with_its_outcome() {
    let told = Told::default();
    let mut stage = Stage::new(|builder| builder.metrics(told.clone()));
    let (mut ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who"));
    let question = ann.frame().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    reply(&mut ann, &question, "ann").await;
    asking.await.unwrap().unwrap();
    ask(&connection, Frame::new("who")).await.unwrap().unwrap_err();
    let asking = ask(&connection, Frame::new("who"));
    sleep(Duration::from_millis(1)).await;
    asking.abort();
    let _ = asking.await;
    let asking = ask(&connection, Frame::new("who"));
    sleep(Duration::from_millis(1)).await;
    connection.close();
    asking.await.unwrap().unwrap_err();
    ask(&connection, Frame::new("who")).await.unwrap().unwrap_err();
    let finished = told.finished.lock();
    let outcomes: Vec<_> = finished.iter().map(|(_, outcome, _)| *outcome).collect();
    let [replied, timed_out] = [RequestOutcome::Replied, RequestOutcome::TimedOut];
    assert_eq!(outcomes, [replied, timed_out, RequestOutcome::Abandoned, RequestOutcome::Closed]);
    assert_eq!((&*finished[0].0, finished[0].2), ("ann", Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn how_long_a_member_took_to_reply_does_not_depend_on_who_is_silent() {
    let told = Told::default();
    let mut stage = Stage::new(|builder| builder.metrics(told.clone()));
    let (_silent, connection) = stage.join("silent").await;
    let (mut quick, _) = stage.join("quick").await;
    let room = connection.room();
    let asking = tokio::spawn(async move { room.request(Frame::new("who")).within(TIME).await });
    let question = quick.frame().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    reply(&mut quick, &question, "quick").await;
    asking.await.unwrap().unwrap();
    let mut finished = told.finished.lock().clone();
    finished.sort_by_key(|(.., duration)| *duration);
    let [(first, RequestOutcome::Replied, took), (_, RequestOutcome::TimedOut, _)] = &finished[..]
    else {
        panic!("{finished:?}")
    };
    assert_eq!((&**first, *took), ("quick", Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_replied_by_the_time_that_a_room_is_asked_no_more_has_replied() {
    let told = Told::default();
    let mut stage = Stage::new(|builder| builder.metrics(told.clone()));
    let (_silent, connection) = stage.join("silent").await;
    let (mut quick, _) = stage.join("quick").await;
    let (mut unwilling, _) = stage.join("unwilling").await;
    let room = connection.room();
    let asking = tokio::spawn(async move { room.request(Frame::new("who")).within(TIME).await });
    let question = quick.frame().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    reply(&mut quick, &question, "quick").await;
    unwilling.send(&Frame::new("error").with_id(question.id())).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    asking.abort();
    let _ = asking.await;
    let mut finished = told.finished.lock().clone();
    finished.sort_by(|one, other| one.0.cmp(&other.0));
    let [quick, silent, unwilling] = &finished[..] else { panic!("{finished:?}") };
    assert_eq!((quick.1, quick.2), (RequestOutcome::Replied, Duration::from_secs(1)));
    assert_eq!(silent.1, RequestOutcome::Abandoned);
    assert_eq!((unwilling.1, unwilling.2), (RequestOutcome::Refused, Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_after_its_reply_has_come_was_replied_to() {
    let told = Told::default();
    let mut stage = Stage::new(|builder| builder.metrics(told.clone()));
    let (mut ann, connection) = stage.join("ann").await;
    let mut asking = Box::pin(connection.request(Frame::new("who")).within(TIME));
    let first = std::future::poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_pending()));
    assert!(first.await);
    let question = ann.frame().await.unwrap();
    reply(&mut ann, &question, "ann").await;
    sleep(Duration::from_millis(1)).await;
    drop(asking);
    let outcomes: Vec<_> = told.finished.lock().iter().map(|(_, outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [RequestOutcome::Replied]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_an_id_of_the_servers_that_nobody_waits_for_is_dropped_and_counted() {
    let told = Told::default();
    let mut stage = Stage::new(|builder| builder.metrics(told.clone()));
    let (mut ann, connection) = stage.join("ann").await;
    let asking = ask(&connection, Frame::new("who"));
    let question = ann.frame().await.unwrap();
    for _ in 0..2 {
        reply(&mut ann, &question, "ann").await;
    }
    asking.await.unwrap().unwrap();
    ann.send(&numbered(7)).await.unwrap();
    assert_eq!(stage.message().await.payload().as_ref(), b"7");
    assert_eq!(told.unmatched.load(Ordering::Relaxed), 1);
}
