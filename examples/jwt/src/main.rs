//! A chat for whoever has logged in: axum, JSON Web Tokens, and a router with typed handlers.
//!
//! ```text
//! cargo run -p example-jwt [-- 127.0.0.1:3000]
//! ```
//!
//! A page has its token in a cookie, which no script can read; a program sends it in a header. A
//! connection ends with its token, unless that is renewed.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use wspulse::router::{HandlerResult, Json, Recovery, ReplyError, Router, RouterError};
use wspulse::{
    Admission, ConnectRequest, Connection, Frame, Rejection, Server, ServerBuilder, origin,
};

const TOKEN_LIFE: Duration = Duration::from_secs(30); // short, so that you can watch it
const NOTICE: Duration = Duration::from_secs(10); // shorter, or a client would be asked at once

/// What a token says: who it is, and until when, in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

struct Keys {
    sign: EncodingKey,
    verify: DecodingKey,
}

impl Keys {
    fn new(secret: &[u8]) -> jsonwebtoken::errors::Result<Self> {
        let (sign, verify) = (EncodingKey::from_secret(secret)?, DecodingKey::from_secret(secret)?);
        Ok(Self { sign, verify })
    }

    fn issue(&self, user: &str) -> jsonwebtoken::errors::Result<String> {
        let exp = jsonwebtoken::get_current_timestamp() + TOKEN_LIFE.as_secs();
        encode(&Header::new(Algorithm::HS256), &Claims { sub: user.to_owned(), exp }, &self.sign)
    }

    /// Who it is and until when, if the request has a token that is ours and not over.
    fn verify(&self, headers: &HeaderMap) -> Option<(String, SystemTime)> {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|cookies| cookies.split("; "));
        let token = bearer
            .and_then(|value| value.strip_prefix("Bearer "))
            .or_else(|| cookies.find_map(|cookie| cookie.strip_prefix("token=")))?;
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0; // a minute by default, which is longer than these tokens live
        let Claims { sub, exp } = decode(token, &self.verify, &rules).ok()?.claims;
        Some((sub, UNIX_EPOCH.checked_add(Duration::from_secs(exp))?))
    }
}

fn builder(keys: Arc<Keys>) -> Result<ServerBuilder, RouterError> {
    Ok(Server::builder_sync(move |request| admit(&request, &keys))
        .router(Router::builder().layer(Recovery).on("say", say).build()?)
        .on_expiring(|conn| drop(conn.send(Frame::new("token.wanted"))))
        .expiry_notice(NOTICE)
        .check_origin(origin::same_origin()) // or any page could come with its reader's cookie
        .max_message_size(16 * 1024)
        .resume_window(Duration::from_secs(30))
        .answer_failures(true))
}

fn admit(request: &ConnectRequest, keys: &Keys) -> Result<Admission, Rejection> {
    let (user, until) = keys.verify(request.headers()).ok_or_else(Rejection::unauthorized)?;
    // Each tab has an id of its own, or a second one would take the place of the first.
    let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
    Ok(Admission::room("lobby").user(&user).id(format!("{user}/{tab}")).expires_at(until))
}

/// What a client says, and what all hear of it.
#[derive(Deserialize, Serialize)]
struct Line {
    #[serde(skip_deserializing)]
    from: Option<String>,
    text: String,
}

/// Who sends what is no `Line` is answered `bad_payload`, and this is not called.
fn say(conn: Connection, Json(mut line): Json<Line>) -> HandlerResult {
    if line.text.trim().is_empty() {
        return Err(ReplyError::new("empty", "say something").into());
    }
    line.from = conn.user_id().map(str::to_owned);
    conn.room().broadcast(Frame::new("said").json(&line)?)?;
    Ok(())
}

type App = State<(Server, Arc<Keys>)>;

fn app(server: Server, keys: Arc<Keys>) -> axum::Router {
    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("../../chat/client.js"));
    axum::Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", get(script)) // `@wspulse/client`, built
        .route("/login", post(login))
        .route("/renew", post(renew))
        .with_state((server.clone(), keys))
        .route_service("/ws", server)
}

/// Your own check of a password belongs here.
async fn login(State((_, keys)): App, user: String) -> Result<impl IntoResponse, StatusCode> {
    let token = keys.issue(&user).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Behind TLS, say `Secure` as well.
    Ok([(SET_COOKIE, format!("token={token}; HttpOnly; SameSite=Strict; Path=/"))])
}

/// A new token for the owner of a good one, and more time for the connections of that person.
async fn renew(
    State((server, keys)): App,
    headers: HeaderMap,
) -> Result<impl IntoResponse, StatusCode> {
    let (user, _) = keys.verify(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    for conn in server.user(&user).connections() {
        let _ = conn.renew_in(TOKEN_LIFE); // one that has ended meanwhile needs none
    }
    login(State((server, keys)), user).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    // Without a secret of yours, all tokens end with this process.
    let secret = std::env::var("JWT_SECRET").map(String::into_bytes);
    let secret = secret.unwrap_or_else(|_| rand::random::<[u8; 32]>().into());
    let keys = Arc::new(Keys::new(&secret)?);
    let app = app(builder(keys.clone())?.build()?, keys);
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("open http://{}/", listener.local_addr()?);
    Ok(wspulse::serve(listener, app).await?)
}

#[cfg(test)]
mod tests;
