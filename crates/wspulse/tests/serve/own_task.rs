//! Connections are accepted by a task of the runtime, for as long as somebody awaits `serve`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread::{self, ThreadId};

use axum::Router;
use tokio::io::DuplexStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use wspulse::serve::Listener;

use crate::support::clock::settle;

type Accepted = io::Result<(DuplexStream, Option<SocketAddr>)>;

/// Nobody ever comes; others see whether it is there.
struct Deserted(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Listener for Deserted {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> Accepted {
        std::future::pending().await
    }
}

struct Panicking;

impl Listener for Panicking {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> Accepted {
        panic!("a listener's own fault")
    }
}

/// Tells which thread it is polled on.
struct Telling(Option<oneshot::Sender<ThreadId>>);

impl Listener for Telling {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> Accepted {
        if let Some(tell) = self.0.take() {
            tell.send(thread::current().id()).expect("somebody waits");
        }
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_gone_as_soon_as_nobody_awaits_it() {
    let count = Arc::new(());
    let mut serving = wspulse::serve(Deserted(Arc::clone(&count)), Router::new()).into_future();
    assert!(serving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    settle().await;
    assert_eq!(Arc::strong_count(&count), 2);
    drop(serving);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_was_never_polled_is_gone_as_well() {
    let count = Arc::new(());
    let mut serving = wspulse::serve(Deserted(Arc::clone(&count)), Router::new()).into_future();
    assert!(serving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(serving);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_has_whoever_awaits_it_panic() {
    let serving = tokio::spawn(wspulse::serve(Panicking, Router::new()).into_future());
    let panic = serving.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"a listener's own fault"));
}

#[test]
fn what_the_main_thread_awaits_is_accepted_on_a_worker() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (tell, told) = oneshot::channel();
    let accepts = runtime.block_on(async {
        tokio::select! {
            _ = wspulse::serve(Telling(Some(tell)), Router::new()).into_future() => unreachable!(),
            thread = told => thread.unwrap(),
        }
    });
    assert_ne!(accepts, thread::current().id());
}
