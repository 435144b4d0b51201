//! What ended a transport or a connection is told to the application, as a type.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wspulse::testing::{TestClient, masked, request_parts};
use wspulse::{CloseCode, CloseFrame, Disconnect, DisconnectReason, ProtocolError, TransportLost};

use crate::support::clients::{Client, dial, numbered};
use crate::support::clock::{TICK, WINDOW};
use crate::support::house::open_house;
use crate::support::stage::{Stage, Told};

/// The cause that both a server without and one with a resume window tell, once the client has done
/// its worst; the latter twice: at the drop, and when the window has passed.
async fn cause<F>(misdeed: F) -> TransportLost
where
    F: AsyncFn(Client) -> Option<Client>,
{
    let mut stage = Stage::plain();
    let (ann, _) = stage.join("ann").await;
    let _kept = misdeed(ann).await;
    let end = stage.disconnected().await;
    assert_eq!(end.reason(), DisconnectReason::Normal);
    let cause = match &end {
        Disconnect::TransportLost(cause) => cause.clone(),
        other => panic!("{other:?} came"),
    };
    assert_eq!(end.is_normal(), cause.is_normal());

    let mut stage = Stage::resuming();
    let (ann, _) = stage.join("ann").await;
    let _kept = misdeed(ann).await;
    let dropped = stage.dropped().await;
    let end = stage.disconnected().await;
    assert_eq!(end.reason(), DisconnectReason::GraceExpired);
    assert_eq!(end.is_normal(), cause.is_normal());
    match end {
        Disconnect::GraceExpired(expired) => {
            for told in [dropped, expired] {
                assert_eq!(format!("{told:?}"), format!("{cause:?}"));
            }
        }
        other => panic!("{other:?} came"),
    }
    cause
}

#[tokio::test(start_paused = true)]
async fn a_close_by_the_peer_tells_its_code_and_reason() {
    for (code, normal) in [(1000, true), (1001, true), (1002, false), (1011, false), (4321, false)]
    {
        let frame = CloseFrame::new(CloseCode::new(code).unwrap(), "bye");
        let cause = cause(async |mut ann| {
            ann.close(Some(&frame)).await.unwrap();
            Some(ann)
        })
        .await;
        assert!(matches!(&cause, TransportLost::PeerClosed(Some(told)) if *told == frame));
        assert_eq!(cause.is_normal(), normal, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_close_by_the_peer_is_told_as_such_and_is_normal() {
    let cause = cause(async |mut ann| {
        ann.close(None).await.unwrap();
        Some(ann)
    })
    .await;
    assert!(matches!(cause, TransportLost::PeerClosed(None)));
    assert!(cause.is_normal());
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_stream_is_told() {
    let cause = cause(async |ann| {
        drop(ann);
        None
    })
    .await;
    assert!(matches!(cause, TransportLost::EndOfStream));
    assert!(!cause.is_normal());
}

#[tokio::test]
async fn a_reset_is_told() {
    let mut stage = Stage::plain();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ann = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    handshake.connect().await.unwrap().attach(theirs, &[]);
    stage.connected().await;
    ann.set_zero_linger().unwrap();
    drop(ann);
    let end = stage.disconnected().await;
    let Some(TransportLost::Io(error)) = end.cause() else { panic!("{end:?} came") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(!end.is_normal());
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_told() {
    let cause = cause(async |ann| Some(ann)).await;
    assert!(matches!(cause, TransportLost::PongTimeout));
    assert!(!cause.is_normal());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_told() {
    let mut stage = Stage::new(|builder| builder.write_wait(Duration::from_secs(2)));
    let (_ann, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(1)).unwrap();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::WriteTimeout)));
    assert!(!end.is_normal());
}

#[tokio::test(start_paused = true)]
async fn a_message_too_big_is_told_with_the_limit() {
    let cause = cause(async |mut ann| {
        ann.write_raw(&masked(0x82, &[0; 513])).await.unwrap();
        Some(ann)
    })
    .await;
    let TransportLost::Protocol(error) = &cause else { panic!("{cause:?} came") };
    assert_eq!(*error, ProtocolError::MessageTooBig { len: 513, limit: 512 });
    assert!(!cause.is_normal());
}

#[tokio::test(start_paused = true)]
async fn a_protocol_error_is_told() {
    let cause = cause(async |mut ann| {
        ann.write_raw(b"\x81\x01x").await.unwrap();
        Some(ann)
    })
    .await;
    assert!(matches!(cause, TransportLost::Protocol(ProtocolError::NotMasked)));
    assert!(!cause.is_normal());
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_is_told() {
    let cause = cause(async |mut ann| {
        ann.write_raw(&masked(0x81, b"\xff")).await.unwrap();
        Some(ann)
    })
    .await;
    assert!(matches!(cause, TransportLost::Protocol(ProtocolError::InvalidUtf8)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_message_handler_is_told_with_its_text() {
    for window in [Duration::ZERO, WINDOW] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let lost = tell.clone();
        let server = open_house()
            .resume_window(window)
            .on_message(|_, frame| async move { panic!("no room for {}", frame.event()) })
            .on_transport_drop(move |conn, cause| lost.send(Told::Drop(conn, cause)).unwrap())
            .on_disconnect(move |conn, end| tell.send(Told::Disconnect(conn, end)).unwrap())
            .build()
            .unwrap();
        let mut ann = dial(&server, "ann").await;
        ann.send(&numbered(1)).await.unwrap();
        let closed = ann.closed().await.unwrap().unwrap();
        assert_eq!(closed.code(), CloseCode::INTERNAL_ERROR);
        let cause = match told.recv().await.unwrap() {
            Told::Drop(_, cause) if !window.is_zero() => cause,
            Told::Disconnect(_, Disconnect::TransportLost(cause)) if window.is_zero() => cause,
            other => panic!("{other:?} came"),
        };
        let TransportLost::HandlerPanicked(panic) = &cause else { panic!("{cause:?} came") };
        assert_eq!(panic.message(), "no room for n");
        assert!(panic.backtrace().is_some());
        assert!(!cause.is_normal());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_fails_is_told() {
    let mut stage = Stage::plain();
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    drop(handshake.connect().await.unwrap());
    stage.connected().await;
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::UpgradeFailed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_close_by_the_application_is_told_and_is_normal() {
    for suspended in [false, true] {
        let mut stage = Stage::resuming();
        let (ann, connection) = stage.join("ann").await;
        let _kept = if suspended {
            drop(ann);
            stage.dropped().await;
            None
        } else {
            Some(ann)
        };
        connection.close();
        let end = stage.disconnected().await;
        assert!(matches!(end, Disconnect::Closed));
        assert!(end.is_normal());
        assert_eq!(end.reason(), DisconnectReason::Normal);
        assert!(end.cause().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_is_told_to_connected_and_suspended_alike() {
    let mut stage = Stage::resuming();
    let (mut ann, _) = stage.join("ann").await;
    let (bob, _) = stage.join("bob").await;
    drop(bob);
    stage.dropped().await;
    let server = stage.server.clone();
    let closing = tokio::spawn(async move { server.close().await });
    let told = ann.closed().await.unwrap();
    assert_eq!(told, Some(CloseFrame::new(CloseCode::GOING_AWAY, "server shutting down")));
    closing.await.unwrap();
    for _ in 0..2 {
        let end = stage.disconnected().await;
        assert!(matches!(end, Disconnect::ServerClosed));
        assert_eq!(end.reason(), DisconnectReason::ServerClosed);
        assert!(!end.is_normal());
    }
    assert_eq!(stage.names_so_far(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_tells_the_newest_loss() {
    let mut stage = Stage::resuming();
    let (ann, _) = stage.join("ann").await;
    drop(ann);
    assert!(matches!(stage.dropped().await, TransportLost::EndOfStream));
    tokio::time::advance(TICK).await;
    let (mut ann, _) = stage.rejoin("ann").await;
    ann.close(None).await.unwrap();
    assert!(matches!(stage.dropped().await, TransportLost::PeerClosed(None)));
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::GraceExpired(TransportLost::PeerClosed(None))));
}

#[tokio::test(start_paused = true)]
async fn a_cause_leads_to_the_error_behind_it() {
    let cause = cause(async |mut ann: TestClient<_>| {
        ann.write_raw(b"\x81\x01x").await.unwrap();
        Some(ann)
    })
    .await;
    let end: Box<dyn std::error::Error> = Box::new(Disconnect::GraceExpired(cause));
    let source = end.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&ProtocolError::NotMasked));
}
