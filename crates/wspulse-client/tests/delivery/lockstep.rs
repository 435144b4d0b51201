//! The client and the server in lockstep, under one paused clock: the real ones, whole, with nothing
//! between them but a road whose links break.
//!
//! It proves, for a short conversation, that wherever its first link breaks, at each byte of the
//! handshake, of the hello and of all that follows, each way, with a word or in silence, and wherever
//! the second link breaks after that: each frame arrives once and in order, both ways; whoever waits
//! for a frame to be handled hears so; the server learns that all has arrived; the session is never
//! lost. And that it does not help who has recorded a handshake or a token to lose, double or stop
//! anything, but for the newest token, which is the session. Long conversations are drawn from seeds.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{Admission, Delivery, Server};
use wspulse_client::{Client, EndCause, Event, Frame, Messages, SendError, SessionStart};
use wspulse_core::protocol::ResumeOffer;

use crate::support::road::{Break, How, Road, Traffic, run, serve};

/// Frames each way in a short conversation.
const FEW: u32 = 3;
/// And in a long one.
const MANY: u32 = 120;
/// Longer than a life may take.
const LIFE: Duration = Duration::from_hours(5);
/// How often the newest handshake is repeated. It may take the session each time, as long as the server
/// has read nothing of what the client has said since; and after eight changes it is for good.
const TAKEOVERS_MAX: u32 = 3;
/// How many long conversations a run of the tests has.
const LIVES: u64 = 40;

type Numbers = Arc<Mutex<Vec<u32>>>;

fn numbered(number: u32) -> Frame {
    Frame::new("n").json(&number).expect("a number")
}

/// A server that sends so many frames to each session that begins.
fn server(frames: u32, handled: &Numbers) -> Server {
    let handled = Arc::clone(handled);
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_connect(move |conn: wspulse::Connection| async move {
            for number in 0..frames {
                conn.send(numbered(number)).expect("there is room");
                if number >= FEW {
                    sleep(Duration::from_millis(u64::from(number % 7) * 40)).await;
                }
            }
        })
        .on_message(move |_, frame: Frame| {
            let handled = Arc::clone(&handled);
            async move {
                let number: u32 = frame.to_json().expect("a number");
                if number % 3 == 1 {
                    // So that breaks find some received and not handled.
                    sleep(Duration::from_millis(300)).await;
                }
                handled.lock().push(number);
            }
        })
        .resume_window(Duration::from_mins(30))
        .delivery(Delivery::ExactlyOnce)
        .build()
        .expect("the options are valid")
}

/// A client, what it has received and how its sessions began.
struct Tab {
    client: Client,
    received: Numbers,
    sessions: JoinHandle<Vec<SessionStart>>,
}

impl Tab {
    fn open(road: &Road) -> Self {
        let backoff = Duration::from_millis(50);
        let builder = Client::builder("ws://server.example/ws").backoff(backoff, backoff);
        let (client, messages) = road.taken_by(builder).connect().expect("a target");
        let received = Numbers::default();
        let sessions = tokio::spawn(listen(messages, Arc::clone(&received)));
        Self { client, received, sessions }
    }

    /// Sends so many frames, each by a task of its own that waits for it to be handled.
    fn send(&self, frames: Range<u32>, pause: Duration) -> Vec<JoinHandle<Result<(), SendError>>> {
        let send = |number: u32| {
            let client = self.client.clone();
            let after = pause * number;
            tokio::spawn(async move {
                sleep(after).await;
                client.send(numbered(number)).await
            })
        };
        frames.map(send).collect()
    }
}

async fn listen(mut messages: Messages, received: Numbers) -> Vec<SessionStart> {
    let mut sessions = Vec::new();
    while let Some(event) = messages.next().await {
        if let Event::Message(frame) = event {
            received.lock().push(frame.to_json().expect("a number"));
        } else if let Event::Session { session, .. } = event {
            sessions.push(session);
        }
    }
    sessions
}

/// A whole conversation over such links. Tells what has passed each.
async fn converse(breaks: impl IntoIterator<Item = Break>) -> Vec<Arc<Traffic>> {
    let handled = Numbers::default();
    let server = server(FEW, &handled);
    let road = Road::new(server.clone(), breaks);
    let tab = Tab::open(&road);
    for sent in tab.send(0..FEW, Duration::ZERO) {
        let sent = timeout(LIFE, sent).await.expect("whoever waits is told");
        sent.expect("no panic").expect("the session is never lost");
    }
    let connection = server.connection("ann").expect("the session is there");
    timeout(LIFE, connection.acknowledged()).await.expect("it is told").expect("all has arrived");
    assert_eq!(*handled.lock(), (0..FEW).collect::<Vec<_>>(), "each once and in order");
    assert_eq!(*tab.received.lock(), (0..FEW).collect::<Vec<_>>(), "each once and in order");
    let stats = connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.dropped), (FEW.into(), FEW.into(), 0));
    assert_eq!((stats.acknowledged, stats.unacknowledged), (FEW.into(), 0));
    let traffic = road.traffic();
    tab.client.close().await;
    let sessions = tab.sessions.await.expect("no panic");
    assert_eq!(sessions[0], SessionStart::New);
    assert!(sessions[1..].iter().all(|session| *session == SessionStart::Resumed));
    server.close().await;
    traffic
}

/// How many bytes pass a link that does not break, in a whole conversation: down and up.
fn lengths(before: &[Break]) -> (usize, usize) {
    let links = run("no break", converse(before.to_vec()));
    let last = links.last().expect("a link");
    (last.down.load(Ordering::Relaxed), last.up.load(Ordering::Relaxed))
}

/// Each way in which the next link may break within these lengths.
fn each_break((down, up): (usize, usize)) -> impl Iterator<Item = Break> {
    [How::Cut, How::Silence].into_iter().flat_map(move |how| {
        let downs = (0..=down).map(move |bytes| Break::down(how, bytes));
        downs.chain((0..=up).map(move |bytes| Break::up(how, bytes)))
    })
}

#[test]
fn wherever_the_first_link_breaks_each_frame_arrives_once() {
    let (mut lives, mut links) = (0, 0);
    for first in each_break(lengths(&[])) {
        lives += 1;
        links += run(&format!("{first:?}"), converse([first])).len();
    }
    // At its very ends a link breaks when all is said.
    assert!(lives > 1_000 && links + 32 > 2 * lives, "{links} links in {lives} lives");
}

/// The first link has broken where it matters: before the server's answer to the handshake, within the
/// hello, behind it, and behind what was sent.
#[test]
fn wherever_the_second_link_breaks_each_frame_arrives_once() {
    let (down, up) = lengths(&[]);
    let firsts = [
        Break::down(How::Cut, 60),
        Break::down(How::Silence, down / 2),
        Break::down(How::Cut, down * 3 / 4),
        Break::up(How::Cut, up - 40),
    ];
    for first in firsts {
        for second in each_break(lengths(&[first])) {
            run(&format!("{first:?}, {second:?}"), converse([first, second]));
        }
    }
}

/// The first link leads to one server, all others to another, which has another secret and knows no
/// session.
async fn converse_with_two(first: Break) -> usize {
    let [handled, handled_later] = [(); 2].map(|()| Numbers::default());
    let (old, new) = (server(FEW, &handled), server(FEW, &handled_later));
    let road = Road::leading_to([old.clone(), new.clone()], [first]);
    let tab = Tab::open(&road);
    let mut lost = 0;
    for (number, sent) in (0..).zip(tab.send(0..FEW, Duration::ZERO)) {
        let sent = timeout(LIFE, sent).await.expect("whoever waits is told").expect("no panic");
        let times = [&handled, &handled_later].map(|handled| count(handled, number));
        match sent {
            Ok(()) => assert_eq!(times.iter().sum::<usize>(), 1, "{number}: told as handled"),
            Err(SendError::Lost { .. }) => {
                assert!(times[0] <= 1 && times[1] == 0, "{number}: told as lost, {times:?}");
                lost += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(handled.lock().is_sorted() && handled_later.lock().is_sorted());
    let all: Vec<_> = (0..FEW).collect();
    until(|| tab.received.lock().ends_with(&all)).await;
    let received = tab.received.lock().clone();
    let before = &received[..received.len() - all.len()];
    assert!(all.starts_with(before), "{received:?}");
    tab.client.close().await;
    let sessions = tab.sessions.await.expect("no panic");
    assert!(sessions.iter().all(|session| *session == SessionStart::New), "{sessions:?}");
    old.close().await;
    new.close().await;
    lost
}

fn count(numbers: &Numbers, number: u32) -> usize {
    numbers.lock().iter().filter(|each| **each == number).count()
}

#[test]
fn wherever_the_link_breaks_to_a_server_that_is_gone_each_frame_is_handled_once_or_told_as_lost() {
    let mut lost = 0;
    for first in each_break(lengths(&[])) {
        lost += run(&format!("{first:?}"), converse_with_two(first));
    }
    assert!(lost > 0, "nothing was on its way");
}

/// A whole long conversation, by whose side somebody repeats recorded handshakes.
async fn converse_at_length(seed: u64) -> (usize, usize) {
    let mut dice = StdRng::seed_from_u64(seed);
    let breaks: Vec<_> = (0..dice.random_range(5..40)).map(|_| any_break(&mut dice)).collect();
    let handled = Numbers::default();
    let server = server(MANY, &handled);
    let road = Road::new(server.clone(), breaks);
    let tab = Tab::open(&road);
    let mut sent = tab.send(0..MANY, Duration::from_millis(dice.random_range(0..60)));
    let mut replays = 0;
    let done = tokio::spawn(async move {
        for sent in sent.drain(..) {
            sent.await.expect("no panic").expect("the session is never lost");
        }
    });
    let is_done = || done.is_finished() && tab.received.lock().len() >= MANY as usize;
    let (mut rounds, mut takeovers) = (0, 0);
    while !is_done() {
        sleep(Duration::from_millis(dice.random_range(1..3_000))).await;
        let recorded = road.traffic().into_iter().filter_map(|link| link.handshake());
        let returns: Vec<_> = recorded.filter(|handshake| is_return(handshake)).collect();
        if let Some(newest) = returns.last()
            && dice.random_ratio(1, 3)
        {
            let old = &returns[dice.random_range(0..returns.len())];
            takeovers += u32::from(offers(old) == offers(newest));
            if takeovers <= TAKEOVERS_MAX || offers(old) != offers(newest) {
                tokio::spawn(repeat(server.clone(), old.clone(), dice.random_range(1..20_000)));
                replays += 1;
            }
        }
        rounds += 1;
        assert!(rounds < 100_000, "it never ends");
    }
    done.await.expect("no panic");
    assert_eq!(*handled.lock(), (0..MANY).collect::<Vec<_>>(), "each once and in order");
    assert_eq!(*tab.received.lock(), (0..MANY).collect::<Vec<_>>(), "each once and in order");
    let links = road.traffic().len();
    tab.client.close().await;
    let sessions = tab.sessions.await.expect("no panic");
    assert!(sessions[1..].iter().all(|session| *session == SessionStart::Resumed));
    server.close().await;
    (links, replays)
}

fn any_break(dice: &mut StdRng) -> Break {
    let how = if dice.random_ratio(1, 4) { How::Silence } else { How::Cut };
    Break { how, down: dice.random_range(0..4_000), up: dice.random_range(0..4_000) }
}

/// The subprotocols that a handshake offers.
fn offers(handshake: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(handshake).to_lowercase();
    head.lines().find(|line| line.starts_with("sec-websocket-protocol:")).map(str::to_owned)
}

/// Whether it is the handshake of a client that has a session. One without is admitted to a new
/// session, as whoever the application lets in under that id.
fn is_return(handshake: &[u8]) -> bool {
    String::from_utf8_lossy(handshake).contains("wspulse.1.resume.")
}

/// Makes a recorded handshake once more, and reads what comes for so many milliseconds.
async fn repeat(server: Server, handshake: Vec<u8>, milliseconds: u64) {
    let mut link = serve(server);
    let mut nothing = [0; 256];
    let reading = async {
        link.write_all(&handshake).await?;
        while link.read(&mut nothing).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // It may be turned away, and does not care.
    let _ = timeout(Duration::from_millis(milliseconds), reading).await;
}

fn seeds() -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("WSPULSE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WSPULSE_CUT_LIVES").unwrap_or(LIVES),
    }
}

#[test]
fn over_links_that_break_anywhere_and_beside_recorded_handshakes_each_frame_arrives_once() {
    let (mut links, mut replays) = (0, 0);
    for seed in seeds() {
        let lived = run(&format!("WSPULSE_SEED={seed}"), converse_at_length(seed));
        (links, replays) = (links + lived.0, replays + lived.1);
    }
    let lives = seeds().count();
    println!("{lives} lives, {links} links, {replays} recorded handshakes");
    assert!(links > 5 * lives && replays > lives, "{links} links, {replays} replays");
}

/// Waits for something that must happen, by the paused clock.
async fn until(is_met: impl Fn() -> bool) {
    let waiting = async {
        while !is_met() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIFE, waiting).await.expect("it happens");
}

/// A copy of a tab knows what the tab knows: token, count and all.
#[test]
fn a_second_tab_with_the_newest_token_takes_the_session_and_the_first_ends_for_good() {
    run("two tabs", async {
        let handled = Numbers::default();
        let server = server(FEW, &handled);
        let road = Road::new(server.clone(), []);
        let tab = Tab::open(&road);
        until(|| tab.received.lock().len() == FEW as usize).await;
        let token = road.traffic()[0].token();
        let resume = ResumeOffer { token, count: FEW.into() }.to_string();
        let mut parts = request_parts("/ws");
        let offers = format!("wspulse.1+json, {resume}").parse().expect("a header");
        parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers);
        let mut copy = TestClient::connect_with(&server, parts).await.expect("it is let in");
        let end = timeout(LIFE, tab.client.ended()).await.expect("the first is told");
        let EndCause::ClosedByServer { code, .. } = end else { panic!("{end:?}") };
        assert_eq!(code, 1000);
        server.send("ann", numbered(FEW)).expect("the session goes on");
        let mut heard = Vec::new();
        while heard.len() < 2 {
            if let Received::Message(_, payload) = copy.receive().await.expect("it goes on") {
                heard.push(String::from_utf8(payload.to_vec()).expect("text"));
            }
        }
        assert!(heard[0].contains(r#""session":"resumed""#), "{heard:?}");
        assert!(heard[1].contains(r#""payload":3"#), "{heard:?}");
        assert!(matches!(tab.client.send(numbered(0)).await, Err(SendError::Closed { .. })));
    });
}
