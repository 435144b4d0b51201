//! Flow control: who does not read is not sent more, in either direction, and holds up nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use wspulse::serve::Http2;
use wspulse::testing::masked;
use wspulse::{Frame, MessageKind, Server};

use crate::raw::{ACK, DATA, HEADERS, Raw, SETTINGS, frame, websocket};
use crate::support::clients::{echoes, named, number, numbered};
use crate::support::clock::{TICK, settle};
use crate::support::house::{echo, open_house};
use crate::ways::{Client, Connection, serve_both};

const KIB: usize = 1024;

/// What a WebSocket's stream may hold beyond the client's window: two writes on their way to h2, one
/// that waits for the window, and one in h2, beside the one that is begun.
const HELD_BYTES_MAX: u64 = 5 * 16 * 1024;

/// A frame of a kilobyte, with a number.
fn long(number: usize) -> Frame {
    Frame::new("n").json(&(number, "y".repeat(KIB))).unwrap()
}

fn number_of(frame: &Frame) -> usize {
    frame.to_json::<(usize, String)>().expect("a long frame").0
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_sent_its_window_and_little_more() {
    const FRAMES: usize = 1000;
    const WINDOW_BYTES: u32 = 4096;
    let server = open_house().send_buffer_size(FRAMES).build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::with(dialler.dial(), |builder| {
        builder.initial_stream_window_size(WINDOW_BYTES);
    })
    .await;
    let mut ann = connection.open("/ws?id=ann").await;
    for number in 0..FRAMES {
        server.send("ann", long(number)).unwrap();
    }
    settle().await;
    let stats = server.connection("ann").unwrap().outbound_stats();
    let sent_bytes = stats.sent * u64::try_from(KIB).unwrap();
    assert!(sent_bytes <= u64::from(WINDOW_BYTES) + HELD_BYTES_MAX, "{sent_bytes}");
    assert!(stats.pending > 0);
    for number in 0..FRAMES {
        assert_eq!(number_of(&ann.frame().await.unwrap()), number);
    }
    let stats = server.connection("ann").unwrap().outbound_stats();
    assert_eq!((stats.sent, stats.pending), (1000, 0));
}

/// A server whose messages wait for a permit each, and tells the numbers of those that it has handled.
fn waiting() -> (Server, Arc<Semaphore>, mpsc::UnboundedReceiver<usize>) {
    let permits = Arc::new(Semaphore::new(0));
    let (tell, told) = mpsc::unbounded_channel();
    let server = open_house().max_message_size(10 * KIB).on_message({
        let permits = Arc::clone(&permits);
        move |_, frame| {
            let (permits, tell) = (Arc::clone(&permits), tell.clone());
            async move {
                permits.acquire().await.expect("open").forget();
                let _ = tell.send(number_of(&frame));
            }
        }
    });
    (server.build().unwrap(), permits, told)
}

/// Writes messages until the server takes no more: how many were taken.
async fn write_until_stalled(client: &mut Client, frames: usize) -> usize {
    for number in 0..frames {
        let mut text = Vec::new();
        wspulse::codec::Codec::encode(&wspulse::codec::JsonCodec, &long(number), &mut text)
            .unwrap();
        let written = client.write_message(MessageKind::Text, &text);
        if timeout(TICK, written).await.is_err() {
            return number;
        }
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_with_a_client_lets_it_send_its_window_and_no_more() {
    const FRAMES: usize = 1000;
    let (server, permits, mut told) = waiting();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    let taken = write_until_stalled(&mut ann, FRAMES).await;
    // 32 wait for the callback, 16 KiB are its window, the rest is the client's own.
    assert!(taken < 200, "{taken}");
    // The connection is free for others, and for the same client's other streams.
    let mut bob = connection.open("/ws?id=bob").await;
    bob.ping(b"").await.unwrap();
    assert!(matches!(bob.receive().await.unwrap(), wspulse::testing::Received::Pong(_)));
    permits.add_permits(FRAMES);
    for number in 0..taken {
        assert_eq!(told.recv().await, Some(number));
    }
}

/// Opens so many WebSockets, and fills the window of each with messages of 8 bytes, each in a frame of
/// its own: how many there are in each.
async fn fill_with_small_messages(raw: &mut Raw, websockets: u32) -> usize {
    const SMALL_BYTES: usize = 8;
    let in_window = 16 * KIB / SMALL_BYTES;
    let small = masked(0x81, b"{}");
    assert_eq!(small.len(), SMALL_BYTES);
    raw.write(&frame(SETTINGS, ACK, 0, &[])).await;
    for number in 0..websockets {
        let stream = 2 * number + 1;
        raw.write(&websocket(stream, &format!("/ws?id={number}"))).await;
        raw.next(HEADERS).await;
        raw.write(&frame(DATA, 0, stream, &small).repeat(in_window)).await;
    }
    in_window
}

/// A server whose messages wait for a permit each, and the number of those that it has handled.
fn counting() -> (Server, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (permits, handled) = (Arc::new(Semaphore::new(0)), Arc::<AtomicUsize>::default());
    let server = open_house().on_message({
        let (permits, handled) = (Arc::clone(&permits), Arc::clone(&handled));
        move |_, _| {
            let (permits, handled) = (Arc::clone(&permits), Arc::clone(&handled));
            async move {
                permits.acquire().await.expect("open").forget();
                handled.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (server.build().unwrap(), permits, handled)
}

#[tokio::test(start_paused = true)]
async fn small_messages_that_many_websockets_do_not_read_wait_until_they_do() {
    const WEBSOCKETS: u32 = 40;
    let (server, permits, handled) = counting();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    let in_window = fill_with_small_messages(&mut raw, WEBSOCKETS).await;
    settle().await;
    assert_eq!(server.connection_count(), WEBSOCKETS as usize);
    let all = in_window * WEBSOCKETS as usize;
    permits.add_permits(all);
    settle().await;
    assert_eq!(handled.load(Ordering::Relaxed), all);
}

#[tokio::test(start_paused = true)]
async fn small_messages_wait_in_a_connection_of_one_stream_as_well() {
    let (server, permits, handled) = counting();
    let one = Http2::new().max_streams(1);
    let (dialler, _serving) = serve_both(&server, |serve| serve.http2(one));
    let mut raw = Raw::connect(&dialler).await;
    let in_window = fill_with_small_messages(&mut raw, 1).await;
    settle().await;
    assert_eq!(server.connection_count(), 1);
    permits.add_permits(in_window);
    settle().await;
    assert_eq!(handled.load(Ordering::Relaxed), in_window);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_websockets_of_one_connection_are_echoed() {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let mut clients = Vec::new();
    for id in 0..250 {
        clients.push(connection.open(&format!("/ws?id={id}")).await);
    }
    assert_eq!(server.connection_count(), 250);
    join_all(clients.iter_mut().map(|client| async {
        for number in 0..10 {
            echoes(client, number).await;
        }
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_one_websocket_is_sent_goes_beside_what_the_others_are_sent() {
    const FRAMES: usize = 2000;
    let server = open_house().send_buffer_size(FRAMES).build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let mut greedy = connection.open("/ws?id=greedy").await;
    let mut others = Vec::new();
    for id in 0..200 {
        others.push(connection.open(&format!("/ws?id={id}")).await);
    }
    let read = Arc::new(AtomicUsize::new(0));
    for number in 0..FRAMES {
        server.send("greedy", long(number)).unwrap();
    }
    for id in 0..others.len() {
        server.send(&id.to_string(), named(id)).unwrap();
    }
    let counter = Arc::clone(&read);
    let reading = tokio::spawn(async move {
        for number in 0..FRAMES {
            assert_eq!(number_of(&greedy.frame().await.unwrap()), number);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let heard = join_all(others.iter_mut().map(async |other| other.frame().await.unwrap())).await;
    assert_eq!(heard, (0..200).map(named).collect::<Vec<_>>());
    let read_before = read.load(Ordering::Relaxed);
    assert!(read_before < FRAMES / 2, "the others waited for {read_before} frames");
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn members_of_a_room_in_one_connection_are_at_about_the_same_place_of_what_it_hears() {
    const FRAMES: usize = 500;
    const MEMBERS: usize = 100;
    let server = open_house().send_buffer_size(FRAMES).build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    for member in 0..MEMBERS {
        let mut client = connection.open("/ws").await;
        let tell = tell.clone();
        tokio::spawn(async move {
            for number in 0..FRAMES {
                assert_eq!(number_of(&client.frame().await.unwrap()), number);
                tell.send(member).unwrap();
            }
            client
        });
    }
    for number in 0..FRAMES {
        server.broadcast("lobby", long(number)).unwrap();
    }
    let mut at = [0; MEMBERS];
    let mut ahead_max = 0;
    for _ in 0..MEMBERS * FRAMES {
        at[told.recv().await.unwrap()] += 1;
        let (first, last) = (at.iter().max().unwrap(), at.iter().min().unwrap());
        ahead_max = ahead_max.max(first - last);
    }
    // One write of 16 KiB, for each of those that a stream may hold, and the client's window of it.
    assert!(ahead_max <= 200, "{ahead_max}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_one_websocket_alone_has_it_while_the_others_wait() {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::with(dialler.dial(), |builder| {
        builder.initial_stream_window_size(1024).initial_connection_window_size(1024 * 1024);
    })
    .await;
    let mut read = connection.open("/ws?id=read").await;
    let _unread = connection.open("/ws?id=unread").await;
    for number in 0..200 {
        server.send("unread", long(number)).unwrap();
    }
    settle().await;
    for n in 0..20 {
        read.send(&numbered(n)).await.unwrap();
        assert_eq!(number(&read.frame().await.unwrap()), n);
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_together_go_in_one_data_frame() {
    let server = open_house().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&websocket(1, "/ws?id=ann")).await;
    raw.next(HEADERS).await;
    settle().await;
    for number in 0..10 {
        server.send("ann", numbered(number)).unwrap();
    }
    settle().await;
    let mut came = raw.so_far();
    came.retain(|frame| frame.kind == DATA);
    // Each is a text of some bytes of ASCII.
    let begins =
        |frame: &crate::raw::Frame| frame.payload.split(|byte| *byte == 0x81).skip(1).count();
    assert_eq!(came.iter().map(begins).sum::<usize>(), 10);
    assert!(came.len() <= 2, "{came:?}");
}
