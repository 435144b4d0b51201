//! A connect function whose future panics when it is dropped costs its own client nothing.

use wspulse::testing::TestClient;
use wspulse::{Admission, Rejection, Server};

struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "boom in drop");
    }
}

/// Its future is cancelled by `connect_timeout` and panics as it is dropped.
#[tokio::test(start_paused = true)]
async fn a_client_is_answered_although_the_future_of_connect_panics_when_it_times_out() {
    let server = Server::builder(|_| async {
        let _bomb = Bomb;
        std::future::pending::<Result<Admission, Rejection>>().await
    })
    .check_origin(|_| true)
    .build()
    .unwrap();
    let answer = tokio::spawn(async move {
        TestClient::connect(&server, "/").await.err().map(|refused| refused.0.status().as_u16())
    })
    .await;
    assert_eq!(answer.expect("no panic reaches the HTTP layer"), Some(503));
}

/// What it captured is dropped with the future, after it has returned.
#[tokio::test(start_paused = true)]
async fn a_client_is_answered_although_the_future_of_connect_panics_in_drop() {
    struct Future;
    impl std::future::Future for Future {
        type Output = Result<Admission, Rejection>;
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Self::Output> {
            std::task::Poll::Ready(Ok(Admission::room("lobby").id("ann")))
        }
    }
    impl Drop for Future {
        fn drop(&mut self) {
            panic!("boom in drop");
        }
    }
    let server = Server::builder(|_| Future).check_origin(|_| true).build().unwrap();
    let answer = tokio::spawn(async move { TestClient::connect(&server, "/").await.is_ok() }).await;
    assert!(answer.is_ok(), "a panic reaches the HTTP layer: {answer:?}");
}
