//! What this server listens to.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use wspulse_core::cluster::Target;

use super::{Listening, Node, now};
use crate::cluster::engine::{Topic, TopicFilter};
use crate::cluster::speaker::NameSpace;
use crate::cluster::wanted::Wish;

/// A subscription that could not be made is tried again after this.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(200);

/// A room that is about to have a member, and whose log is to be followed then, is looked at again
/// after this.
const FOLLOW_AGAIN: Duration = Duration::from_millis(5);

/// How many subscriptions are asked for at a time.
const SUBSCRIBED_AT_ONCE_MAX: usize = 64;

impl Node {
    pub(super) async fn listen(self: Arc<Self>) {
        for topic in [Topic::Beats, Topic::Everybody] {
            while self.engine.subscribe(TopicFilter::Topic(topic)).await.is_err() {
                sleep(SUBSCRIBE_AGAIN).await;
            }
        }
        self.inbox.lock().inbox.begin(Target::Everybody, now());
        loop {
            let has_failed = self.fulfil().await;
            let is_left = self.follow();
            let next_at = self.speaker.wanted(|wanted| wanted.next_at()).map(Instant::from_std);
            let again = has_failed.then(|| Instant::now() + SUBSCRIBE_AGAIN);
            let look_again = is_left.then(|| Instant::now() + FOLLOW_AGAIN);
            match [next_at, again, look_again].into_iter().flatten().min() {
                Some(at) => {
                    let _ = timeout_at(at, self.speaker.wishes()).await;
                }
                None => self.speaker.wishes().await,
            }
        }
    }

    /// Subscribes to what is lacking; tells whether some of that has failed.
    async fn fulfil(&self) -> bool {
        loop {
            let (forgotten, covered, wishes) = self
                .speaker
                .wanted(|wanted| (wanted.forget(now()), wanted.covered(), wanted.take_wishes()));
            self.begin(&covered);
            {
                let Listening { inbox, logs, .. } = &mut *self.inbox.lock();
                for target in forgotten {
                    inbox.end(target);
                    if let Some(logs) = logs {
                        logs.inbox.end(target);
                    }
                }
            }
            if wishes.is_empty() {
                return false;
            }
            let mut subscribe = Vec::new();
            for wish in wishes {
                match wish {
                    Wish::Subscribe(filter) => subscribe.push(filter),
                    Wish::Unsubscribe(filter) => self.engine.unsubscribe(filter),
                }
            }
            for filters in subscribe.chunks(SUBSCRIBED_AT_ONCE_MAX) {
                if !self.subscribe(filters).await {
                    return true;
                }
                // Those that have come meanwhile do not wait for the rest.
                self.begin(&self.speaker.wanted(|wanted| wanted.covered()));
            }
        }
    }

    /// What is said to these comes from now on.
    fn begin(&self, targets: &[Target]) {
        let mut new = Vec::new();
        {
            let inbox = &mut self.inbox.lock().inbox;
            for target in targets {
                if inbox.listens_since(*target).is_none() {
                    inbox.begin(*target, now());
                    new.push(*target);
                }
            }
        }
        self.speaker.note_heard(targets);
        for target in new {
            // Who was there before can be asked for now.
            if let Some((NameSpace::Presence, room)) = self.speaker.name_of(target) {
                self.speaker.attention().add(now(), &room);
            }
        }
    }

    /// Tells whether all are in force.
    async fn subscribe(&self, filters: &[TopicFilter]) -> bool {
        let mut all = JoinSet::new();
        for filter in filters.iter().copied() {
            let engine = Arc::clone(&self.engine);
            all.spawn(async move { (filter, engine.subscribe(filter).await) });
        }
        let mut has_failed = false;
        while let Some(subscribed) = all.join_next().await {
            let Ok((filter, result)) = subscribed else { continue };
            match result {
                Ok(()) => {
                    let begun = self.speaker.wanted(|wanted| wanted.note(filter));
                    self.begin(&begun);
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot subscribe yet");
                    self.speaker.wanted(|wanted| wanted.fail(filter));
                    has_failed = true;
                }
            }
        }
        !has_failed
    }
}
