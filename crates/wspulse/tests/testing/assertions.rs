//! Assertions wait for what they are about, and say what did happen when it does not.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::json;
use wspulse::testing::{Called, TestServer};
use wspulse::{Admission, CallbackKind, Disconnect, Frame, Rejection, Server, ServerBuilder};

fn builder() -> ServerBuilder {
    Server::builder_sync(|request| {
        let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").id(user))
    })
    .on_message(|conn, frame| drop(conn.room().broadcast(frame)))
    .resume_window(Duration::from_secs(30))
}

/// What an assertion that fails says.
async fn failure<T>(assertion: impl Future<Output = T>) -> String {
    let failed = AssertUnwindSafe(assertion).catch_unwind().await.err().expect("it fails");
    failed.downcast_ref::<String>().expect("a text").clone()
}

#[tokio::test(start_paused = true)]
async fn an_expectation_takes_the_first_of_its_kind_and_leaves_the_others() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws?user=ann").await;
    for (event, payload) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
        ann.send_json(event, payload);
    }
    ann.expect_json("b", 4).await;
    assert_eq!(ann.expect("a").await.to_json::<u32>().unwrap(), 1);
    let odd = ann.inbox().expect_where("an odd number", |frame| {
        frame.to_json::<u32>().is_ok_and(|number| number % 2 == 1)
    });
    assert_eq!(odd.await.event(), "a");
    assert_eq!(ann.next().await.event(), "b");
    ann.inbox().refute_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_payload_is_compared_as_a_value() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws?user=ann").await;
    ann.send(&Frame::new("a").with_payload(r#"{ "y": [1, 2], "x": null }"#));
    ann.expect_json("a", json!({ "x": null, "y": [1, 2] })).await;
}

#[tokio::test(start_paused = true)]
async fn an_expectation_that_fails_says_where_what_and_all_that_happened() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws?user=ann").await;
    let bob = test.client("bob").connect("/ws?user=bob").await;
    bob.send_json("say", json!({ "text": "hi" }));
    let line = line!() + 1;
    let said = failure(ann.expect("said")).await;
    println!("{said}");
    for part in [
        "ann did not hear said within 5s",
        &format!("assertions.rs:{line}:"),
        "ann has heard, not taken yet:\n    say {\"text\":\"hi\"}",
        "0.000 s  ann       connects: GET /ws?user=ann",
        "bob       says say {\"text\":\"hi\"}",
        "callback  on_message bob: say {\"text\":\"hi\"}",
        "callback  on_connect ann",
        "metric    connection_opened lobby ann",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refutation_fails_at_what_it_excludes_also_if_it_comes_a_little_later() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws?user=ann").await;
    ann.refute("say").await;
    ann.send_json("say", 1);
    let said = failure(ann.refute("say")).await;
    assert!(said.contains("ann was not to hear this: say 1"), "{said}");
    ann.expect("say").await;
    ann.refute("say").await;
}

#[tokio::test(start_paused = true)]
async fn an_expectation_does_not_wait_for_a_client_that_hears_nothing_any_more() {
    let test = TestServer::new(builder()).unwrap().patience(Duration::from_hours(1));
    let mut ann = test.client("ann").connect("/ws?user=ann").await;
    ann.link().cut();
    let began_at = tokio::time::Instant::now();
    let said = failure(ann.expect("said")).await;
    assert!(said.contains("ann has no transport any more and has not heard said"), "{said}");
    assert!(said.contains("link of ann  is reset"), "{said}");
    assert!(began_at.elapsed() < Duration::from_secs(1));
    let said = failure(async { ann.send_json("say", 1) }).await;
    assert!(said.contains("reconnect first"), "{said}");
    ann.reconnect().await;
    ann.send_json("say", 1);
    ann.expect("say").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_let_in_fails_the_test_with_the_answer() {
    let test = TestServer::new(builder()).unwrap();
    let said = failure(test.client("eve").connect("/ws")).await;
    assert!(said.contains("eve was to be let in: refused with status 401"), "{said}");
    let said = failure(test.client("ann").refused("/ws?user=ann")).await;
    assert!(said.contains("ann was to be refused, and was let in"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_taken_by_kind_and_connection_or_in_their_order() {
    let test = TestServer::new(builder()).unwrap();
    let ann = test.client("ann").connect("/ws?user=ann").await;
    let bob = test.client("bob").connect("/ws?user=bob").await;
    ann.send_json("say", 1);
    let message = test.callbacks().expect(CallbackKind::Message, "ann").await;
    assert!(matches!(message, Called::Message(_, frame) if frame.event() == "say"));
    let end = test.callbacks().expect_connect("bob").await;
    end.close();
    assert_eq!(bob.expect_close().await.unwrap().code().as_u16(), 1000);
    let end = test.callbacks().expect_disconnect("bob").await;
    assert!(matches!(end, Disconnect::Closed), "{end:?}");
    let first = test.callbacks().next().await;
    assert_eq!((first.kind(), first.connection().id()), (CallbackKind::Connect, "ann"));
    test.callbacks().refute(CallbackKind::Connect, "ann").await;
    assert!(test.callbacks().take_all().is_empty());
    let said = failure(test.callbacks().expect(CallbackKind::TransportDrop, "ann")).await;
    assert!(said.contains("on_transport_drop for ann was not called within 5s"), "{said}");
    ann.link().cut();
    let said = failure(test.callbacks().refute(CallbackKind::TransportDrop, "ann")).await;
    assert!(said.contains("this was not to be called: on_transport_drop ann"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn metrics_are_expected_by_their_first_words() {
    let test = TestServer::new(builder()).unwrap();
    let _ann = test.client("ann").connect("/ws?user=ann").await;
    assert_eq!(test.metrics().expect("connection_opened").await, "connection_opened lobby ann");
    test.metrics().refute("connection_opened lobby an").await;
    let said = failure(test.metrics().expect("session_resumed lobby ann")).await;
    assert!(said.contains("no metric `session_resumed lobby ann` within 5s"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_trace_has_the_lines_of_the_test_and_prints_the_last() {
    let test = TestServer::new(builder()).unwrap();
    for number in 0..100 {
        test.trace().note("test", format_args!("line {number}."));
    }
    let said = test.trace().to_string();
    assert!(said.contains("WSPULSE_TRACE=1 also prints 40 lines before"), "{said}");
    assert!(!said.contains("line 39.") && said.contains("line 40.") && said.ends_with("line 99."));
}
