//! `on_disconnect`: it has its time, whatever came before it and whoever waits for it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use wspulse::{Connection, Disconnect, Frame};

use crate::support::clients::dial;
use crate::support::clock::{assert_passed, settle};
use crate::support::house::open_house;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn each_last_callback_has_its_time_in_a_shutdown_also_behind_a_hung_predecessor() {
    const NEEDED: Duration = Duration::from_millis(10);
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .drain_timeout(DRAIN_TIMEOUT)
        .on_message(|_, _| std::future::pending::<()>())
        .on_disconnect(move |_: Connection, end| {
            let tell = tell.clone();
            async move {
                if matches!(end, Disconnect::Duplicate) {
                    std::future::pending::<()>().await;
                }
                sleep(NEEDED).await;
                tell.send(end).unwrap();
            }
        })
        .build()
        .unwrap();
    let mut hung = dial(&server, "ann").await;
    hung.send(&Frame::new("hang")).await.unwrap();
    settle().await;
    let held = dial(&server, "ann").await;
    settle().await;
    drop((hung, held));
    let closed_at = Instant::now();
    server.close().await;
    assert!(matches!(told.try_recv(), Ok(Disconnect::ServerClosed)));
    // For the hung message, for the last callback behind it, and what the held one needs.
    assert_passed(closed_at, 2 * DRAIN_TIMEOUT + NEEDED);
}
