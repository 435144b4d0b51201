//! The server is drained while clients come and go.

use std::time::Duration;

use shuttle::thread;

use super::hooks::Hooks;
use super::stage::{Received, close, explore, join, server};
use crate::app::server::Server;

fn drain(server: &Server) {
    shuttle::future::block_on(server.drain(Duration::ZERO));
}

#[test]
fn who_comes_while_the_server_is_drained_is_refused_or_told() {
    explore(|| {
        let hooks = Hooks::default();
        let server = server(|builder| builder.metrics(hooks.clone()));
        let comer = {
            let server = server.clone();
            thread::spawn(move || join(&server, "room", "ann"))
        };
        drain(&server);
        assert_eq!((server.connection_count(), server.room_count()), (0, 0));
        match comer.join().expect("no panic") {
            Ok(client) => {
                let told = hooks.told();
                assert_eq!(
                    told,
                    ["room created", "ann opened", "ann closed: drain", "room destroyed"]
                );
                assert_eq!(client.wait_for_end(), [Received::Close(1012)]);
            }
            Err(_refused) => assert!(hooks.told().is_empty()),
        }
        assert!(join(&server, "room", "bob").is_err());
    });
}

#[test]
fn a_close_and_a_drain_wait_for_the_same_end() {
    explore(|| {
        let server = server(|builder| builder);
        let client = join(&server, "room", "ann").expect("the server is open");
        let closer = {
            let server = server.clone();
            thread::spawn(move || close(&server))
        };
        drain(&server);
        assert_eq!(server.connection_count(), 0);
        closer.join().expect("no panic");
        let told = client.wait_for_end();
        assert!(matches!(told[..], [Received::Close(1001 | 1012)]), "{told:?}");
    });
}
