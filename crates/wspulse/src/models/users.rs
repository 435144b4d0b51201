//! Connections of one user come at once and end where their number is limited: there are never more
//! than may be, and nobody is refused or sent away while there is a place.

use shuttle::thread;

use super::hooks::Hooks;
use super::stage::{Client, Received, admit, close, explore, server};
use crate::app::server::Server;
use crate::membership::registry::Refused;
use crate::settings::connect::Admission;
use crate::{CloseCode, ServerBuilder, UserLimit};

const END_OLDEST: UserLimit = UserLimit::EndOldest(CloseCode::USER_LIMIT);

fn ann(id: &str) -> Admission {
    Admission::room("room").id(id).user("ann")
}

/// Threads that enter with these ids; whoever is let in sees that there are not too many.
fn enter<const N: usize>(
    server: &Server,
    ids: [&'static str; N],
    connections_max: usize,
) -> [thread::JoinHandle<Result<Client, Refused>>; N] {
    ids.map(|id| {
        let server = server.clone();
        thread::spawn(move || {
            let entered = admit(&server, ann(id));
            assert!(server.connection_count() <= connections_max, "too many");
            entered
        })
    })
}

fn refusing(builder: ServerBuilder) -> ServerBuilder {
    builder.max_connections_per_user(2, UserLimit::RefuseNew)
}

#[test]
fn of_three_who_enter_at_once_two_have_a_place_and_one_is_refused() {
    explore(|| {
        let server = server(refusing);
        let entered = enter(&server, ["1", "2", "3"], 2).map(|it| it.join().expect("no panic"));
        assert_eq!(server.connection_count(), 2);
        assert_eq!(server.user("ann").connection_count(), 2);
        let refused = entered.iter().filter_map(|it| it.as_ref().err());
        assert_eq!(refused.collect::<Vec<_>>(), [&Refused::TooManyOfUser]);
        close(&server);
    });
}

#[test]
fn who_enters_while_another_ends_is_refused_only_before_that_end() {
    explore(|| {
        let server = server(refusing);
        let _old = ["1", "2"].map(|id| admit(&server, ann(id)).expect("there is a place"));
        let [entering] = enter(&server, ["3"], 2);
        server.kick("1").expect("it is there");
        // It has ended, so there is a place, unless the other one has it.
        let again = admit(&server, ann("4"));
        let entered = entering.join().expect("no panic");
        assert_ne!(entered.is_ok(), again.is_ok(), "one place for two");
        assert_eq!(server.connection_count(), 2);
        close(&server);
    });
}

#[test]
fn each_of_a_full_user_who_enters_ends_one_and_the_newest_stays() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| {
            builder.metrics(hooks.clone()).max_connections_per_user(1, END_OLDEST)
        });
        let old = admit(&server, ann("old")).expect("there is a place");
        let new = enter(&server, ["1", "2"], 1);
        let new = new.map(|it| it.join().expect("no panic").expect("the oldest makes way"));
        assert_eq!(server.connection_count(), 1);
        assert_eq!(server.user("ann").connection_count(), 1);
        let stays = server.user("ann").connections()[0].id().to_owned();
        close(&server);
        assert_eq!(old.wait_for_end(), [Received::Close(4409)]);
        for (id, client) in ["1", "2"].into_iter().zip(new) {
            let code = if id == stays { 1001 } else { 4409 };
            assert_eq!(client.wait_for_end(), [Received::Close(code)]);
        }
        let told = hooks.told();
        let opened: Vec<_> = told.iter().filter(|it| it.ends_with("opened")).collect();
        assert_eq!(**opened.last().expect("three"), format!("{stays} opened"), "{told:?}");
    });
}

#[test]
fn who_enters_while_another_ends_sends_the_oldest_away_or_nobody() {
    explore(|| {
        let server = server(|builder| builder.max_connections_per_user(2, END_OLDEST));
        let [oldest, newer] =
            ["1", "2"].map(|id| admit(&server, ann(id)).expect("there is a place"));
        let [entering] = enter(&server, ["3"], 2);
        server.kick("2").expect("it is there");
        let entered = entering.join().expect("no panic").expect("there is a place, or one is made");
        let left = server.connection_count();
        assert!(server.connection("3").is_some());
        close(&server);
        assert_eq!(newer.wait_for_end(), [Received::Close(1000)]);
        assert_eq!(entered.wait_for_end(), [Received::Close(1001)]);
        let code = if left == 2 { 1001 } else { 4409 };
        assert_eq!(oldest.wait_for_end(), [Received::Close(code)]);
    });
}
