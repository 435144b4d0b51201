use std::future::ready;
use std::time::Duration;

use wspulse::Frame;
use wspulse::codec::MessagePackCodec;
use wspulse::testing::{Fault, Inbox, Link, TestServer, Way};
use wspulse_client::{Client, Messages};

use super::{SPEED, Seen, Shared, app, builder, play};

struct Player {
    client: Client,
    link: Link,
    heard: Inbox,
    number: u32,
    _messages: Messages,
}

fn field() -> TestServer {
    let game = Shared::default();
    let builder = builder(&game).expect("the routes are valid");
    TestServer::with_app(builder, |server| {
        tokio::spawn(play(server.clone(), game));
        app(server)
    })
    .expect("the options are valid")
}

/// A page's client: in MessagePack, over a link that can fail.
async fn enter(test: &TestServer, tab: &str) -> Player {
    let (link, heard) = (test.link(tab), test.inbox(tab));
    link.set_waiting_bytes_max(256); // what systems keep in their buffers is more
    let (dialled, inbox) = (link.clone(), heard.clone());
    let (client, messages) = Client::builder(format!("ws://localhost/ws?tab={tab}"))
        .connector(move |_| ready(dialled.dial()))
        .on_message(move |frame| inbox.hear(frame))
        .codec(MessagePackCodec)
        .backoff(Duration::from_millis(100), Duration::from_secs(1))
        .connect()
        .expect("a valid target");
    client.connected().await.expect("it is let in");
    let number = heard.expect("you").await.to_msgpack().expect("a number");
    Player { client, link, heard, number, _messages: messages }
}

impl Player {
    fn steer(&self, to: (f32, f32)) {
        let frame = Frame::new("steer").msgpack(&to).expect("it has a form in MessagePack");
        self.client.post(frame).expect("room in the outbox");
    }

    /// All states that have come and were not looked at.
    fn seen(&self) -> Vec<Seen> {
        let frames = self.heard.take_all();
        frames.iter().map(|frame| frame.to_msgpack().expect("a state")).collect()
    }
}

/// Where somebody is, from left to right.
fn place((_, players): &Seen, number: u32) -> Option<f32> {
    players.iter().find(|player| player.0 == number).map(|player| player.1)
}

#[tokio::test(start_paused = true)]
async fn who_steers_moves_before_the_eyes_of_all_thirty_times_a_second() {
    let test = field();
    let (ann, bob) = (enter(&test, "ann").await, enter(&test, "bob").await);
    ann.steer((1.0, 0.0));
    test.pass(Duration::from_millis(100)).await;
    let before = bob.seen().last().and_then(|seen| place(seen, ann.number)).expect("ann plays");

    test.pass(Duration::from_secs(1)).await;

    let seen = bob.seen();
    assert!((29..=31).contains(&seen.len()), "{} states", seen.len());
    let way = seen.last().and_then(|seen| place(seen, ann.number)).expect("ann plays") - before;
    assert!((way - SPEED).abs() < 0.05, "{way} in a second");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_faster_for_saying_so() {
    let test = field();
    let ann = enter(&test, "ann").await;
    ann.steer((-100.0, f32::NAN));
    ann.steer((-100.0, 0.0));

    test.pass(Duration::from_millis(500)).await;

    let at = ann.seen().last().and_then(|seen| place(seen, ann.number)).expect("ann plays");
    assert!((at - (0.5 - SPEED / 2.0)).abs() < 0.05, "at {at}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_skips_to_the_newest_state() {
    let test = field();
    let (ann, bob) = (enter(&test, "ann").await, enter(&test, "bob").await);
    let carl = enter(&test, "carl").await;

    carl.seen();
    carl.link.fail(Fault::Stall(Way::Down));
    ann.steer((1.0, 0.0));
    test.pass(Duration::from_secs(1)).await;
    carl.link.restore();
    test.pass(Duration::from_millis(20)).await;

    let newest = bob.seen().last().expect("bob has seen it").clone();
    let seen = carl.seen();
    assert!(seen.len() < 10, "{} states waited", seen.len());
    assert_eq!(seen.last(), Some(&newest));
}

#[tokio::test(start_paused = true)]
async fn who_is_back_soon_goes_on_and_has_not_moved_meanwhile() {
    let test = field();
    let (ann, bob) = (enter(&test, "ann").await, enter(&test, "bob").await);
    ann.steer((1.0, 0.0));
    test.pass(Duration::from_millis(200)).await;

    ann.link.fail(Fault::Down);
    test.pass(Duration::from_secs(1)).await;
    let away = bob.seen();
    ann.link.restore();
    test.pass(Duration::from_secs(3)).await;

    let places: Vec<_> = away.iter().skip(15).map(|seen| place(seen, ann.number)).collect();
    assert!(places[0].is_some() && places.iter().all(|place| *place == places[0]), "{places:?}");
    assert!(ann.seen().len() > 30, "ann sees nothing");
}

#[tokio::test(start_paused = true)]
async fn a_dot_is_eaten_by_who_comes_to_it() {
    let test = field();
    let ann = enter(&test, "ann").await;
    ann.steer((-1.0, -1.0)); // the first one is at (0.3, 0.3)

    test.pass(Duration::from_secs(2)).await;

    let seen = ann.seen();
    let scores: Vec<_> = seen.iter().map(|(_, players)| players[0].3).collect();
    assert_eq!((scores.first(), scores.last()), (Some(&0), Some(&1)));
    assert_ne!(seen[0].0, seen.last().expect("there are some").0, "the dot stays");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_seen_no_more() {
    let test = field();
    let (ann, bob) = (enter(&test, "ann").await, enter(&test, "bob").await);
    test.pass(Duration::from_millis(100)).await;
    assert!(bob.seen().last().and_then(|seen| place(seen, ann.number)).is_some());

    ann.client.close().await;
    test.pass(Duration::from_secs(11)).await;

    assert!(bob.seen().last().and_then(|seen| place(seen, ann.number)).is_none());
}
