//! The answer of a connect function that takes its time.

use std::task::{Context, Poll};

use http::StatusCode;

use super::{Answer, internal};
use crate::app::server::Server;
use crate::entry::http::response::{Response, refusal};
use crate::ground::BoxFuture;
use crate::ground::panics;
use crate::ground::running_time::RunningTimer;
use crate::task::driver::watch::run_connect;

/// Waits for the answer of a connect function, within its timeout.
pub(super) async fn answer_of(
    future: BoxFuture<Answer>,
    server: &Server,
) -> Result<Answer, Response> {
    let mut future = Connecting { future: Some(future), server };
    let answer = std::future::poll_fn(|cx| {
        match run_connect(server, || panics::catch(|| future.poll(cx))) {
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(internal(&panic))),
        }
    });
    let connect_timeout = server.options().connect_timeout;
    let Ok(answer) = RunningTimer::after(connect_timeout).bound(answer).await else {
        tracing::warn!("connect function outlasted connect_timeout");
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "connect timeout"));
    };
    answer
}

/// The connect function's future. What it holds is the application's as well, and may panic when it
/// is dropped, be it because it took too long or because the client has gone.
struct Connecting<'a> {
    future: Option<BoxFuture<Answer>>,
    server: &'a Server,
}

impl Connecting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        let future = self.future.take();
        let dropped = run_connect(self.server, || panics::catch(|| drop(future)));
        if let Err(panic) = dropped {
            // The client has its answer, or is gone.
            drop(internal(&panic));
        }
    }
}
