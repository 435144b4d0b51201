//! When a handshake began: of two for one id, the later one is the newer one, whichever is let in
//! first.

use std::time::Duration;

use tokio::time::Instant;

/// In hundredths of a second since the server was made. Those of one hundredth count as equal. A
/// number of 32 bits lasts for 497 days; those that begin later count as equal to each other.
///
/// A time and no count, since a session may outlive any count of 32 bits on a busy server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Begun(u32);

impl Begun {
    /// Nothing began before this.
    pub(crate) const EARLIEST: Self = Self(0);

    /// A handshake begins now with a server that was made at this time.
    pub(crate) fn now(made_at: Instant) -> Self {
        let hundredths = made_at.elapsed().as_millis() / 10;
        Self(u32::try_from(hundredths).unwrap_or(u32::MAX))
    }

    /// How long ago it began, give or take a hundredth of a second, with a server that was made at this time;
    /// nothing of the earliest, and of the latest.
    pub(crate) fn elapsed(self, made_at: Instant) -> Option<Duration> {
        match self.0 {
            0 | u32::MAX => None,
            hundredths => {
                let began = Duration::from_millis(u64::from(hundredths) * 10);
                Some(made_at.elapsed().saturating_sub(began))
            }
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[tokio::test(start_paused = true)]
    async fn what_began_a_hundredth_of_a_second_later_is_newer() {
        let made_at = Instant::now();
        assert_eq!(Begun::now(made_at), Begun::EARLIEST);
        advance(DAY * 400).await;
        let before = Begun::now(made_at);
        advance(Duration::from_millis(10)).await;
        assert!(before < Begun::now(made_at));
        assert_eq!(before.elapsed(made_at), Some(Duration::from_millis(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_older_than_another_on_a_server_that_has_run_for_very_long() {
        let made_at = Instant::now();
        advance(DAY * 498).await;
        let before = Begun::now(made_at);
        advance(DAY * 1_000).await;
        assert_eq!(before, Begun::now(made_at));
        assert_eq!(before.elapsed(made_at), None);
    }
}
