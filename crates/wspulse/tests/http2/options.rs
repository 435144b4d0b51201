//! The options of HTTP/2, at their bounds and beyond.

use wspulse::serve::Http2;

use crate::support::house::echo;
use crate::ways::serve_both;

const KIB: u32 = 1024;

/// Serves with these options: what is wrong with them.
async fn refused(http2: Http2) -> String {
    let (_dialler, serving) = serve_both(&echo().build().unwrap(), |serve| serve.http2(http2));
    serving.await.unwrap().expect_err("out of range").to_string()
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_its_range_is_named() {
    for (streams, value) in [(0, "0"), (4097, "4097")] {
        let told = refused(Http2::new().max_streams(streams)).await;
        let rule = "must be at least 1 and at most 4,096";
        assert_eq!(told, format!("wspulse: max_streams: {rule}, but is {value}"));
    }
    for bytes in [KIB - 1, 256 * KIB + 1] {
        let told = refused(Http2::new().stream_window_bytes(bytes)).await;
        let rule = "must be at least 1 KiB and at most 256 KiB";
        assert_eq!(told, format!("wspulse: stream_window_bytes: {rule}, but is {bytes}"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_bounds_themselves_are_served() {
    for http2 in [
        Http2::new().max_streams(1).stream_window_bytes(KIB),
        Http2::default().max_streams(4096).stream_window_bytes(256 * KIB),
    ] {
        let server = echo().build().unwrap();
        let (dialler, serving) = serve_both(&server, |serve| serve.http2(http2));
        crate::ways::Way::Http2.connect(&dialler, "/ws").await;
        assert!(!serving.is_finished());
    }
}
