//! The task that pings the members of groups, one for each runtime that has some.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::{Group, Groups, PingerState};
use crate::app::server::Server;
use crate::ground::ping_schedule::Beat;
use crate::ground::running_time::{LATE_MAX, late};
use crate::ground::runtimes::Home;
use crate::ground::sync::Mutex;
use crate::ground::yielding::Yielding;
use crate::membership::shared::ConnectionShared;

/// How many are pinged before everybody else has their turn, as many as a wave of a large room.
const WAVE_MEMBERS: usize = 32;

/// How long the rest of a group waits for a thread on which its waves have given way to others.
const HELD_MAX: Duration = Duration::from_millis(20);

/// It runs while there are groups. If it ends before, because its runtime does, its members' tasks
/// are woken, and those of another runtime find places anew.
pub(super) struct Pinger {
    server: Server,
    home: Home,
    is_over: bool,
}

impl Pinger {
    pub(super) fn start(server: &Server, home: Home) {
        let pinger = Self { server: server.clone(), home, is_over: false };
        server.spawn_stealable(pinger.run());
    }

    fn groups(&self) -> &Mutex<Groups> {
        &self.server.ping_groups().homes[self.home.index()]
    }

    async fn run(mut self) {
        let mut yielding = Yielding::default();
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut wave = Vec::with_capacity(WAVE_MEMBERS);
        while let Some(beat) = self.next_beat(&mut timer).await {
            let at = self.server.ping_groups().schedule.at(beat);
            let mut cursor = 0;
            while self.take_wave(beat, &mut cursor, &mut wave) {
                // What it means that the server stood still, each task judges.
                let is_late = late(at) > LATE_MAX;
                for connection in &wave {
                    if is_late {
                        connection.mailbox.ring();
                    } else {
                        connection.ping_or_ring(beat.mark());
                    }
                }
                // With the last of a connection goes the application's data, which may do anything.
                wave.clear();
                yielding.give_way(Instant::now() + HELD_MAX).await;
            }
            self.end_beat(beat);
        }
        self.is_over = true;
    }

    /// Waits for the next beat of any group; `None` once there are no groups.
    async fn next_beat(&self, timer: &mut Pin<Box<Sleep>>) -> Option<Beat> {
        poll_fn(|cx| {
            let mut groups = self.groups().lock();
            let Some(beat) = groups.by_place.values().map(|group| group.beat).min() else {
                groups.pinger = PingerState::None;
                return Poll::Ready(None);
            };
            groups.pinger = PingerState::Waits(beat, cx.waker().clone());
            drop(groups);
            let at = self.server.ping_groups().schedule.at(beat);
            if timer.deadline() != at || timer.is_elapsed() {
                timer.as_mut().reset(at);
            }
            timer.as_mut().poll(cx).map(|()| Some(beat))
        })
        .await
    }

    /// Takes down the next members whose beat it is. Tells whether there are some.
    fn take_wave(
        &self,
        beat: Beat,
        cursor: &mut usize,
        wave: &mut Vec<Arc<ConnectionShared>>,
    ) -> bool {
        let place = self.server.ping_groups().schedule.place(beat);
        let mut groups = self.groups().lock();
        groups.pinger = PingerState::Runs;
        groups.reached = groups.reached.max(Some(beat));
        if let Some(group) = groups.by_place.get(&place) {
            group.take_wave(beat, cursor, wave);
        }
        !wave.is_empty()
    }

    /// Everybody has had the beat. Who has come meanwhile has its like an interval later.
    fn end_beat(&self, beat: Beat) {
        let schedule = &self.server.ping_groups().schedule;
        let mut groups = self.groups().lock();
        if let Some(group) = groups.by_place.get_mut(&schedule.place(beat)) {
            group.beat = group.beat.max(schedule.next(beat));
        }
    }
}

impl Group {
    fn take_wave(&self, beat: Beat, cursor: &mut usize, wave: &mut Vec<Arc<ConnectionShared>>) {
        while wave.len() < WAVE_MEMBERS && *cursor < self.members.capacity() {
            if let Some(member) = self.members.get(*cursor)
                && member.first <= beat
            {
                wave.push(Arc::clone(&member.connection));
            }
            *cursor += 1;
        }
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let groups = mem::take(&mut *self.groups().lock());
        for group in groups.by_place.values() {
            for (_, member) in &group.members {
                member.connection.mailbox.ring();
            }
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use slab::Slab;
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::runtime::{Builder, Runtime};
    use tokio::time::sleep;

    use super::super::Member;
    use super::*;
    use crate::settings::connect::Admission;
    use crate::testing::{Received, TestClient};

    const SECOND: Duration = Duration::from_secs(1);

    fn server() -> Server {
        let builder = Server::builder_sync(|_| Ok(Admission::room("lobby")));
        builder.heartbeat(10 * SECOND, 30 * SECOND).build().unwrap()
    }

    async fn pinged<S: AsyncRead + AsyncWrite + Unpin>(client: &mut TestClient<S>) {
        assert!(matches!(client.receive().await.unwrap(), Received::Ping(_)));
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    }

    fn home(runtime: &Runtime) -> Home {
        runtime.block_on(async { Home::current() })
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_ends_is_in_no_group_and_behind_the_last_one_there_is_no_task() {
        let server = server();
        let groups = &server.ping_groups().homes[Home::current().index()];
        for rounds in 1..=2 {
            let mut clients = Vec::new();
            for _ in 0..3 {
                clients.push(TestClient::connect(&server, "/").await.unwrap());
            }
            for client in &mut clients {
                for _ in 0..rounds {
                    pinged(client).await;
                    client.pong(b"").await.unwrap();
                }
            }
            let members = || {
                let groups = groups.lock();
                groups.by_place.values().map(|group| group.members.len()).sum::<usize>()
            };
            assert_eq!(members(), 3);
            drop(clients.pop());
            sleep(SECOND).await;
            assert_eq!(members(), 2);
            drop(clients);
            sleep(SECOND).await;
            assert!(groups.lock().by_place.is_empty());
            assert!(matches!(groups.lock().pinger, PingerState::None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_began_for_a_later_beat_is_pinged_at_an_earlier_one_too() {
        let server = server();
        let _client = TestClient::connect(&server, "/").await.unwrap();
        let connection = server.connections("lobby").remove(0);
        let groups = server.ping_groups();
        let later = groups.join(connection.shared(), Instant::now() + 10 * SECOND).unwrap();
        let due = later.at() - 10 * SECOND;
        let earlier = groups.join(connection.shared(), due).unwrap();
        assert_eq!(groups.homes[Home::current().index()].lock().by_place.len(), 1);
        sleep_until(earlier.at() + Duration::from_millis(1)).await;
        let reached = groups.homes[Home::current().index()].lock().reached;
        assert_eq!((earlier.at(), reached), (due, Some(earlier.beat)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_that_is_long_overdue_has_no_place() {
        let server = server();
        let _client = TestClient::connect(&server, "/").await.unwrap();
        let connection = server.connections("lobby").remove(0);
        let groups = server.ping_groups();
        let due = Instant::now();
        let place = groups.join(connection.shared(), due).unwrap();
        groups.leave(connection.shared(), &place);
        sleep(SECOND).await;
        assert!(groups.join(connection.shared(), due).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_been_a_member_for_years_is_pinged() {
        let server = server();
        let _client = TestClient::connect(&server, "/").await.unwrap();
        let connection = server.connections("lobby").remove(0);
        let schedule = server.ping_groups().schedule();
        let beat_after = |days: u32| {
            let due = Instant::now() + Duration::from_hours(24) * days;
            schedule.beats(due).next().unwrap()
        };
        let mut group = Group { beat: beat_after(0), members: Slab::new() };
        let connection = Arc::clone(connection.shared());
        group.members.insert(Member { connection, first: group.beat });
        for days in [0, 1, 700, 3_000] {
            let mut wave = Vec::new();
            group.take_wave(beat_after(days), &mut 0, &mut wave);
            assert_eq!(wave.len(), 1, "after {days} days");
        }
    }

    #[test]
    fn who_shares_a_number_with_a_runtime_that_nobody_drives_is_pinged() {
        let idle = runtime();
        let driven = std::iter::repeat_with(runtime).find(|it| home(it) == home(&idle)).unwrap();
        let server = server();
        let _first = idle.block_on(TestClient::connect(&server, "/")).unwrap();
        idle.block_on(async { sleep(SECOND).await });
        driven.block_on(async {
            let mut second = TestClient::connect(&server, "/").await.unwrap();
            pinged(&mut second).await;
        });
        drop(idle);
        driven.block_on(async {
            let mut third = TestClient::connect(&server, "/").await.unwrap();
            for _ in 0..3 {
                pinged(&mut third).await;
                third.pong(b"").await.unwrap();
            }
            assert_eq!(
                server.ping_groups().homes[Home::current().index()].lock().by_place.len(),
                1
            );
        });
    }
}
