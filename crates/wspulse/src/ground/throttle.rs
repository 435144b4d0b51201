//! Log lines that clients can cause at will, one in a while.

use std::time::Duration;

use tokio::time::Instant;

/// Often enough to notice, seldom enough to fill no disk.
const INTERVAL: Duration = Duration::from_secs(10);

/// Says when the next line of its kind is due.
#[derive(Default)]
pub(crate) struct Throttle {
    last_at: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Whether to log what happens now: how many times it was not logged before, or `None`.
    pub(crate) fn due(&mut self) -> Option<u64> {
        if self.last_at.is_some_and(|last_at| last_at.elapsed() < INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last_at = Some(Instant::now());
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::{INTERVAL, Throttle};

    #[tokio::test(start_paused = true)]
    async fn a_line_in_a_while_tells_how_many_there_were_not() {
        let mut throttle = Throttle::default();
        assert_eq!([throttle.due(), throttle.due(), throttle.due()], [Some(0), None, None]);
        sleep(INTERVAL).await;
        assert_eq!([throttle.due(), throttle.due()], [Some(2), None]);
    }
}
