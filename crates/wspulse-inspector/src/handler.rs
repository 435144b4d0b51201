//! The answer to each request, once it is known who asks.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use serde::Serialize;
use tower_service::Service;
use wspulse::http::Response;
use wspulse::{Admission, Server};

use crate::access::{Access, BoxFuture};
use crate::listing::{self, Wanted};
use crate::query::Query;
use crate::{Inspector, actions, answer, assets, live};

/// After so long a page's WebSocket comes again, and the guard is asked about it.
const ASKED_AGAIN_AFTER: Duration = Duration::from_mins(5);

impl Inspector {
    /// Answers a request. This is what the inspector does as a tower service; the request must be one
    /// that hyper serves with upgrades, as under axum.
    pub async fn respond<B>(&self, request: Request<B>) -> Response {
        let (parts, _) = request.into_parts();
        self.respond_to(parts).await
    }

    async fn respond_to(&self, parts: Parts) -> Response {
        let access = match (self.0.guard)(parts.clone()).await {
            Ok(access) => access,
            Err(rejection) => return answer::guarded(rejection.into()),
        };
        let may_act = self.0.may_act && access == Access::Full;
        if parts.headers.contains_key(UPGRADE) {
            return self.upgrade(parts).await;
        }
        if parts.method == Method::GET || parts.method == Method::HEAD {
            self.show(&parts, may_act).await
        } else if parts.method == Method::POST {
            actions::perform(&self.0.server, &parts, may_act)
        } else {
            answer::line(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        }
    }

    async fn upgrade(&self, parts: Parts) -> Response {
        let admission = Admission::room(live::ROOM).expires_in(ASKED_AGAIN_AFTER);
        self.0.pages.upgrade(Request::from_parts(parts, ()), admission).await
    }

    async fn show(&self, parts: &Parts, may_act: bool) -> Response {
        let query = Query::of(&parts.uri);
        let server = &self.0.server;
        match query.wanted() {
            "session" => answer::json(&Session { may_act }),
            "connections" => list(server, Wanted::of(&query), listing::connections).await,
            "rooms" => list(server, Wanted::of(&query), listing::rooms).await,
            "users" => list(server, Wanted::of(&query), listing::users).await,
            "departures" => list(server, Wanted::of(&query), listing::departures).await,
            "connection" => match query.get("id").and_then(|id| listing::connection(server, &id)) {
                Some(found) => answer::json(&found),
                None => answer::line(StatusCode::NOT_FOUND, "no connection has this id"),
            },
            name => assets::find(name)
                .unwrap_or_else(|| answer::line(StatusCode::NOT_FOUND, "not found")),
        }
    }
}

/// What the page must know of who has opened it.
#[derive(Serialize)]
struct Session {
    may_act: bool,
}

/// Lists on a thread that may be busy for a while: a look at 10,000 connections takes milliseconds,
/// for which others would wait.
async fn list<T: Serialize + Send + 'static>(
    server: &Server,
    wanted: Wanted,
    list: impl FnOnce(&Server, &Wanted) -> T + Send + 'static,
) -> Response {
    let server = server.clone();
    match tokio::task::spawn_blocking(move || list(&server, &wanted)).await {
        Ok(listed) => answer::json(&listed),
        Err(error) => {
            tracing::error!("wspulse-inspector: a list could not be made: {error}");
            answer::line(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

impl<B> Service<Request<B>> for Inspector {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inspector = self.clone();
        let (parts, _) = request.into_parts();
        Box::pin(async move { Ok(inspector.respond_to(parts).await) })
    }
}
