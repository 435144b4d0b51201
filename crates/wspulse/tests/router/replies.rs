//! What a handler returns goes back to whoever asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::DuplexStream;
use wspulse::router::{Context, HandlerResult, Json, Next, Reply, ReplyError, Router};
use wspulse::testing::TestClient;
use wspulse::{Admission, Connection, Frame, MessageKind, Server, ServerBuilder};

type Client = TestClient<DuplexStream>;

fn builder(router: Router) -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann"))).router(router)
}

async fn client(router: Router) -> Client {
    let server = builder(router).build().unwrap();
    TestClient::connect(&server, "/ws").await.unwrap()
}

async fn answering(router: Router) -> Client {
    let server = builder(router).answer_failures(true).build().unwrap();
    TestClient::connect(&server, "/ws").await.unwrap()
}

async fn ask(client: &mut Client, event: &str, payload: &str) -> Frame {
    let request = Frame::new(event.to_owned()).with_id("7").with_payload(payload.to_owned());
    client.send(&request).await.unwrap();
    client.frame().await.unwrap()
}

fn frame(event: &str, payload: &str) -> Frame {
    Frame::new(event.to_owned()).with_id("7").with_payload(payload.to_owned())
}

fn double(Json(number): Json<u32>) -> Json<u32> {
    Json(2 * number)
}

async fn halve(Json(number): Json<u32>) -> Result<Json<u32>, ReplyError> {
    if number % 2 == 1 {
        return Err(ReplyError::new("odd", "the number must be even"));
    }
    Ok(Json(number / 2))
}

#[tokio::test(start_paused = true)]
async fn a_value_is_the_reply() {
    let router = Router::builder().on("double", double).on("halve", halve).build().unwrap();
    let mut ann = client(router).await;
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"));
    assert_eq!(ask(&mut ann, "halve", "42").await, frame("reply", "21"));
}

#[tokio::test(start_paused = true)]
async fn a_frame_without_an_id_gets_none() {
    let router = Router::builder().on("double", double).on("halve", halve).build().unwrap();
    let mut ann = client(router).await;
    ann.send(&Frame::new("double").with_payload("1")).await.unwrap();
    ann.send(&Frame::new("halve").with_payload("2")).await.unwrap();
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_nothing_sends_nothing() {
    let router = Router::builder();
    let router = router.on("plain", || {}).on("async", || async {}).on("double", double);
    let mut ann = client(router.on("result", || Ok::<_, String>(())).build().unwrap()).await;
    for event in ["plain", "async", "result"] {
        ann.send(&frame(event, "1")).await.unwrap();
    }
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"));
}

#[tokio::test(start_paused = true)]
async fn an_error_for_clients_is_the_reply_and_no_failure() {
    let failures = Arc::new(AtomicUsize::new(0));
    let router = Router::builder().on("halve", halve).on_error({
        let failures = Arc::clone(&failures);
        move |_, _, _| {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut ann = client(router.build().unwrap()).await;
    let told = r#"{"code":"odd","text":"the number must be even"}"#;
    assert_eq!(ask(&mut ann, "halve", "1").await, frame("error", told));
    assert_eq!(failures.load(Ordering::Relaxed), 0);
    ann.send(&Frame::new("halve").with_payload("1")).await.unwrap();
    ask(&mut ann, "halve", "2").await;
    assert_eq!(failures.load(Ordering::Relaxed), 1, "nobody asked, so nobody hears");
}

#[tokio::test(start_paused = true)]
async fn middleware_may_answer_with_an_error_too() {
    async fn nobody(_: Context, _: Next) -> HandlerResult {
        Err(ReplyError::new("forbidden", "not you").into())
    }
    let mut ann = client(Router::builder().layer(nobody).on("a", || {}).build().unwrap()).await;
    let told = r#"{"code":"forbidden","text":"not you"}"#;
    assert_eq!(ask(&mut ann, "a", "").await, frame("error", told));
}

#[tokio::test(start_paused = true)]
async fn any_other_error_stays_inside() {
    let fail = || Err::<Json<u32>, _>("secret");
    let router = Router::builder().on("fail", fail).on("double", double).build().unwrap();
    let mut ann = client(router).await;
    ann.send(&frame("fail", "1")).await.unwrap();
    ann.send(&frame("nobody's", "1")).await.unwrap();
    ann.send(&frame("double", "\"x\"")).await.unwrap();
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_in_vain_hears_so_if_the_builder_says_so() {
    let fail = || Err::<Json<u32>, _>("secret");
    let router = Router::builder().on("fail", fail).on("double", double).build().unwrap();
    let mut ann = answering(router).await;
    let internal = r#"{"code":"internal","text":"internal error"}"#;
    assert_eq!(ask(&mut ann, "fail", "1").await, frame("error", internal));
    let unknown = r#"{"code":"unknown_event","text":"there is no handler for this event"}"#;
    assert_eq!(ask(&mut ann, "nobody's", "1").await, frame("error", unknown));
    let misfit = r#"{"code":"bad_payload","text":"the payload does not fit the event"}"#;
    assert_eq!(ask(&mut ann, "double", "\"x\"").await, frame("error", misfit));
    ann.send(&Frame::new("fail")).await.unwrap();
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"), "no id, no answer");
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_be_made_by_hand_or_come_later() {
    let router = Router::builder()
        .on("echo", |frame: Frame| Reply::new(frame))
        .on("empty", Reply::empty)
        .on("later", |connection: Connection, request: Frame| {
            tokio::spawn(async move { connection.reply(&request, Frame::default()).unwrap() });
            Reply::later()
        });
    let mut ann = client(router.build().unwrap()).await;
    assert_eq!(ask(&mut ann, "echo", "[1]").await, frame("reply", "[1]"));
    assert_eq!(ask(&mut ann, "empty", "[1]").await, frame("reply", ""));
    assert_eq!(ask(&mut ann, "later", "[1]").await, frame("reply", ""));
}

#[tokio::test(start_paused = true)]
async fn the_events_of_replies_are_the_servers() {
    let router = Router::builder().on("halve", halve).build().unwrap();
    let server = builder(router).reply_events("answer", "failure").build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    assert_eq!(ask(&mut ann, "halve", "4").await.event(), "answer");
    assert_eq!(ask(&mut ann, "halve", "3").await.event(), "failure");
}

#[tokio::test(start_paused = true)]
async fn who_asks_by_no_frame_hears_so_if_its_id_can_be_read() {
    let router = Router::builder().on("double", double).build().unwrap();
    let mut ann = answering(router).await;
    let told = r#"{"code":"undecodable","text":"the message is not a frame"}"#;
    for text in [r#"{"id":"7","event":1}"#, r#"{"event":[],"payload":2,"id":"7"}"#] {
        ann.write_message(MessageKind::Text, text.as_bytes()).await.unwrap();
        assert_eq!(ann.frame().await.unwrap(), frame("error", told), "{text}");
    }
    for text in [r#"{"id":7}"#, r#"{"id":"7""#, "[]", r#"{"event":1}"#] {
        ann.write_message(MessageKind::Text, text.as_bytes()).await.unwrap();
    }
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_is_not_answered() {
    let router = Router::builder().on("double", double).build().unwrap();
    let mut ann = answering(router).await;
    for answer in ["reply", "error"] {
        ann.send(&frame(answer, "1")).await.unwrap();
    }
    // Two ends that both answered failures would answer each other for ever.
    assert_eq!(ask(&mut ann, "double", "21").await, frame("reply", "42"));
}
