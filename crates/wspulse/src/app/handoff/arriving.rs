//! A session that has come, on its way to being one of this server's.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use wspulse_core::OVERTAKEN;
use wspulse_core::cluster::MovedSession;

use super::bringing::Brought;
use crate::app::server::{Made, Server};
use crate::membership::Kind;
use crate::membership::registry::{Arrival, Entrance, Refused, Registered, Speaks};
use crate::settings::codecs::CodecId;
use crate::settings::connect::Data;
use crate::settings::token::Proof;
use crate::wire::transport::Upgrade;

impl Server {
    /// As [`register`](Self::register), of a client whose session comes with it. A session that is
    /// refused is kept for when its client comes again.
    #[cold]
    #[inline(never)]
    pub(crate) fn register_moved(
        &self,
        brought: Brought,
        admitted: (Data, Option<Instant>),
        codec: CodecId,
        mut upgrade: Upgrade,
    ) -> Result<(), Refused> {
        let Brought { arrived, comes_back } = brought;
        upgrade.comes_back = comes_back;
        let (session, age) = (arrived.session(), arrived.age());
        let proof = comes_back.map(|it| {
            let mut proof = self.token_key().inherit(&session.proof);
            proof.confirm_number(it.token);
            proof
        });
        let registered = self.enter_moved((session, age), proof, admitted, codec, upgrade);
        let refused = match registered {
            Ok(Registered::New { connection, predecessor, upgrade, made_way }) => {
                if let Some(made_way) = made_way {
                    self.leave_all(&made_way);
                }
                self.deliver_lifecycle();
                let server = self.clone();
                let (session, left_at) = arrived.take();
                let catching_up = async move {
                    server.catch_up(&connection, &session, left_at).await;
                    let MovedSession { exchange, queue: _, .. } = session;
                    server.start(connection, upgrade, predecessor, Some(exchange));
                };
                // Boxed, as it is gone soon and its connection's task is not.
                self.spawn(Box::pin(catching_up));
                return Ok(());
            }
            Ok(Registered::Overtaken { connection, upgrade }) => {
                self.say_no(&connection, upgrade, OVERTAKEN);
                Ok(())
            }
            Ok(Registered::Attached { connection, displaced }) => {
                debug_assert!(displaced.is_none(), "it resumes no session that is here");
                drop(connection);
                Ok(())
            }
            Err(refused) => Err(refused),
        };
        if let Some(proof) = proof {
            self.token_key().forget(proof);
        }
        drop(arrived);
        self.deliver_lifecycle();
        refused
    }

    fn enter_moved(
        &self,
        (session, age): (&MovedSession, Duration),
        proof: Option<Proof>,
        admitted: (Data, Option<Instant>),
        codec: CodecId,
        upgrade: Upgrade,
    ) -> Result<Registered, Refused> {
        let MovedSession { id, home, user, .. } = session;
        let id: Arc<str> = Arc::from(&**id);
        let enter = |kind, name| self.registry().groups().enter(kind, name, self.metrics());
        // Before the registry's lock, under which nobody waits for a fan-out.
        let home = home.as_ref().map(|home| enter(Kind::Room, home));
        let user = user.as_ref().map(|user| enter(Kind::User, user));
        let (home_group, user_group) =
            (home.as_ref().map(Entrance::group), user.as_ref().map(Entrance::group));
        let (peer_addr, begun) = (upgrade.peer_addr, upgrade.begun);
        let made = Made { peer_addr, begun, codec };
        // It hears what is said to all from when it is known where that is.
        let _one_order = self.everybody().lock();
        let registered = self.registry().register(
            Arrival {
                id: &id,
                is_named: true,
                home: home_group,
                user: user_group.map(|user| &**user.name()),
                speaks: Speaks::Moved(proof),
                upgrade,
                asked_about: None,
            },
            self.options().returns,
            self.end_deadline(),
            self.metrics(),
            |task_key| {
                let made = self.make(&id, (home_group, user_group), admitted, made, task_key);
                made.mailbox.has_come_from_elsewhere(age);
                made
            },
        );
        if let Ok(Registered::New { connection, .. }) = &registered {
            self.overlaps().begin(connection);
        }
        registered
    }
}
