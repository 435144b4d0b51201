//! A session is the same whether its transports are compressed or not.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::Server;
use wspulse::testing::TestClient;

use super::client::{DEFLATE, Offering};
use super::{compressing, long};

async fn suspended(server: &Server) {
    while server.suspended_count() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_come_back_with_another_offer_or_none_and_hears_what_waits() {
    let server = compressing().resume_window(Duration::from_secs(30)).build().unwrap();
    drop(Offering::connect(&server, "ann", DEFLATE).await);
    suspended(&server).await;
    server.send("ann", long(1)).unwrap();
    server.send("ann", long(2)).unwrap();
    let mut plain = TestClient::connect(&server, "/ws?id=ann").await.expect("admitted");
    assert_eq!(plain.frame().await.unwrap(), long(1));
    assert_eq!(plain.frame().await.unwrap(), long(2));
    drop(plain);
    suspended(&server).await;
    server.send("ann", long(3)).unwrap();
    let offer = "permessage-deflate; server_max_window_bits=9";
    let mut small = Offering::connect(&server, "ann", offer).await;
    let heard = small.hear().await;
    assert_eq!((heard.frame, heard.is_compressed), (long(3), true));
}
