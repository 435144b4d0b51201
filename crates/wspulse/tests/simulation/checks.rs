//! What must be true of a life that is over.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tokio::io::{join, sink};
use wspulse::metrics::Readings;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{
    BroadcastError, CloseCode, Connection, ConnectionState, Frame, KickError, OverRate, SendError,
    Server,
};
use wspulse_core::OVERTAKEN;

use super::app::App;
use super::client::Seen;
use super::exchange::Known;
use super::heard::Heard;
use super::hooks::value;
use super::journal::life;
use super::ledger::{Entry, Reading};
use super::people::{self, Hearing};

/// A server that has closed holds nothing and takes nothing.
pub(crate) fn check_closed(app: &App, server: &Server) {
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
    assert_eq!(server.user_count(), 0);
    assert_eq!(server.readings(), Readings::default());
    assert!(server.all_connections().is_empty());
    assert!(server.handshake(request_parts("/ws?room=0&id=0")).is_err());
    let frame = Frame::new("late");
    assert!(matches!(server.send("0", frame.clone()), Err(SendError::NotFound { .. })));
    let broadcast = server.broadcast("0", frame.clone());
    assert!(matches!(broadcast, Err(BroadcastError::ServerClosed { .. })));
    assert!(matches!(server.kick("0"), Err(KickError::ServerClosed)));
    for connection in &*app.connections.lock().unwrap() {
        assert_eq!(connection.state(), ConnectionState::Closed);
        assert!(matches!(connection.send(frame.clone()), Err(SendError::Closed { .. })));
    }
}

/// Checks what was told, counted, written and read.
pub(crate) async fn check_life(app: &App, seen: Vec<Seen>) {
    check_totals(app);
    app.truth.check();
    let mut by_connection: BTreeMap<usize, Vec<Seen>> = BTreeMap::new();
    for seen in seen {
        by_connection.entry(life(&seen.connection).number).or_default().push(seen);
    }
    let connections = app.connections.lock().unwrap().clone();
    for connection in &connections {
        life(connection).check();
        assert!(
            app.plan.hangs > 0
                || app.plan.slow_callbacks > 0
                || life(connection).memberships.was_told_of_all()
        );
        let transports = by_connection.remove(&life(connection).number);
        let mut transports = transports.expect("a client for each connection");
        transports.sort_by_key(|seen| seen.transport);
        check_outbound(app, connection, &transports).await;
        check_close(app, connection, &transports);
    }
    assert!(by_connection.is_empty(), "on_connect was not called for all");
}

fn check_totals(app: &App) {
    let connections = app.connections.lock().unwrap();
    let sum = |count: fn(&Connection) -> u64| connections.iter().map(count).sum::<u64>();
    let totals = &app.totals;
    let all = connections.len() as u64;
    assert_eq!((value(&totals.opened), value(&totals.closed), value(&totals.rooms)), (all, all, 0));
    assert_eq!(app.offered.load(Ordering::Relaxed) as u64, value(&totals.offered));
    let (sent, written) = (sum(|it| it.outbound_stats().sent), value(&totals.sent));
    // What is promised is written again, and its messages beside it.
    assert!(sent == written || app.plan.is_promised() && sent < written, "{sent} of {written}");
    assert_eq!(sum(|connection| connection.outbound_stats().dropped), value(&totals.dropped));
    assert_eq!(sum(|connection| connection.outbound_stats().conflated), value(&totals.conflated));
    assert_eq!(app.rejected.load(Ordering::Relaxed) as u64, value(&totals.rejected));
    let handled =
        sum(|connection| life(connection).messages()) + app.strays.load(Ordering::Relaxed) as u64;
    let unhandled = value(&totals.discarded) + value(&totals.undecodable);
    let others = handled + unhandled + value(&totals.replies);
    assert_eq!(value(&totals.received), others);
}

/// Every accepted frame was written, in order, or was dropped and counted; and a client reads what
/// was written on its transport, as far as that carried it.
async fn check_outbound(app: &App, connection: &Connection, transports: &[Seen]) {
    let stats = connection.outbound_stats();
    let accepted = life(connection).ledger.entries();
    assert_eq!(stats.pending, 0);
    assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.conflated);
    assert_eq!(stats.accepted, accepted.len() as u64, "{accepted:?}");
    let mut reading = Reading::default();
    for seen in transports {
        let frames = frames_written(&seen.link.written_by_server()).await;
        assert!(frames.starts_with(&seen.frames), "read {:?} of {frames:?}", seen.frames);
        if seen.to_the_end && seen.link.carries() {
            assert_eq!(frames, seen.frames);
        }
        if app.plan.is_promised() {
            reading.follow_promised(&accepted, &frames);
        } else {
            reading.follow(&accepted, &frames);
        }
        let number = Some(life(connection).number);
        if let Some(known) = seen.exchanged.as_ref().filter(|known| known.session == number) {
            check_exchanged(connection, &accepted, known);
        }
    }
    if app.plan.is_promised() {
        reading.check_holes(&accepted);
    }
    // A frame that was half written when its transport was parted with is finished there, and then
    // sent again or dropped.
    let finished = transports.len() as u64;
    let (least, most) = (reading.unique, reading.unique + reading.ambiguous);
    assert!(least <= stats.sent + finished && stats.sent <= most, "{reading:?}: {stats:?}");
    let lost = stats.dropped + stats.conflated;
    // One that came again and one that was told anew are not told apart.
    let is_complete = lost == 0 && reading.ambiguous == 0;
    let hearing = if is_complete { Hearing::Complete } else { Hearing::WithGaps };
    people::check_heard(&app.truth.people, &reading.tellings, hearing);
}

/// What a client of `wspulse.1` has heard in its session, over all its transports, came exactly once,
/// in order and without a hole; and what it was told is handled has been.
fn check_exchanged(connection: &Connection, accepted: &[Entry], known: &Known) {
    let mut reading = Reading::default();
    reading.follow(accepted, &known.heard);
    reading.check_holes(accepted);
    let (told, handled) = (life(connection).messages_of(known.key), known.handled_messages());
    assert!(handled <= told, "{handled} messages are handled, {told} have come: {known:?}");
}

/// The frames that were written whole; behind a close frame there is nothing.
async fn frames_written(bytes: &[u8]) -> Vec<Heard> {
    let mut reader = TestClient::new(join(bytes, sink()));
    let mut frames = Vec::new();
    let mut is_closed = false;
    // The last one may have been cut off.
    while let Ok(received) = reader.receive().await {
        if received == Received::End {
            break;
        }
        assert!(!is_closed, "{received:?} behind a close frame");
        match received {
            Received::Message(_, payload) if Heard::is_control(&payload) => {}
            Received::Message(_, payload) => frames.push(Heard::parse(&payload)),
            Received::Close(_) => is_closed = true,
            Received::Ping(_) | Received::Pong(_) | Received::End => {}
        }
    }
    frames
}

/// A client that did all that it should keeps its transport, whatever others do, and knows why the
/// connection was ended. Only a callback that panicked may have taken the transport from it, or a
/// rate that it was over.
fn check_close(app: &App, connection: &Connection, transports: &[Seen]) {
    let (overtaken, kept): (Vec<_>, Vec<_>) =
        transports.iter().partition(|seen| seen.close.as_ref() == Some(&OVERTAKEN));
    for late in overtaken {
        // Who has the token of a session, and the newest, need not be newer.
        let is_newer = |seen: &&Seen| seen.begun > late.begun || seen.exchanged.is_some();
        assert!(kept.iter().any(is_newer), "nothing newer than {late:?}");
    }
    let Some(newest) = kept.last().filter(|seen| seen.well_behaved) else {
        return;
    };
    let end = life(connection).end().expect("it has ended");
    let close = newest.close.as_ref();
    if close == Some(&end.close_frame()) && transports.len() == 1 {
        app.truth.drained.check_end(connection, &end);
    }
    let rate_closes = app.plan.rate.is_some_and(|rate| rate.over() == OverRate::Close);
    let is_told = close == Some(&end.close_frame())
        || close.is_some_and(|close| match close.code() {
            CloseCode::INTERNAL_ERROR => true,
            CloseCode::POLICY_VIOLATION => rate_closes && close.reason() == "rate limit",
            _ => false,
        });
    assert!(is_told, "ended as {end:?}, told {close:?}");
}
