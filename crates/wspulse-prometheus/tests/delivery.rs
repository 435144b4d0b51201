//! What a promise of delivery looks like to Prometheus.

use std::time::Duration;

use wspulse::MetricsCollector;
use wspulse::metrics::{
    FramesAcknowledged, FramesLost, ReplyUnmatched, RequestFinished, RequestOutcome,
};
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

#[test]
fn a_request_counts_by_its_outcome_and_its_time_if_it_was_answered() {
    let metrics = collector();
    let second = Duration::from_secs(1);
    for outcome in [RequestOutcome::Replied, RequestOutcome::Refused, RequestOutcome::TimedOut] {
        metrics.request_finished(&RequestFinished::new("lobby", "ann", outcome, second));
    }
    metrics.reply_unmatched(&ReplyUnmatched::new("lobby", "ann"));
    let page = page(&metrics);
    assert_has(&page, "wspulse_requests_total{outcome=\"replied\"} 1");
    assert_has(&page, "wspulse_requests_total{outcome=\"timed_out\"} 1");
    assert_has(&page, "wspulse_requests_total{outcome=\"abandoned\"} 0");
    assert_has(&page, "wspulse_request_duration_seconds_count 2");
    assert_has(&page, "wspulse_replies_unmatched_total 1");
}
