//! The ways in: a tower service, a call from a handler, or any other framework's byte stream.

mod accepted;
mod answer;
mod preparing;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HeaderValue;
use http::{Request, StatusCode, request};
use tower_service::Service;
use wspulse_core::{Escaped, PanicError};

use super::exchange::Negotiated;
use super::handshake::{Opening, agreed, check_head_size, join_cookies};
pub use super::response::Response;
use super::response::{bad_handshake, refusal};
use crate::app::handler::ConnectOutcome;
use crate::app::handoff::Prepared;
use crate::app::server::Server;
use crate::ground::address::PeerAddr;
use crate::ground::begun::Begun;
use crate::ground::panics;
use crate::membership::registry::Refused;
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::UpgradeRefused;
use crate::settings::compression::Agreed;
use crate::settings::connect::{Admission, ConnectRequest, Exchange, Rejection};
use crate::task::driver::watch::run_connect;
use crate::wire::transport::{FromHyper, Upgrade};
pub use accepted::Accepted;
use answer::answer_of;

impl Server {
    /// Makes the request of a WebSocket client a connection, asking the connect function, and
    /// returns the response to send.
    ///
    /// This is what the server does as a tower service. The request must be one that hyper serves
    /// with upgrades, as under axum.
    pub async fn serve<B>(&self, request: Request<B>) -> Response {
        let (mut parts, _) = request.into_parts();
        let stream = FromHyper::take(&mut parts);
        let result = async {
            let handshake = self.check(parts)?;
            let stream = stream.ok_or_else(no_upgrade)?;
            let (pending, admission) = handshake.ask().await?;
            let prepared = match pending.preparing(&admission) {
                Some(preparing) => preparing.await?,
                None => None,
            };
            pending.upgrade(stream, admission, prepared)
        };
        result.await.unwrap_or_else(|refused| self.count_refusal(refused))
    }

    /// Makes the request of a WebSocket client a connection with an admission of your own, decided
    /// by a handler that has authenticated the client; the connect function is not asked. Returns
    /// the response to send. It waits for nothing, but for what other servers of a
    /// [cluster](crate::cluster) are asked.
    ///
    /// The request must be one that hyper serves with upgrades, as under axum.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it lets nobody in. A session that has come from another server meanwhile is kept.
    pub async fn upgrade<B>(&self, request: Request<B>, admission: Admission) -> Response {
        let (mut parts, _) = request.into_parts();
        let stream = FromHyper::take(&mut parts);
        let result = async {
            let handshake = self.check(parts)?;
            let stream = stream.ok_or_else(no_upgrade)?;
            let pending = handshake.pending;
            let prepared = match pending.preparing(&admission) {
                Some(preparing) => preparing.await?,
                None => None,
            };
            pending.upgrade(stream, admission, prepared)
        };
        result.await.unwrap_or_else(|refused| self.count_refusal(refused))
    }

    /// Checks the head of a request that some other framework has read: the way in for whatever
    /// is not hyper. Cheap checks first: server open, size of the head, method, upgrade headers,
    /// version, key, origin, whether there is a place left.
    ///
    /// # Errors
    ///
    /// The response to send instead.
    pub fn handshake(&self, parts: request::Parts) -> Result<Handshake, Response> {
        self.check(parts).map_err(|refused| self.count_refusal(refused))
    }

    fn check(&self, mut parts: request::Parts) -> Result<Handshake, Response> {
        let begun = self.begin_handshake();
        self.check_phase().map_err(|refused| self.refuse(refused))?;
        let options = self.options();
        check_head_size(&parts, &options.admission)?;
        let opening = Opening::of(&parts)?;
        join_cookies(&mut parts);
        let agreed = agreed(&parts, options.compressing)?;
        let known_addr = PeerAddr::told_in(&parts.extensions);
        let mut request = ConnectRequest::new(parts, known_addr);
        if let Some(check) = &options.check_origin {
            let accepted = panics::catch(|| check(&request)).map_err(|panic| internal(&panic))?;
            if !accepted {
                return Err(bad_handshake(StatusCode::FORBIDDEN, "Forbidden", &[]));
            }
        }
        if let Some(find) = &options.peer_addr {
            let found = panics::catch(|| find(&request)).map_err(|panic| internal(&panic))?;
            request.set_peer_addr(found.or(known_addr));
        }
        let peer_addr = request.peer_addr();
        self.check_places(peer_addr).map_err(|refused| self.refuse(refused))?;
        let protocols = request.protocols().map(Box::from).collect();
        let asked_again = self.looks_again().then(|| Box::new(request.clone()));
        let server = self.clone();
        let pending = Pending { server, begun, peer_addr, opening, protocols, agreed, asked_again };
        Ok(Handshake { request, pending })
    }

    /// Whether the application looks at a request once it is decided upon.
    fn looks_again(&self) -> bool {
        let callbacks = self.callbacks();
        callbacks.reauthorize.is_some() || callbacks.connection_span.is_some()
    }

    fn refuse(&self, refused: Refused) -> Response {
        refused.response(self.options().drain_retry)
    }

    fn count_refusal(&self, refused: Response) -> Response {
        let told = UpgradeRefused { status: refused.status().as_u16() };
        self.metrics().record(|hooks| hooks.upgrade_refused(&told));
        refused
    }
}

/// A valid handshake that was not answered yet.
#[must_use = "the client waits for an answer"]
pub struct Handshake {
    request: ConnectRequest,
    pending: Pending,
}

/// What remains of a handshake once it has been decided upon.
struct Pending {
    server: Server,
    begun: Begun,
    peer_addr: Option<SocketAddr>,
    opening: Opening,
    /// Those that the client offers.
    protocols: Vec<Box<str>>,
    agreed: Agreed,
    /// The request, if the application looks at it beside a connection that is there, or for the span
    /// of a new one.
    asked_again: Option<Box<ConnectRequest>>,
}

impl Handshake {
    /// The request.
    pub const fn request(&self) -> &ConnectRequest {
        &self.request
    }

    /// Asks the server's connect function and registers the connection.
    ///
    /// # Errors
    ///
    /// The response to send instead.
    pub async fn connect(self) -> Result<Accepted, Response> {
        let server = self.pending.server.clone();
        let result = async {
            let (pending, admission) = self.ask().await?;
            let prepared = match pending.preparing(&admission) {
                Some(preparing) => preparing.await?,
                None => None,
            };
            pending.admit(admission, prepared)
        };
        result.await.map_err(|refused| server.count_refusal(refused))
    }

    /// Registers the connection with an admission of your own. It waits for nothing, but for what
    /// other servers of a [cluster](crate::cluster) are asked.
    ///
    /// # Errors
    ///
    /// The response to send instead, if the server has been closed or has no place left, or outside
    /// of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it lets nobody in. A session that has come from another server meanwhile is kept.
    pub async fn admit(self, admission: Admission) -> Result<Accepted, Response> {
        let (server, pending) = (self.pending.server.clone(), self.pending);
        let result = async {
            check_runtime()?;
            let prepared = match pending.preparing(&admission) {
                Some(preparing) => preparing.await?,
                None => None,
            };
            pending.admit(admission, prepared)
        };
        result.await.map_err(|refused| server.count_refusal(refused))
    }

    async fn ask(self) -> Result<(Pending, Admission), Response> {
        check_runtime()?;
        let Self { request, pending } = self;
        let server = &pending.server;
        let connect = server.connect_fn();
        let called = run_connect(server, || panics::catch(|| connect(request)));
        let answer = match called.map_err(|panic| internal(&panic))? {
            ConnectOutcome::Answered(answer) => answer,
            ConnectOutcome::Pending(future) => answer_of(future, server).await?,
        };
        match answer {
            Ok(admission) => Ok((pending, admission)),
            Err(rejection) => {
                let for_errors = pending.server.options().admission.error_status;
                let rejection = rejection.or_for_errors(for_errors);
                log_rejection(&rejection);
                Err(rejection.into())
            }
        }
    }
}

type Answer = Result<Admission, Rejection>;

impl Pending {
    fn upgrade(
        self,
        stream: FromHyper,
        admission: Admission,
        prepared: Option<Box<Prepared>>,
    ) -> Result<Response, Response> {
        let upgrade = Upgrade::from_hyper(stream, self.peer_addr);
        self.register(admission, upgrade, prepared)
    }

    fn admit(
        self,
        admission: Admission,
        prepared: Option<Box<Prepared>>,
    ) -> Result<Accepted, Response> {
        let (stream, upgrade) = Upgrade::by_hand(self.peer_addr);
        let response = self.register(admission, upgrade, prepared)?;
        Ok(Accepted { response, stream })
    }

    fn register(
        self,
        admission: Admission,
        mut upgrade: Upgrade,
        prepared: Option<Box<Prepared>>,
    ) -> Result<Response, Response> {
        check_runtime()?;
        upgrade.begun = self.begun;
        upgrade.agreed = self.agreed;
        let (exchange, protocol) = match self.chosen_protocol(&admission) {
            Some(chosen) => (None, Some(chosen)),
            None => match Negotiated::of(&self.server, &self.protocols) {
                Negotiated::Exchange(exchange, chosen) => (Some(exchange), Some(chosen)),
                Negotiated::Plain(chosen) => (None, chosen),
            },
        };
        let asked_about = if let Some(request) = &self.asked_again {
            reauthorize(&self.server, request, &admission, exchange.as_ref())?
        } else {
            None
        };
        upgrade.request = self.asked_again;
        // Registered before the answer leaves: whoever has read it is found.
        let (server, asked_about) = (&self.server, asked_about.as_ref());
        let registered = match prepared {
            None => server.register(admission, exchange, upgrade, asked_about, None),
            Some(it) => server.register_prepared(admission, exchange, upgrade, asked_about, *it),
        };
        registered.map_err(|refused| self.server.refuse(refused))?;
        Ok(self.opening.response(protocol, self.agreed.answer()))
    }

    /// The admission's subprotocol, if the client offers it.
    fn chosen_protocol(&self, admission: &Admission) -> Option<HeaderValue> {
        let chosen = admission.protocol.as_deref()?;
        if self.protocols.iter().any(|offered| **offered == *chosen) {
            return HeaderValue::from_str(chosen).ok();
        }
        tracing::debug!(
            chosen = Escaped::new(chosen).as_str(),
            "the client does not offer the subprotocol of its admission"
        );
        None
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<B: Send + 'static> Service<Request<B>> for Server {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.serve(request).await) })
    }
}

/// The request did not come over a connection that can be upgraded: it is served without upgrades,
/// or middleware has taken the upgrade out.
fn no_upgrade() -> Response {
    let line = "this HTTP connection cannot be upgraded";
    bad_handshake(StatusCode::INTERNAL_SERVER_ERROR, line, &[])
}

/// The connection that a client may come to, if the application was asked about one.
fn reauthorize(
    server: &Server,
    request: &ConnectRequest,
    admission: &Admission,
    exchange: Option<&Exchange>,
) -> Result<Option<Arc<ConnectionShared>>, Response> {
    let asked = || panics::catch(|| server.reauthorize(request, admission, exchange));
    match run_connect(server, asked).map_err(|panic| internal(&panic))? {
        Ok(authorized) => Ok(authorized),
        Err(rejection) => {
            let rejection = rejection.or_for_errors(server.options().admission.error_status);
            log_rejection(&rejection);
            Err(rejection.into())
        }
    }
}

/// Connections are tasks, and a connect function is timed.
fn check_runtime() -> Result<(), Response> {
    if crate::ground::sync::has_runtime() {
        return Ok(());
    }
    tracing::error!("client refused: a handshake was decided upon outside of a tokio runtime");
    Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
}

fn internal(panic: &PanicError) -> Response {
    tracing::error!(
        location = panic.location(),
        backtrace = panics::logged_backtrace(panic),
        "connecting: {panic}"
    );
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
}

fn log_rejection(rejection: &Rejection) {
    let cause = rejection.cause().map(|cause| Escaped::error(cause));
    let (status, cause) = (rejection.status(), cause.map(tracing::field::display));
    if cause.is_some() && status.is_server_error() {
        tracing::error!(status = status.as_u16(), cause, "connect function failed");
    } else {
        tracing::info!(status = status.as_u16(), cause, "client refused");
    }
}
