//! Random tests that can be played again: all that is random comes from a number.

use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::runtime::Builder;

use super::link::{Fault, Link, Way};

/// How long a fault of [`Dice::disturb`] lasts.
const DISTURBANCE: Range<Duration> = Duration::ZERO..Duration::from_secs(20);

/// Plays so many lives, each on a runtime of its own whose clock is paused, and returns what each has
/// come to. All that is random in a life must come from its [`Dice`]: then a life that fails fails
/// again. The seeds are 0, 1, 2 … at each run.
///
/// The environment plays others: `WSPULSE_SEED=7` that life alone, `WSPULSE_SEEDS=10000` so many.
///
/// ```
/// use wspulse::testing::{TestServer, play};
/// # use wspulse::{Admission, Delivery, Frame, Server, ServerBuilder};
/// # fn builder() -> ServerBuilder {
/// #     Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
/// #         .resume_window(std::time::Duration::from_secs(60))
/// #         .duplicates(wspulse::DuplicatePolicy::Resume)
/// #         .delivery(Delivery::AtLeastOnce)
/// # }
///
/// play(20, |mut dice| async move {
///     let test = TestServer::new(builder()).unwrap();
///     let mut ann = test.client("ann").connect("/ws").await;
///     for number in 0..5 {
///         test.server().broadcast("lobby", Frame::new("n").json(&number).unwrap()).unwrap();
///         dice.disturb(ann.link()).await;
///         ann.reconnect().await;
///     }
///     for number in 0..5 {
///         ann.expect_json("n", number).await;
///     }
/// });
/// ```
///
/// # Panics
///
/// If a life does, with its seed, after what the life itself has said.
pub fn play<T, L: Future<Output = T>>(lives: u64, life: impl Fn(Dice) -> L) -> Vec<T> {
    let play_one = |seed| {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("it needs nothing of the system");
        let life = AssertUnwindSafe(|| runtime.block_on(async { life(Dice::new(seed)).await }));
        catch_unwind(life).unwrap_or_else(|_| {
            panic!("the life of seed {seed} has failed: WSPULSE_SEED={seed} plays it again")
        })
    };
    seeds(lives).map(play_one).collect()
}

fn seeds(lives: u64) -> Range<u64> {
    let number = |name| {
        let text = env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
    };
    match number("WSPULSE_SEED") {
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..number("WSPULSE_SEEDS").unwrap_or(lives),
    }
}

/// Where a life gets all that is random from. The same seed gives the same numbers with every
/// version of this library that has the same major number.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
    seed: u64,
}

impl Dice {
    /// Those of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, seed }
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Any number. (`SplitMix64`, by Steele, Lea and Flood; public domain.)
    pub const fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in this range.
    ///
    /// # Panics
    ///
    /// If it is empty.
    #[track_caller]
    pub const fn within(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "there is no number in an empty range");
        range.start + self.roll() % (range.end - range.start)
    }

    /// A time in this range, to the millisecond.
    ///
    /// # Panics
    ///
    /// If it has no millisecond.
    #[track_caller]
    pub fn time(&mut self, range: Range<Duration>) -> Duration {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.within(milliseconds(range.start)..milliseconds(range.end)))
    }

    /// `true` once in so many times.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.within(0..times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    #[track_caller]
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let place = self.within(0..from.len() as u64);
        &from[usize::try_from(place).expect("it is less than a length")]
    }

    /// Any fault that a link can have.
    pub fn fault(&mut self) -> Fault {
        let way = *self.pick(&[Way::Up, Way::Down]);
        *self.pick(&[
            Fault::Reset,
            Fault::Down,
            Fault::Silence,
            Fault::Stall(way),
            Fault::HalfClose(way),
            Fault::ByteByByte,
        ])
    }

    /// Has a link fail, at once, after some bytes or in the middle of a frame, for up to 20 s, and
    /// restores it.
    pub async fn disturb(&mut self, link: &Link) {
        let (fault, way) = (self.fault(), *self.pick(&[Way::Up, Way::Down]));
        match self.within(0..3) {
            0 => link.fail(fault),
            1 => {
                let bytes = *self.pick(&[1, 10, 50, 100, 300, 1_000]);
                link.fail_after(way, bytes, fault);
            }
            _ => link.fail_mid_frame(way, fault),
        }
        let lasts = self.time(DISTURBANCE);
        tokio::time::sleep(lasts).await;
        link.restore();
    }
}
