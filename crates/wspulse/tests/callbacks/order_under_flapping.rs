//! The order of callbacks holds for a client that comes and goes at random, with slow callbacks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::TestClient;
use wspulse::{CloseCode, CloseFrame, Connection, DuplicatePolicy, Server};

use crate::support::clients::{number, numbered};
use crate::support::house::open_house;

const SEEDS: u64 = 200;
const STEPS: usize = 40;
const WINDOW: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    Connect,
    Message(usize),
    Drop,
    Restore,
    Disconnect,
}

/// A callback's begin, and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Begin(Called),
    End(Called),
}

/// `SplitMix64`: a seed is a run, so that a failing one can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pause(&mut self, millis_max: u64) -> Duration {
        Duration::from_millis(self.roll(2) * self.roll(millis_max))
    }
}

/// A connection with all that was called of it, in the order of time.
type Life = (Connection, Vec<Mark>);

/// What was called of each connection, in the order of time.
#[derive(Clone)]
struct Recorder {
    lives: Arc<Mutex<Vec<Life>>>,
    dice: Arc<Mutex<Dice>>,
}

impl Recorder {
    fn new(seed: u64) -> Self {
        let dice = Dice(seed.wrapping_mul(31).wrapping_add(7));
        Self { lives: Arc::default(), dice: Arc::new(Mutex::new(dice)) }
    }

    fn mark(&self, connection: &Connection, mark: Mark) {
        let mut lives = self.lives.lock().unwrap();
        match lives.iter_mut().find(|(known, _)| known == connection) {
            Some((_, marks)) => marks.push(mark),
            None => lives.push((connection.clone(), vec![mark])),
        }
    }

    /// A callback that takes nothing to half a second, or at times longer than the window.
    async fn slow(self, connection: Connection, called: Called) {
        self.mark(&connection, Mark::Begin(called));
        let pause = {
            let mut dice = self.dice.lock().unwrap();
            if dice.roll(40) == 0 { 2 * WINDOW } else { dice.pause(500) }
        };
        if !pause.is_zero() {
            sleep(pause).await;
        }
        self.mark(&connection, Mark::End(called));
    }

    fn plain(&self, connection: &Connection, called: Called) {
        self.mark(connection, Mark::Begin(called));
        self.mark(connection, Mark::End(called));
    }

    fn server(&self, policy: DuplicatePolicy) -> Server {
        let [connect, message, lose, restore, disconnect] = [(); 5].map(|()| self.clone());
        open_house()
            .resume_window(WINDOW)
            .duplicates(policy)
            .on_connect(move |conn| connect.clone().slow(conn, Called::Connect))
            .on_message(move |conn, frame| {
                message.clone().slow(conn, Called::Message(number(&frame)))
            })
            .on_transport_drop(move |conn, _| lose.plain(&conn, Called::Drop))
            .on_transport_restore(move |conn, _| restore.clone().slow(conn, Called::Restore))
            .on_disconnect(move |conn, _| disconnect.clone().slow(conn, Called::Disconnect))
            .build()
            .unwrap()
    }
}

/// A client that comes, talks, goes, comes twice, is kicked; whatever fails, it goes on.
async fn flap(server: &Server, dice: &mut Dice) {
    let mut clients = Vec::new();
    for step in 0..STEPS {
        match dice.roll(10) {
            // Told to come later while too many of them are ending.
            0..=3 => clients.extend(TestClient::connect(server, "/ws?id=ann").await.ok()),
            4..=6 => {
                if let Some(client) = clients.last_mut() {
                    for message in 0..dice.roll(8) {
                        let number = step * 10 + usize::try_from(message).unwrap();
                        let _ = client.send(&numbered(number)).await;
                    }
                }
            }
            7 => drop(clients.pop()),
            8 => {
                if let Some(mut client) = clients.pop() {
                    let frame = CloseFrame::new(CloseCode::GOING_AWAY, "");
                    let _ = client.close(Some(&frame)).await;
                }
            }
            _ if dice.roll(5) == 0 => drop(server.kick("ann")),
            _ => sleep(dice.pause(4000)).await,
        }
        sleep(dice.pause(100)).await;
    }
}

/// Checks one connection's life against the grammar
/// `Connect Message* (Drop Restore Message*)* Drop? Disconnect`.
fn check(marks: &[Mark]) -> Result<(), String> {
    let mut before = None;
    let mut newest = None;
    for pair in marks.chunks(2) {
        let [Mark::Begin(called), Mark::End(ended)] = *pair else {
            return Err("callbacks overlap".to_owned());
        };
        if called != ended {
            return Err("callbacks overlap".to_owned());
        }
        let follows = match called {
            Called::Connect => before.is_none(),
            Called::Message(number) => {
                let in_order = newest.replace(number) < Some(number);
                in_order
                    && matches!(
                        before,
                        Some(Called::Connect | Called::Restore | Called::Message(_))
                    )
            }
            Called::Drop => !matches!(before, None | Some(Called::Drop | Called::Disconnect)),
            Called::Restore => before == Some(Called::Drop),
            Called::Disconnect => !matches!(before, None | Some(Called::Disconnect)),
        };
        if !follows {
            return Err(format!("{called:?} after {before:?}"));
        }
        before = Some(called);
    }
    match before {
        Some(Called::Disconnect) => Ok(()),
        other => Err(format!("ends with {other:?}")),
    }
}

async fn run(policy: DuplicatePolicy) {
    let mut restored = 0;
    for seed in 0..SEEDS {
        let recorder = Recorder::new(seed);
        let server = recorder.server(policy);
        flap(&server, &mut Dice(seed)).await;
        sleep(10 * WINDOW).await;
        server.close().await;
        for (_, marks) in &*recorder.lives.lock().unwrap() {
            if let Err(problem) = check(marks) {
                panic!("seed {seed}: {problem} in {marks:#?}");
            }
            restored += marks.iter().filter(|mark| **mark == Mark::End(Called::Restore)).count();
        }
    }
    assert!(restored > 100, "only {restored} sessions were restored: the runs test nothing");
}

#[tokio::test(start_paused = true)]
async fn every_life_follows_the_grammar_where_duplicates_replace() {
    run(DuplicatePolicy::Replace).await;
}

#[tokio::test(start_paused = true)]
async fn every_life_follows_the_grammar_where_duplicates_resume() {
    run(DuplicatePolicy::Resume).await;
}
