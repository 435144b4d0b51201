//! Sockets that take nothing, and servers that hang up in the middle of a write.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse_client::{Cause, EndCause, Event, Frame};

use crate::support::stage::{connect, hello, next};

/// Larger than what a stream of the stage holds.
const LARGE: usize = 200 * 1024;

fn large(name: &str) -> Frame {
    Frame::new(name).with_payload(format!("\"{}\"", "x".repeat(LARGE)))
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_keeps_no_message_from_being_read() {
    let (client, mut messages, mut stage) = connect(|builder| builder);
    let mut server = stage.welcome(&hello("new", "t1", &[("message_max", 1 << 20)])).await;
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    for _ in 0..3 {
        client.post(large("a")).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    for number in 0..100 {
        server.say(format!("{{\"payload\":{number}}}")).await;
    }
    for number in 0..100 {
        let Event::Message(frame) = next(&mut messages).await else { panic!("no message") };
        assert_eq!(frame.to_json::<u32>().unwrap(), number);
    }
    for _ in 0..3 {
        assert_eq!(server.heard().await["event"], "a");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_said_before_it_hung_up_is_heard() {
    let (client, mut messages, mut stage) = connect(|builder| builder);
    let mut server = stage.welcome(&hello("new", "t1", &[("message_max", 1 << 20)])).await;
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    client.post(large("a")).unwrap();
    sleep(Duration::from_secs(1)).await;
    server.say("{\"event\":\"last\"}").await;
    server.close(4001, "banned").await;
    drop(server);
    let Event::Message(frame) = next(&mut messages).await else { panic!("no message") };
    assert_eq!(frame.event(), "last");
    assert!(matches!(client.ended().await, EndCause::ClosedByServer { code: 4001, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_reads_nothing_is_noticed_by_its_silence() {
    let (client, mut messages, mut stage) = connect(|builder| builder);
    let _server = stage.welcome(&hello("new", "t1", &[("message_max", 1 << 20)])).await;
    assert!(matches!(next(&mut messages).await, Event::Session { .. }));
    for _ in 0..3 {
        client.post(large("a")).unwrap();
    }
    let lost = async {
        loop {
            if let Some(Event::Disconnected { cause, .. }) = messages.next().await {
                return cause;
            }
        }
    };
    let cause = timeout(Duration::from_mins(1), lost).await.expect("noticed");
    assert!(matches!(cause, Cause::Silent), "{cause}");
}
