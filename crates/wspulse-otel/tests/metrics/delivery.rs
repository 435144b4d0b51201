//! What sending and a promise of delivery look like through OpenTelemetry.

use std::time::Duration;

use wspulse::MetricsCollector;
use wspulse::metrics::{FramesAcknowledged, FramesLost, MessagesSent};
use wspulse_otel::OtelCollector;

use crate::support::{Reader, assert_has};

#[test]
fn a_send_buffer_is_used_by_the_share_that_waits() {
    let reader = Reader::new();
    let metrics = OtelCollector::new(&reader.meter());
    for (waiting, capacity) in [(1, 4), (3, 4), (5, 0)] {
        metrics.messages_sent(&MessagesSent::new("lobby", "ann", 1, 3, waiting, capacity));
    }
    let page = reader.page();
    assert_has(&page, "wspulse.send_buffer.utilization{} 3 summing up to 1");
    assert_has(&page, "wspulse.send_buffer.utilization{} up to 0.1: 1");
    assert_has(&page, "wspulse.send_buffer.utilization{} up to 0.25: 1");
    assert_has(&page, "wspulse.send_buffer.utilization{} up to 0.75: 1");
}

#[test]
fn an_acknowledgement_counts_its_frames_and_one_age() {
    let reader = Reader::new();
    let metrics = OtelCollector::new(&reader.meter());
    for age in [Some(Duration::from_millis(1200)), Some(Duration::from_millis(20)), None] {
        metrics.frames_acknowledged(&FramesAcknowledged::new("lobby", "ann", 3, age));
    }
    metrics.frames_lost(&FramesLost::new("lobby", "ann", 4));
    let page = reader.page();
    assert_has(&page, "wspulse.frames.acknowledged{} 9");
    assert_has(&page, "wspulse.acknowledgement.age{} 2 summing up to 1.22");
    assert_has(&page, "wspulse.acknowledgement.age{} up to 0.025: 1");
    assert_has(&page, "wspulse.acknowledgement.age{} up to 1.5: 1");
    assert_has(&page, "wspulse.frames.lost{} 4");
}
