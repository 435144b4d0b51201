//! Giving way to others, on a thread that one of them may hold.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

/// Lets the others of a thread have their turn, again and again.
///
/// What has given way is woken by the thread that it was on. Should a callback hold that one, no
/// other thread can take it; but a timer is any thread's to hear.
#[derive(Default)]
pub(crate) struct Yielding {
    /// Boxed and kept: moving a timer to a later time costs little.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Yielding {
    /// Goes on once the others have had a turn, at the latest at a time.
    pub(crate) async fn give_way(&mut self, latest: Instant) {
        // A model of threads has no clock.
        if cfg!(all(test, shuttle)) {
            return yield_now().await;
        }
        let timer = match &mut self.timer {
            Some(timer) => {
                if timer.deadline() != latest {
                    timer.as_mut().reset(latest);
                }
                timer
            }
            none => none.insert(Box::pin(sleep_until(latest))),
        };
        let mut others = pin!(yield_now());
        poll_fn(|cx| match others.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => timer.as_mut().poll(cx),
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::*;

    /// Longer than any thread is away from its work.
    const FOREVER: Duration = Duration::from_secs(30);

    #[test]
    fn a_held_thread_does_not_hold_who_has_given_way_on_it() {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let is_released = runtime.block_on(async {
            let (release, released) = mpsc::channel();
            let gives_way = tokio::spawn(async move {
                // Its worker goes on with this one.
                let holder = tokio::spawn(async move { released.recv_timeout(FOREVER).is_ok() });
                Yielding::default().give_way(Instant::now() + Duration::from_millis(20)).await;
                let _ = release.send(());
                holder.await.unwrap()
            });
            gives_way.await.unwrap()
        });
        assert!(is_released);
    }
}
