//! When a client comes back, when it waits, and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wspulse_client::{
    Cause, Client, EndCause, Event, Frame, SendError, SessionStart, Sessions, Target,
};

use crate::support::stage;
use crate::support::stage::{LONG, connect, hello, next};

#[tokio::test(start_paused = true)]
async fn some_answers_are_final() {
    for status in [400, 401, 403, 404, 426] {
        let (client, _messages, mut stage) = connect(|builder| builder);
        stage.request().await.refuse(&format!("{status} No")).await;
        let cause = client.ended().await;
        assert!(matches!(cause, EndCause::Refused { status: told, .. } if told == status));
        assert!(client.connected().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn others_are_not() {
    let (_client, _messages, mut stage) = connect(|builder| builder);
    for status in [200, 302, 408, 425, 429, 500, 502, 503] {
        stage.request().await.refuse(&format!("{status} No")).await;
    }
    stage.request().await;
}

#[tokio::test(start_paused = true)]
async fn which_answers_are_final_is_an_option() {
    let (client, _messages, mut stage) =
        connect(|builder| builder.final_answers(|status| status == 503));
    stage.request().await.refuse("401 Unauthorized").await;
    stage.request().await.refuse("503 Unavailable").await;
    assert!(matches!(client.ended().await, EndCause::Refused { status: 503, .. }));
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_left_alone_for_as_long_as_it_asks() {
    for status in ["429 Slow down", "503 Busy"] {
        let (_client, _messages, mut stage) = connect(|builder| builder);
        stage.request().await.refuse(&format!("{status}\r\nRetry-After: 100")).await;
        let begun = Instant::now();
        stage.request().await;
        let waited = begun.elapsed().as_secs();
        assert!((100..=101).contains(&waited), "{waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_reason_may_ask_for_time() {
    let (_client, mut messages, mut stage) = connect(|builder| builder);
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    server.close(1001, "server shutting down retry=50000").await;
    let begun = Instant::now();
    let request = stage.request().await;
    assert!((50..=51).contains(&begun.elapsed().as_secs()));
    assert_eq!(request.protocols().len(), 3, "the session may be there still");
    while !matches!(messages.next().await, Some(Event::Reconnecting { attempt: 1, delay, .. })
        if delay >= Duration::from_secs(50))
    {}
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_has_expired_is_no_end() {
    let (_client, mut messages, mut stage) = connect(|builder| builder);
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    server.close(4401, "expired").await;
    stage.welcome(&hello("new", "t2", &[])).await;
    let told = next(&mut messages).await;
    assert!(matches!(told, Event::Session { session: SessionStart::New, .. }), "{told:?}");
    while !matches!(next(&mut messages).await, Event::Session { session: SessionStart::New, .. }) {}
}

#[tokio::test(start_paused = true)]
async fn attempts_run_out() {
    let (client, mut messages, mut stage) = connect(|builder| builder.attempts_max(3));
    client.post(Frame::new("waits")).unwrap();
    for _ in 0..4 {
        drop(stage.request().await);
    }
    let EndCause::Exhausted { cause: Cause::Unreachable(_), .. } = client.ended().await else {
        panic!("another end");
    };
    stage.nothing(LONG).await;
    assert!(
        matches!(next(&mut messages).await, Event::Unsent { frame, .. } if frame.event() == "waits")
    );
    assert!(matches!(next(&mut messages).await, Event::Ended { .. }));
    assert!(messages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_anew_after_a_hello() {
    let (client, _messages, mut stage) = connect(|builder| builder.attempts_max(1));
    drop(stage.request().await);
    for _ in 0..5 {
        drop(stage.welcome(&hello("new", "t1", &[])).await);
    }
    drop(stage.request().await);
    assert!(matches!(client.ended().await, EndCause::Exhausted { .. }));
}

#[tokio::test(start_paused = true)]
async fn the_target_is_renewed_for_each_attempt() {
    let count = Arc::new(AtomicU32::new(0));
    let (builder, mut stage) = stage::stage(Client::builder_with(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_ne!(number, 3, "on purpose");
            if number == 1 {
                return Err("no token today".into());
            }
            let target = Target::new(format!("ws://server.example/{number}"));
            Ok(target.header("Authorization", format!("Bearer {number}")).protocol("chat"))
        }
    }));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let builder = builder.on_reconnecting(move |_, _, cause| tell.send(cause).unwrap());
    let (_client, _messages) = builder.connect().unwrap();
    for number in [0, 2, 4] {
        let request = stage.request().await;
        assert!(request.head.starts_with(&format!("GET /{number} HTTP/1.1\r\n")));
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {number}")));
        assert_eq!(request.header("host"), Some("server.example"));
        assert_eq!(request.protocols(), ["wspulse.1+json", "wspulse.plain", "chat"]);
    }
    for expected in [
        "the server hung up before it had answered",
        "no token today",
        "the server hung up before it had answered",
        "the application's own function has panicked",
    ] {
        let cause = told.recv().await.unwrap().to_string();
        assert_eq!(cause, format!("cannot connect: {expected}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_of_the_applications_own_makes_a_plain_connection() {
    let target = Target::new("ws://server.example").protocol("chat");
    let (builder, mut stage) = stage::stage(Client::builder(target));
    let (client, _messages) = builder.connect().unwrap();
    let mut server = stage.request().await.accept("chat").await;
    assert_eq!(client.connected().await.unwrap(), SessionStart::Plain);
    client.send(Frame::new("a")).await.unwrap();
    assert_eq!(server.heard().await, serde_json::json!({"event": "a"}));
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_that_was_not_offered_is_no_handshake() {
    let (_client, mut messages, mut stage) = connect(|builder| builder);
    drop(stage.request().await.accept("chat").await);
    let Some(Event::Reconnecting { cause, .. }) = messages.next().await else {
        panic!("connected")
    };
    assert!(matches!(cause, Cause::Unreachable(_)), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn closing_tells_the_server_and_gives_frames_back() {
    let (client, mut messages, mut stage) = connect(|builder| builder);
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    client.connected().await.unwrap();
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(Frame::new("sent")).await }
    });
    assert_eq!(server.heard().await["event"], "sent");
    let closed = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    assert_eq!(server.closed().await, Some(1000));
    closed.await.unwrap();
    assert!(matches!(sending.await.unwrap(), Err(SendError::Lost { .. })));
    assert!(matches!(client.post(Frame::new("late")), Err(SendError::Closed { .. })));
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    assert!(matches!(next(&mut messages).await, Event::Ended { cause: EndCause::Closed, .. }));
    assert!(messages.next().await.is_none());
    stage.nothing(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn closing_while_waiting_or_connecting_is_heard_at_once() {
    for refusals in [0, 1] {
        let (client, _messages, mut stage) =
            connect(|builder| builder.backoff(Duration::from_hours(1), Duration::from_hours(1)));
        let request = stage.request().await;
        if refusals == 1 {
            request.refuse("500 No").await;
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        client.close().await;
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_called_in_place_of_the_stream() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let tell = move || {
        let told = told.clone();
        move |what: String| told.send(what).unwrap()
    };
    let (message, session, disconnected, ended) = (tell(), tell(), tell(), tell());
    drop(tell);
    let (client, messages, mut stage) = connect(|builder| {
        builder
            .on_session(move |start, replay| session(format!("{start} {replay}")))
            .on_message(move |frame| {
                message(frame.event().to_owned());
                assert_ne!(frame.event(), "panic", "on purpose");
            })
            .on_disconnected(move |cause| disconnected(cause.to_string()))
            .on_ended(move |cause| ended(cause.to_string()))
    });
    drop(messages);
    let mut server = stage.welcome(&hello("new", "t1", &[])).await;
    server.say("{\"event\":\"panic\"}").await;
    server.say("{\"event\":\"x\"}").await;
    server.close(4001, "banned").await;
    client.ended().await;
    let mut all = Vec::new();
    while let Some(what) = heard.recv().await {
        all.push(what);
    }
    assert_eq!(
        all,
        [
            "new 0",
            "panic",
            "x",
            "closed by the server: 4001 \"banned\"",
            "ended by the server: 4001 \"banned\"",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_may_be_required_or_refused() {
    let (_client, mut messages, mut stage) = connect(|builder| builder.sessions(Sessions::Require));
    let mut server = stage.request().await.accept("").await;
    assert_eq!(server.closed().await, Some(1002));
    let Some(Event::Reconnecting { cause, .. }) = messages.next().await else {
        panic!("a plain connection")
    };
    assert!(matches!(cause, Cause::Violation("no wspulse.1")), "{cause}");
    assert_eq!(stage.request().await.protocols(), ["wspulse.1+json"]);

    let (_client, _messages, mut stage) = connect(|builder| builder.sessions(Sessions::Never));
    assert!(stage.request().await.protocols().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_is_no_connection_that_is_lost() {
    let (_client, mut messages, mut stage) = connect(|builder| builder);
    drop(stage.request().await);
    drop(stage.welcome(&hello("new", "t1", &[])).await);
    drop(stage.request().await);
    stage.request().await;
    let mut told = Vec::new();
    while told.len() < 5 {
        let event = format!("{:?}", messages.next().await.unwrap());
        told.push(event.split(' ').next().unwrap().to_owned());
    }
    let expected = ["Reconnecting", "Session", "Disconnected", "Reconnecting", "Reconnecting"];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_does_not_fill_the_inbox() {
    let (_client, mut messages, mut stage) = connect(|builder| builder.inbox_events_max(2));
    for _ in 0..100 {
        drop(stage.request().await);
    }
    let _server = stage.welcome(&hello("new", "t1", &[])).await;
    let Some(Event::Reconnecting { attempt: 100, .. }) = messages.next().await else {
        panic!("not the last attempt")
    };
    assert!(matches!(messages.next().await, Some(Event::Session { .. })));
}

/// Whoever waits when the runtime of a client ends is told.
#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = |name| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name(name).enable_all().build().unwrap()
    };
    let (its, ours) = (runtime("its"), runtime("ours"));
    let (client, mut messages, _stage) = its.block_on(async { connect(|builder| builder) });
    let sending = ours.spawn({
        let client = client.clone();
        async move { client.send(Frame::new("waits")).await }
    });
    while client.post(Frame::new("behind")).is_err() {}
    its.shutdown_background();
    ours.block_on(async {
        assert!(matches!(sending.await.unwrap(), Err(SendError::Closed { .. })));
        client.ended().await;
        while messages.next().await.is_some() {}
    });
}
