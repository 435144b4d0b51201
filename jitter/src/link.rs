//! Links that fail: a TCP proxy for each client, whose connections live as their plans say.

pub(crate) mod plan;

mod pass;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ledger::{Cause, Ledger};
use pass::pass;
use plan::{End, Plan, Severity, Way};

/// When links are cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// From now on.
    pub(crate) bad: CancellationToken,
    /// No longer.
    pub(crate) quiet: CancellationToken,
}

/// How long a server's end of a silent link goes on taking bytes.
const SWALLOWED_FOR: Duration = Duration::from_mins(2);

/// Where one client's links lead, and what becomes of them.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) to: SocketAddr,
    pub(crate) seed: u64,
    pub(crate) severity: Severity,
    pub(crate) weather: Weather,
    pub(crate) ledger: Arc<Ledger>,
}

/// Listens for one client, for as long as the program runs.
pub(crate) async fn open(route: Route) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut dice = StdRng::seed_from_u64(route.seed);
    tokio::spawn(async move {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await; // out of descriptors
                continue;
            };
            let plan = route.severity.draw(&mut dice);
            let route = route.clone();
            // It ends with its connection, or with the program.
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(route.to).await {
                    live(client, server, plan, &route).await;
                }
            });
        }
    });
    Ok(address)
}

async fn live(mut client: TcpStream, mut server: TcpStream, mut plan: Plan, route: &Route) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let quiet = &route.weather.quiet;
    if !route.weather.bad.is_cancelled() {
        plan.stall = None;
    }
    let begin = Instant::now();
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        () = pass(from_server, to_client, Way::Down, &plan, begin, quiet) => return,
        () = pass(from_client, to_server, Way::Up, &plan, begin, quiet) => return,
        () = end(&plan, route) => {}
    }
    route.ledger.note_cause(plan.end.cause());
    match plan.end {
        End::Fin => {}
        End::Reset => {
            break_off(&client);
            break_off(&server);
        }
        End::Silence(lasts) => {
            tokio::select! {
                () = sleep(lasts) => {}
                () = quiet.cancelled() => {}
                // The client may have given up; the server's end is held open beyond it.
                () = swallow(&mut client) => {}
            }
            break_off(&client);
            drop(client);
            let _ = timeout(SWALLOWED_FOR, swallow(&mut server)).await;
        }
    }
}

/// Waits until it is time for a link to end.
async fn end(plan: &Plan, route: &Route) {
    let Weather { bad, quiet } = &route.weather;
    let time = async {
        bad.cancelled().await;
        let Some(stall) = plan.stall else { return sleep(plan.ends_after).await };
        sleep(stall.after).await;
        route.ledger.note_cause(Cause::Stall);
        sleep(stall.lasts).await;
        route.ledger.note_cause(Cause::HungUp);
        sleep(plan.ends_after.saturating_sub(stall.after)).await;
    };
    tokio::select! {
        () = time => {}
        // Those that are there now stay.
        () = quiet.cancelled() => pending().await,
    }
}

/// Takes bytes until the other end has no more, as a dead network's router does.
async fn swallow(stream: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

/// Has a stream end with RST when it is dropped.
fn break_off(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
