//! Admissions whose data panics when it is dropped, or that are made where no runtime is.

use std::time::Duration;

use futures_util::FutureExt;
use http::Request;
use wspulse::testing::request_parts;
use wspulse::{Admission, ConnectionState, Frame};

use crate::support::clients::dial;
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::logs::Logs;

struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("data exploded");
    }
}

fn explosive(id: &str) -> Admission {
    Admission::room("lobby").id(id).data(Explosive)
}

#[tokio::test(start_paused = true)]
async fn a_resume_is_answered_although_its_data_panics_in_drop() {
    let logs = Logs::capture();
    let server = open_house().resume_window(Duration::from_secs(30)).build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    let ann = server.connection("ann").unwrap();
    assert_eq!(ann.state(), ConnectionState::Suspended);
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(explosive("ann")).await.unwrap();
    assert_eq!(accepted.response().status(), 101);
    assert!(logs.one("ERROR", "data exploded").contains(".rs:"));
}

#[tokio::test]
async fn a_refusal_is_answered_although_its_data_panics_in_drop() {
    let server = open_house().build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let bad = Request::from_parts(request_parts("/ws"), ());
    assert_eq!(server.upgrade(bad, explosive("ann")).await.status(), 500);
    server.close().await;
    assert_eq!(handshake.admit(explosive("ann")).await.unwrap_err().status(), 503);
}

#[test]
fn an_admission_outside_a_runtime_is_answered_500() {
    let logs = Logs::capture();
    let server = open_house().build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let admitted = handshake.admit(Admission::room("lobby")).now_or_never();
    let refused = admitted.expect("alone, it waits for nobody").unwrap_err();
    assert_eq!(refused.status(), 500);
    assert!(logs.one("ERROR", "outside of a tokio runtime").contains("client refused"));
    assert_eq!(server.connection_count(), 0);
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let mut connect = std::pin::pin!(handshake.connect());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(refused)) = connect.as_mut().poll(&mut cx) else {
        panic!("not refused");
    };
    assert_eq!(refused.status(), 500);
}

#[test]
fn a_callback_that_only_diverges_is_a_plain_one() {
    fn never(_: wspulse::Connection, _: Frame) -> ! {
        panic!("boom")
    }
    let builder = open_house().on_connect(|_| panic!("boom")).on_message(never);
    let builder = builder.on_disconnect(|_, _| panic!("diverges"));
    let builder = builder.on_transport_drop(|_, _| panic!("boom"));
    assert!(builder.on_transport_restore(|_, _| std::process::exit(1)).build().is_ok());
}
