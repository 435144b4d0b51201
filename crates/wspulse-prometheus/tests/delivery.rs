//! What a promise of delivery looks like to Prometheus.

use std::time::Duration;

use wspulse::MetricsCollector;
use wspulse::metrics::{FramesAcknowledged, FramesLost};
use wspulse_prometheus::PrometheusCollector;

fn collector() -> PrometheusCollector {
    PrometheusCollector::builder().build().unwrap()
}

fn page(metrics: &PrometheusCollector) -> String {
    metrics.handler().response().into_body()
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no {line:?} in:\n{page}");
}

#[test]
fn an_acknowledgement_counts_its_frames_and_one_age() {
    let metrics = collector();
    for age in [Some(Duration::from_millis(1250)), Some(Duration::from_millis(250)), None] {
        metrics.frames_acknowledged(&FramesAcknowledged::new("lobby", "ann", 3, age));
    }
    let page = page(&metrics);
    assert_has(&page, "wspulse_frames_acknowledged_total 9");
    assert_has(&page, "wspulse_acknowledgement_age_seconds_count 2");
    assert_has(&page, "wspulse_acknowledgement_age_seconds_sum 1.5");
    assert_has(&page, "wspulse_acknowledgement_age_seconds_bucket{le=\"0.25\"} 1");
    assert_has(&page, "wspulse_acknowledgement_age_seconds_bucket{le=\"1.5\"} 2");
}

#[test]
fn lost_frames_are_counted() {
    let metrics = collector();
    assert_has(&page(&metrics), "wspulse_frames_lost_total 0");
    metrics.frames_lost(&FramesLost::new("lobby", "ann", 3));
    assert_has(&page(&metrics), "wspulse_frames_lost_total 3");
}
