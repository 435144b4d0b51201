//! Rooms whose members have agreed on different things.

use futures_util::future::join_all;
use wspulse::testing::TestClient;

use super::client::{DEFLATE, Offering};
use super::{compressing, long};

const MEMBERS: usize = 60;
const FRAMES: usize = 100;

#[tokio::test(start_paused = true)]
async fn all_members_hear_the_same_in_order_whatever_they_have_agreed_on() {
    let server = compressing().send_buffer_size(1_000).build().unwrap();
    let offers = [DEFLATE, "permessage-deflate; server_max_window_bits=10", "none"];
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        let id = format!("member-{number}");
        members.push(Offering::connect(&server, &id, offers[number % offers.len()]).await);
    }
    let mut plain = TestClient::connect(&server, "/ws?id=plain").await.expect("admitted");
    let hears = members.iter_mut().enumerate().map(|(number, member)| async move {
        for frame in 0..FRAMES {
            let heard = member.hear().await;
            assert_eq!(heard.frame, long(frame));
            assert_eq!(heard.is_compressed, number % 3 != 2, "member {number}");
        }
    });
    let says = async {
        for frame in 0..FRAMES {
            server.broadcast("lobby", long(frame)).unwrap();
            // Some one by one, and some in a burst.
            if frame % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let plain_hears = async {
        for frame in 0..FRAMES {
            assert_eq!(plain.frame().await.unwrap(), long(frame));
        }
    };
    tokio::join!(says, join_all(hears), plain_hears);
}
