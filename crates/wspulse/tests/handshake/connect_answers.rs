//! What a client is told of the connect function's decision.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use wspulse::testing::request_parts;
use wspulse::{Admission, ConnectRequest, QueryError, Rejection, Server, ServerBuilder};

use crate::support::house::open_house;
use crate::support::http::Answer;
use crate::support::logs::Logs;

#[derive(Debug, thiserror::Error)]
#[error("the secret is 42")]
struct Secret;

fn failing() -> ServerBuilder {
    Server::builder(|_| async { Err(Secret.into()) })
}

#[tokio::test]
async fn an_error_of_the_connect_function_is_500_and_told_to_the_log_alone() {
    let logs = Logs::capture();
    let server = failing().build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (500, "internal error\n"));
    assert!(!format!("{answer:?}").contains("42"));
    assert!(logs.one("ERROR", "connect function failed").contains("the secret is 42"));
}

#[tokio::test]
async fn errors_of_the_connect_function_may_be_answered_401_as_in_go() {
    let logs = Logs::capture();
    let server = failing().reject_errors_with(StatusCode::UNAUTHORIZED).build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (401, "unauthorized\n"));
    assert!(!format!("{answer:?}").contains("42"));
    assert!(logs.one("INFO", "client refused").contains("the secret is 42"));
}

#[tokio::test]
async fn the_status_for_errors_does_not_touch_what_the_application_decided() {
    let busy = || Rejection::with_status(StatusCode::CONFLICT, "busy");
    let server = Server::builder_sync(move |_| Err(busy()));
    let server = server.reject_errors_with(StatusCode::UNAUTHORIZED).build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (409, "busy\n"));
}

#[test]
fn errors_can_only_be_answered_with_an_error() {
    for status in [StatusCode::SWITCHING_PROTOCOLS, StatusCode::OK, StatusCode::FOUND] {
        let refused = failing().reject_errors_with(status).build().unwrap_err();
        assert_eq!(refused.option(), "reject_errors_with");
    }
}

#[tokio::test]
async fn a_rejection_that_is_none_is_500_and_said_in_the_log() {
    for status in [StatusCode::SWITCHING_PROTOCOLS, StatusCode::OK, StatusCode::NO_CONTENT] {
        let logs = Logs::capture();
        let server = Server::builder_sync(move |_| Err(Rejection::with_status(status, "welcome")));
        let answer = Answer::to(&server.build().unwrap(), request_parts("/ws")).await;
        assert_eq!(answer.summary(), (500, "internal error\n"));
        assert!(logs.one("ERROR", "connect function failed").contains(status.as_str()));
    }
}

#[tokio::test]
async fn a_rejection_may_carry_a_challenge() {
    let challenge = HeaderValue::from_static("Bearer realm=\"chat\"");
    let refuse = move || Rejection::unauthorized().header(WWW_AUTHENTICATE, challenge.clone());
    let server = Server::builder_sync(move |_| Err::<Admission, _>(refuse())).build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (401, "unauthorized\n"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"chat\""));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

fn values<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let values = answer.headers.get_all(name).iter();
    values.map(|value| value.to_str().expect("visible ASCII")).collect()
}

#[tokio::test]
async fn a_content_type_that_is_given_replaces_the_default_and_leaves_the_body_as_it_is() {
    let json = HeaderValue::from_static("application/problem+json");
    let refuse = Rejection::with_status(StatusCode::CONFLICT, r#"{"title":"busy"}"#);
    let answer = Answer::of(refuse.header(CONTENT_TYPE, json).into()).await;
    assert_eq!(answer.summary(), (409, r#"{"title":"busy"}"#));
    assert_eq!(values(&answer, "content-type"), ["application/problem+json"]);
    assert_eq!(values(&answer, "x-content-type-options"), ["nosniff"]);
}

#[tokio::test]
async fn a_header_that_every_refusal_has_comes_once_if_it_is_given() {
    let given = Rejection::unauthorized()
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"))
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    let answer = Answer::of(given.into()).await;
    assert_eq!(answer.summary(), (401, "unauthorized\n"));
    assert_eq!(values(&answer, "x-content-type-options"), ["nosniff"]);
    assert_eq!(values(&answer, "www-authenticate"), ["Basic", "Bearer"]);
}

#[tokio::test]
async fn a_string_is_an_error_of_the_connect_function_as_well() {
    let logs = Logs::capture();
    let server = Server::builder_sync(|request| {
        let token =
            request.header("authorization").ok_or("no token: the proxy should have sent it")?;
        Ok(Admission::room("lobby").id(token))
    });
    let answer = Answer::to(&server.build().unwrap(), request_parts("/ws")).await;
    assert_eq!(answer.summary(), (500, "internal error\n"));
    assert!(logs.one("ERROR", "connect function failed").contains("no token: the proxy"));
}

#[test]
fn boxed_errors_become_rejections_and_keep_what_they_are() {
    let boxed = |error: &'static str| -> Box<dyn std::error::Error + Send + Sync> { error.into() };
    assert_eq!(Rejection::from(boxed("no database")).status(), StatusCode::INTERNAL_SERVER_ERROR);
    let secret: Box<dyn std::error::Error + Send + Sync> = Box::new(Secret);
    assert!(Rejection::from(secret).cause().unwrap().is::<Secret>());
}

/// What the connect function finds in this query's `id`.
fn id_in(query: &str) -> (Result<Option<String>, QueryError>, Option<String>) {
    let parts = request_parts(&format!("/ws?{query}"));
    let server = open_house().build().unwrap();
    let handshake = server.handshake(parts).unwrap();
    let request = handshake.request();
    let strict = request.try_query("id").map(|id| id.map(String::from));
    (strict, request.query("id").map(String::from))
}

#[test]
fn a_parameter_that_is_no_utf8_is_no_value() {
    for query in ["id=%FF", "id=%FE", "x=1&id=a%80b", "id=%C3", "id=%ED%A0%80", "id=%ff%EF%BF%BD"] {
        let (strict, lenient) = id_in(query);
        assert_eq!(strict.unwrap_err().name(), "id", "{query}");
        assert_eq!(lenient, None, "{query}");
    }
}

#[test]
fn a_parameter_that_is_utf8_is_decoded() {
    for (query, id) in [
        ("id=%C3%A9", "\u{e9}"),
        ("id=%EF%BF%BD", "\u{fffd}"),
        ("id=%EF%BF%BD+%zz%", "\u{fffd} %zz%"),
        ("x=%FF&%69d=a&id=%FF", "a"),
        ("id", ""),
        ("id=a=b", "a=b"),
    ] {
        assert_eq!(id_in(query), (Ok(Some(id.to_owned())), Some(id.to_owned())), "{query}");
    }
    assert_eq!(id_in("x=1"), (Ok(None), None));
}

#[tokio::test]
async fn a_parameter_that_is_no_utf8_is_400_where_the_connect_function_passes_it_on() {
    let admit = |request: ConnectRequest| {
        let id = request.try_query("id")?.unwrap_or_default();
        Ok(Admission::room("lobby").id(id))
    };
    let server = Server::builder_sync(admit).reject_errors_with(StatusCode::UNAUTHORIZED);
    let answer = Answer::to(&server.build().unwrap(), request_parts("/ws?id=%FF")).await;
    assert_eq!(answer.summary(), (400, "query parameter \"id\" is no UTF-8\n"));
}

/// What an application makes of the errors of its connect function.
#[derive(Debug, thiserror::Error)]
#[error("{0}: the secret is 42")]
struct Wrapped(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>);

fn wrapping(wrap: fn(QueryError) -> Rejection) -> ServerBuilder {
    Server::builder_sync(move |request| {
        let id = request.try_query("id").map_err(wrap)?.unwrap_or_default();
        Ok(Admission::room("lobby").id(&*id))
    })
}

#[tokio::test]
async fn a_parameter_that_is_no_utf8_is_400_also_inside_of_the_applications_own_errors() {
    let wraps: [fn(QueryError) -> Rejection; 4] = [
        |error| Wrapped("once", error.into()).into(),
        |error| Wrapped("twice", Wrapped("once", error.into()).into()).into(),
        |error| Box::<dyn std::error::Error + Send + Sync>::from(error).into(),
        |error| std::io::Error::other(Wrapped("in another", error.into())).into(),
    ];
    for wrap in wraps {
        let server = wrapping(wrap).reject_errors_with(StatusCode::UNAUTHORIZED);
        let answer = Answer::to(&server.build().unwrap(), request_parts("/ws?id=%FF")).await;
        assert_eq!(answer.summary(), (400, "query parameter \"id\" is no UTF-8\n"));
    }
}

#[tokio::test]
async fn what_the_application_says_around_a_bad_parameter_goes_to_the_log_alone() {
    let logs = Logs::capture();
    let server = wrapping(|error| Wrapped("once", error.into()).into()).build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws?id=%FF")).await;
    assert!(!format!("{answer:?}").contains("42"));
    assert!(logs.one("INFO", "client refused").contains("the secret is 42"));
}

#[tokio::test]
async fn a_status_that_the_application_decided_for_a_bad_parameter_stays() {
    let server = wrapping(|error| Rejection::with_status(StatusCode::CONFLICT, error.to_string()));
    let answer = Answer::to(&server.build().unwrap(), request_parts("/ws?id=%FF")).await;
    assert_eq!(answer.summary(), (409, "query parameter \"id\" is no UTF-8\n"));
}

#[tokio::test]
async fn a_server_without_a_connect_function_lets_in_whom_the_application_admits_and_nobody_else() {
    let server = Server::builder_without_connect().build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (404, "this server lets nobody in by itself\n"));
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(Admission::room("lobby").id("ann")).await.unwrap();
    assert_eq!(accepted.response().status(), 101);
    assert!(server.connection("ann").is_some());
}
