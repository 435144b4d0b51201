//! What holds over HTTP/1.1 and over HTTP/2 alike.

use wspulse::ConnectionState;

use crate::support::clients::echoes;
use crate::support::house::echo;
use crate::ways::{Way, serve_both};

macro_rules! over_both_versions {
    ($($name:ident)*) => {
        mod over_http1 {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Way::Http1).await;
            })*
        }
        mod over_http2 {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Way::Http2).await;
            })*
        }
    };
}

over_both_versions! {
    a_client_is_let_in_and_echoed
}

async fn a_client_is_let_in_and_echoed(way: Way) {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut ann = way.connect(&dialler, "/ws?id=ann").await;
    for number in 0..3 {
        echoes(&mut ann.client, number).await;
    }
    assert_eq!(server.connection("ann").unwrap().state(), ConnectionState::Connected);
}
