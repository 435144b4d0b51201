//! What is expected of a session while something is awaited that its client must say.

use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;

impl Driver {
    /// Something is awaited from now on, or nothing any more.
    pub(crate) fn await_or_not(&mut self, env: &mut Env) {
        if self.told.awaits_client {
            self.told.awaits_client = false;
            self.session.handle_awaited_over();
            Scene::PausedBehindAwaited.seen_if(self.is_paused());
        } else {
            let was_paused = self.is_paused();
            self.told.awaits_client = true;
            self.expect_overload();
            if was_paused && !self.is_paused() {
                self.hear_again(env);
            }
            self.session.handle_awaited(env.now);
        }
        self.act(env);
    }

    /// What is awaited cannot be heard if too much is in front of it.
    pub(crate) fn expect_overload(&mut self) {
        if self.told.awaits_client && self.is_paused() {
            self.told.awaits_client = false;
            self.told.overloaded = true;
        }
    }

    pub(crate) fn check_overload(&mut self) {
        assert!(std::mem::take(&mut self.told.overloaded), "what is awaited could be heard");
        Scene::Overloaded.seen();
    }
}
