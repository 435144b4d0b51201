//! Whoever comes to a connection that is there is looked at beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use wspulse::http::StatusCode;
use wspulse::testing::TestClient;
use wspulse::{
    Admission, ConnectionState, DuplicatePolicy, Frame, Rejection, Server, ServerBuilder,
};

use crate::support::clients::Client;
use crate::support::clock::{WINDOW, settle};

/// Whose connection it is.
struct Owner(String);

/// A server where an id belongs to whoever had it first, and how often that was looked at.
fn guarded(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Arc<AtomicUsize>) {
    let looks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looks);
    let builder = Server::builder_sync(|request| {
        let word = |name| request.query(name).unwrap_or_default().into_owned();
        Ok::<_, Rejection>(Admission::room("room").id(word("id")).data(Owner(word("user"))))
    })
    .resume_window(WINDOW)
    .reauthorize(move |conn, returning| {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(returning.request().query("id").as_deref(), Some(conn.id()));
        let owners = (conn.data::<Owner>(), returning.data::<Owner>());
        let (Some(was), Some(is)) = owners else { unreachable!("all have one") };
        if was.0 == is.0 {
            return Ok(());
        }
        Err(Rejection::with_status(StatusCode::FORBIDDEN, "somebody else's"))
    });
    (options(builder).build().expect("valid options"), looks)
}

async fn dial(server: &Server, query: &str) -> Client {
    TestClient::connect(server, &format!("/ws?{query}")).await.expect("admitted")
}

async fn refusal(server: &Server, query: &str) -> StatusCode {
    let answer = TestClient::connect(server, &format!("/ws?{query}")).await;
    answer.expect_err("refused").status()
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_waits_for_its_owner_when_somebody_else_is_refused() {
    let (server, _) = guarded(|builder| builder);
    drop(dial(&server, "id=x&user=ann").await);
    settle().await;
    let session = server.connection("x").unwrap();
    assert_eq!(refusal(&server, "id=x&user=bob").await, StatusCode::FORBIDDEN);
    assert_eq!(session.state(), ConnectionState::Suspended);
    session.send(Frame::new("secret")).unwrap();
    let mut ann = dial(&server, "id=x&user=ann").await;
    assert_eq!(ann.frame().await.unwrap().event(), "secret");
    assert_eq!(session.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_neither_replaced_nor_taken_over_by_who_is_refused() {
    for policy in [DuplicatePolicy::Replace, DuplicatePolicy::Resume] {
        let (server, _) = guarded(|builder| builder.duplicates(policy));
        let _ann = dial(&server, "id=x&user=ann").await;
        settle().await;
        assert_eq!(refusal(&server, "id=x&user=bob").await, StatusCode::FORBIDDEN);
        assert_eq!(server.connection("x").unwrap().state(), ConnectionState::Connected);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_an_id_that_nobody_has() {
    let (server, looks) = guarded(|builder| builder);
    let _ann = dial(&server, "id=x&user=ann").await;
    let _bob = dial(&server, "id=y&user=bob").await;
    let _nobody = dial(&server, "user=eve").await;
    assert_eq!(looks.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_answered_500_and_costs_the_session_nothing() {
    let (server, _) = guarded(|builder| builder.reauthorize(|_, _| panic!("boom")));
    drop(dial(&server, "id=x&user=ann").await);
    settle().await;
    let status = refusal(&server, "id=x&user=ann").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(server.connection("x").unwrap().state(), ConnectionState::Suspended);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_goes_over_to_another_connection_meanwhile_is_not_had_without_being_asked() {
    let (server, _) = guarded(|builder| {
        builder.reauthorize(|conn, _| {
            // Its id is free, and somebody takes it before the answer counts.
            conn.close();
            let (stream, _) = tokio::io::duplex(64);
            let request = wspulse::testing::request_parts("/ws?id=x&user=eve");
            let handshake = conn.server().handshake(request).expect("a good one");
            let admission = Admission::room("room").id("x").data(Owner("eve".to_owned()));
            let admitted = handshake.admit(admission).now_or_never();
            admitted.expect("alone, it waits for nobody").expect("let in").attach(stream, &[]);
            Ok(())
        })
    });
    let _ann = dial(&server, "id=x&user=ann").await;
    settle().await;
    assert_eq!(refusal(&server, "id=x&user=ann").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.connection("x").unwrap().data::<Owner>().unwrap().0, "eve");
}
