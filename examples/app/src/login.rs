//! Who somebody is: a token in a cookie, which no script can read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::App;

const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
const ADMIN: &str = "admin";

/// What a token says: who it is, and until when, in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

pub(crate) struct Keys {
    sign: EncodingKey,
    verify: DecodingKey,
    admin_password: String,
}

impl Keys {
    pub(crate) fn new(secret: &[u8], admin_password: String) -> Result<Self, Error> {
        let (sign, verify) = (EncodingKey::from_secret(secret)?, DecodingKey::from_secret(secret)?);
        Ok(Self { sign, verify, admin_password })
    }

    fn issue(&self, user: &str) -> Result<String, Error> {
        let exp = jsonwebtoken::get_current_timestamp() + TOKEN_LIFE.as_secs();
        encode(&Header::new(Algorithm::HS256), &Claims { sub: user.to_owned(), exp }, &self.sign)
    }

    /// Who it is and until when, if the request has a token that is ours and not over.
    pub(crate) fn verify(&self, headers: &HeaderMap) -> Option<(String, SystemTime)> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|cookies| cookies.split("; "));
        let token = cookies.find_map(|cookie| cookie.strip_prefix("token="))?;
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        let Claims { sub, exp } = decode(token, &self.verify, &rules).ok()?.claims;
        Some((sub, UNIX_EPOCH.checked_add(Duration::from_secs(exp))?))
    }

    pub(crate) fn is_admin(&self, headers: &HeaderMap) -> bool {
        self.verify(headers).is_some_and(|(user, _)| user == ADMIN)
    }
}

#[derive(Deserialize)]
pub(crate) struct Login {
    user: String,
    password: String,
}

pub(crate) async fn login(
    State((_, keys)): State<App>,
    Json(Login { user, password }): Json<Login>,
) -> Result<impl IntoResponse, StatusCode> {
    // Your own users, and their hashed passwords, belong here. This one lets all others in.
    if user.is_empty() || user.contains('/') || user == ADMIN && password != keys.admin_password {
        return Err(StatusCode::UNAUTHORIZED);
    }
    cookie_for(&user, &keys)
}

/// A new token for the owner of a good one, and more time for the connections of that person.
pub(crate) async fn renew(
    State((server, keys)): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, StatusCode> {
    let (user, _) = keys.verify(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    for conn in server.user(&user).connections() {
        let _ = conn.renew_in(TOKEN_LIFE); // one that has ended meanwhile needs none
    }
    cookie_for(&user, &keys)
}

fn cookie_for(user: &str, keys: &Keys) -> Result<impl IntoResponse + use<>, StatusCode> {
    let token = keys.issue(user).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Behind TLS, say `Secure` as well.
    Ok([(SET_COOKIE, format!("token={token}; HttpOnly; SameSite=Strict; Path=/"))])
}
