//! Deadlines that count only time in which the server ran.
//!
//! A process that was stopped, or a machine that was suspended, finds its deadlines passed when it
//! goes on, with all that has come meanwhile still unread. Whoever waits for a peer, or for code of
//! the application, uses these, not tokio's `timeout`. A session knows its deadlines by itself; its
//! driver shares the bounds of this file.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use wspulse_core::clock::{self, CATCH_UP};

use crate::ground::budget::poll_unbudgeted;

/// A turn that comes later than this is no busy moment: the process was stopped, its machine was
/// suspended, or its threads were blocked. Peers are not to blame for that.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(1);

/// How often the time is looked at within a long wait: a stop in the middle of it shows only by a
/// turn that comes late. So of one stop no more than this, and a busy moment, counts.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// By how much an instant has passed.
pub(crate) fn late(instant: Instant) -> Duration {
    Instant::now().saturating_duration_since(instant)
}

/// A deadline of something that has `time` in all, after `missed` of it was lost: it ends later by
/// that, and not before there was time to catch up.
pub(crate) fn put_off(deadline: Instant, missed: Duration, time: Duration) -> Instant {
    let now = Instant::now();
    let later = clock::put_off(deadline.into_std(), missed, time, now.into_std()).into();
    // It may have been set after the wait began in which something was missed.
    now.checked_add(time).map_or(later, |whole| whole.min(later))
}

/// A deadline that somebody else has set, perhaps before a stop that was not noticed here.
pub(crate) fn heard(deadline: Instant, time: Duration) -> Instant {
    let missed = late(deadline);
    if missed > LATE_MAX { put_off(deadline, missed, time) } else { deadline }
}

/// What a turn at looking at the time has come to.
pub(crate) enum Look {
    /// The server stood still, for so much of the wait.
    Missed(Duration),
    /// It ran. The deadline has passed, or is yet to be waited for.
    Ran,
}

/// Looks at the time until a deadline, often enough to notice a stop.
pub(crate) struct Lookout {
    /// A turn that is much later than this tells of a stop.
    look_at: Instant,
    /// Made when there is something to wait for: most handshakes and farewells never have.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Lookout {
    /// Begins to look at this instant.
    pub(crate) const fn new(since: Instant) -> Self {
        Self { look_at: since, sleep: None }
    }

    /// Ready at the deadline, or before it for a look. The deadline may be another each time.
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<Look> {
        let now = Instant::now();
        let missed = now.saturating_duration_since(self.look_at);
        // Whatever woke the task: a socket may be heard before the timer.
        if missed > LATE_MAX {
            *self = Self::new(now);
            return Poll::Ready(Look::Missed(missed));
        }
        let wanted = deadline.min(now + LOOK);
        let sleep = match &mut self.sleep {
            // One that is too early only looks once more.
            Some(sleep) if self.look_at <= deadline => sleep,
            Some(sleep) => {
                self.look_at = wanted;
                sleep.as_mut().reset(wanted);
                sleep
            }
            none => {
                self.look_at = wanted;
                none.insert(Box::pin(sleep_until(wanted)))
            }
        };
        // The application, or a peer that never stops sending, may have spent the task's budget.
        ready!(poll_unbudgeted(cx, |cx| sleep.as_mut().poll(cx)));
        *self = Self::new(Instant::now());
        Poll::Ready(Look::Ran)
    }
}

/// A deadline that is put off by what is missed.
pub(crate) struct RunningTimer {
    deadline: Instant,
    /// What there was to begin with: after a stop there is no more than that to catch up.
    time: Duration,
    lookout: Lookout,
    /// What is bounded has held its thread once.
    has_held: bool,
}

impl RunningTimer {
    /// Runs out after so much time from now on.
    pub(crate) fn after(time: Duration) -> Self {
        let now = Instant::now();
        // Applications choose some of these times: one without end is no overflow.
        let deadline = clock::after(now.into_std(), time).into();
        Self { deadline, time, lookout: Lookout::new(now), has_held: false }
    }

    /// Runs out at this deadline. If that is long past, it was set before a stop.
    pub(crate) fn until(deadline: Instant) -> Self {
        let now = Instant::now();
        let time = deadline.checked_duration_since(now).unwrap_or(CATCH_UP);
        Self { deadline, time, lookout: Lookout::new(now.min(deadline)), has_held: false }
    }

    /// Ready once the time has run out. To be polled after what it bounds, in the same turn: what
    /// has come is looked at before anybody is judged. `held` is how long that took.
    pub(crate) fn poll_elapsed(&mut self, held: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if held > LATE_MAX
            && std::mem::replace(&mut self.has_held, true)
            && Instant::now() >= self.deadline
        {
            // Once may be a stop. Twice it is code that blocks, which would be spared for ever.
            return Poll::Ready(());
        }
        loop {
            match ready!(self.lookout.poll(self.deadline, cx)) {
                Look::Missed(missed) => self.deadline = put_off(self.deadline, missed, self.time),
                Look::Ran if Instant::now() >= self.deadline => return Poll::Ready(()),
                Look::Ran => {}
            }
        }
    }

    /// Waits for something until the time has run out.
    ///
    /// # Errors
    ///
    /// [`Elapsed`], and what was waited for is dropped.
    pub(crate) async fn bound<F: Future>(mut self, awaited: F) -> Result<F::Output, Elapsed> {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| {
            let polled_at = Instant::now();
            match awaited.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => self.poll_elapsed(polled_at.elapsed(), cx).map(|()| Err(Elapsed)),
            }
        })
        .await
    }
}

/// Time has run out.
#[derive(Debug)]
pub(crate) struct Elapsed;

#[cfg(all(test, not(shuttle)))]
mod tests {
    use tokio::task::{consume_budget, yield_now};
    use tokio::time::{advance, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How much time passed until the timer ran out.
    async fn run_out(mut timer: RunningTimer) -> Duration {
        let begun_at = Instant::now();
        poll_fn(|cx| timer.poll_elapsed(Duration::ZERO, cx)).await;
        begun_at.elapsed()
    }

    /// Runs out in `time`, of which it has waited for some when the server stops.
    async fn stopped(time: Duration, waits: Duration, stops: Duration) -> Duration {
        let waiting = tokio::spawn(run_out(RunningTimer::after(time)));
        sleep(waits).await;
        advance(stops).await;
        waiting.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_in_which_the_server_runs_passes_to_the_tick() {
        for seconds in [0, 1, 5, 7, 60] {
            let time = seconds * SECOND;
            let passed = run_out(RunningTimer::after(time)).await;
            assert!(passed >= time && passed <= time + SECOND / 100, "{passed:?}");
            let passed = run_out(RunningTimer::until(Instant::now() + time)).await;
            assert!(passed >= time && passed <= time + SECOND / 100, "{passed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_stop_no_more_than_a_look_counts() {
        for waits in [1, 4, 6, 12, 19] {
            for stops in [8, 30, 300] {
                let passed = stopped(20 * SECOND, waits * SECOND, stops * SECOND).await;
                let whole = (20 + stops) * SECOND;
                assert!(passed + LOOK >= whole, "{waits} {stops} {passed:?}");
                assert!(passed <= whole + CATCH_UP, "{waits} {stops} {passed:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_there_is_time_to_catch_up_but_no_more_than_there_was() {
        let passed = stopped(2 * SECOND, SECOND, 60 * SECOND).await;
        assert!(passed >= 62 * SECOND && passed < 64 * SECOND, "{passed:?}");
        let past = Instant::now();
        advance(60 * SECOND).await;
        let passed = run_out(RunningTimer::until(past)).await;
        assert!(passed >= 5 * SECOND, "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_before_the_first_turn_does_not_count_either() {
        let timer = RunningTimer::after(2 * SECOND);
        advance(60 * SECOND).await;
        assert!(run_out(timer).await >= 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_moment_is_no_stop() {
        let passed = stopped(2 * SECOND, SECOND, 19 * SECOND / 10).await;
        assert!(passed < 3 * SECOND, "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_its_thread_in_every_poll_is_given_up() {
        let blocking = poll_fn::<(), _>(|cx| {
            // Its first poll moves the clock.
            let _ = pin!(advance(10 * SECOND)).poll(cx);
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let begun_at = Instant::now();
        let _: Elapsed = RunningTimer::after(7 * SECOND).bound(blocking).await.unwrap_err();
        assert_eq!(begun_at.elapsed(), 20 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn what_spends_every_budget_is_given_up_in_time() {
        let waiting = tokio::spawn(RunningTimer::after(7 * SECOND).bound(async {
            loop {
                consume_budget().await;
            }
        }));
        for _ in 0..8 {
            for _ in 0..10 {
                yield_now().await;
            }
            advance(SECOND).await;
        }
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(waiting.is_finished());
        let _: Elapsed = waiting.await.unwrap().unwrap_err();
    }
}
