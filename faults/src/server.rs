//! The server under attack: a room server like any other, which can be asked what it counted.

mod ledger;
mod obey;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use wspulse::{
    Admission, ConfigError, Connection, DuplicatePolicy, Frame, Rejection, RoomOptions, Server,
};

use ledger::Ledger;

/// What can be set; times are in milliseconds.
#[derive(Debug, Clone, Parser)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one, which is then told.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// The largest message received, in bytes.
    #[arg(long, default_value_t = 64 * 1024)]
    message_bytes_max: usize,
    /// How many frames may wait for one client.
    #[arg(long, default_value_t = 256)]
    send_buffer_frames: usize,
    /// Time between two pings.
    #[arg(long, default_value_t = 10_000)]
    ping_ms: u64,
    /// How long a silent peer is kept.
    #[arg(long, default_value_t = 30_000)]
    pong_ms: u64,
    /// How long a socket may take for one frame, a peer for its answer to a close.
    #[arg(long, default_value_t = 10_000)]
    write_wait_ms: u64,
    /// How long a session waits for its client.
    #[arg(long, default_value_t = 60_000)]
    resume_window_ms: u64,
    /// From accept to the end of a request's head.
    #[arg(long, default_value_t = 10_000)]
    header_ms: u64,
    /// `TCP_USER_TIMEOUT` of accepted sockets: how long sent data may lie unacknowledged.
    #[arg(long)]
    user_timeout_ms: Option<u64>,
    /// `SO_SNDBUF` of accepted sockets, in bytes. Left alone, a kernel takes megabytes for a peer
    /// that reads nothing.
    #[arg(long)]
    kernel_bytes: Option<usize>,
    /// How long a closing server waits.
    #[arg(long, default_value_t = 10_000)]
    drain_ms: u64,
    /// How long the connect function takes for ids that begin with `late-`.
    #[arg(long, default_value_t = 0)]
    connect_ms: u64,
    /// Has `wspulse::serve` accept, not hyper alone.
    #[arg(long)]
    serve: bool,
    /// A client that is back before its loss was noticed takes its session over.
    #[arg(long)]
    take_over: bool,
    /// Every three ids are one person, and there are rooms to enter, with presence and a history.
    #[arg(long)]
    people: bool,
}

/// Serves until standard input ends or asks for the end. Prints `LISTENING port` first, then one
/// line for each question (see [`control`](crate::control)).
///
/// # Errors
///
/// If it cannot listen, or is asked something that it does not understand.
pub async fn run(options: ServerOptions) -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::default();
    let server = room_server(&options, &ledger)?;
    let listener = listen(options.bind)?;
    println!("LISTENING {}", listener.local_addr()?.port());
    if options.serve {
        // Accepted sockets inherit it.
        if let Some(bytes) = options.kernel_bytes {
            SockRef::from(&listener).set_send_buffer_size(bytes)?;
        }
        let serve = wspulse::serve(listener, server.clone())
            .handshake_timeout(millis(options.header_ms))
            .max_pending_per_addr(4096);
        return tokio::select! {
            result = serve.into_future() => Ok(result?),
            done = obey::obey(&server, &ledger) => done,
        };
    }
    tokio::select! {
        () = accept(&server, &listener, &options) => Ok(()),
        done = obey::obey(&server, &ledger) => done,
    }
}

fn room_server(options: &ServerOptions, ledger: &Ledger) -> Result<Server, ConfigError> {
    let [connected, dropped, ended] = [ledger.clone(), ledger.clone(), ledger.clone()];
    let admitting = ledger.clone();
    let duplicates =
        if options.take_over { DuplicatePolicy::Resume } else { DuplicatePolicy::Replace };
    let connect_time = millis(options.connect_ms);
    let has_people = options.people;
    Server::builder(move |request| {
        let admitting = admitting.clone();
        async move {
            let room = request.query("room").ok_or_else(Rejection::unauthorized)?;
            let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
            if id.starts_with("late-") {
                tokio::time::sleep(connect_time).await;
            }
            let admission = Admission::room(room).id(&*id).data(admitting.next_serial());
            Ok(if has_people { admission.user(person_of(&id)) } else { admission })
        }
    })
    .on_connect(move |conn| connected.connected(conn))
    .on_message(|conn, frame| async move { received(&conn, frame).await })
    .room_options(|room| {
        if is_kept(room) {
            RoomOptions::new().history(HISTORY_FRAMES, HISTORY_AGE).tell_presence()
        } else {
            RoomOptions::new()
        }
    })
    .on_transport_drop(move |_, cause| dropped.transport_lost(&cause))
    .on_disconnect(move |conn, _| ended.ended(&conn))
    .check_origin(|_| true)
    .peer_addr(|request| {
        let address = request.header("x-real-ip")?.parse().ok()?;
        Some(SocketAddr::new(address, 0))
    })
    .max_message_size(options.message_bytes_max)
    .send_buffer_size(options.send_buffer_frames)
    .heartbeat(millis(options.ping_ms), millis(options.pong_ms))
    .write_wait(millis(options.write_wait_ms))
    .resume_window(millis(options.resume_window_ms))
    .drain_timeout(millis(options.drain_ms))
    .duplicates(duplicates)
    .metrics(ledger.clone())
    .build()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Rooms that clients may enter begin so.
const KEPT: &str = "kept-";
const HISTORY_FRAMES: usize = 50;
const HISTORY_AGE: Duration = Duration::from_secs(10);
/// How long a client may take for its reply.
const REPLY_WITHIN: Duration = Duration::from_secs(2);

fn is_kept(room: &str) -> bool {
    room.starts_with(KEPT)
}

/// Three neighbours are one person.
fn person_of(id: &str) -> String {
    let (load, number) = id.rsplit_once('-').unwrap_or(("", id));
    format!("{load}/{}", number.parse().map_or(0, |number: u32| number / 3))
}

/// What clients can ask for. A full send buffer is their own affair, and counted.
async fn received(conn: &Connection, frame: Frame) {
    match frame.event() {
        "echo" => drop(conn.send(frame)),
        "say" => drop(conn.room().broadcast(frame)),
        "kick" => {
            if let Ok(id) = frame.to_json::<String>() {
                // It may have gone by itself since.
                let _ = conn.server().kick(&id);
            }
        }
        "leave" => conn.close(),
        "enter" => {
            if let Ok(room) = frame.to_json::<String>()
                && is_kept(&room)
            {
                // It may have ended, or be in too many rooms.
                let _ = conn.join(&room);
            }
        }
        "exit" => {
            if let Ok(room) = frame.to_json::<String>() {
                conn.leave(&room);
            }
        }
        "note" => {
            for room in conn.rooms().iter().filter(|room| is_kept(room.id())) {
                let _ = room.broadcast(frame.clone());
            }
        }
        "cursor" => {
            let key = format!("cursor {}", conn.id());
            drop(conn.room().broadcast_except(conn, frame.conflate(key).volatile()));
        }
        // The newest waits for those who are away, so that frames are conflated on fast machines as well.
        "position" => {
            let key = format!("position {}", conn.id());
            drop(conn.room().broadcast_except(conn, frame.conflate(key)));
        }
        "question" => drop(conn.reply(&frame, frame.clone())),
        "ask me" => drop(conn.request(Frame::new("asked")).within(REPLY_WITHIN).await),
        "whisper" => {
            if let Some(person) = conn.user_id() {
                let _ = conn.server().user(person).send(frame);
            }
        }
        _ => {}
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    /// What Linux allows: thousands connect at once here.
    const BACKLOG: u32 = 4096;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(server: &Server, listener: &TcpListener, options: &ServerOptions) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await; // out of descriptors
            continue;
        };
        // A socket that refuses these is as good as dead.
        if let Some(timeout) = options.user_timeout_ms {
            let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(millis(timeout)));
        }
        if let Some(bytes) = options.kernel_bytes {
            let _ = SockRef::from(&stream).set_send_buffer_size(bytes);
        }
        tokio::spawn(serve(server.clone(), stream, millis(options.header_ms)));
    }
}

async fn serve(server: Server, stream: TcpStream, header_within: Duration) {
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(answer(&server, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_within)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // What goes wrong here is what was done to it.
    let _ = connection.await;
}

/// `/ws` is the room server. `/private` is what no stranger may reach through a proxy.
async fn answer(server: &Server, request: Request<Incoming>) -> wspulse::http::Response {
    match request.uri().path() {
        "/ws" => server.serve(request).await,
        "/private" => plain(StatusCode::OK, "private\n"),
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> wspulse::http::Response {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
