//! Data that waits until it is read, in front of h2: it comes whole and in its order, and its windows are
//! given back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{Semaphore, mpsc};
use wspulse::serve::Http2;
use wspulse::testing::{Dialler, masked};

use crate::raw::{
    ACK, CANCEL, DATA, END_STREAM, HEADERS, PADDED, Raw, SETTINGS, WINDOW_UPDATE, frame, request,
    websocket,
};
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::listener::serve_in_memory;

const WINDOW_BYTES: usize = 16 * 1024;

/// What reads bodies, and messages, as far as it is permitted.
struct Reader {
    dialler: Dialler,
    permits: Arc<Semaphore>,
    bodies: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    messages: mpsc::UnboundedReceiver<usize>,
}

/// A server that needs a permit for each piece of a body, and for each message.
fn reader() -> Reader {
    let permits = Arc::new(Semaphore::new(0));
    let (tell_body, bodies) = mpsc::unbounded_channel();
    let (tell_message, messages) = mpsc::unbounded_channel();
    let read = {
        let permits = Arc::clone(&permits);
        async move |mut body: Body| {
            let mut whole = BytesMut::new();
            loop {
                permits.acquire().await.expect("open").forget();
                match body.frame().await {
                    Some(Ok(piece)) => whole.extend(piece.into_data().unwrap_or_default()),
                    None => break tell_body.send(Some(whole.into())).expect("the test waits"),
                    Some(Err(_)) => break tell_body.send(None).expect("the test waits"),
                }
            }
        }
    };
    let server = open_house().max_message_size(WINDOW_BYTES).on_message({
        let permits = Arc::clone(&permits);
        move |_, frame| {
            let (permits, tell) = (Arc::clone(&permits), tell_message.clone());
            async move {
                permits.acquire().await.expect("open").forget();
                let _ = tell.send(frame.payload().len());
            }
        }
    });
    let app =
        Router::new().route("/read", post(read)).route_service("/ws", server.build().unwrap());
    let (dialler, serving) = serve_in_memory(app, |serve| serve.http2(Http2::new()));
    drop(serving);
    Reader { dialler, permits, bodies, messages }
}

async fn connect(reader: &Reader) -> Raw {
    let mut raw = Raw::connect(&reader.dialler).await;
    raw.write(&frame(SETTINGS, ACK, 0, &[])).await;
    raw
}

#[tokio::test(start_paused = true)]
async fn bodies_in_single_bytes_that_nobody_reads_come_whole_once_somebody_does() {
    let mut reader = reader();
    let mut raw = connect(&reader).await;
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(WINDOW_BYTES).collect();
    for stream in [1, 3, 5, 7] {
        raw.write(&request(stream, "POST", "/read")).await;
        let (last, pieces) = body.split_last().unwrap();
        let pieces: Vec<u8> =
            pieces.iter().flat_map(|byte| frame(DATA, 0, stream, &[*byte])).collect();
        raw.write(&pieces).await;
        raw.write(&frame(DATA, END_STREAM, stream, &[*last])).await;
    }
    settle().await;
    reader.permits.add_permits(4 * WINDOW_BYTES);
    for _ in 0..4 {
        assert!(reader.bodies.recv().await.unwrap().as_ref() == Some(&body));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_without_data_behind_bytes_that_wait_ends_for_its_reader() {
    let mut reader = reader();
    let mut raw = connect(&reader).await;
    for stream in [1, 3] {
        raw.write(&request(stream, "POST", "/read")).await;
        raw.write(&frame(DATA, 0, stream, b"y").repeat(5_000)).await;
    }
    for stream in [1, 3] {
        raw.write(&frame(DATA, END_STREAM, stream, &[])).await;
    }
    reader.permits.add_permits(20_000);
    for _ in 0..2 {
        assert!(reader.bodies.recv().await.unwrap().as_deref() == Some(&[b'y'; 5_000]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_behind_bytes_that_wait_is_reset_for_its_reader() {
    let mut reader = reader();
    let mut raw = connect(&reader).await;
    raw.write(&request(1, "POST", "/read")).await;
    raw.write(&frame(DATA, 0, 1, b"y").repeat(5_000)).await;
    raw.write(&request(3, "POST", "/read")).await;
    raw.write(&frame(DATA, END_STREAM, 3, b"z")).await;
    raw.write(&frame(3, 0, 1, &CANCEL.to_be_bytes())).await;
    reader.permits.add_permits(20_000);
    assert_eq!(reader.bodies.recv().await.unwrap().as_deref(), Some(&b"z"[..]));
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_come_before_the_end_of_their_connection() {
    const MESSAGES: usize = 2_000;
    let mut reader = reader();
    let mut raw = connect(&reader).await;
    raw.write(&websocket(1, "/ws")).await;
    raw.next(HEADERS).await;
    raw.write(&frame(DATA, 0, 1, &masked(0x81, b"{}")).repeat(MESSAGES)).await;
    settle().await;
    raw.shut_down().await;
    reader.permits.add_permits(MESSAGES);
    for _ in 0..MESSAGES {
        assert_eq!(reader.messages.recv().await, Some(0));
    }
}

/// A client that keeps to its windows.
struct Sender {
    raw: Raw,
    /// What is left of each stream's, and of the connection's, which is stream 0.
    windows: BTreeMap<u32, usize>,
}

impl Sender {
    fn hear(&mut self) {
        for update in self.raw.so_far().iter().filter(|frame| frame.kind == WINDOW_UPDATE) {
            let bytes = u32::from_be_bytes(update.payload[..].try_into().unwrap()) as usize;
            *self.windows.entry(update.stream).or_default() += bytes;
        }
    }

    /// Sends a part of these bytes, as much as the windows let it and chance wants.
    async fn send(&mut self, stream: u32, bytes: &[u8], random: &mut StdRng) -> usize {
        let around = if random.random_bool(0.3) { random.random_range(1..=256) } else { 0 };
        let window = self.windows[&stream].min(self.windows[&0]);
        let longest = if random.random_bool(0.8) { 20 } else { 8_000 };
        let Some(room) = window.checked_sub(around) else { return 0 };
        let now = random.random_range(0..=longest).min(room).min(bytes.len());
        if now == 0 {
            return 0;
        }
        let (mut flags, mut payload) = (0, bytes[..now].to_vec());
        if around > 0 {
            flags = PADDED;
            payload.insert(0, u8::try_from(around - 1).unwrap());
            payload.resize(now + around, 0);
        }
        for stream in [0, stream] {
            *self.windows.get_mut(&stream).unwrap() -= now + around;
        }
        self.raw.write(&frame(DATA, flags, stream, &payload)).await;
        now
    }
}

/// Bytes that tell where they are.
fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    std::iter::repeat_with(|| random.random()).take(bytes).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_frames_data_comes_in_and_however_it_is_read_it_comes_whole() {
    const BODIES: u32 = 3;
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut reader = reader();
        let mut raw = connect(&reader).await;
        let mut left = BTreeMap::new();
        for number in 0..BODIES {
            let stream = 2 * number + 1;
            raw.write(&request(stream, "POST", "/read")).await;
            left.insert(stream, pattern(u64::from(number), 60_000));
        }
        let socket = 2 * BODIES + 1;
        raw.write(&websocket(socket, "/ws")).await;
        let messages = 3_000;
        left.insert(socket, masked(0x81, br#"{"payload":[1]}"#).repeat(messages));
        settle().await;
        let mut windows: BTreeMap<u32, usize> =
            left.keys().map(|stream| (*stream, WINDOW_BYTES)).collect();
        windows.insert(0, 65_535);
        let mut sender = Sender { raw, windows };
        while !left.is_empty() {
            let nth = random.random_range(0..left.len());
            let stream = *left.keys().nth(nth).unwrap();
            let rest = left.get_mut(&stream).unwrap();
            let sent = sender.send(stream, rest, &mut random).await;
            rest.drain(..sent);
            if rest.is_empty() {
                left.remove(&stream);
                if stream != socket {
                    sender.raw.write(&frame(DATA, END_STREAM, stream, &[])).await;
                }
            }
            if random.random_bool(0.2) {
                reader.permits.add_permits(random.random_range(0..20));
                settle().await;
                sender.hear();
            }
        }
        reader.permits.add_permits(1_000_000);
        let mut bodies: Vec<_> = (0..u64::from(BODIES)).map(|body| pattern(body, 60_000)).collect();
        for _ in 0..BODIES {
            let come = reader.bodies.recv().await.unwrap().expect("it was not reset");
            let nth = bodies.iter().position(|body| *body == come);
            bodies.remove(nth.unwrap_or_else(|| panic!("seed {seed}: another body has come")));
        }
        for _ in 0..messages {
            assert_eq!(reader.messages.recv().await, Some(3), "seed {seed}");
        }
    }
}
